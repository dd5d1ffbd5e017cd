"""A result as it is compared: what ran, its totals and its layers' rows. It may come from a file of somebody else's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hwsim.errors import InputError
from hwsim.results.expectation import LARGEST, Expectation
from hwsim.results.record import NetworkResult, Row


@dataclass(frozen=True)
class Subject:
    """A result as it is compared; `name` says which, `run_as` how its network was asked for.

    `total` and the rows of `layers`, by the layer's name, map columns to values.
    """

    name: str
    network: str
    run_as: str
    batch: int
    chip: str
    format: str
    dataflow: str
    fidelity: str
    total: Mapping[str, Any]
    layers: Mapping[str, Mapping[str, Any]]

    def __str__(self) -> str:
        return f"{self.network} on {self.chip}, {self.format}, batch {self.batch}"

    def is_of(self, row: Expectation) -> bool:
        """Whether `row` is of the same network, chip, batch, format and dataflow."""
        return (
            (row.network, row.chip) == (self.network, self.chip)
            and row.batch in (None, self.batch)
            and row.format in ("", self.format)
            and row.dataflow in ("", self.dataflow)
        )

    def is_under(self, row: Expectation) -> bool:
        """Whether this is the run that the value of `row` is divided by."""
        if row.over is None or (row.network, row.over.chip) != (self.network, self.chip):
            return False
        same_run = row.over.run == self.run_as if row.over.run else row.batch in (None, self.batch)
        return same_run and row.over.format in ("", self.format)

    def value(self, row: Expectation) -> float | None:
        """Return the simulated value of the row's quantity, or None where the result has none."""
        columns = self.layers.get(row.layer, {}) if row.layer else self.total
        found = columns.get(row.quantity)
        if found is None:
            return None
        if isinstance(found, int | float) and not isinstance(found, bool) and -LARGEST <= found <= LARGEST:
            return float(found)
        place = f"layer '{row.layer}'" if row.layer else "total"
        raise _fault(self.name, f"has '{str(found)[:60]}' for {row.quantity} of {place}, not a finite number")


def subject(result: NetworkResult | Mapping[str, Any], name: str = "") -> Subject:
    """Return a result, or the object that `--json` prints of one, as it is compared; `name` says which it is.

    Raises `InputError` for an object that is none, naming what it lacks.
    """
    whole: Any = result.as_dict() if isinstance(result, NetworkResult) else result
    inputs, total = (_part(whole, key, dict, "an object", name) for key in ("inputs", "total"))
    rows = _part(whole, "layers", list, "a list", name)
    if not rows:
        raise _fault(name, "has no layers")
    layers: dict[str, Row] = {}
    for row in rows:
        layer = _part(row, "layer", str, "a text", name)
        if layers.setdefault(layer, row) is not row:
            raise _fault(name, f"has two layers named '{layer[:60]}'")
    texts = {key: _part(rows[0], key, str, "a text", name) for key in ("network", "chip", "format", "dataflow")}
    if "format" in inputs:  # of all layers, where they do not have the same
        texts["format"] = _part(inputs, "format", str, "a text", name)
    run_as, fidelity = (_part(inputs, key, str, "a text", name) for key in ("network", "fidelity"))
    batch = _part(rows[0], "batch", int, "a whole number", name)
    return Subject(name=name, run_as=run_as, fidelity=fidelity, batch=batch, total=total, layers=layers, **texts)


def _part(whole: Any, key: str, kind: type, noun: str, name: str) -> Any:
    """Return `whole[key]`, which must be of `kind`."""
    found = whole.get(key) if isinstance(whole, Mapping) else None
    if isinstance(found, kind) and not isinstance(found, bool):
        return found
    raise _fault(name, f"has no '{key}' that is {noun}: it is none that hwsim run wrote")


def _fault(name: str, what: str) -> InputError:
    return InputError(f"result '{name}' {what}" if name else f"the result {what}")
