"""A CPU stepped block by block in the order of the nest, with real values: cycles of threads and words are counted."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.formats import NumberFormat
from hwsim.functional import lowering
from hwsim.functional.lowering import Array
from hwsim.ir.layer import Layer
from hwsim.mapping.cpu.blocks import BlockMapping, Blocks, Tally, words
from hwsim.mapping.cpu.work import TILE_COLUMNS
from hwsim.units import ceil_div

TOLERANCE = 1e-3
"""Relative difference allowed between float32 sums of blocks and NumPy's."""


def run(mapping: Any, fmt: NumberFormat, seed: int = 0) -> Tally:
    """Return what the blocks of one step did; every step has seeded operands of its own.

    Raises `RuntimeError`, a bug, if an output is not the reference's.
    """
    found: BlockMapping = mapping
    found.check()
    for step in range(found.layer.steps):
        tally = _step(found.layer, found.blocks, fmt, seed + step)
    return tally


def _step(layer: Layer, blocks: Blocks, fmt: NumberFormat, seed: int) -> Tally:
    x, weights = lowering.random_operands(layer, fmt, seed)
    pairs = [
        (lowering.input_matrix(layer, x, group), lowering.weight_matrix(layer, weights, group))
        for group in range(layer.G)
    ]
    reference = [lowering.product(a, b, fmt) for a, b in pairs]
    if blocks.across == "G":
        counters, outputs = _channels(pairs, blocks, fmt)
    else:
        counters, outputs = np.zeros(5, np.int64), []
        for a, b in pairs:
            counted, out = _multiply(a, b, blocks, fmt)
            counters = counters + counted
            outputs.append(out)
    for out, expected in zip(outputs, reference, strict=True):
        _require_equal(layer.name, out, expected, fmt)
    return Tally(*map(int, counters))


def _shares(extent: int, threads: int) -> list[range]:
    """Return what each thread that has something gets of an extent."""
    size = ceil_div(extent, threads)
    return [range(at, min(extent, at + size)) for at in range(0, extent, size)]


def _in_blocks(own: range, size: int) -> list[slice]:
    return [slice(at, min(own.stop, at + size)) for at in range(own.start, own.stop, size)]


def _multiply(a: Array, b: Array, blocks: Blocks, fmt: NumberFormat) -> tuple[Array, Array]:
    """Return the counters and a @ b, thread by thread and block by block."""
    out = np.zeros((a.shape[0], b.shape[1]), fmt.accumulator)
    everything = range(a.shape[0]), range(b.shape[1])
    busy, moved = [], np.zeros(4, np.int64)
    for share in _shares(len(everything[0 if blocks.split == "NPQ" else 1]), blocks.threads):
        own_rows, own_cols = (share, everything[1]) if blocks.split == "NPQ" else (everything[0], share)
        cycles = 0
        for cols in _in_blocks(own_cols, blocks.cols):
            for rows in _in_blocks(own_rows, blocks.rows):
                left, right = a[rows], b[:, cols]
                out[rows, cols] = lowering.product(left, right, fmt)
                cycles += blocks.block_cycles(left.shape[0], right.shape[1], left.shape[1])
                moved += _moved(blocks, left.shape[0], right.shape[1], left.shape[1])
        busy.append(cycles)
    return np.array([max(busy), *moved], np.int64), out


def _channels(pairs: list[tuple[Array, Array]], blocks: Blocks, fmt: NumberFormat) -> tuple[Array, list[Array]]:
    """Return the counters and the products of all channels of a depthwise convolution, channels in lanes."""
    rows_of_all, depth = pairs[0][0].shape
    outputs = [np.zeros((rows_of_all, 1), fmt.accumulator) for _ in pairs]
    busy, moved = [], np.zeros(4, np.int64)
    for share in _shares(rows_of_all, blocks.threads):
        cycles = 0
        for channels in _in_blocks(range(len(pairs)), blocks.cols):
            for rows in _in_blocks(share, blocks.rows):
                for channel in range(channels.start, channels.stop):
                    a, b = pairs[channel]
                    outputs[channel][rows] = lowering.product(a[rows], b, fmt)
                extent = rows.stop - rows.start, channels.stop - channels.start
                cycles += blocks.block_cycles(*extent, depth)
                moved += _moved(blocks, *extent, depth)
        busy.append(cycles)
    return np.array([max(busy), *moved], np.int64), outputs


def _moved(blocks: Blocks, rows: int, cols: int, depth: int) -> Array:
    """Return the words of both operands that a block reads from L2, and from L1 tile by tile."""
    inputs, weights = words(blocks, rows, cols, depth)
    return np.array([inputs, weights, inputs, weights * ceil_div(rows, TILE_COLUMNS)], np.int64)


def _require_equal(name: str, outputs: Array, reference: Array, fmt: NumberFormat) -> None:
    scale: Any = max(1.0, float(np.abs(reference).max()))
    wrong = (outputs != reference) if fmt.kind == "int" else (np.abs(outputs - reference) > TOLERANCE * scale)
    if wrong.any():
        raise RuntimeError(
            f"layer '{name}': {int(wrong.sum())} of {wrong.size} stepped outputs differ from the reference"
        )
