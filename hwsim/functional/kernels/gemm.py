"""Products on register tiles: rows of x by packed weights, for matrix products and convolutions.

A tile keeps its sums in registers while it walks along the products (Goto & van de Geijn, "Anatomy of high-performance
matrix multiplication", ACM TOMS 34(3), 2008). Each row of x is a list of runs of consecutive elements: one run for a
matrix, one per filter row of a window for a convolution, which so needs no unrolled copy of its input.

| x       | w       | sums    | a step of a lane                                                          |
|---------|---------|---------|---------------------------------------------------------------------------|
| float32 | float32 | float32 | one fused multiply-add                                                    |
| uint8   | int8    | int32   | four products summed (VNNI's vpdpbusd); x often has 128 as its zero       |
| uint32  | uint32  | int32   | the ones in the XOR of 32 binary values each (VPOPCNTDQ's vpopcntd)       |

Binary values are +1 for a one and -1 for a zero: of n products those that differ count -1, so that the sum is n less
twice the ones, as Rastegari et al. (XNOR-Net, ECCV 2016, Sec. 3.2) have it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import binding, ir
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from hwsim.functional.kernels.memory import aligned

FEATURES = binding.get_host_cpu_features()
WIDE = bool(FEATURES.get("avx512f"))
DOT = bool(FEATURES.get("avx512vnni"))

LANES, VECTORS = (16 if WIDE else 8), 2
COLUMNS = LANES * VECTORS
"""Outputs of a tile: two vectors of the processor's width."""

ROWS = 8 if WIDE else 4
"""Rows of a tile: its sums, two vectors of weights and one of x stay within 32 registers, or 16."""

BLOCK_BYTES = 32 * 1024
"""Weights that stay in the first-level cache while all rows of a chunk go by."""

CHUNK = 96
"""Most rows that one thread takes at once; chunks are as equal as whole tiles allow."""

GROUP = 4
"""Products in int8 that go into a 32-bit sum at once."""

INDEX = ir.IntType(64)


def tile_of(rows: int) -> Callable[..., None]:
    """Return a tile's code: y[y_at + i ldy + j] += sum over k of x[base[at + i] + shift + k] w[w_at + k, j]."""

    @intrinsic  # type: ignore[untyped-decorator]
    def tile(typing: Any, x: Any, base: Any, at: Any, shift: Any, w: Any, w_at: Any, depth: Any, y: Any, y_at: Any,
             ldy: Any) -> Any:  # fmt: skip
        signature = types.void(x, base, at, shift, w, w_at, depth, y, y_at, ldy)

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            operands = [
                context.make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value
                for kind, value in zip(signature.args, arguments, strict=True)
            ]
            emit(builder, rows, STEPS[signature.args[0].dtype], *operands)
            return context.get_dummy_value()

        return signature, code

    made: Callable[..., None] = tile
    return made


def emit(builder: Any, rows: int, one: Step, x: Any, base: Any, at: Any, shift: Any, w: Any, w_at: Any, depth: Any,
         y: Any, y_at: Any, ldy: Any) -> None:  # fmt: skip
    """Write a tile's instructions: sums from y, a loop along the products, sums to y."""
    vector = ir.VectorType(one.sum_type, LANES)
    starts = [row_start(builder, x, base, builder.add(at, INDEX(i)), shift) for i in range(rows)]
    outs = [
        vector_at(builder, y, builder.add(builder.add(y_at, builder.mul(ldy, INDEX(i))), INDEX(LANES * j)), vector)
        for i in range(rows)
        for j in range(VECTORS)
    ]
    before, loop, after = builder.block, builder.append_basic_block("products"), builder.append_basic_block("done")
    firsts = [builder.load(out, align=4) for out in outs]
    builder.cbranch(builder.icmp_signed(">", depth, INDEX(0)), loop, after)
    builder.position_at_end(loop)
    k, sums = builder.phi(INDEX), [builder.phi(vector) for _ in outs]
    results = steps(builder, one, starts, w, w_at, k, sums, vector)
    following = builder.add(k, INDEX(one.group))
    join(k, before, INDEX(0), loop, following)
    for total, first, result in zip(sums, firsts, results, strict=True):
        join(total, before, first, loop, result)
    builder.cbranch(builder.icmp_signed("<", following, depth), loop, after)
    builder.position_at_end(after)
    finals = [builder.phi(vector) for _ in outs]
    for out, final, first, result in zip(outs, finals, firsts, results, strict=True):
        join(final, before, first, loop, result)
        builder.store(final, out, align=4)


def steps(builder: Any, one: Step, starts: Any, w: Any, w_at: Any, k: Any, sums: Any, vector: Any) -> list[Any]:
    """Write one step of all rows: their element, or four of them, in every lane, with the columns' weights."""
    weights = builder.add(w_at, builder.mul(k, INDEX(COLUMNS)))
    columns = [
        builder.load(vector_at(builder, w, builder.add(weights, INDEX(LANES * one.group * j)), vector), align=4)
        for j in range(VECTORS)
    ]
    results = []
    for i, start in enumerate(starts):
        address = builder.bitcast(builder.gep(start, [k]), vector.element.as_pointer())
        value = splat(builder, builder.load(address, align=4 // one.group), vector)
        for j, column in enumerate(columns):
            results.append(one.write(builder, value, column, sums[i * VECTORS + j], vector))
    return results


def fma(builder: Any, value: Any, column: Any, total: Any, vector: Any) -> Any:
    """Write total + value x column."""
    function = ir.FunctionType(vector, [vector] * 3)
    name = f"llvm.fma.v{LANES}f32"
    return builder.call(cgutils.get_or_insert_function(builder.module, function, name), [value, column, total])


def dot(builder: Any, value: Any, column: Any, total: Any, vector: Any) -> Any:
    """Write total + the sum of four unsigned by signed products in each lane."""
    if DOT and WIDE:
        function = ir.FunctionType(vector, [vector] * 3)
        name = "llvm.x86.avx512.vpdpbusd.512"
        return builder.call(cgutils.get_or_insert_function(builder.module, function, name), [total, value, column])
    byte, word = ir.VectorType(ir.IntType(8), LANES * GROUP), ir.VectorType(ir.IntType(32), LANES * GROUP)
    products = builder.mul(
        builder.zext(builder.bitcast(value, byte), word), builder.sext(builder.bitcast(column, byte), word)
    )
    for part in range(GROUP):
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [GROUP * lane + part for lane in range(LANES)])
        total = builder.add(total, builder.shuffle_vector(products, ir.Constant(word, ir.Undefined), lanes))
    return total


def ones(builder: Any, value: Any, column: Any, total: Any, vector: Any) -> Any:
    """Write total + the ones in value XOR column."""
    function = ir.FunctionType(vector, [vector])
    count = cgutils.get_or_insert_function(builder.module, function, f"llvm.ctpop.v{LANES}i32")
    return builder.add(total, builder.call(count, [builder.xor(value, column)]))


class Step(NamedTuple):
    """How a lane's sum grows: its type, elements of x that one step takes, and what writes it."""

    sum_type: Any
    group: int
    write: Callable[..., Any]


STEPS = {
    types.float32: Step(ir.FloatType(), 1, fma),
    types.uint8: Step(ir.IntType(32), GROUP, dot),
    types.uint32: Step(ir.IntType(32), 1, ones),
}
"""By the type of x."""


def row_start(builder: Any, x: Any, base: Any, row: Any, shift: Any) -> Any:
    """Write the address of x[base[row] + shift]."""
    return builder.gep(x, [builder.add(builder.load(builder.gep(base, [row])), shift)])


def vector_at(builder: Any, array: Any, element: Any, vector: Any) -> Any:
    """Write the address of an array's element as that of a vector."""
    return builder.bitcast(builder.gep(array, [element]), vector.as_pointer())


def splat(builder: Any, value: Any, vector: Any) -> Any:
    """Write a vector of equal lanes."""
    nothing = ir.Constant(vector, ir.Undefined)
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)
    return builder.shuffle_vector(builder.insert_element(nothing, value, ir.IntType(32)(0)), nothing, lanes)


def join(phi: Any, before: Any, first: Any, loop: Any, result: Any) -> None:
    """State what a value is when the loop is entered, and when it comes round."""
    phi.add_incoming(first, before)
    phi.add_incoming(result, loop)


tile8, tile4, tile2, tile1 = tile_of(8), tile_of(4), tile_of(2), tile_of(1)


@njit(cache=True)  # type: ignore[untyped-decorator]
def tiles(
    x: Any, base: Any, first: int, last: int, shift: int, w: Any, w_at: int, depth: int, y: Any, y_at: int, ldy: int
) -> None:
    """Add the products of rows `first` to `last` along one run, in the largest tiles that fit."""
    at = first
    if ROWS == 8:
        while at + 8 <= last:
            tile8(x, base, at, shift, w, w_at, depth, y, y_at + (at - first) * ldy, ldy)
            at += 8
    while at + 4 <= last:
        tile4(x, base, at, shift, w, w_at, depth, y, y_at + (at - first) * ldy, ldy)
        at += 4
    while at + 2 <= last:
        tile2(x, base, at, shift, w, w_at, depth, y, y_at + (at - first) * ldy, ldy)
        at += 2
    while at < last:
        tile1(x, base, at, shift, w, w_at, depth, y, y_at + (at - first) * ldy, ldy)
        at += 1


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def multiply(
    x: Any, base: Any, runs: Any, length: int, w: Any, bias: Any, y: Any, ldy: int, y_at: int, cols: int
) -> None:
    """Set y[y_at + i ldy + j] for every row i and j < `cols` to bias[j] plus the product of row i and column j.

    Row i of x is its elements base[i] + runs[t] + k with k < `length`; `w` holds the columns as `packed` gives them.
    Types as in the module's table; in uint8 `length` is a multiple of 4. Binary values are given their number as bias.
    All arrays are flat.
    """
    rows, panels, panel_size = base.shape[0], -(-cols // COLUMNS), runs.shape[0] * length * COLUMNS
    block = BLOCK_BYTES // COLUMNS // w.itemsize
    binary = w.itemsize == 4 and w.dtype.type(0.5) == 0  # known when this is compiled: fp32 keeps a half
    size = -(-rows // -(-rows // CHUNK) // ROWS) * ROWS
    for task in prange(-(-rows // size) * panels):
        chunk, panel = task // panels, task % panels
        first, last = chunk * size, min(rows, (chunk + 1) * size)
        width = min(COLUMNS, cols - panel * COLUMNS)
        out, at, stride = y, y_at + first * ldy + panel * COLUMNS, ldy
        if width < COLUMNS:
            out, at, stride = np.empty((last - first) * COLUMNS, y.dtype), 0, COLUMNS
        for i in range(last - first):
            for j in range(width):
                out[at + i * stride + j] = 0 if binary else bias[panel * COLUMNS + j]
        for run in range(runs.shape[0]):
            for k in range(0, length, block):
                w_at, depth = panel * panel_size + (run * length + k) * COLUMNS, min(block, length - k)
                tiles(x, base, first, last, runs[run] + k, w, w_at, depth, out, at, stride)
        if binary:
            for i in range(last - first):
                for j in range(width):
                    out[at + i * stride + j] = bias[panel * COLUMNS + j] - 2 * out[at + i * stride + j]
        if width < COLUMNS:
            for i in range(last - first):
                for j in range(width):
                    y[y_at + (first + i) * ldy + panel * COLUMNS + j] = out[i * COLUMNS + j]


def packed(columns: Any, group: int) -> Any:
    """Return the matrix (depth, columns), in any order, as panels (panel, depth / group, `COLUMNS`, group), flat.

    `group` is 4 in int8 and 1 otherwise. What is missing to a whole panel is zero. No vector lies on two cache lines.
    """
    if group > 1:
        return packed(grouped(columns), 1).view(columns.dtype)
    depth, cols = columns.shape
    out = aligned(-(-cols // COLUMNS) * depth * COLUMNS, columns.dtype).reshape(-1, depth, COLUMNS)
    for panel, values in enumerate(out):
        own = columns[:, panel * COLUMNS : (panel + 1) * COLUMNS]
        values[:, : own.shape[1]], values[:, own.shape[1] :] = own, 0
    return out.reshape(-1)


def grouped(columns: Any) -> Any:
    """Return bytes (depth, columns) as words of four below each other, zeros after the last."""
    depth, cols = columns.shape
    words = np.zeros((-(-depth // GROUP), cols, GROUP), columns.dtype)
    for k in range(min(depth, GROUP)):
        part = columns[k::GROUP]
        words[: len(part), :, k] = part
    return words.view(np.uint32)[..., 0]
