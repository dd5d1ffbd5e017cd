"""Products of fixed-point numbers that are brought to the width of their sum one by one, rounded to the nearest.

A machine whose sums are no wider than its operands has nowhere to keep the other half of a product. Ties go upward,
which adding a half and dropping bits does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]


def multiply(a: Array, b: Array, shift: int) -> Array:
    """Return a @ b of whole numbers (..., N, C) and (..., C, K), each product divided by 2^shift and rounded.

    The result is float64, whole and exact: nothing wraps here.
    """
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    rows = np.broadcast_to(a, (*lead, *a.shape[-2:])).reshape(-1, *a.shape[-2:])
    columns = np.broadcast_to(b, (*lead, *b.shape[-2:])).reshape(-1, *b.shape[-2:])
    y = np.empty((len(rows), a.shape[-2], b.shape[-1]), np.float64)
    for index, (left, right) in enumerate(zip(rows, columns, strict=True)):
        _multiply(_whole(left), _whole(right.T), shift, y[index])
    return y.reshape(*lead, a.shape[-2], b.shape[-1])


def _whole(matrix: Array) -> Array:
    return np.ascontiguousarray(matrix, np.int64)


@njit(cache=True)
def _multiply(a, columns, shift, y):  # type: ignore[no-untyped-def]
    half = (1 << shift) >> 1
    for row in range(a.shape[0]):
        for col in range(columns.shape[0]):
            total = 0
            for index in range(a.shape[1]):
                total += (a[row, index] * columns[col, index] + half) >> shift
            y[row, col] = total
