"""The page of a study: what was swept, the best points, those that no other beats, figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwsim.errors import counted
from hwsim.results import page_figures, page_glossary, store
from hwsim.results.page import Cell, Column, Page, Picture, Section, Table, html, numeral, texts

from . import queries
from .database import Study
from .objectives import OBJECTIVES, front, losses
from .terminal import shown

if TYPE_CHECKING:
    import pandas as pd

DEFAULT = ("latency", "energy")
"""What a study seeks that says nothing else."""

MOST_ROWS = 1000
"""Points of fronts that are listed."""

WHAT = ("chip", "network", "dataflow", "format")
DENSITIES = ("weight_density", "input_density")

WORDS = {"edp": "EDP", "power": "power", "latency": "latency"}


def write(path: Path, frame: pd.DataFrame, reports: Sequence[str], to: Path) -> list[str]:
    """Write the page of the study at `path`, whose computed points are `frame`; return why reports are left out."""
    with Study.open(path, create=False, readonly=True) as study:
        sought = tuple(dict.fromkeys(name for space in study.spaces() for name in space.objectives)) or DEFAULT
    pictures, left = page_figures.pictures(frame, reports, None)
    store.write_text(to, html(page(path.stem, frame, sought, queries.failures(path).reasons, pictures)))
    return left


def page(
    name: str, frame: pd.DataFrame, sought: Sequence[str], reasons: dict[str, int], pictures: Sequence[Picture]
) -> Page:
    """Return the page of a study's computed points `frame`; `reasons` are why others failed, each with its count."""
    tables = (_best(frame, sought), _front(frame, sought))
    drawn = [Section("Figures", pictures=tuple(pictures))] if pictures else []
    why = tuple(f"{counted(count, 'point')}: {reason}" for reason, count in reasons.items())
    failed = [Section("Points that failed", items=why)] if why else []
    words = {column.title for table in tables for column in table.columns} | {WORDS.get(one, one) for one in sought}
    terms = Section("Glossary", terms=page_glossary.glossary(words))
    sections = (Section("Best points", tables=tables[:1]), Section("Pareto front", (SAID,), tables[1:]))
    return Page(f"Study {name}", (_what(frame, sought),), (*sections, *drawn, *failed, terms))


SAID = "The points that no other of the same network beats: none is as good in every objective and better in one."


def _what(frame: pd.DataFrame, sought: Sequence[str]) -> str:
    parts = [counted(frame[name].nunique(), one) for name, one in (("network", "network"), ("chip", "chip"))]
    formats = ", ".join(dict.fromkeys(one or "the chip's own format" for one in frame["format"]))
    return (
        f"{counted(len(frame), 'point')} of {' and '.join(parts)} in {formats} were simulated, searched for "
        f"{', '.join(sought)}."
    )


def _best(frame: pd.DataFrame, sought: Sequence[str]) -> Table:
    """Return the best point of each objective."""
    rows = []
    for name in sought:
        values = losses(_arrays(frame), [name])[:, 0]
        if not np.isnan(values).all():
            row = frame.iloc[int(np.nanargmin(values))]
            rows.append((Cell(name), _value(name, row), *_named(row)))
    columns = (Column("best of"), Column("value", True), *_columns())
    return Table("The best point of each objective", columns, tuple(rows))


def _front(frame: pd.DataFrame, sought: Sequence[str]) -> Table:
    """Return the points that no other of the same network beats."""
    keep = np.zeros(len(frame), np.bool_)
    for places in frame.reset_index(drop=True).groupby("network", sort=False).indices.values():
        keep[places] = front(losses(_arrays(frame.iloc[places]), sought))
    found = frame[keep]
    rows = tuple(
        (*_named(row), *(_value(name, row) for name in sought)) for _, row in found.iloc[:MOST_ROWS].iterrows()
    )
    columns = (*_columns(), *(Column(WORDS.get(name, name), True) for name in sought))
    left = len(found) - MOST_ROWS
    more = f"{counted(left, 'point')} more are not listed; hwsim export has all." if left > 0 else ""
    return Table(f"{counted(len(found), 'point')} on the front", columns, rows, note=more)


def _arrays(frame: pd.DataFrame) -> dict[str, Any]:
    return {one.column: frame[one.column] for one in OBJECTIVES.values()}


def _columns() -> tuple[Column, ...]:
    return (*map(Column, WHAT), *(Column(name.replace("_", " "), True) for name in DENSITIES))


def _named(row: pd.Series[Any]) -> tuple[Cell, ...]:
    """Return what a point is."""
    said = (str(row[name]) or "its own" for name in WHAT)
    return (*texts(said), *(numeral(_float(row[name]), lambda share: f"{share:.1%}") for name in DENSITIES))


def _value(name: str, row: pd.Series[Any]) -> Cell:
    return numeral(_float(row[OBJECTIVES[name].column]), lambda value: shown(name, value))


def _float(value: Any) -> float | None:
    return None if value is None else float(value)
