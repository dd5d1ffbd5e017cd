"""Every published table, run by itself: each row says which network on which chip gives its value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from hwsim.errors import InputError
from hwsim.results.compare import NO, YES, Comparison, beside
from hwsim.results.expectation import WHY_NOT, Expectation
from hwsim.results.subject import Subject, subject
from hwsim.results.terminal_compare import tolerance
from hwsim.simulate import simulate
from hwsim.spec import FIRST, parse

from .record import PUBLISHED, Record


class Run(NamedTuple):
    """What is simulated; "" for a chip's own dataflow and format."""

    network: str
    chip: str
    format: str
    dataflow: str


def published_records(rows: Iterable[Expectation]) -> Iterator[Record]:
    """Yield every row beside what its run gives; each run is simulated once.

    Raises `InputError` where a run does not have a row's quantity.
    """
    known: dict[Run, Subject] = {}
    for row in rows:
        subjects = [_subject(run, known) for run in runs_of(row)]
        found = beside(subjects[0], row, subjects) if subjects[0].is_of(row) else []
        if not found or found[0].simulated is None:
            what = f"{row.quantity}{f' of layer {row.layer}' if row.layer else ''}"
            raise InputError(f"table '{row.table}' has {what} of {row.network}, which {subjects[-1]} does not give")
        yield _record(found[0], found[0].simulated)


def runs_of(row: Expectation) -> list[Run]:
    """Return the run that gives a row's value, then that which it is divided by, if it is."""
    network = row.run or row.network + (f":batch={row.batch}" if row.batch else "")
    runs = [Run(network, row.chip, row.format, row.dataflow)]
    if row.over is not None:
        runs.append(Run(row.over.run or network, row.over.chip, row.over.format or row.format, ""))
    return runs


def _subject(run: Run, known: dict[Run, Subject]) -> Subject:
    if run not in known:
        result = simulate(run.network, on=run.chip, format=run.format or None, dataflow=run.dataflow or None)
        known[run] = subject(result, run.network)
    return known[run]


def machine_of(chip: str) -> str:
    """Return the machine that a chip's spec names: without its parameters, but for a preset's name."""
    spec = parse(chip)
    preset = spec.parameters.get(FIRST, "")
    return f"{spec.name}:{preset}" if preset else spec.name


def _record(one: Comparison, simulated: float) -> Record:
    row = one.expectation
    return Record(
        machine=row.machine or machine_of(row.chip),
        group=PUBLISHED,
        table=row.table,
        metric=row.metric or row.quantity.replace("_", " "),
        subject=_name(row),
        quantity=row.quantity,
        simulated=simulated,
        reference=row.published,
        unit=row.unit,
        source=row.source,
        why_not="" if row.scored else WHY_NOT.get(row.why_not, "for the reason that its table gives"),
        reason=row.reason,
        tolerance=tolerance(row),
        met={YES: True, NO: False}.get(one.met),
    )


def _name(row: Expectation) -> str:
    """Return the network with what tells it from others, the layer, and which fraction."""
    words = [re.sub(r"^[a-z]+_layers_", "", row.network).replace("_", " ")]
    if row.dataflow:
        words.append(row.dataflow.replace("_", " "))
    if row.layer:
        words = [row.layer if words[0].endswith(" layers") else f"{words[0]} {row.layer}"]
    if row.quantity.endswith("_fraction"):
        words.append(row.quantity.removesuffix("_fraction").removeprefix("power_").replace("_", " "))
    return ", ".join(words)
