"""Kernels between int8 and what stands behind it: scales, 32-bit sums, tables.

A tensor's int8 is stored unsigned, 128 being zero: value = (stored - 128) scale.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

ZERO_POINT = 128
LOWEST, HIGHEST, ZERO = np.float32(0), np.float32(255), np.float32(ZERO_POINT)


@njit(cache=True)  # type: ignore[untyped-decorator]
def stored(value: Any) -> Any:
    """Return a multiple of the scale as it is stored: rounded, and within 8 bits."""
    return np.uint8(min(max(np.rint(value) + ZERO, LOWEST), HIGHEST))


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def quantise(x: Any, factor: Any, y: Any) -> None:
    """Set y to x in int8; `factor` is 1 / scale."""
    for i in prange(x.shape[0]):
        y[i] = stored(x[i] * factor)


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def dequantise(x: Any, scale: Any, y: Any) -> None:
    """Set y to the values of x."""
    for i in prange(x.shape[0]):
        y[i] = (np.float32(x[i]) - ZERO) * scale


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def requantise(sums: Any, factor: Any, y: Any) -> None:
    """Set y to the sums (rows, columns) times each column's factor, in int8."""
    for i in prange(sums.shape[0]):
        for j in range(sums.shape[1]):
            y[i, j] = stored(np.float32(sums[i, j]) * factor[j])


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def look_up(x: Any, table: Any, y: Any) -> None:
    """Set y to the table's entry for each x: any function of one element."""
    for i in prange(x.shape[0]):
        y[i] = table[x[i]]


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def add_int8(a: Any, factor_a: Any, b: Any, factor_b: Any, y: Any) -> None:
    """Set y to a + b, each with its scale over that of y."""
    for i in prange(a.shape[0]):
        y[i] = stored((np.float32(a[i]) - ZERO) * factor_a + (np.float32(b[i]) - ZERO) * factor_b)


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def multiply_int8(a: Any, b: Any, factor: Any, y: Any) -> None:
    """Set y to a times b; `factor` is the product of their scales over that of y."""
    for i in prange(a.shape[0]):
        y[i] = stored((np.float32(a[i]) - ZERO) * (np.float32(b[i]) - ZERO) * factor)


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def scale_shift_int8(x: Any, scale: Any, shift: Any, y: Any) -> None:
    """Set y to (x - 128) scale + shift by column of (rows, channels), in units of y's scale."""
    for i in prange(x.shape[0]):
        for j in range(x.shape[1]):
            y[i, j] = stored((np.float32(x[i, j]) - ZERO) * scale[j] + shift[j])


@njit(cache=True)  # type: ignore[untyped-decorator]
def signed(x: Any, y: Any) -> None:
    """Set y, int8, to what x stands for, without its scale."""
    for i in range(x.shape[0]):
        y[i] = np.int8(np.int32(x[i]) - ZERO_POINT)
