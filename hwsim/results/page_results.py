"""The page of result folders: what was run, its totals, published values beside them, figures, layers, sources."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hwsim.errors import UsageError, counted
from hwsim.results import compare, page_figures, page_glossary, page_layers, page_runs, store, terminal_compare
from hwsim.results.compare import Comparison
from hwsim.results.page_runs import Run

from .page import UNKNOWN, Cell, Column, Page, Picture, Section, Table, Term, html, number, texts

if TYPE_CHECKING:
    import pandas as pd

NAMED = 6
"""Most names in a sentence."""


def write(folders: Sequence[Path], frame: pd.DataFrame, reports: Sequence[str], path: Path) -> list[str]:
    """Write the page of result folders, whose layer rows are `frame`, with those `reports` that have what to draw.

    Returns a sentence for each that has not. Raises `InputError` for a malformed folder, `HardwareError` where the
    page cannot be written.
    """
    runs = page_runs.read(folders)
    absent = [told for folder in folders for told in store.read_left_out(folder)]
    here = folders[0] / store.FIGURES if len(folders) == 1 else None
    pictures, left = page_figures.pictures(frame, reports, here)
    store.write_text(path, html(page(runs, pictures, list(map(str, frame)), absent)))
    return left


def page(
    runs: Sequence[Run],
    pictures: Sequence[Picture],
    columns: Sequence[str] = (),
    absent: Sequence[tuple[str, str]] = (),
) -> Page:
    """Return the page of `runs`; `columns` are those of their layers that the glossary explains.

    `absent` are chips that were asked for and left out, and why.
    """
    networks = list(dict.fromkeys(run.subject.network for run in runs))
    shown = Section("Figures", pictures=tuple(pictures))
    said = "Each run with its parameters and its layers; a click on a run opens it, a click on a heading sorts."
    listed = Section("Layers", (said,), folds=tuple(map(page_layers.layers, runs)))
    sections = [_summary(runs, absent), _beside(runs), *([shown] if pictures else []), listed, _sources(runs)]
    words = _glossary(sections, columns)
    return Page(f"{_some(networks)} on {_chips(runs)}", (_what(runs, networks),), (*sections, words))


def _summary(runs: Sequence[Run], absent: Sequence[tuple[str, str]]) -> Section:
    items = (*_notes(runs), *(f"{chip} was left out: {why}" for chip, why in absent))
    return Section("Summary", tables=(page_runs.summary(runs),), items=items)


def _notes(runs: Sequence[Run]) -> tuple[str, ...]:
    """Return what a reader must know, each sentence once, with the chips that it is about where it is not of all."""
    of: dict[str, dict[str, None]] = {}
    for run in runs:
        for note in run.notes:
            of.setdefault(note, {})[run.subject.chip] = None
    chips = {run.subject.chip for run in runs}
    return tuple(note if len(of[note]) == len(chips) else f"{_some(list(of[note]))}: {note}" for note in of)


def _what(runs: Sequence[Run], networks: Sequence[str]) -> str:
    """Return what was run, in sentences."""
    batches = sorted({run.subject.batch for run in runs})
    formats = dict.fromkeys(run.subject.format for run in runs)
    chips = dict.fromkeys(run.subject.chip for run in runs)
    measured = sum(run.is_measured for run in runs)
    verb = "measured" if measured == len(runs) else "simulated and measured" if measured else "simulated"
    versions = " and ".join(sorted({run.version for run in runs}))
    batch = f"a batch of {batches[0]}" if len(batches) == 1 else f"batches of {_and(list(map(str, batches)))}"
    return (
        f"{_and(networks)} with {batch} was {verb} layer by layer by hwsim {versions} on "
        f"{counted(len(chips), 'chip')}, {_and(list(chips))}, in {_and(list(formats))}. The page shows how long the "
        "network takes and how much energy it needs on each, which layers that time and energy go to, and where every "
        "number comes from."
    )


def _chips(runs: Sequence[Run]) -> str:
    return _some(list(dict.fromkeys(run.subject.chip for run in runs)))


def _some(names: Sequence[str]) -> str:
    """Return names, or how many more there are."""
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _and(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def _beside(runs: Sequence[Run]) -> Section:
    """Return the published values of the runs beside their own: a table of scores, and the rows folded below."""
    title = "Beside published values"
    try:
        found = compare.compare([run.subject for run in runs])
    except UsageError:
        return Section(title, ("No shipped table has a published value of these networks on these chips as they ran.",))
    said = (
        "A row is simulated beside the value that the named work prints; an error is relative to that value. The mean "
        "is over rows that are scored, regardless of sign."
    )
    return Section(title, (said,), tables=(_scores(found),), folds=tuple(_folds(found)))


def _scores(found: Sequence[Comparison]) -> Table:
    counted_as = ("rows", "scored", "met", "mean error", "worst error")
    columns = (Column("table"), *(Column(name, True) for name in counted_as))
    lines = []
    for one in compare.scores(found):
        if one.table and not one.unit:
            count = sum(row.expectation.table == one.table for row in found)
            errors = (_error(one.mean_error_percent), _error(one.worst_percent))
            counts = (Cell(str(value), float(value)) for value in (count, one.scored, one.met))
            lines.append((Cell(one.table.replace("_", " ")), *counts, *errors))
    return Table("Published tables and how well they are met", columns, tuple(lines))


def _error(percent: float | None) -> Cell:
    return Cell(UNKNOWN) if percent is None else Cell(f"{percent:,.2f} %", percent)


def _folds(found: Sequence[Comparison]) -> list[Section]:
    tables = dict.fromkeys(one.expectation.table for one in found)
    return [_fold(name, [one for one in found if one.expectation.table == name]) for name in tables]


def _fold(name: str, found: Sequence[Comparison]) -> Section:
    """Return the rows of one published table; what is said of rows stands below, numbered, with where they are."""
    places: dict[str, dict[str, None]] = {}
    for one in found:
        places.setdefault(one.expectation.reason, {})[one.expectation.source.locator] = None
    notes = {reason: str(number) for number, reason in enumerate(places, 1)}
    works = dict.fromkeys(f"{one.expectation.source.work} {one.expectation.source.year}" for one in found)
    given = {
        "run": len({str(one.subject) for one in found}) > 1,
        "layer": any(one.expectation.layer for one in found),
    }
    shown = [name for name in BESIDE if given.get(name, True)]
    lines = [_line(one, notes[one.expectation.reason]) for one in found]
    table = Table(
        "; ".join(works),
        tuple(Column(name, name in NUMBERS) for name in shown),
        tuple(tuple(line[name] for name in shown) for line in lines),
    )
    said = tuple(f"note {notes[reason]} ({'; '.join(places[reason])}): {reason}" for reason in places)
    return Section(f"{name.replace('_', ' ')}: {counted(len(found), 'row')}", tables=(table,), items=said)


BESIDE = ("run", "layer", "quantity", "simulated", "published", "error", "tolerance", "met", "note")
"""Columns of published tables."""

NUMBERS = ("simulated", "published", "error", "note")
"""Those of them that stand on the right."""


def _line(one: Comparison, note: str) -> dict[str, Cell]:
    """Return a simulated value beside the published one, by the columns of `BESIDE`."""
    row, run = one.expectation, one.subject
    simulated, published, _, error = terminal_compare.values(one)
    cells = (
        *texts((f"{run.chip}, {run.format}, batch {run.batch}", row.layer, page_runs.spaced(row.quantity))),
        Cell(simulated or UNKNOWN, one.simulated),
        Cell(published, row.published),
        Cell(error or UNKNOWN, one.error_percent),
        *texts((terminal_compare.tolerance(row), one.met)),
        Cell(note, float(note)),
    )
    return dict(zip(BESIDE, cells, strict=True))


def _sources(runs: Sequence[Run]) -> Section:
    """Return where every number comes from, published ones first, then assumptions, with the chips that use them."""
    used: dict[tuple[str, str, str], dict[str, None]] = {}
    for run in runs:
        for row in page_runs.rows(run.whole, "sources"):
            what, source = (str(row.get(key, "")) for key in ("what", "source"))
            used.setdefault((what, _value(row), source), {})[run.subject.chip] = None
    assumed = [key for key in used if key[2].startswith("assumed")]
    published = [key for key in used if not key[2].startswith("assumed")]
    said = "Every number of a machine has a source: a published work and the place in it, or an assumption and why."
    folds = [
        Section(f"{name}: {len(keys)}", tables=(_source_table(name, keys, used),))
        for name, keys in (("Sources", published), ("Assumptions", assumed))
        if keys
    ]
    return Section("Sources and assumptions", (said,), folds=tuple(folds))


def _value(row: dict[str, object]) -> str:
    """Return the number that a source is of, where it is one of a table."""
    if "area_mm2" in row:
        return page_runs.value_text(row["area_mm2"], "mm²")
    bits = number(row.get("bits"))
    per = f"/{bits:g} b" if bits else ""
    return f"{page_runs.value_text(row['energy_pj'], 'pJ')}{per}" if "energy_pj" in row else ""


def _source_table(
    name: str, keys: Sequence[tuple[str, str, str]], used: dict[tuple[str, str, str], dict[str, None]]
) -> Table:
    columns = tuple(map(Column, ("what", "value", "source", "used by")))
    return Table(name, columns, tuple(texts((*key, ", ".join(used[key]))) for key in keys))


def _glossary(sections: Sequence[Section], columns: Sequence[str]) -> Section:
    """Return the words of the tables that are shown, and the columns of layers.csv, folded."""
    tables = [table for one in sections for part in (one, *one.folds) for table in part.tables]
    known = {word for table in tables for column in table.columns for word in words(column.title)}
    text = "Prefixes: p 10⁻¹², n 10⁻⁹, µ 10⁻⁶, m 10⁻³, k 10³, M 10⁶, G 10⁹, T 10¹². A dash is for what is not known."
    terms: tuple[Term, ...] = page_glossary.glossary(known | {"best"})
    more = Section(f"Columns of layers.csv: {len(columns)}", terms=page_glossary.columns(columns))
    return Section("Glossary", (text,), terms=terms, folds=(more,) if columns else ())


def words(title: str) -> tuple[str, ...]:
    """Return the words under which a column is explained."""
    return (title, title.split(" ")[0], title.split(" ")[-1])
