"""Many points of one chip at once: parameters as columns, and what comes back.

Points of a grid share the values of their parameters. What follows from one value, or from a few together, is computed
once for each that occurs, by the same function that a single machine uses, and then stands in the column of all points
that have it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import HwsimError

Column = NDArray[Any]


class ArrayRows(NamedTuple):
    """Columns of all points, which points they are `exact` of, and columns of their layers, if asked for.

    The names are those of `NetworkResult.total` and of a result's rows, off-chip memory being "dram". The layers'
    columns are as long as each other: "point" is the index of the point, "layer_index" that of the layer among all of
    the network; layers that take neither cycles nor energy are left out, and so are points that are not exact.
    """

    points: dict[str, Column]
    exact: NDArray[np.bool_]
    layers: dict[str, Column] | None = None


class Factor(NamedTuple):
    """A parameter of many points: the values that occur, and which of them each point has."""

    values: Sequence[Any]
    which: NDArray[np.int64]


def factor(column: Column) -> Factor:
    """Return the values that occur in a column; numbers as Python's own."""
    if column.dtype == object:
        places: dict[Hashable, int] = {}
        index = [places.setdefault(value, len(places)) for value in column.tolist()]
        return Factor(list(places), np.array(index, np.int64))
    values, found = np.unique(column, return_inverse=True)
    return Factor(values.tolist(), found.astype(np.int64, copy=False))


def constant(value: Any, count: int) -> Factor:
    """Return the factor of a parameter that `count` points have in common."""
    return Factor([value], np.zeros(count, np.int64))


def together(*factors: Factor) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first point of each combination of values that occurs, and which combination each point has."""
    key, first = np.zeros(len(factors[0].which), np.int64), np.zeros(1, np.int64)
    for one in factors:
        if len(one.values) > 1:
            _, first, inverse = np.unique(key * len(one.values) + one.which, return_index=True, return_inverse=True)
            key = inverse.astype(np.int64, copy=False)
    return first, key


def each(function: Callable[..., Any], *factors: Factor) -> Factor:
    """Return the values of `function` of each combination that occurs, None where it raises a user's error."""
    first, index = together(*factors)
    chosen = [[one.values[at] for at in one.which[first].tolist()] for one in factors]
    return Factor([_unless_wrong(function, given) for given in zip(*chosen, strict=True)], index)


def _unless_wrong(function: Callable[..., Any], given: tuple[Any, ...]) -> Any:
    if None in given:
        return None
    try:
        return function(*given)
    except (HwsimError, OverflowError):
        return None


def known(*factors: Factor) -> NDArray[np.bool_]:
    """Return which points have a value of each factor."""
    masks = [np.array([value is not None for value in one.values], bool)[one.which] for one in factors]
    return np.asarray(np.logical_and.reduce(masks))


def column(one: Factor, kind: type, default: Any) -> Column:
    """Return the values point for point, one row for each where they are tuples; `default` stands for None."""
    return np.array([default if value is None else value for value in one.values], kind)[one.which]
