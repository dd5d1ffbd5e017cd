"""Measures the systolic array over arrays of points: points per second of one core, first call, peak memory.

Run as `python benchmarks/array_points.py [POINTS]`, a million of AlexNet unless said otherwise, in the batches that a
sweep makes. Each kind of grid runs in a process of its own. What it asserts is that points of every batch are those of
`hwsim.simulate`, bit for bit.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
from math import inf
from time import perf_counter, process_time
from typing import Any

import numpy as np
from against_scale_sim import mib

import hwsim
from hwsim import catalog
from hwsim.engine import array_points
from hwsim.engine.points import ArrayRows

POINTS, BATCH, CHECKED = 1_000_000, 2048, 40
NETWORK = "alexnet"

GRID: dict[str, list[Any]] = {
    "rows": [8, 12, 16, 24, 32, 48, 64, 96, 128, 256],
    "cols": [8, 12, 16, 24, 32, 48, 64, 96, 128, 256],
    "ifmap_kib": [16.0, 32.0, 64.0, 108.0, 256.0],
    "filter_kib": [16.0, 64.0, 108.0, 256.0],
    "ofmap_kib": [16.0, 64.0, 256.0, 1024.0],
    "bandwidth_gb_s": [4.0, 12.8, 25.6, 64.0, inf],
    "clock_mhz": [500.0, 700.0, 1000.0, 1200.0, 1500.0],
    "node_nm": [45.0, 28.0, 16.0],
    "vector_lanes": [0, 16],
}
"""1.2 million points; each of six machines that differ in nothing but node and lanes shares its foldings."""

TIMING: dict[str, list[Any]] = {"drain": ["array", "tile"], "preload": ["serial", "overlapped"]}

CASES = {
    "grid weight_stationary": ("weight_stationary", {}),
    "grid output_stationary": ("output_stationary", {}),
    "grid input_stationary": ("input_stationary", {}),
    "drain and preload, too": ("weight_stationary", TIMING),
    "drawn, no two alike": ("weight_stationary", None),
}


def columns(axes: dict[str, list[Any]], start: int, count: int) -> dict[str, Any]:
    """Return points `start` to `start + count` of a full grid, the last axis fastest."""
    left, found = np.arange(start, start + count), {}
    for name, values in reversed(axes.items()):
        left, digit = np.divmod(left, len(values))
        found[name] = np.array(values, object if isinstance(values[0], str) else None)[digit]
    return found


def drawn(draw: np.random.Generator, count: int) -> dict[str, Any]:
    """Return points drawn between the ends of the grid."""
    whole = {name: draw.integers(8, 257, count) for name in ("rows", "cols")}
    rest = {
        name: draw.uniform(values[0], 1024.0 if values[-1] == inf else values[-1], count)
        for name, values in GRID.items()
        if name.endswith(("kib", "gb_s", "mhz"))
    }
    return {**whole, **rest}


def check(dataflow: str, given: dict[str, Any], found: ArrayRows, at: int) -> None:
    """Compare one point with its own simulation."""
    spec = ",".join(f"{name}={values[at]}" for name, values in given.items())
    total = hwsim.simulate(NETWORK, f"systolic:{spec}", dataflow=dataflow).total
    for name in set(total) & set(found.points):
        assert found.points[name][at] == total[name], f"{name} of {spec} is not that of simulate"


def measure(case: str, points: int) -> None:
    """Print the rate of one kind of grid."""
    dataflow, more = CASES[case]
    net, fmt, draw = catalog.network(NETWORK), catalog.number_format("int8"), np.random.default_rng(0)
    begin = perf_counter()
    array_points.evaluate(net, "systolic", {"rows": np.array([8])}, {}, dataflow, fmt, layers=False)
    first_s, busy_s, exact, done = perf_counter() - begin, 0.0, 0, 0
    axes = GRID if more is None else {**more, **GRID}
    size, pick = int(np.prod([len(values) for values in axes.values()])), random.Random(0)
    batches = -(-points // BATCH)
    for batch in range(batches):
        start = (size - BATCH) * batch // max(1, batches - 1)
        given = drawn(draw, BATCH) if more is None else columns(axes, start, BATCH)
        begin = process_time()
        found = array_points.evaluate(net, "systolic", given, {}, dataflow, fmt, layers=False)
        busy_s, exact, done = busy_s + process_time() - begin, exact + int(found.exact.sum()), done + BATCH
        at = pick.randrange(BATCH)
        if batch % max(1, batches // CHECKED) == 0 and found.exact[at]:
            check(dataflow, given, found, at)
    peak = mib(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    print(
        f"{case:26}{done / busy_s:12,.0f} points/s{1e6 * busy_s / done:8.1f} s per million"
        f"{exact / done:8.1%} exact{first_s:8.1f} s first call{peak:8,.0f} MiB peak",
        flush=True,
    )


def main() -> None:
    """Run each case in a process of its own, so that each has its own peak memory."""
    arguments = sys.argv[1:]
    if arguments and arguments[0] in CASES:
        measure(arguments[0], int(arguments[1]))
        return
    for case in CASES:
        subprocess.run([sys.executable, __file__, case, arguments[0] if arguments else str(POINTS)], check=True)


if __name__ == "__main__":
    main()
