"""Measurements, made now or read from a folder, with the predictions that stand beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hwsim import catalog
from hwsim.errors import InputError
from hwsim.formats import NumberFormat
from hwsim.ir.network import Network
from hwsim.measure.measure import measure
from hwsim.measure.predict import Machines, Predicted, Seconds, predictions
from hwsim.measure.record import FIDELITY, Measurement
from hwsim.measured.shapes import shape_of

HOST = "cpu:host"
"""The model of this machine."""


class Beside(NamedTuple):
    """A network as it was measured on `where`, and as it is predicted."""

    network: Network
    where: str
    rows: list[Predicted]
    notes: tuple[str, ...]


class Ran(NamedTuple):
    """What is known of a measurement: seconds by layer, twice if it was repeated, and which layers ran in others."""

    network: Network
    fmt: NumberFormat
    device: str
    chip: str
    library: str
    threads: int
    seconds: Seconds
    again: Seconds
    fused: Mapping[str, str]
    notes: tuple[str, ...]


def measured_now(network: str, chip: str = "", **how: Any) -> Beside:
    """Return a network measured on this machine, twice, beside its prediction; `how` is as `measure` takes it."""
    first = measure(network, **how)
    second = measure(network, **how)
    ran = Ran(
        first.network, first.fmt, first.device, first.chip, first.backend, first.threads, _medians(first),
        _medians(second), first.fused or {}, first.notes,
    )  # fmt: skip
    return beside(ran, chip)


def measured_before(result: Mapping[str, Any], chip: str = "") -> Beside:
    """Return a measurement as `--json` prints it beside its prediction; its runs' halves are each other's repetition.

    Raises `InputError` for what is no measurement.
    """
    inputs, rows = result["inputs"], result["layers"]
    if inputs.get("fidelity") != FIDELITY or not all("seconds_second_half" in row for row in rows):
        raise InputError(f"the result of '{inputs.get('network')}' was not measured; hwsim measure --out writes one")
    how = inputs["parameters"]
    return beside(
        Ran(
            catalog.network(inputs["network"]),
            catalog.number_format(inputs["format"]),
            inputs["chip"],
            rows[0]["chip"],
            how["backend"],
            how["threads"],
            {row["layer"]: row["seconds_first_half"] for row in rows},
            {row["layer"]: row["seconds_second_half"] for row in rows},
            {row["layer"]: row["fused_into"] for row in rows if row["fused_into"]},
            tuple(result.get("notes", ())),
        ),
        chip,
    )


def beside(ran: Ran, chip: str = "") -> Beside:
    """Return a measurement beside its prediction on `chip`, a chip's spec; the model of the machine by default."""
    spec = chip or model_of(ran)
    rows = predictions(ran.network, ran.fmt, machines(spec), ran.seconds, ran.again, ran.fused)
    where = f"{ran.network.name} on {ran.chip}, {ran.library}, {ran.fmt.name}, predicted by {spec}"
    return Beside(ran.network, where, rows, ran.notes)


def model_of(ran: Ran) -> str:
    """Return the spec of the chip that models a machine with its library.

    Raises `InputError` for a GPU that none is known of.
    """
    if ran.device == "cpu":
        return f"{HOST},library={ran.library},threads={ran.threads}"
    words = ran.chip.lower().replace("-", " ").split()
    known = [name for name in catalog.choices("chip", "gpu") if name.split("_")[0] in words]
    if not known:
        raise InputError(f"no model of '{ran.chip}' is known; name one with --chip gpu:MACHINE,key=value")
    return f"gpu:{known[0]}"


def machines(spec: str) -> Machines:
    """Return a chip by its datasheet and calibrated, and which shapes that was on."""
    plain, calibrated = catalog.chip(f"{spec},calibration=none"), catalog.chip(spec)
    fitted = calibrated.options.get("fitted_shapes", frozenset())
    return Machines(plain, calibrated, lambda layer: shape_of(layer) in fitted)


def _medians(found: Measurement) -> Seconds:
    return {row["layer"]: row["seconds"] for row in found.rows}
