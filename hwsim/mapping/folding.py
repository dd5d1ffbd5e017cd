"""A matrix product cut into folds of a systolic array, and what each pass of folds moves off-chip.

A layer is the product of positions x reduction (input) by reduction x filters (weight). The stationary operand's two
dimensions lie on the array's rows and columns; the third streams through. A fold is one tile of rows x columns with its
stream; a pass is the run of folds between which the prefetcher of a double buffer need not wait for the array: while
the folds of a pass compute, its operands arrive, and a pass lasts as long as the slower of the two.

Fold lengths are those of SCALE-Sim (Samajdar et al., ISPASS 2020, Sec. III): a stationary tile takes one cycle per
row to load, the stream one per element, and the skew of rows and columns rows + cols - 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

from hwsim.mapping.loops import Loop, extents
from hwsim.units import ceil_div

if TYPE_CHECKING:
    from hwsim.ir.layer import Layer

Operand = Literal["input", "weight", "output"]

AXES = {"weight": ("CRS", "K", "NPQ"), "input": ("CRS", "NPQ", "K"), "output": ("NPQ", "K", "CRS")}
"""Which dimensions lie on the rows and columns, and which stream, by the stationary operand."""


class Pass(NamedTuple):
    """Cycles of one pass's folds and the words it moves off-chip; `psum_words` are both written and read."""

    fill_cycles: int
    compute_cycles: int
    drain_cycles: int
    input_words: int
    weight_words: int
    output_words: int
    psum_words: int

    @property
    def busy_cycles(self) -> int:
        """Cycles of the array when it waits for nothing."""
        return self.fill_cycles + self.compute_cycles + self.drain_cycles


class Totals(NamedTuple):
    """Sums over all passes; `stall_cycles` are those that off-chip bandwidth adds."""

    fill_cycles: int
    compute_cycles: int
    drain_cycles: int
    stall_cycles: int
    input_words: int
    weight_words: int
    output_words: int
    psum_words: int

    @property
    def total_cycles(self) -> int:
        """Cycles from the first off-chip read to the last off-chip write."""
        return self.fill_cycles + self.compute_cycles + self.drain_cycles + self.stall_cycles


@dataclass(frozen=True)
class Folding:
    """The folds of a layer. Extents are those of one of `copies` equal products (groups, time steps) done in sequence.

    `chunk` is how much of the stream passes before the next stationary tile is loaded; with the output stationary it is
    all of it, and `outer` says which axis's tiles stay in their buffer while the other's go by. `input_visit` and
    `weight_visit` are the off-chip words of one visit to the whole operand; the rooms are usable bits of its buffer.
    `warm_copies` of the copies find their weights on chip. Bandwidth is [bit/cycle], None without limit.
    """

    stationary: Operand
    rows: int
    cols: int
    tight: bool
    overlapped: bool
    row_extent: int
    col_extent: int
    stream_extent: int
    chunk: int
    outer: Literal["rows", "cols"]
    copies: int
    warm_copies: int
    input_visit: int
    weight_visit: int
    input_room_bits: int
    weight_room_bits: int
    output_room_bits: int
    word_bits: int
    accumulator_bits: int
    bandwidth: Fraction | None

    @cached_property
    def row_folds(self) -> int:
        """Tiles along the rows."""
        return ceil_div(self.row_extent, self.rows)

    @cached_property
    def col_folds(self) -> int:
        """Tiles along the columns."""
        return ceil_div(self.col_extent, self.cols)

    @cached_property
    def chunks(self) -> int:
        """Visits to each stationary tile; one with the output stationary."""
        return ceil_div(self.stream_extent, self.chunk)

    @cached_property
    def last_rows(self) -> int:
        """Rows of the last row tile."""
        return self.row_extent - (self.row_folds - 1) * self.rows

    @cached_property
    def last_cols(self) -> int:
        """Columns of the last column tile."""
        return self.col_extent - (self.col_folds - 1) * self.cols

    @cached_property
    def outer_folds(self) -> int:
        """Passes per chunk."""
        return self.row_folds if self.outer == "rows" else self.col_folds

    @cached_property
    def spills(self) -> bool:
        """Whether the partial sums of a chunk overflow the output buffer between row folds."""
        live_bits = self.chunk * min(self.cols, self.col_extent) * self.accumulator_bits
        return self.stationary != "output" and self.row_folds > 1 and live_bits > self.output_room_bits

    @cached_property
    def weights_fit(self) -> bool:
        """Whether one product's weights stay in their buffer as a whole."""
        return self.weight_visit * self.word_bits <= self.weight_room_bits

    @cached_property
    def inputs_fit(self) -> bool:
        """Whether one product's inputs stay in their buffer as a whole."""
        return self.input_visit * self.word_bits <= self.input_room_bits

    @cached_property
    def totals(self) -> Totals:
        """Cycles and off-chip words of the layer, summed over the classes of equal passes."""
        sums = [0, 0, 0, 0, 0, 0, 0]
        stall = self.transfer_cycles(self.startup_bits) + self.transfer_cycles(self.tail_bits)
        for count, one in self.classes():
            for i, value in enumerate(one):
                sums[i] += count * value
            if self.bandwidth is not None:
                stall += count * self.stall_cycles(one)
        if self.bandwidth is not None:
            stall += sum(self.stall_cycles(one, moved) - self.stall_cycles(one) for one, moved in self._ends())
        fill, compute, drain, *words = sums
        return Totals(fill, compute, drain, stall, *words)

    def classes(self) -> Iterator[tuple[int, Pass]]:
        """Yield (how often, pass) for each kind: first, inner and last chunk and tile, cold and warm copies."""
        for copies, warm in ((self.copies - self.warm_copies, False), (self.warm_copies, True)):
            if copies:
                for chunk, in_chunks in _classes(self.chunks):
                    for tile, in_tiles in _classes(self.outer_folds):
                        yield copies * in_chunks * in_tiles, self.pass_at(chunk, tile, warm)

    def walk(self) -> Iterator[tuple[Pass, int]]:
        """Yield every pass in order, with the bits that move while it computes."""
        last = (self.copies - 1, self.chunks - 1, self.outer_folds - 1)
        for copy in range(self.copies):
            for chunk in range(self.chunks):
                for tile in range(self.outer_folds):
                    one = self.pass_at(chunk, tile, copy >= self.copies - self.warm_copies)
                    at = (copy, chunk, tile)
                    aside = (self.startup_bits if at == (0, 0, 0) else 0) + (self.tail_bits if at == last else 0)
                    yield one, self.moved_bits(one) - aside

    def pass_at(self, chunk: int, tile: int, warm: bool = False) -> Pass:
        """Return the pass over outer tile number `tile` in chunk number `chunk`, of a copy with `warm` weights."""
        return self._output_pass(tile, warm) if self.stationary == "output" else self._operand_pass(chunk, tile, warm)

    def moved_bits(self, one: Pass) -> int:
        """Return the bits a pass moves on and off the chip."""
        words = one.input_words + one.weight_words + one.output_words
        return words * self.word_bits + 2 * one.psum_words * self.accumulator_bits

    def transfer_cycles(self, bits: int) -> int:
        """Return the cycles that `bits` take off-chip."""
        return 0 if self.bandwidth is None else -(-bits * self.bandwidth.denominator // self.bandwidth.numerator)

    def stall_cycles(self, one: Pass, aside_bits: int = 0) -> int:
        """Return the cycles a pass waits for what it moves, less `aside_bits` that move before or after it."""
        return max(0, self.transfer_cycles(self.moved_bits(one) - aside_bits) - one[0] - one[1] - one[2])

    @cached_property
    def startup_bits(self) -> int:
        """What must arrive before the first fold can start: its tiles, as far as their buffers hold them."""
        first = self.pass_at(0, 0)
        if self.stationary == "output":
            inner = self.row_folds if self.outer == "cols" else self.col_folds
            by_rows = self.outer == "rows"
            input_words = first.input_words if by_rows and self._outer_fits(0) else ceil_div(first.input_words, inner)
            weight_words = (
                first.weight_words if not by_rows and self._outer_fits(0) else ceil_div(first.weight_words, inner)
            )
        else:
            tile_rows = min(self.rows, self.row_extent)
            input_words, weight_words = (
                ceil_div(words * tile_rows, self.row_extent) for words in (first.input_words, first.weight_words)
            )
        return min(input_words * self.word_bits, self.input_room_bits) + min(
            weight_words * self.word_bits, self.weight_room_bits
        )

    @cached_property
    def tail_bits(self) -> int:
        """What leaves after the last fold: its outputs, as far as their buffer holds them."""
        along = self.last_rows if self.stationary == "output" else self.stream_extent - (self.chunks - 1) * self.chunk
        return min(along * self.last_cols * self.word_bits, self.output_room_bits)

    def nest(self, layer: Layer) -> tuple[Loop, ...]:
        """Return the loop nest of `layer`, outermost loop first."""
        extent = extents(layer)
        on_rows, on_cols, streamed = AXES[self.stationary]
        tile_rows, tile_cols = min(self.rows, self.row_extent), min(self.cols, self.col_extent)
        folds = [
            Loop("buffer", on_rows, extent[on_rows], tile_rows),
            Loop("buffer", on_cols, extent[on_cols], tile_cols),
        ]
        if self.outer == "cols":
            folds.reverse()
        return (
            Loop("dram", "G", extent["G"], 1),
            Loop("dram", streamed, extent[streamed], self.chunk),
            *folds,
            Loop("array", on_rows, tile_rows, 1, "rows"),
            Loop("array", on_cols, tile_cols, 1, "cols"),
            Loop("array", streamed, self.chunk, 1),
        )

    def _operand_pass(self, chunk: int, tile: int, warm: bool) -> Pass:
        """A pass with weights or inputs stationary: all row folds of one column tile, so that partial sums complete."""
        last_chunk, last_tile = chunk == self.chunks - 1, tile == self.col_folds - 1
        stream = self.stream_extent - (self.chunks - 1) * self.chunk if last_chunk else self.chunk
        width = self.last_cols if last_tile else self.cols
        weights_kept, by_weight = self.weights_fit, self.stationary == "weight"
        held, passing = (self.weight_visit, self.input_visit) if by_weight else (self.input_visit, self.weight_visit)
        held_kept, room = (
            (weights_kept, self.input_room_bits) if by_weight else (self.inputs_fit, self.weight_room_bits)
        )
        held_words = 0 if held_kept and chunk else _share(held, tile, self.col_folds, self.cols, self.col_extent)
        passing_words = _share(passing, chunk, self.chunks, self.chunk, self.stream_extent)
        if tile and passing_words * self.word_bits <= room:
            passing_words = 0
        inputs, weights = (passing_words, held_words) if by_weight else (held_words, passing_words)
        fill, drain = self._fill_and_drain(stream, width, chunk == 0 and tile == 0, last_chunk and last_tile)
        psums = (self.row_folds - 1) * stream * width if self.spills else 0
        return Pass(fill, self.row_folds * stream, drain, inputs, 0 if warm else weights, stream * width, psums)

    def _output_pass(self, tile: int, warm: bool) -> Pass:
        """A pass with outputs stationary: one tile of the outer axis against all tiles of the inner one."""
        by_rows = self.outer == "rows"
        if by_rows:
            size = self.last_rows if tile == self.row_folds - 1 else self.rows
            inner_folds, inner_extent, visit, inner_visit = (
                self.col_folds,
                self.col_extent,
                self.input_visit,
                self.weight_visit,
            )
            inner_kept, across = self.weights_fit, _share(visit, tile, self.row_folds, self.rows, self.row_extent)
        else:
            size = self.last_cols if tile == self.col_folds - 1 else self.cols
            inner_folds, inner_extent, visit, inner_visit = (
                self.row_folds,
                self.row_extent,
                self.weight_visit,
                self.input_visit,
            )
            inner_kept, across = self.inputs_fit, _share(visit, tile, self.col_folds, self.cols, self.col_extent)
        outer_words = across if self._outer_fits(tile) else across * inner_folds
        inner_words = 0 if inner_kept and tile else inner_visit
        skew = inner_extent + inner_folds * (size - 2) if self.tight else inner_folds * (self.rows + self.cols - 2)
        inputs, weights = (outer_words, inner_words) if by_rows else (inner_words, outer_words)
        return Pass(0, inner_folds * self.stream_extent, skew, inputs, 0 if warm else weights, size * inner_extent, 0)

    def _outer_fits(self, tile: int) -> bool:
        """Whether an outer tile of a stationary output stays in its buffer while the inner tiles go by."""
        if self.outer == "rows":
            words, room = (
                _share(self.input_visit, tile, self.row_folds, self.rows, self.row_extent),
                self.input_room_bits,
            )
        else:
            words, room = (
                _share(self.weight_visit, tile, self.col_folds, self.cols, self.col_extent),
                self.weight_room_bits,
            )
        return words * self.word_bits <= room

    def _fill_and_drain(self, stream: int, width: int, first: bool, last: bool) -> tuple[int, int]:
        """Return the cycles of a pass's row folds in which tiles load and in which the skewed wave leaves."""
        folds = self.row_folds
        drain = self.row_extent + folds * (width - 2) if self.tight else folds * (self.rows + self.cols - 2)
        if not self.overlapped:
            return self.row_extent if self.tight else folds * self.rows, drain
        full, edge = (min(self.rows, self.row_extent), self.last_rows) if self.tight else (self.rows, self.rows)
        skew, last_skew = (full + width - 2, edge + width - 2) if self.tight else (self.rows + self.cols - 2,) * 2
        exposed = full if first else 0
        if folds > 1:
            exposed += (folds - 2) * max(0, full - stream - skew) + max(0, edge - stream - skew)
        return exposed + (0 if last else max(0, full - stream - last_skew)), drain

    def _ends(self) -> list[tuple[Pass, int]]:
        """Return the first and last pass with the bits that move before and after them, joined where they are one."""
        last = self.pass_at(self.chunks - 1, self.outer_folds - 1, self.warm_copies > 0)
        if self.copies * self.chunks * self.outer_folds == 1:
            return [(last, self.startup_bits + self.tail_bits)]
        return [(self.pass_at(0, 0), self.startup_bits), (last, self.tail_bits)]


def _share(words: int, tile: int, tiles: int, size: int, extent: int) -> int:
    """Return tile number `tile`'s part of `words` spread over `extent`; the parts of all tiles sum to `words`."""
    full = words * size // extent
    return full if tile < tiles - 1 else words - (tiles - 1) * full


def _classes(count: int) -> tuple[tuple[int, int], ...]:
    """Return (index, how often) of the first, the inner and the last of `count`."""
    if count == 1:
        return ((0, 1),)
    return ((0, 1), (count - 1, 1)) if count == 2 else ((0, 1), (1, count - 2), (count - 1, 1))
