"""What is sought: objectives as columns of a study, and the points that no other beats in all of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import UsageError, unknown_name

COMPARED_AT_ONCE = 4_000_000
"""Pairs of points that are compared in one step, so that memory stays bounded."""


class Objective(NamedTuple):
    """A column of a study, with its unit, of which less is better, or more."""

    name: str
    column: str
    unit: str
    maximise: bool = False


OBJECTIVES = {
    one.name: one
    for one in (
        Objective("latency", "seconds", "s"),
        Objective("energy", "energy_pj", "pJ"),
        Objective("edp", "edp_js", "J s"),
        Objective("area", "area_mm2", "mm2"),
        Objective("power", "average_power_w", "W"),
        Objective("throughput", "inferences_per_s", "1/s", maximise=True),
        Objective("efficiency", "inferences_per_j", "1/J", maximise=True),
        Objective("utilisation", "utilisation", "", maximise=True),
    )
}


def objectives(text: str) -> tuple[str, ...]:
    """Return the names in a list such as `latency,energy`, each once; raises `UsageError` for one there is not."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in OBJECTIVES:
            raise unknown_name("objective", name, OBJECTIVES)
    return names


def losses(table: Mapping[str, Any], names: Sequence[str]) -> NDArray[np.float64]:
    """Return the objectives of each row of `table`, shape (rows, names), so that less is better; NaN is unknown.

    `table` has the objectives' columns, as arrays, lists or as a data frame; None in one is unknown.
    """
    found = []
    for one in (OBJECTIVES[name] for name in names):
        values = np.asarray(table[one.column], np.float64)
        found.append(-values if one.maximise else values)
    return np.column_stack(found)


def front(values: ArrayLike) -> NDArray[np.bool_]:
    """Return which rows of `values`, shape (n, k), no other row beats: none is as low in all and lower in one.

    Equal rows stay or go together; a row with a NaN is never among them. Takes O(n log n) for up to three columns,
    O(n x front) for more.
    """
    table = np.asarray(values, np.float64)
    if table.ndim != 2 or not table.shape[1]:
        raise UsageError(f"a front is of rows and at least one objective, not of shape {table.shape}")
    mask = np.asarray(~np.isnan(table).any(axis=1))
    if mask.any():
        rows, which = _distinct(table[mask])
        mask[mask] = _unbeaten(rows)[which]
    return np.asarray(mask, np.bool_)


def _distinct(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the different rows, ordered by the first column, then the second..., and which of them each row is."""
    order = np.lexsort(rows.T[::-1])
    ordered = rows[order]
    new = np.ones(len(rows), np.bool_)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    which = np.empty(len(rows), np.int64)
    which[order] = np.cumsum(new) - 1
    return ordered[new], which


def _unbeaten(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which of distinct ordered rows none before beats; none behind a row can."""
    if rows.shape[1] == 1:
        return np.asarray(np.arange(len(rows)) == 0)
    if rows.shape[1] == 2:
        second = rows[:, 1]
        before = np.concatenate([[np.inf], np.minimum.accumulate(second)[:-1]])
        found = np.less(second, before)
        found[0] = True  # also where its second value is infinite
        return np.asarray(found, np.bool_)
    return _unbeaten_of_three(rows) if rows.shape[1] == 3 else _unbeaten_of_many(rows)


def _unbeaten_of_three(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Keep the stairs of second and third values met so far: a row on or above a step is beaten by a row before."""
    found = np.zeros(len(rows), np.bool_)
    seconds: list[float] = []
    thirds: list[float] = []
    for index, (second, third) in enumerate(rows[:, 1:].tolist()):
        place = bisect_right(seconds, second)
        if place and thirds[place - 1] <= third:
            continue
        found[index] = True
        first = place - 1 if place and seconds[place - 1] == second else place
        end = place
        while end < len(thirds) and thirds[end] >= third:
            end += 1
        seconds[first:end], thirds[first:end] = [second], [third]
    return found


def _unbeaten_of_many(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    found = np.zeros(len(rows), np.bool_)
    best = rows[:0]
    start = 0
    while start < len(rows):
        chunk = rows[start : start + max(1, min(1024, COMPARED_AT_ONCE // (len(best) + 1)))]
        alive = ~_beaten(chunk, best)
        alive[alive] = ~_beaten(chunk[alive], chunk[alive], themselves=True)
        found[start : start + len(chunk)] = alive
        best = np.concatenate([best, chunk[alive]])
        start += len(chunk)
    return found


def _beaten(rows: NDArray[np.float64], by: NDArray[np.float64], themselves: bool = False) -> NDArray[np.bool_]:
    """Return which of `rows` are nowhere below another row of `by`."""
    beats = np.ones((len(rows), len(by)), np.bool_)
    for column in range(rows.shape[1]):
        beats &= by[:, column] <= rows[:, column, None]
    if themselves:
        np.fill_diagonal(beats, False)
    return np.asarray(beats.any(axis=1), np.bool_)
