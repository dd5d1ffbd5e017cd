"""Measures EIE's engine, and prints its load balance and energies; Table IV is in `hwsim validate`.

Run as `python benchmarks/sparse.py`; compilation is not counted. With the path of EIE's authors' layer (an .npz) as
argument, that is run, too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter

import hwsim
from hwsim import catalog

REPEATS = 15
QUEUES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
WIDTHS = (16, 32, 64, 128, 256, 512)


def seconds(run: Callable[[], object]) -> float:
    """Return the median time of `run`, once it is compiled."""
    run()
    taken = []
    for _ in range(REPEATS):
        started = perf_counter()
        run()
        taken.append(perf_counter() - started)
    return median(taken)


def speed() -> None:
    """Print the rate of both fidelities on Alex-6, and the time of all nine layers."""
    alex6, nine = catalog.network("eie_layers:layer=Alex-6"), catalog.network("eie_layers")
    pe_cycles = 64 * hwsim.simulate(alex6, on="eie").total["total_cycles"]
    known = seconds(lambda: hwsim.simulate(alex6, on="eie"))
    counter = iter(range(10**6))
    fresh = seconds(lambda: hwsim.simulate(alex6, on="eie", seed=next(counter)))
    stepped = seconds(lambda: hwsim.simulate(alex6, on="eie", fidelity="stepped"))
    print(f"Alex-6 on 64 PEs, {pe_cycles} PE-cycles, in millions per second and core; asked are 400:")
    print(f"  simulating a matrix that was made before  {pe_cycles / known / 1e6:8.0f}")
    print(f"  making the random matrix as well          {pe_cycles / fresh / 1e6:8.0f}")
    print(f"  stepped, matrix, values and check as well {pe_cycles / stepped / 1e6:8.0f}")
    every = seconds(lambda: hwsim.simulate(nine, on="eie", seed=next(counter)))
    print(f"all nine layers, matrices made anew: {1e3 * every:.0f} ms; asked is less than 1000")


def figures() -> None:
    """Print Figures 8 and 9."""
    names = [layer.name for layer in catalog.network("eie_layers").layers]
    print("\nFig. 8, load balance over the depth of the queue\n  " + " ".join(f"{name:>8}" for name in names))
    for depth in QUEUES:
        rows = hwsim.simulate("eie_layers", on=f"eie:fifo_depth={depth}").rows
        print("  " + " ".join(f"{row['load_balance']:8.3f}" for row in rows) + f"  {depth}")
    print("\nFig. 9, energy of sparse-matrix reads [uJ] over their width; the last column is of all layers")
    for width in WIDTHS:
        result = hwsim.simulate("eie_layers", on=f"eie:sram_width_bits={width}")
        energies = [row["energy_spmat_sram_pj"] / 1e6 for row in result.rows]
        print("  " + " ".join(f"{energy:8.2f}" for energy in energies) + f" {sum(energies):8.2f}  {width} bits")


def authors_layer(path: str) -> None:
    """Print what the layer of EIE's authors takes, where their simulator takes 7926 cycles."""
    (row,) = hwsim.simulate(path, on="eie").rows
    cycles = row["total_cycles"]
    print(f"\n{path}: {row['useful_macs']} MACs in {cycles} cycles ({cycles / 7926 - 1:+.2%} of 7926)")


def main() -> None:
    """Print all of it."""
    speed()
    figures()
    for path in sys.argv[1:]:
        authors_layer(path)


if __name__ == "__main__":
    main()
