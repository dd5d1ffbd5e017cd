"""Products by ternary weights, -1, 0 and +1: only additions and subtractions, and none for a zero.

Li, Zhang & Liu, "Ternary weight networks", 2016, Sec. 1: the zeros need no arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from hwsim.errors import InputError

Array = NDArray[Any]

BLOCK = 1024
"""Rows of x, stored across, whose sums stay in the first-level cache (4 KiB) while a column's weights go by."""

AT_ONCE = 4
"""Values that are added to a sum between its load and its store."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The places of each output's +1, then of its -1: those of output k begin at starts[2 k] and starts[2 k + 1]."""

    places: Array
    starts: Array

    @property
    def additions(self) -> int:
        """Additions and subtractions per row of x: the weights that are not zero."""
        return len(self.places)


def columns(weights: Array) -> Columns:
    """Return the weights (K, C) as lists; raises `InputError` for other values than -1, 0 and 1."""
    if not np.isin(weights, (-1, 0, 1)).all():
        raise InputError("ternary weights are -1, 0 and 1; others are among these")
    lists = [np.flatnonzero(row == sign) for row in weights for sign in (1, -1)]
    starts = np.concatenate([[0], np.cumsum([len(places) for places in lists])])
    return Columns(np.concatenate(lists).astype(np.int64), starts.astype(np.int64))


def product(x: Array, weights: Columns) -> Array:
    """Return x (N, C) times the weights, (N, K): float32 of float32, int32 of int8.

    Sums are taken in the order of the lists, +1 before -1, so that float32 is the same on every machine.
    """
    kind = np.float32 if x.dtype == np.float32 else np.int32
    y = np.zeros(((len(weights.starts) - 1) // 2, len(x)), kind)
    add(np.ascontiguousarray(x.T), weights.places, weights.starts, y)
    return np.ascontiguousarray(y.T)


@njit(cache=True)  # type: ignore[untyped-decorator]
def add_four(y: Any, sign: Any, a: Any, b: Any, c: Any, d: Any) -> None:
    """Add four rows of x, or subtract them."""
    for i in range(y.shape[0]):
        y[i] = (((y[i] + sign * a[i]) + sign * b[i]) + sign * c[i]) + sign * d[i]


@njit(cache=True)  # type: ignore[untyped-decorator]
def add_one(y: Any, sign: Any, a: Any) -> None:
    """Add a row of x, or subtract it."""
    for i in range(y.shape[0]):
        y[i] += sign * a[i]


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def add(x: Any, places: Any, starts: Any, y: Any) -> None:
    """Add to y (K, N) the rows of x (C, N) at the places of each output's +1, and subtract those at its -1."""
    for k in prange(y.shape[0]):
        for first in range(0, x.shape[1], BLOCK):
            out = y[k, first : first + BLOCK]
            for half in range(2):
                sign, at, end = y.dtype.type(1 - 2 * half), starts[2 * k + half], starts[2 * k + half + 1]
                while at + AT_ONCE <= end:
                    a, b, c, d = places[at], places[at + 1], places[at + 2], places[at + 3]
                    stop = first + BLOCK
                    add_four(out, sign, x[a, first:stop], x[b, first:stop], x[c, first:stop], x[d, first:stop])
                    at += AT_ONCE
                while at < end:
                    add_one(out, sign, x[places[at], first : first + BLOCK])
                    at += 1
