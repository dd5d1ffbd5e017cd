"""A kernel as it runs on a GPU, and the mapping of a layer that holds it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Any, NamedTuple

from hwsim.arch.accelerator import Accelerator
from hwsim.mapping.gpu.constants import array
from hwsim.mapping.loops import Loop, Mapping, extents
from hwsim.units import ceil_div

HZ_PER_CYCLE_PER_US = 1e6
FRAGMENT = 16
"""Steps of the reduction that a block stages in shared memory at a time."""


class Kernel(NamedTuple):
    """What runs for one step of a layer: `blocks` of `tile_rows` x `tile_cols` outputs, the reduction cut in `splits`.

    A block takes `block_cycles`, one in an incomplete last wave `last_cycles`; `sm_cycles` are those of the busiest SM,
    `body_cycles` those with memory overlapped. Before are `launch_cycles`, behind `reduction_cycles`; the power limit
    adds `power_cycles`. Blocks read the words of both operands from L2. `wait_cycles` of the busiest SM are latency
    that blocks side by side do not hide; parts of the reduction are multiples of `quantum`.
    """

    algorithm: str
    tile_rows: int
    tile_cols: int
    splits: int
    blocks: int
    block_cycles: int
    last_cycles: int
    launch_cycles: int
    sm_cycles: int
    body_cycles: int
    power_cycles: int
    reduction_cycles: int
    input_words: int
    weight_words: int
    wait_cycles: int = 0
    quantum: int = 1

    @property
    def total_cycles(self) -> int:
        """All cycles."""
        return self.launch_cycles + self.body_cycles + self.power_cycles + self.reduction_cycles


class Done(NamedTuple):
    """What one step of a kernel does: words of both operands that its blocks read from L2, multiply-accumulates."""

    input_words: int
    weight_words: int
    macs: int


def machine_of(chip: Accelerator, fmt: str) -> Any:
    """Return SMs, multiply-accumulates per SM and cycle, off-chip bytes per cycle, cycles per us: for the kernels."""
    bits, cycles = chip.off_chip_rate or (0, 1)
    rate = float(chip.array.macs_per_cycle[fmt])
    return array((float(chip.array.rows), rate, bits / cycles / 8, chip.clock_hz / HZ_PER_CYCLE_PER_US))


def rounded(cycles: float) -> int:
    """Return whole cycles, rounded up but for what is a rounding error itself."""
    return ceil(cycles * (1 - 1e-12))


@dataclass(frozen=True)
class BlockMapping(Mapping):
    """HOW a layer is placed on `sms` SMs: each block of outputs stays on one until its sums are complete.

    `dram_words` are those of inputs, weights and outputs that cross the chip's edge in all steps.
    """

    kernel: Kernel
    sms: int
    dram_words: tuple[int, int, int]

    @cached_property
    def side_by_side(self) -> tuple[int, int, int]:
        """Products, blocks of rows and blocks of columns that are computed at a time."""
        bounds = self.bounds
        rows = min(self.sms, ceil_div(bounds["NPQ"], self.kernel.tile_rows))
        cols = min(self.sms // rows, ceil_div(bounds["K"], self.kernel.tile_cols))
        return min(self.sms // (rows * cols), self.layer.G), rows, cols

    @cached_property
    def nest(self) -> tuple[Loop, ...]:
        """Loops from the outermost inward: waves, the SMs of a wave, the reduction of a block, its outputs."""
        at_once, rows, cols = self.side_by_side
        left = {**self.bounds}
        loops = []

        def loop(level: str, dims: str, tile: int, axis: str = "") -> None:
            tile = min(tile, left[dims])
            loops.append(Loop(level, dims, left[dims], tile, axis))
            left[dims] = tile

        kernel = self.kernel
        loop("dram", "G", at_once)
        loop("dram", "NPQ", rows * kernel.tile_rows)
        loop("dram", "K", cols * kernel.tile_cols)
        loop("dram", "CRS", ceil_div(left["CRS"], kernel.splits))
        loop("l2", "G", 1, "rows")
        loop("l2", "NPQ", kernel.tile_rows, "rows")
        loop("l2", "K", kernel.tile_cols, "rows")
        loop("l2", "CRS", FRAGMENT)
        loop("shared_memory", "CRS", 1)
        loop("shared_memory", "NPQ", 1)
        loop("shared_memory", "K", 1)
        return tuple(loops)

    @property
    def bounds(self) -> dict[str, int]:
        """The extents of the layer as a matrix product."""
        return extents(self.layer)

    @property
    def sides(self) -> dict[str, int]:
        """The SMs."""
        return {"rows": self.sms, "cols": 1}
