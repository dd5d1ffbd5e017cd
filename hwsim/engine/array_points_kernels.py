"""The search for foldings, compiled from its own source, and the sums over layers, over arrays of points.

The functions of `hwsim.mapping` that count are written for numbers, tuples and lists, and are compiled as they stand:
here each gets a copy whose globals are the compiled copies of the others. numba's cache does not notice that a function
in another file is edited, so the digest of all these files is part of its key, as a variable of a closure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
from numba import njit

from hwsim.mapping import folding, passes, systolic, systolic_points, systolic_shapes
from hwsim.mapping.systolic_points import counted, fastest
from hwsim.mapping.systolic_shapes import Machine, Shape, Words

NOTHING, FUSED, LANES, PRODUCT = 0, 1, 2, 3
"""What a layer is: free, done on another's results, on vector lanes, or on the array."""

COMPILED: dict[ModuleType, tuple[str, ...]] = {
    systolic_shapes: (),
    folding: ("derived",),
    passes: (
        "pass_at", "kinds", "unstalled", "totals", "moves_once", "least_cycles", "moved_bits", "stall_cycles",
        "startup_bits", "tail_bits", "_held_words", "_passing_words", "_all_held_words", "_all_passing_words",
        "_load_cycles", "never_waits", "_share", "_first_inner_last",
    ),
    systolic: ("cut", "useful_chunks", "_chunk"),
    systolic_points: (
        "fastest", "busy_cycles", "fastest_of", "in_either_order", "faster", "whole_stream", "part_of", "chunked",
        "fold_of", "fits", "counted", "latches",
    ),
}  # fmt: skip
"""What is compiled from where."""


COMPONENTS = 7
"""MACs, registers, buffers of inputs, weights and outputs, off-chip memory, lanes: in this order energies are added."""

EXACT = 2**53
"""Whole numbers below this are exact in floating point, and so are quotients by them."""


@njit(cache=True, error_model="numpy")
def sums(  # type: ignore[no-untyped-def]
    which, counts, placed, layers, widths, lanes, rates, costs, compensated,
    whole, energy_pj, exact, of_layers, layers_whole, layers_pj,
):  # fmt: skip
    """Fill the totals of points, and with `of_layers` those of their layers.

    `which` (points) says which of counts (machines, shapes, COUNTS), exact where `placed`, a point has. layers (layers,
    6) are what it is, index of its shape, operations, words read and written, steps; widths are the bits of inputs,
    weights, outputs and partial sums off-chip; costs (points, 18) are [pJ] in the order in which they are used here:
    of array_counts' actions, then of off_chip_counts', then of a lane. whole (points, 3) are cycles and bytes read and
    written off-chip; of layers (points, layers, 4) they have the stalls behind the cycles.
    """
    parts, row = np.zeros(COMPONENTS), np.zeros(4, np.int64)
    for i in range(len(which)):
        exact[i] = placed[which[i]]
        energy, lost = 0.0, 0.0
        for j in range(len(layers)):
            if not exact[i]:
                break
            parts[:] = 0.0
            row[:] = 0
            kind = layers[j, 0]
            if kind == PRODUCT:
                _product(counts[which[i], layers[j, 1]], widths, costs[i], parts, row)
            elif kind == LANES:
                _on_lanes(layers[j], widths, lanes[i], rates[i], costs[i], parts, row)
            if kind in (FUSED, LANES):
                parts[6] = layers[j, 2] * costs[i, 17]
            layer_pj = _sum(parts, compensated)
            energy, lost = _plus(energy, lost, layer_pj, compensated)
            whole[i, 0] += row[0]
            whole[i, 1] += row[2]
            whole[i, 2] += row[3]
            exact[i] = max(row.max(), whole[i].max()) < EXACT
            if of_layers:
                layers_whole[i, j] = row
                layers_pj[i, j] = layer_pj
        energy_pj[i] = energy + lost


@njit(cache=True, error_model="numpy")
def _product(c, widths, cost, parts, row):  # type: ignore[no-untyped-def]
    """Fill energies by component, and cycles, stalls and bytes, of a product with counts `c`, as COUNTS names them."""
    inputs, weights, outputs, psums = c[2], c[3], c[4], c[5]
    parts[0] = c[12] * cost[0]
    parts[1] = c[6] * cost[1] + c[7] * cost[2] + c[12] * cost[3]
    parts[2] = c[8] * cost[4] + inputs * cost[5]
    parts[3] = c[9] * cost[6] + weights * cost[7]
    parts[4] = c[10] * cost[8] + c[11] * cost[9] + c[11] * cost[10] + outputs * cost[11]
    parts[5] = inputs * cost[12] + weights * cost[13] + outputs * cost[14] + psums * cost[15] + psums * cost[16]
    row[0], row[1] = c[0], c[1]
    row[2] = (inputs * widths[0] + weights * widths[1] + psums * widths[3] + 7) // 8
    row[3] = (outputs * widths[2] + psums * widths[3] + 7) // 8


@njit(cache=True, error_model="numpy")
def _on_lanes(layer, widths, lanes, rate, cost, parts, row):  # type: ignore[no-untyped-def]
    """Fill the same of a layer on vector lanes, as `hwsim.engine.vector.closed` counts it; but for its operations."""
    operations, read, written, steps = layer[2], layer[3], layer[4], layer[5]
    busy = steps * -(-(operations // steps) // lanes)
    moving = _transfer(read * widths[0] + written * widths[2], rate[0], rate[1])
    row[1] = max(0, moving - busy)
    row[0] = busy + row[1]
    row[2], row[3] = (read * widths[0] + 7) // 8, (written * widths[2] + 7) // 8
    parts[5] = read * cost[12] + written * cost[14]


@njit(cache=True, error_model="numpy")
def _transfer(bits, rate_bits, rate_cycles):  # type: ignore[no-untyped-def]
    """Return the cycles of `bits`, also where the product leaves int64; too many to be exact as `EXACT` of them.

    The quotient in floating point is off by little, and so is what is left over small: modulo 2^64 it is exact.
    """
    about = np.float64(bits) * np.float64(rate_cycles) / np.float64(rate_bits)
    if about >= EXACT:
        return EXACT
    whole = np.int64(about)
    left = np.int64(np.uint64(bits) * np.uint64(rate_cycles) - np.uint64(whole) * np.uint64(rate_bits))
    return whole - (-left // rate_bits)


@njit(cache=True, error_model="numpy")
def _sum(values, compensated):  # type: ignore[no-untyped-def]
    total, lost = 0.0, 0.0
    for value in values:
        total, lost = _plus(total, lost, value, compensated)
    return total + lost


@njit(cache=True, error_model="numpy")
def _plus(total, lost, value, compensated):  # type: ignore[no-untyped-def]
    """Return a sum and, if `compensated`, what rounding lost of it, as Python's own sum since 3.12 (Neumaier)."""
    new = total + value
    if not compensated:
        return new, lost
    if abs(total) >= abs(value):
        return new, lost + ((total - new) + value)
    return new, lost + ((value - new) + total)


def transfer_cycles(f, bits):  # type: ignore[no-untyped-def]
    """Return what `passes.transfer_cycles` returns, up to `EXACT`; a point that waits for so many is not exact.

    Without limit that is none: the rate is 1 bit in 0 cycles.
    """
    return _transfer(bits, f.bandwidth[0], f.bandwidth[1])


def ceil_div(dividend, divisor):  # type: ignore[no-untyped-def]
    """Return what `units.ceil_div` returns of two positive numbers; floating point divides quicker."""
    about = np.int64(np.float64(dividend) / np.float64(divisor))
    left = dividend - about * divisor
    while left > 0:
        about += 1
        left -= divisor
    while left <= -divisor:
        about -= 1
        left += divisor
    return about


def power_of_two(limit):  # type: ignore[no-untyped-def]
    """Return what `systolic.power_of_two` returns, without bit_length, which numba does not have."""
    power = 1
    while power <= limit >> 1:
        power <<= 1
    return power


INSTEAD = (transfer_cycles, ceil_div, power_of_two)
"""What stands for functions of the same name."""


@cache
def place() -> Callable[..., None]:
    """Return the compiled search over machines and shapes: see `_placing`."""
    space: dict[str, Any] = {**vars(systolic_points), **vars(passes), "__name__": __name__}
    space |= {"np": np, "_transfer": _transfer, "EXACT": EXACT}
    functions = [vars(module)[name] for module, names in COMPILED.items() for name in names]
    for function in (*functions, *INSTEAD):
        # only compiled functions call them: without wrappers they take a third less time to compile
        space[function.__name__] = njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)(
            _rebound(function, space)
        )
    files = [Path(str(module.__file__)) for module in COMPILED] + [Path(__file__)]
    return njit(cache=True, error_model="numpy")(_rebound(_placing(digest(files)), space))  # type: ignore[no-any-return]


def digest(files: Sequence[Path]) -> str:
    """Return a digest of what files contain."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _rebound(function: Any, space: dict[str, Any]) -> FunctionType:
    """Return a function with other globals."""
    return FunctionType(function.__code__, space, function.__name__, function.__defaults__, function.__closure__)


def _placing(sources: str) -> Any:
    def _place(machines, shapes, words, counts, exact):  # type: ignore[no-untyped-def]
        """Fill counts (machines, shapes, COUNTS) and exact (machines).

        machines (machines, 9) and shapes (shapes, 14) have the numbers of `Machine` and `Shape`, words (5) of `Words`.
        """
        if not sources:
            return
        width = Words(words[0], words[1], words[2], words[3] != 0, words[4] != 0)
        for i in range(len(machines)):
            m = machines[i]
            machine = Machine(m[0], m[1], m[2] != 0, m[3] != 0, m[4], m[5], m[6], (m[7], m[8]))
            for j in range(len(shapes)):
                s = shapes[j]
                shape = Shape(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], s[9], s[10], s[11], s[12], s[13])
                choice = fastest(shape, machine, width)
                exact[i] &= choice.exact
                if not choice.exact:
                    break
                found = counted(choice, shape)
                for k in range(len(found)):
                    counts[i, j, k] = found[k]

    return _place
