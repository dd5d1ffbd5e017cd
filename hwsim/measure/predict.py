"""A prediction beside a measurement of the same layers on the same machine, and how far apart they are.

Errors are told for four cases: the plain roofline, the model with what the machine's datasheet says and no more, the
model calibrated on other shapes, and a second measurement, below whose error none can be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import mean, median
from typing import NamedTuple

from hwsim.arch.accelerator import Accelerator
from hwsim.errors import InputError, LimitError, UsageError
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Kind, Layer
from hwsim.ir.network import Network
from hwsim.mapping.roofline import roofline_seconds
from hwsim.simulate import simulate

MEASURED = "measured"
"""What the figures of this machine are called where tables are named."""

CASES = {
    "roofline": "roofline_seconds",
    "datasheet only": "datasheet_seconds",
    "calibrated on other shapes": "calibrated_seconds",
    "measured again": "repeated_seconds",
}
"""What is held against the measurement, and its column."""

Seconds = Mapping[str, float]
"""Seconds by layer."""


class Predicted(NamedTuple):
    """One layer, with those that the library runs in its call, measured and predicted [s].

    `fitted_on` says that a layer of this shape is among those that the calibration was fitted on: it is not scored.
    `repeated_seconds` is None where nothing was measured again.
    """

    layer: str
    operator: str
    macs: int
    measured_seconds: float
    roofline_seconds: float
    datasheet_seconds: float
    calibrated_seconds: float
    repeated_seconds: float | None
    fitted_on: bool

    def error_percent(self, column: str) -> float | None:
        """Return by how much `column` exceeds what was measured [%]; None where it has no value."""
        value = getattr(self, column)
        return None if value is None else 100 * (value / self.measured_seconds - 1)


class Accuracy(NamedTuple):
    """Errors of one case over the layers that are scored [%], regardless of sign, and of all layers' sum."""

    case: str
    layers: int
    mean_percent: float
    median_percent: float
    worst_percent: float
    sum_percent: float


class Machines(NamedTuple):
    """A machine as its datasheet has it, and calibrated; `fitted` says whether that was on a layer's shape."""

    datasheet: Accelerator
    calibrated: Accelerator
    fitted: Callable[[Layer], bool]


def predictions(
    network: Network,
    fmt: NumberFormat,
    machines: Machines,
    measured: Seconds,
    repeated: Seconds | None,
    fused: Mapping[str, str],
) -> list[Predicted]:
    """Return the layers that took time when measured, beside what they are predicted to take.

    A layer that the library ran in another's call is `fused` into it there, and its prediction is added to that one's.
    """
    groups: dict[str, list[Layer]] = {}
    for layer in network.layers:
        groups.setdefault(_root(layer.name, fused), []).append(layer)
    datasheet, calibrated = (_simulated(network, chip, fmt) for chip in (machines.datasheet, machines.calibrated))
    lead = {layer.name: layer for layer in network.layers}
    return [
        Predicted(
            layer=name,
            operator=operator(lead[name]),
            macs=sum(layer.macs for layer in group),
            measured_seconds=measured[name],
            roofline_seconds=roofline_seconds(lead[name], machines.datasheet, fmt),
            datasheet_seconds=sum(datasheet[layer.name] for layer in group),
            calibrated_seconds=sum(calibrated[layer.name] for layer in group),
            repeated_seconds=repeated[name] if repeated else None,
            fitted_on=machines.fitted(lead[name]),
        )
        for name, group in groups.items()
        if measured.get(name, 0) > 0 and lead[name].kind is not Kind.UNSUPPORTED
    ]


def operator(layer: Layer) -> str:
    """Return what a layer is called in tables: its kind, with what makes convolutions differ."""
    if layer.kind is not Kind.CONV:
        return str(layer.kind)
    if layer.G > 1:
        return "depthwise convolution" if layer.C == 1 else "grouped convolution"
    return f"{layer.R}x{layer.S} convolution" if layer.R * layer.S in (1, 9) else "convolution"


def accuracy(rows: Sequence[Predicted]) -> list[Accuracy]:
    """Return the errors of every case that has values; layers that were calibrated on are left out of its statistics.

    Raises `InputError` where no layer is left to be scored.
    """
    scored = [row for row in rows if not row.fitted_on]
    if not scored:
        raise InputError("every layer has the shape of one that was calibrated on: there is nothing to score")
    found = []
    for case, column in CASES.items():
        values = [getattr(row, column) for row in rows]
        if None in values:
            continue
        errors = [abs(row.error_percent(column) or 0.0) for row in scored]
        whole = 100 * (sum(values) / sum(row.measured_seconds for row in rows) - 1)
        found.append(Accuracy(case, len(scored), mean(errors), median(errors), max(errors), whole))
    return found


def require_below(found: Iterable[Accuracy], limit_percent: float) -> None:
    """Raise `LimitError` where the calibrated prediction's mean error is above the limit."""
    case = "calibrated on other shapes"
    (one,) = (one for one in found if one.case == case)
    if one.mean_percent > limit_percent:
        raise LimitError(
            f"the mean absolute error, {case}, is {one.mean_percent:.4g} %; the limit is {limit_percent:g} %"
        )


def _root(name: str, fused: Mapping[str, str]) -> str:
    while fused.get(name):
        name = fused[name]
    return name


def _simulated(network: Network, chip: Accelerator, fmt: NumberFormat) -> Seconds:
    """Return the simulated seconds of every layer."""
    if fmt.name not in chip.formats:
        name, formats = chip.label or chip.name, ", ".join(chip.formats)
        raise UsageError(f"the model of '{name}' has no {fmt.name}; it has {formats}")
    return {row["layer"]: row["seconds"] for row in simulate(network, on=chip, format=fmt).rows}
