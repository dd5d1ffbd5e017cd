"""HOW a CPU's libraries place operators: vector or matrix tiles, cache blocks, threads."""
