"""HOW a product is placed on a CPU: threads share output rows or filters, blocks stay in a cache, tiles in registers.

Sums of a tile stay in registers until its reduction ends: the mapping is output-stationary. Lanes of vectors hold
filters, or, of depthwise convolutions, channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from hwsim.arch.accelerator import Accelerator
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Kind, Layer
from hwsim.mapping.loops import Loop, Mapping, extents
from hwsim.units import ceil_div

from .work import TILE_COLUMNS, TILE_VECTORS

BLOCK_ROWS = 96
"""Output positions of a block: their inputs stay in L1 or L2 while all filters of a set pass."""


class Blocks(NamedTuple):
    """A product in blocks: `across` is spread over lanes ("K" or "G"), `split` over threads ("NPQ", "K" or "G").

    `rows` and `cols` are the largest block, `lanes` a vector's, `macs_per_cycle` a core's.
    """

    across: str
    split: str
    threads: int
    rows: int
    cols: int
    lanes: int
    macs_per_cycle: int

    def block_cycles(self, rows: int, cols: int, depth: int) -> int:
        """Return the cycles of one block on one core: whole vectors, a product per lane and unit in each cycle."""
        return ceil_div(rows * ceil_div(cols, self.lanes) * self.lanes * depth, self.macs_per_cycle)


class Tally(NamedTuple):
    """What the blocks of one step and group do: cycles of the busiest thread, and words read from L2 and L1."""

    cycles: int = 0
    l2_input: int = 0
    l2_weight: int = 0
    l1_input: int = 0
    l1_weight: int = 0

    def plus(self, other: Tally) -> Tally:
        """Return both, one after the other."""
        return Tally(*(one + another for one, another in zip(self, other, strict=True)))

    def times(self, count: int) -> Tally:
        """Return the same so many times, one after the other."""
        return Tally(*(count * one for one in self))

    def beside(self, others: Tally) -> Tally:
        """Return both at once, this one being the busiest."""
        return self.plus(others)._replace(cycles=self.cycles)


@dataclass(frozen=True)
class BlockMapping(Mapping):
    """A product with its blocks."""

    blocks: Blocks

    @cached_property
    def nest(self) -> tuple[Loop, ...]:
        """Loops from the outermost inward."""
        return tuple(_nest(self.bounds, self.blocks))

    @property
    def bounds(self) -> dict[str, int]:
        """The extents of the layer as a matrix product."""
        return extents(self.layer)

    @property
    def sides(self) -> dict[str, int]:
        """Threads, and the products that a core does at once."""
        return {"rows": self.blocks.threads, "cols": max(self.blocks.lanes, self.blocks.macs_per_cycle)}

    @cached_property
    def tally(self) -> Tally:
        """What the blocks of all groups of one step do."""
        return _tally(self.layer, self.blocks)


def place_blocks(layer: Layer, chip: Accelerator, fmt: NumberFormat) -> BlockMapping:
    """Return the blocks of a layer on all cores of a chip, or on one where its library takes no more."""
    machine = chip.options["machine"]
    threads = 1 if chip.options["vectors_on_one"] and is_vector_product(layer) else machine.threads
    return _placed(layer, threads, machine.lanes, int(chip.array.macs_per_cycle[fmt.name]))


def is_vector_product(layer: Layer) -> bool:
    """Return whether a layer multiplies a matrix by one vector, at each step."""
    return layer.kind is Kind.MATMUL and layer.N == 1


@lru_cache(maxsize=65536)
def _placed(layer: Layer, threads: int, lanes: int, macs_per_cycle: int) -> BlockMapping:
    depthwise = layer.kind is Kind.CONV and layer.G > 1 and layer.K == 1
    across = "G" if depthwise else "K"
    bounds, split = extents(layer), _split(layer, threads)
    cols = min(bounds[across], lanes * TILE_VECTORS)
    rows = min(BLOCK_ROWS, ceil_div(bounds["NPQ"], threads) if split == "NPQ" else bounds["NPQ"])
    return BlockMapping(layer, "cache_blocks", Blocks(across, split, threads, rows, cols, lanes, macs_per_cycle))


def _split(layer: Layer, threads: int) -> str:
    """Return what threads share: positions where each has a tile of them, otherwise filters."""
    if layer.positions >= threads * TILE_COLUMNS or 2 * threads > layer.K:
        return "NPQ"
    return "K"


def _nest(bounds: dict[str, int], blocks: Blocks) -> list[Loop]:
    loops: list[Loop] = []
    left = dict(bounds)

    def add(level: str, dims: str, tile: int, axis: str = "") -> None:
        if left[dims] > 1 and tile < left[dims]:
            loops.append(Loop(level, dims, left[dims], tile, axis))
            left[dims] = tile

    if blocks.across == "K":
        add("dram", "G", 1)
    add("l3", blocks.split, ceil_div(left[blocks.split], blocks.threads), "rows")
    add("l2", blocks.across, blocks.cols)
    add("l2", "NPQ", blocks.rows)
    add("l1", "NPQ", TILE_COLUMNS)
    add("registers", "CRS", 1)
    add("registers", "NPQ", 1)
    add("registers", blocks.across, blocks.lanes)
    add("registers", blocks.across, 1, "cols")
    for dims in left:
        add("registers", dims, 1)
    return loops


def parts(extent: int, size: int) -> tuple[tuple[int, int], ...]:
    """Return the sizes of blocks of an extent, each with how many there are."""
    whole, last = divmod(extent, size)
    return tuple(pair for pair in ((size, whole), (last, 1 if last else 0)) if pair[0] and pair[1])


def of_threads(extent: int, threads: int) -> tuple[tuple[int, int], ...]:
    """Return what each of the threads has of an extent, the fullest first, each with how many there are."""
    return parts(extent, ceil_div(extent, threads))


def _tally(layer: Layer, blocks: Blocks) -> Tally:
    """Return what blocks do, counted by their sizes."""
    bounds = extents(layer)
    rows, cols, depth = bounds["NPQ"], bounds[blocks.across], bounds["CRS"]
    by_rows = blocks.split == "NPQ"
    (busiest, full), *rest = [
        (_thread_tally(blocks, share if by_rows else rows, cols if by_rows else share, depth), several)
        for share, several in of_threads(rows if by_rows else cols, blocks.threads)
    ]
    others = busiest.times(full - 1)
    for one, several in rest:
        others = others.plus(one.times(several))
    return busiest.beside(others).times(1 if blocks.across == "G" else layer.G)


def _thread_tally(blocks: Blocks, rows: int, cols: int, depth: int) -> Tally:
    """Return what the blocks of one thread's share do."""
    found = Tally()
    for block_rows, row_count in parts(rows, blocks.rows):
        for block_cols, col_count in parts(cols, blocks.cols):
            found = found.plus(block_tally(blocks, block_rows, block_cols, depth).times(row_count * col_count))
    return found


def block_tally(blocks: Blocks, rows: int, cols: int, depth: int) -> Tally:
    """Return what one block does: it brings both operands from L2 once, and from L1 the weights for every tile."""
    inputs, weights = rows * depth * (cols if blocks.across == "G" else 1), cols * depth
    return Tally(
        blocks.block_cycles(rows, cols, depth), inputs, weights, inputs, weights * ceil_div(rows, TILE_COLUMNS)
    )
