"""A CPU stepped block by block in the order of the nest, with real values: cycles of threads and words are counted."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.formats import NumberFormat
from hwsim.functional import lowering
from hwsim.functional.lowering import Array
from hwsim.ir.layer import Layer
from hwsim.mapping.cpu.blocks import BlockMapping, Blocks, Tally, block_tally
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
        tally, outputs = _channels(pairs, blocks, fmt)
    else:
        tally, outputs = Tally(), []
        for a, b in pairs:
            counted, out = _multiply(a, b, blocks, fmt)
            tally = tally.plus(counted)
            outputs.append(out)
    for out, expected in zip(outputs, reference, strict=True):
        _require_equal(layer.name, out, expected, fmt)
    return tally


def _shares(extent: int, threads: int) -> list[range]:
    """Return what each thread that has something gets of an extent."""
    size = ceil_div(extent, threads)
    return [range(at, min(extent, at + size)) for at in range(0, extent, size)]


def _in_blocks(own: range, size: int) -> list[slice]:
    return [slice(at, min(own.stop, at + size)) for at in range(own.start, own.stop, size)]


def _multiply(a: Array, b: Array, blocks: Blocks, fmt: NumberFormat) -> tuple[Tally, Array]:
    """Return what all threads do and a @ b, thread by thread and block by block."""
    out = np.zeros((a.shape[0], b.shape[1]), fmt.accumulator)
    everything = range(a.shape[0]), range(b.shape[1])
    threads = []
    for share in _shares(len(everything[0 if blocks.split == "NPQ" else 1]), blocks.threads):
        own_rows, own_cols = (share, everything[1]) if blocks.split == "NPQ" else (everything[0], share)
        own = Tally()
        for cols in _in_blocks(own_cols, blocks.cols):
            for rows in _in_blocks(own_rows, blocks.rows):
                left, right = a[rows], b[:, cols]
                out[rows, cols] = lowering.product(left, right, fmt)
                own = own.plus(block_tally(blocks, left.shape[0], right.shape[1], left.shape[1]))
        threads.append(own)
    return _at_once(threads), out


def _channels(pairs: list[tuple[Array, Array]], blocks: Blocks, fmt: NumberFormat) -> tuple[Tally, list[Array]]:
    """Return what all threads do, and the products of all channels of a depthwise convolution, channels in lanes."""
    rows_of_all, depth = pairs[0][0].shape
    outputs = [np.zeros((rows_of_all, 1), fmt.accumulator) for _ in pairs]
    threads = []
    for share in _shares(rows_of_all, blocks.threads):
        own = Tally()
        for channels in _in_blocks(range(len(pairs)), blocks.cols):
            for rows in _in_blocks(share, blocks.rows):
                for channel in range(channels.start, channels.stop):
                    a, b = pairs[channel]
                    outputs[channel][rows] = lowering.product(a[rows], b, fmt)
                extent = rows.stop - rows.start, channels.stop - channels.start
                own = own.plus(block_tally(blocks, *extent, depth))
        threads.append(own)
    return _at_once(threads), outputs


def _at_once(threads: list[Tally]) -> Tally:
    """Return what threads do beside each other: cycles of the busiest, words of all."""
    busiest = max(one.cycles for one in threads)
    words = Tally()
    for one in threads:
        words = words.plus(one)
    return words._replace(cycles=busiest)


def _require_equal(name: str, outputs: Array, reference: Array, fmt: NumberFormat) -> None:
    scale: Any = max(1.0, float(np.abs(reference).max()))
    wrong = (outputs != reference) if fmt.kind == "int" else (np.abs(outputs - reference) > TOLERANCE * scale)
    if wrong.any():
        raise RuntimeError(
            f"layer '{name}': {int(wrong.sum())} of {wrong.size} stepped outputs differ from the reference"
        )
