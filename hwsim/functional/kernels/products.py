"""Matrix products of fp32 and int8: blocked, and Strassen's with fewer multiplications."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.functional.algorithm_costs import STRASSEN_CUT_OVER
from hwsim.functional.kernels import amx, amx_operands, gemm
from hwsim.functional.kernels.convolution import unsigned

Array = NDArray[Any]


def blocked(a: Array, b: Array) -> Array:
    """Return the product of float32 matrices (rows, depth) and (depth, columns), on register tiles."""
    y = np.empty((len(a), b.shape[1]), np.float32)
    _multiply(np.ascontiguousarray(a), gemm.packed(b, 1), np.zeros(b.shape[1], np.float32), y)
    return y


def integer(a: Array, b: Array, zero: int = 0) -> Array:
    """Return the int32 product of a - `zero`, uint8 or int8 (rows, depth), and int8 b (depth, columns), modulo 2^32."""
    x, zero = unsigned(a, zero)
    padded = -(-x.shape[1] // gemm.GROUP) * gemm.GROUP
    rows = np.zeros((len(x), padded), np.uint8)
    rows[:, : x.shape[1]] = x
    y = np.empty((len(x), b.shape[1]), np.int32)
    _multiply(rows, gemm.packed(b, gemm.GROUP), (-zero * b.sum(axis=0, dtype=np.int64)).astype(np.int32), y)
    return y


def integer_columns(b: Array) -> Array:
    """Return int8 columns (depth, columns) as `integer_in_tiles` reads them."""
    made: Array = amx.panels(b.shape[1], len(b))
    amx_operands.int8_columns(b, made)
    return made


def integer_in_tiles(a: Array, columns: Array, y: Array) -> None:
    """Set y, int32, to the product of int8 a (rows, depth) and packed columns on the matrix unit, if there is one."""
    amx.multiply(a, amx_operands.int8_rows, columns, a.shape[1], 0, y)


def strassen(a: Array, b: Array, cut_over: int = STRASSEN_CUT_OVER) -> Array:
    """Return the product of float32 matrices with 7 products of halves in place of 8, down to sides of `cut_over`.

    Strassen, "Gaussian elimination is not optimal", Numerische Mathematik 13 (1969). Odd sides get a row of zeros.
    """
    rows, depth, cols = len(a), len(b), b.shape[1]
    if min(rows, depth, cols) < 2 * cut_over:
        return blocked(a, b)
    a11, a12, a21, a22 = quarters(a)
    b11, b12, b21, b22 = quarters(b)
    p1 = strassen(a11 + a22, b11 + b22, cut_over)
    p2 = strassen(a21 + a22, b11, cut_over)
    p3 = strassen(a11, b12 - b22, cut_over)
    p4 = strassen(a22, b21 - b11, cut_over)
    p5 = strassen(a11 + a12, b22, cut_over)
    p6 = strassen(a21 - a11, b11 + b12, cut_over)
    p7 = strassen(a12 - a22, b21 + b22, cut_over)
    left = np.concatenate((p1 + p4 - p5 + p7, p2 + p4))
    right = np.concatenate((p3 + p5, p1 - p2 + p3 + p6))
    whole: Array = np.concatenate((left, right), axis=1)[:rows, :cols]
    return np.ascontiguousarray(whole)


def quarters(matrix: Array) -> tuple[Array, Array, Array, Array]:
    """Return the quarters of a matrix, odd sides padded with zeros, row by row."""
    even = np.pad(matrix, ((0, len(matrix) % 2), (0, matrix.shape[1] % 2)))
    half, middle = len(even) // 2, even.shape[1] // 2
    return even[:half, :middle], even[:half, middle:], even[half:, :middle], even[half:, middle:]


def _multiply(rows: Array, columns: Array, bias: Array, y: Array) -> None:
    """Set y to bias plus rows, contiguous, times packed columns."""
    depth = rows.shape[1]
    base, run = np.arange(len(rows), dtype=np.int64) * depth, np.zeros(1, np.int64)
    gemm.multiply(rows.reshape(-1), base, run, depth, columns, bias, y.reshape(-1), y.shape[1], 0, y.shape[1])
