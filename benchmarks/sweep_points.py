"""Measures how many points of a sweep one process evaluates per second, chip by chip, and a mix of 100,000.

Run as `python benchmarks/sweep_points.py [POINTS]`. What is asserted are counts, so that a change of what is computed
fails and a slow machine does not: how many points there are, how many a chip refuses, and how many simulations it took.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from time import perf_counter
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

from hwsim import catalog
from hwsim.simulate import simulate
from hwsim.sweep import evaluate as module
from hwsim.sweep.evaluate import Task, evaluate
from hwsim.sweep.space import SETTINGS, Axis, Block, Space

NETWORKS = (
    "alexnet", "resnet", "googlenet", "mobilenet", "squeezenet", "lstm", "gru", "mlp", "eie_layers", "vit",
)  # fmt: skip
MIX, SLICE, JOBS = 100_000, 50, 2
ALONE = 9
"""Values of each density with a chip alone."""


class Measured(NamedTuple):
    """What one task took and gave."""

    seconds: float
    points: int
    refused: int
    layers: int
    peak_mib: float


def block(network: str, chip: str, densities: int, *swept: Axis) -> Block:
    """Return all of a chip's formats with `densities` values of both densities."""
    values = tuple(round((place + 1) / densities, 6) for place in reversed(range(densities)))
    formats = catalog.chip(chip).formats if densities > 1 else ("",)
    own = dict(zip(SETTINGS, (("",), formats, values, values), strict=True))
    return Block(network, chip, (), (), (*swept, *(Axis(name, own[name]) for name in SETTINGS)))


def mix(points: int) -> Space:
    """Return all networks on all chips in all of their formats, with as many densities as give so many points."""
    chips = catalog.names("chip")
    grids = len(NETWORKS) * sum(len(catalog.chip(chip).formats) for chip in chips)
    densities = round((points / grids) ** 0.5 + 0.5)
    return Space(tuple(block(network, chip, densities) for network in NETWORKS for chip in chips))


def slices(space: Space, size: int) -> Iterator[Task]:
    """Yield the points of a space in tasks."""
    for first in range(0, space.size, size):
        yield Task(space, np.arange(first, min(space.size, first + size)), True)


def measured(task: Task) -> Measured:
    """Return what a task took, in this process."""
    from resource import RUSAGE_SELF, getrusage

    started = perf_counter()
    rows = evaluate(task)
    taken = perf_counter() - started
    assert rows.layers is not None
    assert not [error for error in rows.errors.values() if error.startswith("bug")]
    peak_mib = getrusage(RUSAGE_SELF).ru_maxrss / 1024
    return Measured(taken, len(rows.ordinals), len(rows.errors), len(rows.layers["layer"]), peak_mib)


def counting(function: Callable[..., Any], calls: list[int]) -> Callable[..., Any]:
    """Return `function`, its calls counted."""

    def called(*given: Any, **options: Any) -> Any:
        calls.append(1)
        return function(*given, **options)

    return called


def alone(chip: str) -> None:
    """Print the rate of a chip with all networks, its formats and two densities, and how many simulations it took."""
    space = Space(tuple(block(network, chip, ALONE) for network in NETWORKS))
    read = catalog.engine(catalog.chip(chip).engine).READS_DENSITIES  # type: ignore[attr-defined]
    calls: list[int] = []
    with patch.object(module, "simulate", counting(simulate, calls)):
        found = [measured(task) for task in slices(space, SLICE)]
    grids = len(NETWORKS) * len(catalog.chip(chip).formats)
    assert len(calls) == grids * ALONE ** len(read), "simulations are not those of what differs"
    assert sum(one.points for one in found) == grids * ALONE**2
    said = f"{len(calls):6} simulations, {sum(one.refused for one in found):5} refused"
    show(chip, found, sum(one.seconds for one in found), said)


def by_parameters(chip: str, *swept: Axis) -> None:
    """Print the rate of one network on a chip whose parameters differ, nothing of which is shared."""
    space = Space((block("alexnet", chip, 1, *swept),))
    found = [measured(task) for task in slices(space, 2048)]
    show(f"{chip}, sizes", found, sum(one.seconds for one in found), "alexnet alone")


def show(what: str, found: list[Measured], seconds: float, said: str) -> None:
    """Print a line."""
    points, layers = sum(one.points for one in found), sum(one.layers for one in found)
    print(
        f"{what:16}{points:8} points {layers:9} layers {seconds:7.2f} s {points / seconds:9.0f}/s  {said}", flush=True
    )


def mixed(points: int) -> None:
    """Print the time of the mix on two processes, and the most memory that one of them takes."""
    space = mix(points)
    with ProcessPoolExecutor(JOBS, get_context("spawn")) as pool:
        list(pool.map(measured, [Task(space, np.arange(1), True)] * JOBS))
        started = perf_counter()
        found = list(pool.map(measured, slices(space, SLICE)))
        taken = perf_counter() - started
    assert sum(one.points for one in found) == space.size >= points
    peak_mib = max(one.peak_mib for one in found)
    show(f"mix, {JOBS} processes", found, taken, f"{peak_mib:.0f} MiB at most; asked are 60 s")


def main() -> None:
    """Print the mix, first because processes inherit the most memory that this one took, then rates by chip."""
    mixed(int(sys.argv[1]) if len(sys.argv) > 1 else MIX)
    for chip in catalog.names("chip"):
        alone(chip)
    sides = tuple(str(side) for side in range(4, 68, 2))
    by_parameters("systolic", Axis("chip_rows", sides), Axis("chip_cols", sides), Axis("chip_ofmap_kib", sides[:8]))
    by_parameters("eyeriss", Axis("chip_rows", sides[4:10]), Axis("chip_glb_kib", sides[-6:]))
    by_parameters("tpu_v1", Axis("chip_rows", sides[-6:]), Axis("chip_cols", sides[-6:]))


if __name__ == "__main__":
    main()
