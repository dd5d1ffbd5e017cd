"""Prints the energy of six dataflows on one storage area beside the ratios that ISCA 2016 publishes.

Run as `python benchmarks/isca2016.py`; `python benchmarks/isca2016.py dram_cost=100` changes parameters of the chip.
"""

from __future__ import annotations

import sys

import hwsim
from hwsim.results.expectation import expectations

NETWORK = "alexnet:batch=16"
TABLE = "isca2016_dataflows"
LEVELS = ("mac", "rf", "array", "buffer", "dram")


def energies_per_mac(result: hwsim.NetworkResult) -> dict[str, float]:
    """Return the energy of the convolutions by level, in that of a multiply-accumulate, per MAC."""
    convolutions = [layer for layer in result.layers if layer.layer.kind == "conv"]
    by_level = {level: sum(layer.energy_pj[level] for layer in convolutions) for level in LEVELS}
    return {level: energy / by_level["mac"] for level, energy in by_level.items()}


def lines(parameters: str = "") -> list[str]:
    """Return the table, a line per dataflow."""
    printed = [f"{'dataflow':<26}{'ratio':>7}{'published':>10}{'error':>9}{'buffer':>10}  energy per MAC by level"]
    for row in expectations(TABLE):
        result = hwsim.simulate(
            NETWORK, on=f"isca2016:{parameters}" if parameters else "isca2016", dataflow=row.dataflow
        )
        ratio, parts = result.total[row.quantity], energies_per_mac(result)
        by_level = ", ".join(f"{level} {energy:.2f}" for level, energy in parts.items())
        printed.append(
            f"{row.dataflow:<26}{ratio:>7.3f}{row.published:>10.3f}{100 * (ratio / row.published - 1):>+8.1f}%"
            f"{result.layers[0].extras['buffer_kib']:>6.0f} KiB  {sum(parts.values()):.3f} = {by_level}"
        )
    return printed


if __name__ == "__main__":
    print("\n".join(lines(",".join(sys.argv[1:]))))
