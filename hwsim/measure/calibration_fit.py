"""Constants of a class of operators fitted to measured times: least squares of their logarithms, held near a prior.

The prior is what the operators' structure and other machines let expect; a constant that the shapes do not tell stays
there. Times below the resolution of the library's profile weigh less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.mapping.cpu.constants import Constants
from hwsim.mapping.cpu.machine import Curve, Machine
from hwsim.mapping.cpu.times import seconds
from hwsim.mapping.cpu.work import Work

Vector = NDArray[np.float64]

RESOLUTION_S, SPREAD = 1e-6, 0.05
"""What the library's profile tells apart, per call, and how well a time repeats."""

OF_STEPS = 0.2
"""How well a mean over many steps is known: the profile's own cost is taken off each."""

TOLD_APART = 3.0
"""Times of fewer resolutions than this are not fitted on, where there are longer ones, but for sums over many steps."""

HOLD = 0.075
"""Weight of the prior: a constant that is off it by its width counts as a time that is off by this."""

WIDTH = {
    "efficiency": 0.7, "reduction_half": 1.0, "row_half": 1.0, "single_cost": 0.4, "gather_s": 1.0, "round_s": 1.0,
    "serial_share": 1.0, "call_s": 0.5, "fork_s": 0.7, "bandwidth_share": 0.15, "overlap_exponent": 0.3,
}  # fmt: skip
"""How far the logarithm of a constant may well be from its prior."""

FEWER_THREADS = 0.5
"""Weight of times on fewer threads than the machine has, which tell what calls and threads cost."""

STEPS, LONGEST = 60, 1.0
"""Steps of the search, and the longest of them in the logarithm of a constant."""


class Timed(NamedTuple):
    """A measured operator: its work, threads, and seconds, in a network of `held_bytes` that runs every `away_s`."""

    work: Work
    fmt: str
    machine: Machine
    held_bytes: float
    away_s: float
    seconds: float


COMMON = {"serial_share": 0.03, "call_s": 2e-6, "fork_s": 1.5e-6, "bandwidth_share": 0.9, "overlap_exponent": 2.0}
"""What is expected of every class of operators."""

REAL = {
    **{name: {"efficiency": 0.75, "reduction_half": 15.0, "single_cost": 2.0} for name in ("conv", "pointwise")},
    "gathered": {"efficiency": 0.4, "gather_s": 1.5e-10, "round_s": 5e-10},
    "depthwise": {"efficiency": 0.2},
    **{name: {"efficiency": 0.6, "row_half": 2.0} for name in ("gemm", "bmm")},
    **{name: {"efficiency": 8.0} for name in ("pool", "elementwise")},
    "planar_pool": {"efficiency": 1.0},
    "step": {"efficiency": 8.0, "call_s": 5e-7},
    "behind": {"efficiency": 8.0, "call_s": 2e-6},
    "normalisation": {"efficiency": 0.1},
    "softmax": {"efficiency": 2.0},
    "layout": {"call_s": 7e-7, "fork_s": 2e-7},
}
"""What is expected of a class beside: of one in floating point."""

INTEGER = {
    **{name: {"efficiency": 0.65, "reduction_half": 20.0, "round_s": 5e-11} for name in ("conv", "pointwise")},
    "depthwise": {"efficiency": 0.05},
    **{name: {"efficiency": 16.0} for name in ("pool", "elementwise")},
    "planar_pool": {"efficiency": 0.05, "serial_share": 0.9},
    "step": {"efficiency": 16.0, "call_s": 5e-7},
    "behind": {"efficiency": 16.0, "call_s": 2e-6},
}
"""The same of integers, where that is something else."""


def prior(op_class: str, fmt: str) -> dict[str, float]:
    """Return what is expected of a class of operators; a constant that has no part in it is not there."""
    own = {**REAL, **INTEGER}[op_class] if fmt == "int8" else REAL[op_class]
    return {**COMMON, **own}


FIXED = {"layout": {"efficiency": 1e9}}
"""Constants that are not fitted: a change of layout computes nothing."""

TIGHT = {(op_class, "efficiency"): 0.3 for op_class in ("step", "behind")}
"""Widths of those that small operators hardly show."""


def predicted(rows: Sequence[Timed], constants: Constants, curves: Mapping[int, Curve]) -> Vector:
    """Return the seconds of operators."""
    return np.array(
        [
            seconds(row.work, row.fmt, constants, row.machine, curves[row.machine.threads], row.held_bytes, row.away_s)
            for row in rows
        ]
    )


def fit(rows: Sequence[Timed], op_class: str, fmt: str) -> Constants:
    """Return the constants that give the rows' times best (Levenberg and Marquardt's search)."""
    rows = [row for row in rows if row.work.steps > 1 or row.seconds > TOLD_APART * RESOLUTION_S] or rows
    before = prior(op_class, fmt)
    names, start = tuple(before), np.log(list(before.values()))
    widths = np.array([TIGHT.get((op_class, name), WIDTH[name]) for name in names])
    curves = {row.machine.threads: Curve(row.machine) for row in rows}
    measured = np.log([row.seconds for row in rows])
    most = max(row.machine.threads for row in rows)
    weights = np.array([weight(row) * (1 if row.machine.threads == most else FEWER_THREADS) for row in rows])

    def residuals(x: Vector) -> Vector:
        found = np.log(predicted(rows, made(names, x, op_class), curves))
        return np.concatenate([(found - measured) * weights, HOLD * (x - start) / widths])

    return made(names, _least_squares(residuals, start), op_class)


def weight(row: Timed) -> float:
    """Return how much a time counts: less where it is near the profile's resolution, or a sum over short steps."""
    resolution = OF_STEPS if row.work.steps > 1 else RESOLUTION_S / row.seconds
    return float(SPREAD / np.hypot(SPREAD, resolution))


def made(names: Iterable[str], x: Vector, op_class: str) -> Constants:
    """Return the constants whose logarithms are `x`."""
    values = dict(zip(names, map(float, np.exp(x)), strict=True))
    values["serial_share"] = min(1.0, values["serial_share"])
    # beyond these, arithmetic and memory would take longer together than one after the other
    values["overlap_exponent"] = max(1.0, values["overlap_exponent"])
    return Constants(**{**FIXED.get(op_class, {}), **values})


def _least_squares(residuals: Callable[[Vector], Vector], start: Vector) -> Vector:
    """Return where the sum of squares is least, searched from `start`."""
    x, r, damping = start.copy(), residuals(start), 1e-2
    for _ in range(STEPS):
        nudges = 1e-4 * np.eye(len(x))
        slope = np.array([(residuals(x + nudge) - r) / 1e-4 for nudge in nudges]).T
        step = np.linalg.solve(slope.T @ slope + damping * np.eye(len(x)), -slope.T @ r)
        tried = x + np.clip(step, -LONGEST, LONGEST)
        after = residuals(tried)
        if after @ after < r @ r:
            x, r, damping = tried, after, max(damping / 3, 1e-9)
        else:
            damping *= 4
    return x
