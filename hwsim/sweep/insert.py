"""Rows of a study into its tables, within a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from .metrics import INDEX, LAYERS, METRICS, ORDINAL
from .schema import ERROR, KEY, POINT, SETTINGS, quoted
from .space import Ordinals, Space

if TYPE_CHECKING:
    from .evaluate import Rows

LONGEST_ERROR = 4096

LARGEST = 2**63
"""Whole numbers from here on have more than 64 bits."""

LAYER_COLUMNS = (INDEX, *LAYERS)

_NAMES = ", ".join(LAYER_COLUMNS)
COPY = f"INSERT INTO layers({POINT}, {_NAMES}) SELECT ?, {_NAMES} FROM layers WHERE {POINT} = ?"
"""Gives a point the layers of another, in half the time that rows of Python's take."""

PLAIN = {int, float, str, bytes, type(None)}
"""What SQLite takes as it is."""


def points(connection: sqlite3.Connection, space: Space, rows: Rows, keys: Sequence[bytes], ids: Ordinals) -> None:
    """Insert those points of `rows` whose id is not 0."""
    ordinals = np.asarray(rows.ordinals, np.int64)
    settings = dict(zip(SETTINGS, zip(*space.points(ordinals), strict=True), strict=True))
    errors = [(rows.errors.get(one) or "")[:LONGEST_ERROR] or None for one in ordinals.tolist()]
    metrics = {name: rows.points[name] for name in METRICS}
    named = {POINT: ids, KEY: keys, **settings, **metrics, ERROR: errors}
    _insert(connection, "points", {**named, **space.axis_values(ordinals)}, ids > 0)


def layers(connection: sqlite3.Connection, rows: Rows, ids: Ordinals) -> None:
    """Insert the layers of those points of `rows` whose id is not 0."""
    new = ids > 0
    if rows.layers is None or not len(rows.layers[ORDINAL]) or not new.any():
        return
    groups, firsts, which = np.unique(_like(rows)[new], return_index=True, return_inverse=True)
    heads = ids[new][firsts]
    place = np.minimum(np.searchsorted(groups, rows.layers[ORDINAL]), len(groups) - 1)
    of = np.where(groups[place] == rows.layers[ORDINAL], heads[place], 0)
    _insert(connection, "layers", {POINT: of, **{name: rows.layers[name] for name in LAYER_COLUMNS}}, of > 0)
    copies = np.column_stack([ids[new], heads[which]])
    connection.executemany(COPY, copies[copies[:, 0] != copies[:, 1]].tolist())


def _like(rows: Rows) -> Ordinals:
    """Return, point for point, the ordinal that its layers stand under."""
    return np.asarray(rows.ordinals if rows.like is None else rows.like, np.int64)


def _insert(connection: sqlite3.Connection, table: str, columns: Mapping[str, Any], wanted: NDArray[np.bool_]) -> None:
    cells = [_cells(values) for values in columns.values()]
    if not wanted.all():
        places = np.flatnonzero(wanted).tolist()
        cells = [[column[place] for place in places] for column in cells]
    names, marks = ", ".join(map(quoted, columns)), ", ".join("?" * len(columns))
    connection.executemany(f"INSERT INTO {table}({names}) VALUES({marks})", zip(*cells, strict=True))


def _cells(values: Any) -> Sequence[Any]:
    """Return a column as SQLite takes it: whole numbers that 64 bits do not hold are floats, NaN is NULL."""
    if isinstance(values, np.ndarray):
        kind, values = values.dtype.kind, values.tolist()
        if kind in "ifb":
            return cast(Sequence[Any], values)
    kinds = set(map(type, values))
    if kinds <= PLAIN and (int not in kinds or _fits(values)):
        return cast(Sequence[Any], values)
    return [_cell(one) for one in values]


def _fits(values: Sequence[Any]) -> bool:
    whole = [one for one in values if type(one) is int]
    return min(whole) >= -LARGEST and max(whole) < LARGEST


def _cell(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    return float(value) if isinstance(value, int) and not -LARGEST <= value < LARGEST else value
