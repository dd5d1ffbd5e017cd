"""A folder of everything that was compared: the page, scores and rows as CSV, and figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from hwsim.results import store

from .markdown import in_order, scoreboard
from .record import Record
from .scores import scores

PAGE, SCORES, ROWS = "scoreboard.md", "scoreboard.csv", "rows.csv"

FIGURES = ("validation_errors", "validation_scatter")


def scores_text(records: Sequence[Record]) -> str:
    """Return the scores as CSV, a line per machine and metric."""
    return store.rows_text([one.row() for one in in_order(scores(records))])


def rows_text(records: Sequence[Record]) -> str:
    """Return every compared row as CSV."""
    return store.rows_text([one.row() for one in records])


def write(records: Sequence[Record], folder: Path) -> Iterator[Path]:
    """Write page, tables and figures into `folder`, yielding each path as it is written."""
    import pandas as pd

    for name, text in ((PAGE, scoreboard), (SCORES, scores_text), (ROWS, rows_text)):
        store.write_text(folder / name, text(records))
        yield folder / name
    frame = pd.DataFrame([one.row() for one in records])
    for figure in FIGURES:
        yield from store.draw(figure, frame, folder)
