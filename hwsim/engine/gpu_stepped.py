"""A GPU stepped block by block, with real values: each goes to the SM that is free first; words are counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heapify, heapreplace
from typing import Any, NamedTuple

import numpy as np

from hwsim.engine import gpu_transforms as transforms
from hwsim.formats import NumberFormat
from hwsim.formats.fp32 import fp32
from hwsim.functional import lowering
from hwsim.functional.lowering import Array
from hwsim.ir.layer import Layer
from hwsim.mapping.gpu.kernel import BlockMapping, Done, Kernel
from hwsim.mapping.gpu.transforms import ALGORITHMS as TRANSFORMED
from hwsim.units import ceil_div

TOLERANCE = 1e-3
"""Relative difference allowed between float32 sums of blocks, or of transformed tiles, and NumPy's."""


Rows = slice | Array


class Block(NamedTuple):
    """A block's place in its product: its rows, columns and part of the reduction."""

    rows: Rows
    cols: slice
    depth: slice


def run(mapping: BlockMapping, fmt: NumberFormat, seed: int = 0) -> tuple[Kernel, Done]:
    """Return the kernel of one step as it ran, and the words and multiply-accumulates that were counted.

    Every step has seeded operands of its own. Raises `RuntimeError`, a bug, if an output is not the reference's.
    """
    mapping.check()
    for step in range(mapping.layer.steps):
        kernel, done = _step(mapping, fmt, seed + step)
    return kernel, done


def _step(mapping: BlockMapping, fmt: NumberFormat, seed: int) -> tuple[Kernel, Done]:
    layer, kernel = mapping.layer, mapping.kernel
    x, weights = lowering.random_operands(layer, fmt, seed)
    schedule = Schedule(kernel, mapping.sms)
    counts = [0, 0, 0]
    for group in range(layer.G):
        a, b = lowering.input_matrix(layer, x, group), lowering.weight_matrix(layer, weights, group)
        if kernel.algorithm in TRANSFORMED:
            out = _in_transformed_space(layer, x, weights[0], kernel, schedule, counts)
        else:
            out = _multiply(a, b, kernel, schedule, counts, fmt)
        _require_equal(layer.name, out, lowering.product(a, b, fmt), fmt)
    ran = kernel._replace(blocks=schedule.blocks, sm_cycles=schedule.end_cycle + kernel.wait_cycles)
    return ran, Done(*counts)


def _in_transformed_space(
    layer: Layer, x: Array, weights: Array, kernel: Kernel, schedule: Schedule, counts: list[int]
) -> Array:
    """Return the outputs (positions, K) of a convolution by its products in transformed space, point by point."""
    if kernel.algorithm == "fft":
        pairs, back = transforms.fft(layer, x, weights)
        return back(np.stack([_multiply(*pair, kernel, schedule, counts, fp32) for pair in pairs]))
    size = 4 if kernel.algorithm == "winograd" else 2
    strips = transforms.strips(layer) if size == 2 else None
    sums: list[Array] = []
    for left, right in transforms.winograd(layer, x, weights, size):
        # the fused kernel's blocks hold all points of their tiles
        dealt = None if sums and size == 2 else schedule
        sums.append(_multiply(left, right, kernel, dealt, counts, fp32, strips))
    return transforms.winograd_back(layer, np.stack(sums), size)


class Schedule:
    """The SMs of a machine while blocks are dealt to them."""

    def __init__(self, kernel: Kernel, sms: int) -> None:
        self.kernel, self.blocks, self.end_cycle = kernel, 0, 0
        self.in_whole_waves = kernel.blocks // sms * sms
        self.free = [(0, sm) for sm in range(sms)]
        heapify(self.free)

    def deal(self) -> None:
        """Give a block to the SM that is free first; those of an incomplete last wave have more of L2 each."""
        cycle, sm = self.free[0]
        takes = self.kernel.block_cycles if self.blocks < self.in_whole_waves else self.kernel.last_cycles
        heapreplace(self.free, (cycle + takes, sm))
        self.blocks += 1
        self.end_cycle = max(self.end_cycle, cycle + takes)


def _multiply(
    a: Array, b: Array, kernel: Kernel, schedule: Schedule | None, counts: list[int], fmt: NumberFormat,
    strips: Sequence[Array] | None = None,
) -> Array:  # fmt: skip
    """Return a @ b, block by block; `strips` are the rows of the blocks where those do not follow one another."""
    out = np.zeros((a.shape[0], b.shape[1]), fmt.accumulator)
    for block in blocks_of(a.shape[0], b.shape[1], a.shape[1], kernel, strips):
        left, right = a[block.rows][:, block.depth], b[block.depth, block.cols]
        if left.size:
            out[block.rows, block.cols] += lowering.product(left, right, fmt)
        counts[0] += left.size
        counts[1] += right.size
        counts[2] += left.size * right.shape[1]
        if schedule:
            schedule.deal()
    return out


def blocks_of(
    rows: int, cols: int, depth: int, kernel: Kernel, strips: Sequence[Array] | None = None
) -> Iterator[Block]:
    """Yield the blocks of a product in the order they are dealt."""
    part = ceil_div(ceil_div(depth, kernel.splits), kernel.quantum) * kernel.quantum
    tall = kernel.tile_rows
    places: Sequence[Rows] = strips or [slice(i, i + tall) for i in range(0, rows, tall)]
    for split in range(kernel.splits):
        for place in places:
            for j in range(0, cols, kernel.tile_cols):
                yield Block(place, slice(j, j + kernel.tile_cols), slice(split * part, (split + 1) * part))


def _require_equal(name: str, outputs: Array, reference: Array, fmt: NumberFormat) -> None:
    exact = fmt.kind == "int"
    scale: Any = 1 if exact else max(1.0, float(np.abs(reference).max()))
    wrong = (outputs != reference) if exact else (np.abs(outputs - reference) > TOLERANCE * scale)
    if wrong.any():
        raise RuntimeError(
            f"layer '{name}': {int(wrong.sum())} of {wrong.size} stepped outputs differ from the reference"
        )
