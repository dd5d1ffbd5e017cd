"""Products of binary values, +1 and -1, packed 64 to a word: one bit each, the first value lowest.

What a row lacks to whole words is zeros in both operands, which never differ.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.functional.kernels import amx, amx_operands, gemm
from hwsim.functional.kernels.memory import aligned

Words = NDArray[np.uint64]
Sums = NDArray[np.int32]

WORD_BITS = 64


def packed(values: Any) -> Words:
    """Return rows (rows, depth) as words (rows, ceil(depth / 64)): a one for what is not below zero."""
    rows, depth = values.shape
    bits = np.zeros((rows, -(-depth // WORD_BITS) * WORD_BITS), np.bool_)
    np.greater_equal(values, 0, out=bits[:, :depth])
    return np.packbits(bits, axis=1, bitorder="little").view(np.uint64)


def columns_for_counting(words: Words) -> Any:
    """Return the packed columns of w (columns, words) as `counted` reads them."""
    return gemm.packed(words.view(np.uint32).T, 1)


def counted(x: Words, columns: Any, depth: int, y: Sums) -> None:
    """Set y (rows, columns) to the product of +1 and -1, by XNOR and counting ones: any processor's way.

    `columns` is what `columns_for_counting` makes of the other operand's words (columns, words).
    """
    rows, words = x.shape
    bias = np.full(y.shape[1], depth, np.int32)
    base, runs = np.arange(rows, dtype=np.int64) * 2 * words, np.zeros(1, np.int64)
    flat = x.view(np.uint32).reshape(-1)
    gemm.multiply(flat, base, runs, 2 * words, columns, bias, y.reshape(-1), y.shape[1], 0, y.shape[1])


def columns_for_tiles(words: Words) -> Any:
    """Return the packed columns of w (columns, words) as `in_tiles` reads them."""
    made = amx.panels(len(words), WORD_BITS * words.shape[1])
    amx_operands.binary_columns(words, made)
    return made


def in_tiles(x: Words, columns: Any, depth: int, y: Sums) -> None:
    """Set y (rows, columns) to the product of +1 and -1, spread to bytes for the matrix unit, which must be there.

    `columns` is what `columns_for_tiles` makes of the other operand's words (columns, words).
    """
    held = WORD_BITS * x.shape[1]
    amx.multiply(x, amx_operands.binary_rows, columns, held, held - depth, y)


def product(x: Words, w: Words, depth: int) -> Sums:
    """Return the int32 product (rows, columns) of packed x (rows, words) and w (columns, words) of +1 and -1.

    `depth` is how many values a row has. On the matrix unit where this machine has one, by counting ones elsewhere:
    the sums are the same.
    """
    y: Sums = aligned(len(x) * len(w), np.int32).reshape(len(x), len(w))
    if amx.is_available():
        in_tiles(x, columns_for_tiles(w), depth, y)
    else:
        counted(x, columns_for_counting(w), depth, y)
    return y
