"""HOW a GPU's libraries place operators: tiles of thread blocks over streaming multiprocessors."""
