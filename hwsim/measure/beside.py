"""Measurements, made now or read from a folder, with the predictions that stand beside them."""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from hwsim import catalog
from hwsim.errors import InputError, UsageError
from hwsim.ir.layer import Layer
from hwsim.ir.network import Network
from hwsim.measure import recorded
from hwsim.measure.calibration_networks import calibration_networks, is_fitted_on
from hwsim.measure.measure import measure
from hwsim.measure.predict import Accuracy, Machines, Predicted, predictions
from hwsim.measure.recorded import Recorded
from hwsim.published import table
from hwsim.results import store
from hwsim.results.record import SCHEMA, Row
from hwsim.spec import parse

PREDICTIONS, REPORT = "predictions.csv", "predicted"
"""The table that is written, and the report that draws it."""

CALIBRATION = "calibration"
"""The parameter of chips with fitted constants that says whether they are taken."""

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


def of(folder: str, chip: str = "", **how: Any) -> list[Beside]:
    """Return the measurements in `folder`, or, if there is none, those of the network of that name, made as `how` says.

    Raises `UsageError` for a folder and a way to measure, which it was not measured in, `InputError` for a folder that
    no measurement wrote.
    """
    if not os.path.isdir(folder):
        return [measured_now(folder, chip, **how)]
    if how:
        raise UsageError(f"'{folder}' was measured before; --{next(iter(how))} is for networks that are measured now")
    return [beside(recorded.of_result(one, folder), chip) for one in store.read_results(Path(folder))]


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
    return beside(recorded.of_two(measure(network, **how), measure(network, **how)), chip)


def beside(ran: Recorded, chip: str = "") -> Beside:
    """Return a measurement beside its prediction on `chip`, a chip's spec; the model of the machine by default."""
    spec = chip or model_of(ran)
    models = machines(spec)
    rows = predictions(ran.network, ran.fmt, models, ran.seconds, ran.again, ran.fused)
    where = f"{ran.network.name} on {ran.chip}, {ran.library}, {ran.fmt.name}, predicted by {spec}"
    notes = (*ran.notes, *models.calibrated.options.get("notes", ()))
    return Beside(ran.network, where, rows, notes, ran.chip)


def model_of(ran: Recorded) -> str:
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
    has_fits = calibrated.parameters.get(CALIBRATION) == "fitted"
    plain = catalog.chip(uncalibrated(spec)) if has_fits else calibrated
    fitted = fitted_shapes() if calibrated.name == "cpu" else frozenset()
    return Machines(plain, calibrated, lambda layer: shape_of(layer) in fitted)


def uncalibrated(spec: str) -> str:
    """Return the spec of the same chip by its datasheet alone."""
    name, given = parse(spec)
    return catalog.spelled(name, {**given, CALIBRATION: "none"})


@cache
def fitted_shapes() -> frozenset[Shape]:
    """Return the shapes that this machine's model is calibrated on."""
    layers = (layer for network in calibration_networks() for layer in network.layers)
    return frozenset(shape_of(layer) for layer in layers if is_fitted_on(layer))


def shape_of(layer: Layer) -> Shape:
    """Return all that a layer's time may depend on but its place in a network."""
    window = (layer.R, layer.S, layer.stride, layer.dilation, layer.padding)
    return (layer.kind, layer.function, layer.input_shapes, layer.output_shape, *window, layer.steps, layer.G)
