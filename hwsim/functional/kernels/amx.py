"""Products of int8 and of binary values on the matrix unit of recent Xeons (AMX), where this machine lends it.

A tile register holds 16 rows of 64 bytes, and one instruction adds 16 x 64 by 64 x 16 products to 16 x 16 sums (Intel
Architecture Instruction Set Extensions Programming Reference, 319433, Ch. 3). Sums of 2 x 2 tiles stay in registers.
Tile rows lie on cache lines: loads across two of them take six times as long.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from hwsim.errors import HardwareError
from hwsim.functional.kernels.memory import LINE_BYTES, aligned

ROWS, DEPTH = 16, 64
"""Rows of a tile, and bytes of each: products that one instruction sums."""

SIDE = 2 * ROWS
"""Rows and columns of the block of sums that stays in registers."""

STEP_BYTES = SIDE * DEPTH
"""Bytes that a block takes of either operand for `DEPTH` products."""

NEAR_STEPS, NEAR_PANELS = 16, 16
"""Steps of w that stay in the first-level cache (32 KiB), and panels of x that stay in the second (1 MiB at 2048)."""

AHEAD_BYTES = 2 * STEP_BYTES
"""How far before its use x is fetched from the second cache to the first."""

REQUEST_PERMISSION, TILE_DATA, SYSTEM_CALL = 0x1023, 18, 158
"""arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) on x86-64 Linux: a process asks once before it uses tiles."""

BYTE, INDEX, NOTHING = ir.IntType(8), ir.IntType(64), ir.VoidType()
ADDRESS = BYTE.as_pointer()


@cache
def is_available() -> bool:
    """Return whether the processor has the unit and the operating system lends it to this process."""
    if not sys.platform.startswith("linux") or not binding.get_host_cpu_features().get("amx-int8"):
        return False
    return bool(ctypes.CDLL(None).syscall(SYSTEM_CALL, REQUEST_PERMISSION, TILE_DATA) == 0)


def configuration() -> Any:
    """Return what `ldtilecfg` reads: palette 1, and eight tiles of 16 rows of 64 bytes.

    Raises `HardwareError` where there is no such unit: without it the process would be killed.
    """
    if not is_available():
        raise HardwareError("this machine lends no matrix unit (AMX with int8)")
    config = aligned(64, np.uint8)
    config[:] = 0
    config[0], config[48:56] = 1, ROWS
    config[16:32].view(np.uint16)[:] = DEPTH
    return config


def instruction(builder: Any, name: str, *operands: Any) -> None:
    """Write one instruction of the unit; tiles are named by constants."""
    function = ir.FunctionType(NOTHING, [operand.type for operand in operands])
    builder.call(cgutils.get_or_insert_function(builder.module, function, f"llvm.x86.{name}"), operands)


def data_of(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Write the address of an array's first element."""
    return context.make_array(kind)(context, builder, value).data


@intrinsic  # type: ignore[untyped-decorator]
def configure(typing: Any, config: Any) -> Any:
    """Give the tiles their shapes."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        instruction(builder, "ldtilecfg", data_of(context, builder, signature.args[0], arguments[0]))
        return context.get_dummy_value()

    return types.void(config), code


@intrinsic  # type: ignore[untyped-decorator]
def release(typing: Any) -> Any:
    """Give the tiles back, so that they are not saved at the next switch of tasks."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        instruction(builder, "tilerelease")
        return context.get_dummy_value()

    return types.void(), code


@intrinsic  # type: ignore[untyped-decorator]
def block(typing: Any, x: Any, x_at: Any, w: Any, w_at: Any, steps: Any, sums: Any, sums_at: Any, first: Any) -> Any:
    """Set 32 x 32 sums, or add to them unless `first`, the products of `steps` steps of a panel of x and one of w."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, x_at, w, w_at, steps, sums, sums_at, first = (
            data_of(context, builder, kind, value) if isinstance(kind, types.Array) else value
            for kind, value in zip(signature.args, arguments, strict=True)
        )
        start = builder.bitcast(builder.gep(sums, [sums_at]), ADDRESS)
        outs = [builder.gep(start, [INDEX(ROWS * DEPTH * tile)]) for tile in range(4)]
        with builder.if_else(first) as (then, otherwise):
            with then:
                for tile in range(4):
                    instruction(builder, "tilezero", BYTE(tile))
            with otherwise:
                for tile, out in enumerate(outs):
                    instruction(builder, "tileloadd64", BYTE(tile), out, INDEX(DEPTH))
        with cgutils.for_range(builder, steps) as loop:
            offset = builder.mul(loop.index, INDEX(STEP_BYTES))
            left = builder.gep(builder.bitcast(builder.gep(x, [x_at]), ADDRESS), [offset])
            right = builder.gep(builder.bitcast(builder.gep(w, [w_at]), ADDRESS), [offset])
            multiply_tiles(builder, left, right)
        for tile, out in enumerate(outs):
            instruction(builder, "tilestored64", BYTE(tile), out, INDEX(DEPTH))
        return context.get_dummy_value()

    return types.void(x, x_at, w, w_at, steps, sums, sums_at, first), code


def multiply_tiles(builder: Any, left: Any, right: Any) -> None:
    """Write the four products of two tiles of x (4, 5) by two of w (6, 7) into tiles 0 to 3."""
    for tile, start, part in ((4, left, 0), (6, right, 0), (7, right, 1), (5, left, 1)):
        instruction(builder, "tileloadd64", BYTE(tile), builder.gep(start, [INDEX(ROWS * DEPTH * part)]), INDEX(DEPTH))
    for line in range(SIDE):
        fetch(builder, builder.gep(left, [INDEX(AHEAD_BYTES + LINE_BYTES * line)]))
    for tile in range(4):
        instruction(builder, "tdpbssd", BYTE(tile), BYTE(4 + tile // 2), BYTE(6 + tile % 2))


def fetch(builder: Any, address: Any) -> None:
    """Write a prefetch of the cache line at `address` into all caches."""
    word = ir.IntType(32)
    function = ir.FunctionType(NOTHING, [ADDRESS, word, word, word])
    prefetch = cgutils.get_or_insert_function(builder.module, function, "llvm.prefetch.p0")
    builder.call(prefetch, [address, word(0), word(3), word(1)])  # to be read, from all levels, data


@intrinsic  # type: ignore[untyped-decorator]
def stream(typing: Any, sums: Any, sums_at: Any, excess: Any, y: Any, row: Any, column: Any) -> Any:
    """Set y[row, column : column + 16], which is a cache line, to 16 sums less `excess`, past the caches."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(32)
        vector, kind = ir.VectorType(word, ROWS), signature.args[3]
        out = context.make_array(kind)(context, builder, arguments[3])
        place = builder.add(builder.mul(arguments[4], cgutils.unpack_tuple(builder, out.shape)[1]), arguments[5])
        source = builder.gep(data_of(context, builder, signature.args[0], arguments[0]), [arguments[1]])
        nothing, zeros = ir.Constant(vector, ir.Undefined), ir.Constant(vector, None)
        less = builder.insert_element(nothing, builder.trunc(arguments[2], word), word(0))
        sixteen = builder.load(builder.bitcast(source, vector.as_pointer()), align=LINE_BYTES)
        result = builder.sub(sixteen, builder.shuffle_vector(less, nothing, zeros))
        target = builder.bitcast(builder.gep(out.data, [place]), vector.as_pointer())
        store = builder.store(result, target, align=LINE_BYTES)
        store.set_metadata("nontemporal", builder.module.add_metadata([word(1)]))
        return context.get_dummy_value()

    return types.void(sums, sums_at, excess, y, row, column), code


@njit(cache=True)  # type: ignore[untyped-decorator]
def near_rows(config: Any, x: Any, w: Any, steps: int, excess: int, sums: Any, y: Any) -> None:
    """Set y (rows, columns), int32, to the product of a few panels of x with all of w, less `excess`.

    x is (panels, steps, 32, 64) and w (panels, steps, 2, 16, 16, 4), flat; `sums` holds `NEAR_PANELS` blocks. Whole
    cache lines of y are written past the caches: it is not read again, and need not be read first.
    """
    rows, cols = y.shape
    lines = cols % ROWS == 0 and y.ctypes.data % LINE_BYTES == 0
    configure(config)
    for j in range(-(-cols // SIDE)):
        for k in range(0, steps, NEAR_STEPS):
            for i in range(-(-rows // SIDE)):
                x_at, w_at = (i * steps + k) * STEP_BYTES, (j * steps + k) * STEP_BYTES
                block(x, x_at, w, w_at, min(NEAR_STEPS, steps - k), sums, i * SIDE * SIDE, k == 0)
        for i in range(rows):
            at = (i // ROWS * 2 * ROWS + i % ROWS) * ROWS
            for first in range(j * SIDE, min(cols, (j + 1) * SIDE), ROWS):
                if lines:
                    stream(sums, at, excess, y, i, first)
                else:
                    for col in range(min(ROWS, cols - first)):
                        y[i, first + col] = sums[at + col] - excess
                at += ROWS * ROWS
    release()


def panels(rows: int, depth: int) -> Any:
    """Return room for the panels of an operand of `rows` rows, or columns, of `depth` values each, zero."""
    made = aligned(-(-rows // SIDE) * -(-depth // DEPTH) * STEP_BYTES, np.int8)
    made[:] = 0
    return made


def multiply(x: Any, arrange: Callable[[Any, Any], None], w: Any, depth: int, excess: int, y: Any) -> None:
    """Set y (rows, columns), int32, to the product of x and the panels `w`, less `excess`.

    `arrange` sets panels to some rows of x, whose `depth` is in bytes; a few at a time, while they are near.
    """
    config, near = configuration(), NEAR_PANELS * SIDE
    room, sums = panels(min(len(x), near), depth), aligned(NEAR_PANELS * SIDE * SIDE, np.int32)
    for start in range(0, len(x), near):
        arrange(x[start : start + near], room)
        near_rows(config, room, w, -(-depth // DEPTH), excess, sums, y[start : start + near])
