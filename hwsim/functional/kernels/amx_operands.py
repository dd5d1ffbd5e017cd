"""Operands of the matrix unit: int8 and packed binary values arranged as the tiles of `amx`.

Panels of x are (panel, step, 32 rows, 64), those of w (panel, step, 2 tiles, 16 quads, 16 columns, 4): a step is 64
products, and a quad four of them that lie side by side for each column.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from hwsim.functional.kernels.amx import BYTE, DEPTH, INDEX, ROWS, SIDE, data_of

WIDE = ir.VectorType(BYTE, DEPTH)


@intrinsic  # type: ignore[untyped-decorator]
def spread(typing: Any, word: Any, out: Any, at: Any) -> Any:
    """Set out[at : at + 64] to +1 for every one in a word of 64 bits and to -1 for every zero, the lowest bit first."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = builder.gep(data_of(context, builder, signature.args[1], arguments[1]), [arguments[2]])
        builder.store(signs(builder, arguments[0]), builder.bitcast(start, WIDE.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(word, out, at), code


def signs(builder: Any, word: Any) -> Any:
    """Write the 64 values of a word, +1 for a one and -1 for a zero, the lowest bit first."""
    bits = builder.bitcast(word, ir.VectorType(ir.IntType(1), DEPTH))
    return builder.select(bits, ir.Constant(WIDE, [1] * DEPTH), ir.Constant(WIDE, [-1] * DEPTH))


@njit(cache=True)  # type: ignore[untyped-decorator]
def binary_rows(words: Any, panels: Any) -> None:
    """Set the panels of x, (panel, step, 32, 64) flat, to the values of `words` (rows, steps); other rows are kept."""
    rows, steps = words.shape
    for row in range(rows):
        for step in range(steps):
            spread(words[row, step], panels, ((row // SIDE * steps + step) * SIDE + row % SIDE) * DEPTH)


@intrinsic  # type: ignore[untyped-decorator]
def spread_across(typing: Any, words: Any, out: Any, at: Any) -> Any:
    """Set out[at : at + 1024] to a tile (16 quads, 16 columns, 4) of +1 and -1, of one word per column."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = data_of(context, builder, signature.args[0], arguments[0])
        words = [builder.load(builder.gep(data, [INDEX(column)])) for column in range(ROWS)]
        quads = ir.VectorType(ir.IntType(32), ROWS)
        tile = transposed(builder, [builder.bitcast(signs(builder, word), quads) for word in words])
        start = builder.gep(data_of(context, builder, signature.args[1], arguments[1]), [arguments[2]])
        for row, values in enumerate(tile):
            place = builder.gep(start, [INDEX(row * DEPTH)])
            builder.store(values, builder.bitcast(place, quads.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(words, out, at), code


def transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Write the transpose of a square of vectors: at each distance, pairs of rows exchange halves."""
    distance = len(rows) // 2
    while distance:
        low = [i if not i & distance else len(rows) + i - distance for i in range(len(rows))]
        high = [i + distance if not i & distance else len(rows) + i for i in range(len(rows))]
        masks = [ir.Constant(ir.VectorType(ir.IntType(32), len(rows)), places) for places in (low, high)]
        for i in range(len(rows)):
            if not i & distance:
                pair = rows[i], rows[i + distance]
                rows[i], rows[i + distance] = (builder.shuffle_vector(*pair, mask) for mask in masks)
        distance //= 2
    return rows


@njit(cache=True)  # type: ignore[untyped-decorator]
def binary_columns(words: Any, panels: Any) -> None:
    """Set the panels of w, (panel, step, 2, 16, 16, 4) flat, to the values of `words` (columns, steps).

    What lacks to a whole tile is the last column again; its sums are not read.
    """
    cols, steps = words.shape
    sixteen = np.empty(ROWS, np.uint64)
    for tile in range(-(-cols // ROWS)):
        for step in range(steps):
            for column in range(ROWS):
                sixteen[column] = words[min(tile * ROWS + column, cols - 1), step]
            spread_across(sixteen, panels, ((tile // 2 * steps + step) * 2 + tile % 2) * ROWS * DEPTH)


@njit(cache=True)  # type: ignore[untyped-decorator]
def int8_rows(x: Any, panels: Any) -> None:
    """Set the panels of x, zero where nothing else is, to `x` (rows, depth)."""
    rows, depth = x.shape
    steps = -(-depth // DEPTH)
    for row in range(rows):
        for step in range(steps):
            at = ((row // SIDE * steps + step) * SIDE + row % SIDE) * DEPTH
            for k in range(min(DEPTH, depth - step * DEPTH)):
                panels[at + k] = x[row, step * DEPTH + k]


@njit(cache=True)  # type: ignore[untyped-decorator]
def int8_columns(w: Any, panels: Any) -> None:
    """Set the panels of w, zero where nothing else is, to `w` (depth, columns)."""
    depth, cols = w.shape
    steps = -(-depth // DEPTH)
    for k in range(depth):
        for col in range(cols):
            at = ((col // SIDE * steps + k // DEPTH) * 2 + col % SIDE // ROWS) * ROWS + k % DEPTH // 4
            panels[(at * ROWS + col % ROWS) * 4 + k % 4] = w[k, col]
