"""The constants of a library's operators on a CPU: fitted, typical of the CPUs that were, or ideal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from typing import NamedTuple

from hwsim.arch.calibration import Calibration
from hwsim.arch.source import Source

CLASSES = (
    "conv", "pointwise", "depthwise", "gathered", "gemm", "bmm", "pool", "planar_pool", "elementwise", "step",
    "behind", "normalisation", "softmax", "layout",
)  # fmt: skip
"""Classes of operators. "pointwise" convolutions have filters of 1x1, "gathered" ones copy inputs into a matrix, a
"planar_pool" reads channel by channel; a "step" is an elementwise operator in a recurrence, on data that L1 holds, and
one "behind" a product there finds that its own are driven out."""

STAND_IN = {"bmm": "gemm", "gathered": "conv", "planar_pool": "pool", "step": "elementwise", "behind": "step"}
"""The class whose constants are taken for one that was not measured."""


class Constants(NamedTuple):
    """What is fitted of one class of operators in one format; the defaults are those of an ideal library.

    `efficiency` is the part of the peak that full tiles reach (of operations per cycle of an operator that is no
    product); `reduction_half` the products per visit of a tile that its own start and end cost, `row_half` the rows;
    a column of outputs outside whole tiles costs `single_cost`; `gather_s` and `round_s` are per element copied into a
    matrix and per result rounded apart from its product [s]. `serial_share` is done by one thread. A call costs
    `call_s`, each further thread `fork_s`, each piece put together by a change of layout `call_s` again. Memory gives
    `bandwidth_share`; times of arithmetic and memory overlap as (a^p + b^p)^(1/p), p being `overlap_exponent`.
    """

    efficiency: float = 1.0
    reduction_half: float = 0.0
    row_half: float = 0.0
    single_cost: float = 1.0
    gather_s: float = 0.0
    round_s: float = 0.0
    serial_share: float = 0.0
    call_s: float = 0.0
    fork_s: float = 0.0
    bandwidth_share: float = 1.0
    overlap_exponent: float = inf


LIMITS: Mapping[str, tuple[float, float]] = {
    "efficiency": (1e-6, 1e12), "reduction_half": (0, 1e9), "row_half": (0, 1e9), "single_cost": (1e-3, 1e6),
    "gather_s": (0, 1e3), "round_s": (0, 1e3), "serial_share": (0, 1), "call_s": (0, 1e3), "fork_s": (0, 1e3),
    "bandwidth_share": (1e-6, 1e6), "overlap_exponent": (1, 1e6),
}  # fmt: skip
"""What constants that are read from a file can be."""


class Case(NamedTuple):
    """Constants with what they were fitted on."""

    constants: Constants
    source: Source
    shapes: int = 0


IDEAL = Source.assumed("ideal: peak rates, whole tiles and full bandwidth, and a call costs nothing")

VECTOR_IDEAL = 16.0
"""Operations per cycle of an ideal operator that is no product: one vector of 512 bits."""

PRODUCTS = frozenset({"conv", "pointwise", "depthwise", "gathered", "gemm", "bmm"})
"""Classes of operators that multiply and accumulate."""


def ideal(op_class: str) -> Case:
    """Return the constants of a library that reaches what the machine's datasheet says."""
    return Case(Constants(efficiency=1.0 if op_class in PRODUCTS else VECTOR_IDEAL), IDEAL)


def cases(
    fitted: Mapping[tuple[str, str, str], Calibration], library: str, formats: Iterable[str], borrowed: str = ""
) -> dict[tuple[str, str], Case]:
    """Return the constants of every class and format; `borrowed` says why those of another machine are taken.

    A class or format that was not measured has those of the one that is nearest to it.
    """
    found: dict[tuple[str, str], Case] = {}
    for fmt in formats:
        for op_class in CLASSES:
            calibration = _nearest(fitted, library, op_class, fmt)
            if calibration is None:
                found[op_class, fmt] = ideal(op_class)
                continue
            constants = Constants(**dict(calibration.constants))
            source = calibration.source
            if borrowed:
                source = Source.assumed(f"{borrowed} ({source})")
            elif calibration.case[1:] != (op_class, fmt):
                source = Source.assumed(f"as {calibration.case[1]} in {calibration.case[2]} ({source})")
            found[op_class, fmt] = Case(constants, source, calibration.shapes)
    return found


def _nearest(
    fitted: Mapping[tuple[str, str, str], Calibration], library: str, op_class: str, fmt: str
) -> Calibration | None:
    for wanted in (fmt, "fp32"):
        for name in (op_class, STAND_IN.get(op_class, op_class)):
            if (library, name, wanted) in fitted:
                return fitted[library, name, wanted]
    return None
