"""The layers of a run as a page lists them: a table that is folded, with sums below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from hwsim.errors import counted
from hwsim.results.record import Row
from hwsim.units import pj_to_j

from .page import Cell, Column, Section, Table, number, numeral, texts
from .page_runs import Run, percent, si, spaced

MOST_LAYERS = 5000
"""Layers of a run that are listed; a browser sorts that many at once."""


def layers(run: Run) -> Section:
    """Return a part that is folded: how the run was asked for, and a table of its layers."""
    taking = [row for row in run.layers if number(row.get("seconds"))]
    shown = sorted(taking, key=lambda row: -(number(row["seconds"]) or 0.0))[:MOST_LAYERS]
    kept = set(map(id, shown))
    listed = [row for row in taking if id(row) in kept]
    count = len(run.layers)
    parameters = run.inputs.get("parameters")
    asked = _parameters(parameters) if isinstance(parameters, dict) else ""
    return Section(
        f"{run}: {counted(count, 'layer')}",
        text=(f"{run.subject.chip} with {asked}.",) if asked else (),
        tables=(_layer_table(run, listed, count - len(listed)),) if listed else (),
    )


def _parameters(parameters: Row) -> str:
    plain = (f"{name}={value}" for name, value in parameters.items() if not isinstance(value, dict | list))
    return ", ".join(plain)


class Layered(NamedTuple):
    """A column of layers: its value, and how it is written."""

    title: str
    of: Callable[[Row], float | None]
    shown: Callable[[float], str]


def _layer_table(run: Run, listed: Sequence[Row], hidden: int) -> Table:
    """Return the layers with totals below."""
    measures = _measures(run)
    formats = len({row.get("format") for row in listed}) > 1
    what = ("layer", "kind", "format") if formats else ("layer", "kind")
    columns = (*map(Column, what), *(Column(one.title, True) for one in measures))
    lines = tuple(
        (*texts(str(row.get(name, "")) for name in what), *(numeral(one.of(row), one.shown) for one in measures))
        for row in listed
    )
    why = "take less time than those listed" if len(listed) == MOST_LAYERS else "take no time of their own"
    note = f"Not shown: {counted(hidden, 'layer')} that {why}." if hidden else ""
    return Table("Layers in the order of the network", columns, lines, _total(run, what, measures), note)


def _measures(run: Run) -> list[Layered]:
    """Return the columns of layers that the run has values of; a measurement has no cycles of its own."""
    seconds, energy_pj = run.total("seconds"), run.total("energy_pj")
    found = [Layered("MACs", lambda row: number(row.get("macs")), si(""))]
    if not run.is_measured:
        found.append(Layered("cycles", lambda row: number(row.get("total_cycles")), lambda value: f"{value:,.0f}"))
    found.append(Layered("time", lambda row: number(row.get("seconds")), si("s")))
    found.append(Layered("share of time", lambda row: _ratio(number(row.get("seconds")), seconds), percent))
    if not run.is_measured:
        found.append(Layered("waiting", _waiting, percent))
        found.append(Layered("utilisation", _utilisation, percent))
    memory = off_chip(run)
    if memory:
        found.append(
            Layered(f"{MEMORIES.get(memory, spaced(memory))} traffic", lambda row: _moved(row, memory), si("B"))
        )
    if energy_pj:
        found.append(Layered("energy", lambda row: _scaled(number(row.get("energy_pj"))), si("J")))
        found.append(Layered("share of energy", lambda row: _ratio(number(row.get("energy_pj")), energy_pj), percent))
    return found


def _total(run: Run, what: Sequence[str], measures: Sequence[Layered]) -> tuple[Cell, ...]:
    """Return the last row: sums over all layers, also those that are not listed."""
    sums = {one.title: _sum(run, one) for one in measures}
    cycles = sums.get("cycles")
    waiting = sum(number(row.get("stall_cycles")) or 0.0 for row in run.layers)
    said = sums | {"waiting": _ratio(waiting, cycles), "utilisation": number(run.subject.total.get("utilisation"))}
    return (*texts(("total", *[""] * (len(what) - 1))), *(numeral(said[one.title], one.shown) for one in measures))


def _sum(run: Run, one: Layered) -> float | None:
    known = [value for value in map(one.of, run.layers) if value is not None]
    return sum(known) if known else None


def off_chip(run: Run) -> str:
    """Return the outermost memory, of which the columns stand first, "" where there is none."""
    names = (str(name) for row in run.layers[:1] for name in row)
    return next((name.removesuffix("_read_bytes") for name in names if name.endswith("_read_bytes")), "")


MEMORIES = {"dram": "DRAM"}
"""What memories are called where the words of their name would not do."""


def _moved(row: Row, memory: str) -> float | None:
    parts = [number(row.get(f"{memory}_{action}_bytes")) for action in ("read", "write")]
    return None if None in parts else sum(part or 0.0 for part in parts)


def _waiting(row: Row) -> float | None:
    return _ratio(number(row.get("stall_cycles")), number(row.get("total_cycles")))


def _utilisation(row: Row) -> float | None:
    """Return nothing for layers without MACs, which do not use what it is of."""
    return number(row.get("utilisation")) if number(row.get("macs")) else None


def _scaled(energy_pj: float | None) -> float | None:
    return None if energy_pj is None else pj_to_j(energy_pj)


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None
