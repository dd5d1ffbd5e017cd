"""The fit of a class's constants to a few measured shapes: priors, and what is minimised."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from gpu_fits import fitted_of

from hwsim.arch.source import Source
from hwsim.mapping.gpu.constants import Case, case_of
from hwsim.validate.gpu.tables import FITTED, NONE, Part, Table, Timed

PRIOR = {
    "efficiency": (0.9, 0.1), "edge_elements": (12, 0.6), "l2_bytes_per_cycle": (3, 0.5), "prologue_us": (1.2, 0.6),
    "bandwidth_share": (0.83, 0.12), "ramp_us": (1, 0.7), "launch_us": (1.6, 0.4), "overlap_exponent": (1, 0.6),
    "reduction_us": (3, 0.7), "step_us": (0.3, 0.8), "tail_share": (0.3, 0.7), "sustained_share": (0.75, 0.15),
    "throttle_slope": (0.05, 0.9), "throttle_from_us": (300, 1), "throttle_span": (2.5, 0.5),
    "reread": (1, 0.7), "long_row_elements": (1500, 0.5),
    "unaligned_factor": (1.2, 0.2), "short_row_factor": (1, 0.2), "head_elements": (30, 0.6), "block_us": (1, 0.7),
    "block_wide_us": (1, 0.7), "winograd_efficiency": (0.85, 0.15), "fused_efficiency": (0.65, 0.25),
    "transform_share": (0.6, 0.3), "transform_us": (20, 0.6), "fused_prologue_us": (3, 0.6),
    "decode_launch_us": (9, 0.4), "decode_bandwidth_share": (0.7, 0.3), "decode_step_us": (0.7, 0.6),
    "simt_efficiency": (0.7, 0.2), "decode_block_us": (1, 0.7), "decode_overlap_exponent": (1, 0.6),
}  # fmt: skip
"""Centre and standard deviation of the natural logarithm, the same for every machine but where a part says otherwise.

The bandwidth of L2 is a multiple of that off-chip; an exponent is written less 1.
"""

SPREAD = 0.08
"""What a residual of the logarithm of a time is measured in."""

CONV_OVER = {"efficiency": (0.75, 0.25), "bandwidth_share": (0.83, 0.12)}


def tiles_of(table: Table, part: Part, rows: Sequence[Timed]) -> dict[str, float]:
    """Return constants for the blocks that calibrating rows name, and those that are chosen."""
    return {f"tile_{row.tile}": 1.0 for row in rows if row.tile} | dict(fitted_of(table, part).fixed)


def constants_of(names: Sequence[str], machine: Any, x: Any, fixed: Mapping[str, float]) -> dict[str, float]:
    """Return constants by name from the logarithms that the fit varies."""
    found = {name: float(np.exp(value)) for name, value in zip(names, x, strict=True)}
    for name in found:
        if name.endswith("overlap_exponent"):
            found[name] += 1
    if "l2_bytes_per_cycle" in found:
        found["l2_bytes_per_cycle"] *= float(machine[2] / machine[0])
    return found | dict(fixed)


def case(table: Table, part: Part, constants: Mapping[str, float]) -> Case:
    """Return the product's case for `constants`."""
    return case_of(part.op_class, table.path, table.library, constants, Source.assumed("a fit in progress"), 0)


def predictions(table: Table, part: Part, constants: Mapping[str, float], rows: Sequence[Timed]) -> Any:
    """Return the product's times [us] of `rows`."""
    machine, one, others = table.machine_array, case(table, part, constants), FITTED if constants else NONE
    return np.array([part.predict(machine, one, row, others) for row in rows])


def with_families(table: Table, part: Part, constants: Mapping[str, float], rows: Sequence[Timed]) -> tuple[Any, Any]:
    """Return times and weights: where the table names the algorithm that ran, half a residual on its own time too."""
    times = [predictions(table, part, constants, rows)]
    if part.families is not None:
        machine, one = table.machine_array, case(table, part, constants)
        known = []
        for row in rows:
            found = part.families(machine, one, row) if row.family else {}
            known.append(row.us * np.sqrt(found[row.family] / row.us) if row.family else row.us)
        times.append(np.array(known))
    return np.concatenate(times), np.concatenate([[row.us for row in rows]] * len(times))


def fit(table: Table, part: Part, rows: Sequence[Timed]) -> dict[str, float]:
    """Return the constants that fit `rows` best under the priors.

    Robust least squares of log residuals from two starts, the better refined by Nelder and Mead on the mean error.
    """
    optimize = scipy_optimize()
    machine, fixed, names = table.machine_array, tiles_of(table, part, rows), fitted_of(table, part).constants
    prior = {**PRIOR, **(CONV_OVER if part.op_class == "conv" else {}), **fitted_of(table, part).over}
    centre = np.log([prior[name][0] for name in names])
    sd = np.array([prior[name][1] for name in names])

    def ratio(x: Any) -> Any:
        times, measured = with_families(table, part, constants_of(names, machine, x, fixed), rows)
        return times / measured

    def residuals(x: Any) -> Any:
        return np.concatenate([np.clip(np.log(ratio(x)), -3, 3) / SPREAD, (x - centre) / sd])

    def error(x: Any) -> float:
        drift = 0.04 * np.mean(((x - centre) / sd) ** 2) / np.sqrt(len(rows))
        return float(np.mean(np.abs(ratio(x) - 1)) + drift)

    starts = (centre, centre + np.random.default_rng(0).normal(size=len(centre)) * sd / 2)
    best = min((_least_squares(optimize, residuals, start) for start in starts), key=error)
    simplex = np.vstack([best, best + 0.24 * np.diag(sd)])
    options = {"initial_simplex": simplex, "maxfev": 1200, "xatol": 1e-3, "fatol": 1e-5}
    refined = optimize.minimize(error, best, method="Nelder-Mead", options=options)
    return constants_of(names, machine, refined.x if refined.fun < error(best) else best, fixed)


def _least_squares(optimize: Any, residuals: Callable[[Any], Any], start: Any) -> Any:
    return optimize.least_squares(residuals, start, loss="soft_l1", diff_step=3e-3, max_nfev=60).x


def scipy_optimize() -> Any:
    """Return scipy's optimisers; a fit without them ends here, in a sentence."""
    try:
        return importlib.import_module("scipy.optimize")
    except ImportError:
        sys.exit("fitting needs scipy, which is not installed: pip install scipy")
