"""Measurements, made now or read from a folder, with the predictions that stand beside them."""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from hwsim import catalog
from hwsim.errors import InputError, UsageError
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Layer
from hwsim.ir.network import Network
from hwsim.measure.calibration_networks import calibration_networks
from hwsim.measure.measure import measure
from hwsim.measure.predict import Accuracy, Machines, Predicted, Seconds, predictions
from hwsim.measure.record import FIDELITY, HALVES, Measurement
from hwsim.published import table
from hwsim.results import store
from hwsim.results.record import SCHEMA, Row
from hwsim.results.subject import subject

PREDICTIONS, REPORT = "predictions.csv", "predicted"
"""The table that is written, and the report that draws it."""

HOST = "cpu:host"
"""The model of this machine."""


Shape = tuple[Hashable, ...]
"""What tells layers apart that take different times."""


class Beside(NamedTuple):
    """A network as it was measured on `where`, and as it is predicted."""

    network: Network
    where: str
    rows: list[Predicted]
    notes: tuple[str, ...]
    chip: str

    def table_rows(self) -> list[Row]:
        """Return the rows as tables have them, with network and machine."""
        return [{"network": self.network.name, "chip": self.chip, **row._asdict()} for row in self.rows]


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


def of(folder: str, chip: str = "", **how: Any) -> list[Beside]:
    """Return the measurements in `folder`, or, if there is none, those of the network of that name, made as `how` says.

    Raises `UsageError` for a folder and a way to measure, which it was not measured in.
    """
    if not os.path.isdir(folder):
        return [measured_now(folder, chip, **how)]
    if how:
        raise UsageError(f"'{folder}' was measured before; --{next(iter(how))} is for networks that are measured now")
    return [measured_before(one, folder, chip) for one in store.read_results(Path(folder))]


def json_text(scores: Sequence[tuple[Beside, Sequence[Accuracy]]]) -> str:
    """Return rows, errors and notes as JSON."""
    from hwsim import __version__

    results = [
        {
            "compared": one.where,
            "rows": one.table_rows(),
            "accuracy": [each._asdict() for each in accuracies],
            "notes": list(one.notes),
        }
        for one, accuracies in scores
    ]
    return json.dumps({"schema": SCHEMA, "hwsim": __version__, "results": results}, indent=1) + "\n"


def write(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Write the rows and their picture into `folder`; return the paths."""
    import pandas as pd

    table = folder / PREDICTIONS
    store.write_text(table, store.rows_text(rows))
    return [table, *store.draw(REPORT, pd.DataFrame(rows), folder / store.FIGURES)]


def measured_now(network: str, chip: str = "", **how: Any) -> Beside:
    """Return a network measured on this machine, twice, beside its prediction; `how` is as `measure` takes it."""
    first = measure(network, **how)
    second = measure(network, **how)
    ran = Ran(
        first.network, first.fmt, first.device, first.chip, first.backend, first.threads, _medians(first),
        _medians(second), first.fused or {}, first.notes,
    )  # fmt: skip
    return beside(ran, chip)


def measured_before(result: Any, name: str, chip: str = "") -> Beside:
    """Return a measurement as `--json` prints it beside its prediction; its runs' halves are each other's repetition.

    Raises `InputError`, with the folder's `name`, for what is no measurement, and for one of a network that is a file,
    which the result is not trusted to name.
    """
    found = subject(result, name)
    rows, how = result["layers"], result["inputs"].get("parameters")
    measured = (
        found.fidelity == FIDELITY and isinstance(how, dict) and all(half in row for row in rows for half in HALVES)
    )
    if not measured:
        raise InputError(f"'{name}' was not measured: hwsim measure ... --out {name} writes what was")
    if catalog.is_path(found.run_as):
        raise InputError(f"'{name}' is of the file '{found.run_as}'; measure it again to compare it")
    try:
        ran = Ran(
            catalog.network(found.run_as),
            catalog.number_format(found.format),
            str(result["inputs"]["chip"]),
            found.chip,
            str(how["backend"]),
            int(how["threads"]),
            {row["layer"]: float(row[HALVES[0]]) for row in rows},
            {row["layer"]: float(row[HALVES[1]]) for row in rows},
            {row["layer"]: str(row["fused_into"]) for row in rows if row.get("fused_into")},
            tuple(map(str, result.get("notes", ()))),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"'{name}' is a damaged measurement: {type(error).__name__} at {error}") from None
    return beside(ran, chip)


def beside(ran: Ran, chip: str = "") -> Beside:
    """Return a measurement beside its prediction on `chip`, a chip's spec; the model of the machine by default."""
    spec = chip or model_of(ran)
    models = machines(spec)
    rows = predictions(ran.network, ran.fmt, models, ran.seconds, ran.again, ran.fused)
    where = f"{ran.network.name} on {ran.chip}, {ran.library}, {ran.fmt.name}, predicted by {spec}"
    notes = (*ran.notes, *models.calibrated.options.get("notes", ()))
    return Beside(ran.network, where, rows, notes, ran.chip)


def model_of(ran: Ran) -> str:
    """Return the spec of the chip that models a machine with its library.

    Raises `InputError` for a GPU that none is known of.
    """
    if ran.device == "cpu":
        return f"{HOST},library={ran.library},threads={ran.threads}"
    words = ran.chip.lower().replace("-", " ").split()
    known = sorted({row["machine"] for row in table("gpus") if row["machine"] in words})
    if not known:
        raise InputError(f"no model of '{ran.chip}' is known; name one with --chip gpu:MACHINE,key=value")
    return f"gpu:{known[0]}"


def machines(spec: str) -> Machines:
    """Return a chip by its datasheet and calibrated, and which shapes that was on."""
    calibrated = catalog.chip(spec)
    has_fits = calibrated.parameters.get("calibration") == "fitted"
    plain = catalog.chip(f"{spec}{',' if ':' in spec else ':'}calibration=none") if has_fits else calibrated
    fitted = fitted_shapes() if calibrated.name == "cpu" else frozenset()
    return Machines(plain, calibrated, lambda layer: shape_of(layer) in fitted)


@cache
def fitted_shapes() -> frozenset[Shape]:
    """Return the shapes that this machine's model is calibrated on."""
    return frozenset(shape_of(layer) for network in calibration_networks() for layer in network.layers)


def shape_of(layer: Layer) -> Shape:
    """Return all that a layer's time may depend on but its place in a network."""
    return (layer.kind, layer.function, layer.input_shapes, layer.output_shape, layer.stride, layer.steps, layer.G)


def _medians(found: Measurement) -> Seconds:
    return {row["layer"]: row["seconds"] for row in found.rows}
