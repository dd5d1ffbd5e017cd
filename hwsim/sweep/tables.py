"""The points of a study, or their layers, in the order of exports: sorted by what names them, whatever came first."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from enum import Enum
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwsim.errors import InputError

from .connection import READ, spoken
from .metrics import INDEX, LAYERS, METRICS, WHOLE
from .schema import ERROR, KEY, POINT, SETTINGS, columns, parameters, quoted

if TYPE_CHECKING:
    import pandas as pd

Row = tuple[Any, ...]

AT_ONCE = 16384
"""Rows that are in memory while a table passes through."""

ORDER = ", ".join((*SETTINGS, KEY))
"""By what rows are sorted; the key tells points apart whose files changed meanwhile."""

OF_LAYER = "layer_"
"""Before those columns of a layer that have the name of one of its point."""


class Kind(Enum):
    """What the cells of a column are, apart from those that are empty."""

    TEXT = "text"
    WHOLE = "whole"
    REAL = "real"


class Table:
    """The points of a study, or the layers of all points."""

    def __init__(self, connection: sqlite3.Connection, path: Path, layers: bool) -> None:
        self._db, self.path, self.layers = connection, path, layers
        self._parameters = tuple(parameters(connection))
        self._names = (*SETTINGS, *self._parameters)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the columns: what names the point, its parameters, then its numbers or its layer's."""
        return tuple(self.kinds)

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """Return what each column holds."""
        with spoken(self.path, READ):
            points = _kinds(self._db, "points", self._parameters)
            if not self.layers:
                return {name: points[name] for name in (*self._names, *METRICS, ERROR)}
            layers = _kinds(self._db, "layers", ())
        own = {(f"{OF_LAYER}{name}" if name in self._names else name): layers[name] for name in (INDEX, *LAYERS)}
        return {**{name: points[name] for name in self._names}, **own}

    def batches(self, size: int = AT_ONCE) -> Iterator[list[Row]]:
        """Yield the rows, about `size` at once."""
        with spoken(self.path, READ):
            yield from self._layers(size) if self.layers else self._points(size, (*self._names, *METRICS, ERROR))

    def _points(self, size: int, names: Sequence[str]) -> Iterator[list[Row]]:
        cursor = self._db.execute(f"SELECT {', '.join(map(quoted, names))} FROM points ORDER BY {ORDER}")
        while found := cursor.fetchmany(size):
            yield found

    def _layers(self, size: int) -> Iterator[list[Row]]:
        select = f"SELECT {', '.join((INDEX, *LAYERS))} FROM layers WHERE {POINT} = ? ORDER BY {INDEX}"
        cursor, found = self._db.cursor(), list[Row]()
        for point, *named in chain.from_iterable(self._points(1024, (POINT, *self._names))):
            head = tuple(named)
            found += [head + row for row in cursor.execute(select, (point,))]
            if len(found) >= size:
                yield found
                found = []
        if found:
            yield found

    def frame(self) -> pd.DataFrame:
        """Return the table as a data frame; raises `InputError` where a number is none."""
        import pandas as pd

        parts: list[list[Any]] = [[] for _ in self.columns]
        texts: dict[Any, str] = {None: ""}
        for rows in self.batches():
            for (name, kind), part, cells in zip(self.kinds.items(), parts, zip(*rows, strict=True), strict=True):
                part.append(self._cells(name, kind, cells, texts))
        found = zip(self.kinds.items(), parts, strict=True)
        return pd.DataFrame({name: _joined(kind, part) for (name, kind), part in found})

    def _cells(self, name: str, kind: Kind, cells: Sequence[Any], texts: dict[Any, str]) -> Any:
        """Return the cells of a column: numbers as an array, texts as a list, equal ones the same object."""
        if kind is Kind.TEXT:
            return [texts[one] if one in texts else texts.setdefault(one, str(one)) for one in cells]
        try:
            return np.array(cells, np.int64 if kind is Kind.WHOLE and None not in cells else np.float64)
        except (ValueError, TypeError, OverflowError):
            raise self.malformed(name) from None

    def malformed(self, name: str) -> InputError:
        """Return the error for a column of numbers that holds something else."""
        return InputError(f"study '{self.path}' is damaged: column '{name}' holds something that is no number")


def _joined(kind: Kind, parts: list[Any]) -> Any:
    import pandas as pd

    if kind is Kind.TEXT:
        return pd.Series(list(chain.from_iterable(parts)), dtype="str")
    return np.concatenate(parts) if parts else np.empty(0, np.int64 if kind is Kind.WHOLE else np.float64)


def _kinds(connection: sqlite3.Connection, table: str, given: Sequence[str]) -> dict[str, Kind]:
    """Return what the columns of `table` hold.

    What they are declared as is what most hold. Parameters (`given`) may have become texts since, and whole numbers
    have become floats where 64 bits do not hold them.
    """
    kinds = {"TEXT": Kind.TEXT, "REAL": Kind.REAL, "INTEGER": Kind.WHOLE}
    found = {name: kinds.get(kind, Kind.REAL) for name, kind in columns(connection, table).items()}
    doubtful = [name for name in found if found[name] is not Kind.TEXT and (name in given or name in WHOLE)]
    if not doubtful:
        return found
    widest = ", ".join(f"max(typeof({quoted(name)}))" for name in doubtful)
    for name, kind in zip(doubtful, connection.execute(f"SELECT {widest} FROM {table}").fetchone(), strict=True):
        if kind == "text" and name in given:
            found[name] = Kind.TEXT
        elif kind == "real":
            found[name] = Kind.REAL
    return found
