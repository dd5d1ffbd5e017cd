"""A run as a page shows it: its totals, its layers, its machine, read from what a result folder holds.

The folder may come from somebody else: a value that is not of the kind that it should be is one that is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hwsim.results import store
from hwsim.results.record import Row
from hwsim.results.subject import Subject, subject
from hwsim.results.terminal import quantity
from hwsim.units import pj_to_j

from .page import UNKNOWN, Cell, Column, Table, number, numeral, texts

MEASURED = "measured"
"""The fidelity of what was not simulated."""


@dataclass(frozen=True, slots=True)
class Run:
    """A result: what ran as tables compare it, and the whole as it was written."""

    subject: Subject
    whole: Row

    @property
    def is_measured(self) -> bool:
        """Whether the run was measured, not simulated."""
        return self.subject.fidelity == MEASURED

    @property
    def layers(self) -> list[Row]:
        """The rows of the layers."""
        return list(map(dict, self.subject.layers.values()))

    @property
    def inputs(self) -> Row:
        """How the run was asked for."""
        return dict(self.whole["inputs"])

    @property
    def version(self) -> str:
        """The version of hwsim that the run is of."""
        return str(self.whole.get("hwsim", "of an unknown version"))

    @property
    def area_mm2(self) -> float | None:
        """What is known of the machine's area [mm2]."""
        known = [number(row.get("area_mm2")) for row in rows(self.whole, "sources")]
        found = [area for area in known if area is not None]
        return sum(found) if found else None

    def total(self, name: str) -> float | None:
        """Return a total; what is not above 0 of a time, an energy or a rate is not known."""
        found = number(self.subject.total.get(name))
        return found if found is not None and found > 0 else None

    @property
    def seconds(self) -> float | None:
        """Latency [s]: the network's, which a measurement times without its layers, else the sum of the layers'."""
        return self.total("network_seconds") or self.total("seconds")

    @property
    def edp_js(self) -> float | None:
        """Energy times latency [J s]."""
        seconds, energy_pj = self.seconds, self.total("energy_pj")
        return None if seconds is None or energy_pj is None else seconds * pj_to_j(energy_pj)

    @property
    def notes(self) -> list[str]:
        """What a reader of the result must know."""
        found = self.whole.get("notes", [])
        return [note for note in found if isinstance(note, str)] if isinstance(found, list) else []

    def __str__(self) -> str:
        one = self.subject
        how = ", measured" if self.is_measured else ", stepped" if one.fidelity == "stepped" else ""
        return f"{one.network} on {one.chip}, {spaced(one.dataflow)}, {one.format}, batch {one.batch}{how}"


def read(folders: Sequence[Path]) -> list[Run]:
    """Return the runs of result folders; raises `UsageError` without one, `InputError` if it is malformed."""
    return [Run(subject(whole, str(folder)), whole) for folder in folders for whole in store.read_results(folder)]


def rows(whole: Row, key: str) -> list[Row]:
    """Return those members of the list `whole[key]` that are objects."""
    found = whole.get(key)
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def spaced(name: str) -> str:
    """Return the words of a name."""
    return name.replace("_", " ")


def si(unit: str) -> Callable[[float], str]:
    """Return what writes a value with three digits, its prefix and `unit`."""
    return lambda value: quantity(value, unit)


def percent(value: float) -> str:
    """Return a share as its percentage."""
    return f"{value:.1%}"


def per(unit: str) -> Callable[[float], str]:
    """Return what writes a rate with three digits; below 1 it has no prefix, since 518 m/J is no energy."""
    return lambda value: f"{value:.3g} /{unit}" if value < 1000 else f"{quantity(value)}/{unit}"


class Measure(NamedTuple):
    """A column of totals: how it is written, and whether the lowest (-1) or the highest (1) is the best."""

    title: str
    of: Callable[[Run], float | None]
    shown: Callable[[float], str]
    best: int


def _joules(run: Run) -> float | None:
    energy_pj = run.total("energy_pj")
    return None if energy_pj is None else pj_to_j(energy_pj)


MEASURES = (
    Measure("latency", lambda run: run.seconds, si("s"), -1),
    Measure("energy", _joules, si("J"), -1),
    Measure("power", lambda run: run.total("average_power_w"), si("W"), -1),
    Measure("throughput", lambda run: run.total("inferences_per_s"), per("s"), 1),
    Measure("efficiency", lambda run: run.total("inferences_per_j"), per("J"), 1),
    Measure("EDP", lambda run: run.edp_js, si("J s"), -1),
    Measure("utilisation", lambda run: number(run.subject.total.get("utilisation")), percent, 1),
    Measure("area", lambda run: run.area_mm2, lambda value: f"{value:,.4g} mm²", -1),
)


WHAT = ("chip", "network", "batch", "dataflow", "format")
"""What a run is; all but the chip are shown where runs differ in them."""


def summary(runs: Sequence[Run]) -> Table:
    """Return the totals of all runs; the best of each column among runs of the same network and batch is marked."""
    named = [_named(run) for run in runs]
    what = [name for name in WHAT if name == "chip" or len({cells[name] for cells in named}) > 1]
    values = [[one.of(run) for one in MEASURES] for run in runs]
    known = [place for place in range(len(MEASURES)) if any(found[place] is not None for found in values)]
    lines = []
    for run, cells, found in zip(runs, named, values, strict=True):
        among = [other for other, of in zip(values, runs, strict=True) if _alike(of, run)]
        lines.append((*(cells[name] for name in what), *(_cell(place, found, among) for place in known)))
    titles = (
        *(Column(name, name == "batch") for name in what),
        *(Column(MEASURES[place].title, True) for place in known),
    )
    note = "Power is that of the run, off-chip memory included where the chip's model has it."
    return Table("Totals of each run, of one batch", titles, tuple(lines), note=note)


def _named(run: Run) -> dict[str, Cell]:
    """Return what ran, by the columns of `WHAT`."""
    one = run.subject
    chip = f"{one.chip} (measured)" if run.is_measured else one.chip
    said = dict(zip(WHAT, texts((chip, one.network, "", spaced(one.dataflow), one.format)), strict=True))
    return said | {"batch": Cell(str(one.batch), float(one.batch))}


def _alike(one: Run, other: Run) -> bool:
    return (one.subject.network, one.subject.batch) == (other.subject.network, other.subject.batch)


def _cell(place: int, found: Sequence[float | None], among: Sequence[Sequence[float | None]]) -> Cell:
    """Return a total, marked where it is the best of several."""
    one, value = MEASURES[place], found[place]
    known = [other * one.best for other in (others[place] for others in among) if other is not None]
    best = len(known) > 1 and value is not None and value * one.best == max(known)
    return numeral(value, one.shown)._replace(best=best)


def value_text(value: Any, unit: str) -> str:
    """Return a value with four digits, or what stands for one that is not known."""
    found = number(value)
    return UNKNOWN if found is None else f"{found:.4g} {unit}".strip()
