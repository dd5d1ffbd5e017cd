"""A matrix product cut into folds of a systolic array, grouped into passes.

A layer is the product of positions x reduction (input) by reduction x filters (weight). The stationary operand's two
dimensions lie on the array's rows and columns; the third streams through. A fold is one tile of rows x columns with its
stream. A pass is a run of folds, one outer tile against all tiles of the axis that varies fastest:

| stationary    | outer index                | inner index | folds of a pass | held operand | passing operand |
|---------------|----------------------------|-------------|-----------------|--------------|-----------------|
| weight        | chunk of the stream        | column tile | row tiles       | weight       | input           |
| input         | chunk of the stream        | column tile | row tiles       | input        | weight          |
| output        | row tile (or column tile)  | one         | the other tiles | the other's  | the outer's     |

The passing operand is divided over the outer index and comes again for every inner one, unless its part fits its
buffer; the held operand is divided over the inner index and comes again for every outer one, unless it fits as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from hwsim.mapping.loops import Loop, extents
from hwsim.units import ceil_div

if TYPE_CHECKING:
    from hwsim.ir.layer import Layer

Operand = Literal["input", "weight", "output"]

AXES = {"weight": ("CRS", "K", "NPQ"), "input": ("CRS", "NPQ", "K"), "output": ("NPQ", "K", "CRS")}
"""Which dimensions lie on the rows and columns, and which stream, by the stationary operand."""


def _derived() -> Any:
    return field(init=False, repr=False, compare=False)


@dataclass(frozen=True)
class Folding:
    """The folds of a layer. Extents are of one of `copies` equal products (steps, groups, parts) done in sequence.

    `chunk` is how much of the stream passes before the next stationary tile is loaded; with the output stationary it is
    all of it, and `outer` says which axis's tiles are the outer ones. `input_visit` and `weight_visit` are the off-chip
    words of one visit to the whole operand, the rooms are usable bits of its buffer. `warm_copies` of the copies find
    their weights on chip. A batch may be cut into `parts`. Bandwidth is (bits, in cycles), None without limit.

    What follows from these is derived once, because a search makes many foldings: tiles along rows and columns, what
    the table above says, and `spills`: whether the partial sums of a chunk overflow the output buffer between row
    folds, and go off-chip.
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
    parts: int
    copies: int
    warm_copies: int
    input_visit: int
    weight_visit: int
    input_room_bits: int
    weight_room_bits: int
    output_room_bits: int
    word_bits: int
    output_bits: int
    accumulator_bits: int
    bandwidth: tuple[int, int] | None

    row_folds: int = _derived()
    col_folds: int = _derived()
    outer_size: int = _derived()
    outer_extent: int = _derived()
    outer_count: int = _derived()
    inner_size: int = _derived()
    inner_extent: int = _derived()
    inner_count: int = _derived()
    pass_folds: int = _derived()
    passing_is_input: bool = _derived()
    passing_visit: int = _derived()
    passing_room_bits: int = _derived()
    held_visit: int = _derived()
    held_room_bits: int = _derived()
    spills: bool = _derived()

    def __post_init__(self) -> None:
        """Derive the axes of the passes."""
        row_folds, col_folds = ceil_div(self.row_extent, self.rows), ceil_div(self.col_extent, self.cols)
        spills = False
        if self.stationary == "output":
            by_rows = passing_is_input = self.outer == "rows"
            outer_size, outer_extent = (self.rows, self.row_extent) if by_rows else (self.cols, self.col_extent)
            pass_folds, inner_size, inner_extent = col_folds if by_rows else row_folds, 1, 1
        else:
            outer_size, outer_extent, pass_folds = self.chunk, self.stream_extent, row_folds
            inner_size, inner_extent = self.cols, self.col_extent
            passing_is_input = self.stationary == "weight"
            live_bits = self.chunk * min(self.cols, self.col_extent) * self.accumulator_bits
            spills = row_folds > 1 and live_bits > self.output_room_bits
        operands = (self.input_visit, self.input_room_bits), (self.weight_visit, self.weight_room_bits)
        passing, held = operands if passing_is_input else operands[::-1]
        outer_count, inner_count = ceil_div(outer_extent, outer_size), ceil_div(inner_extent, inner_size)
        self.__dict__.update(
            row_folds=row_folds,
            col_folds=col_folds,
            outer_size=outer_size,
            outer_extent=outer_extent,
            outer_count=outer_count,
            inner_size=inner_size,
            inner_extent=inner_extent,
            inner_count=inner_count,
            pass_folds=pass_folds,
            passing_is_input=passing_is_input,
            passing_visit=passing[0],
            passing_room_bits=passing[1],
            held_visit=held[0],
            held_room_bits=held[1],
            spills=spills,
        )

    @property
    def last_rows(self) -> int:
        """Rows of the last row tile."""
        return self.row_extent - (self.row_folds - 1) * self.rows

    @property
    def last_cols(self) -> int:
        """Columns of the last column tile."""
        return self.col_extent - (self.col_folds - 1) * self.cols

    @property
    def chunks(self) -> int:
        """Visits to each stationary tile; one with the output stationary."""
        return 1 if self.stationary == "output" else self.outer_count

    @property
    def passes(self) -> int:
        """Passes of all copies."""
        return self.copies * self.outer_count * self.inner_count

    def but(self, **changes: Any) -> Folding:
        """Return the folding with some of what it is made of changed."""
        return made_of(self.__dict__, **changes)

    def nest(self, layer: Layer) -> tuple[Loop, ...]:
        """Return the loop nest of `layer`, outermost loop first."""
        extent = extents(layer)
        on_rows, on_cols, streamed = AXES[self.stationary]
        tile_rows, tile_cols = min(self.rows, self.row_extent), min(self.cols, self.col_extent)
        positions = extent["NPQ"]
        extent["NPQ"] //= self.parts
        tiles = [
            Loop("buffer", on_rows, extent[on_rows], tile_rows),
            Loop("buffer", on_cols, extent[on_cols], tile_cols),
        ]
        if self.outer == "cols":
            tiles.reverse()
        return (
            Loop("dram", "G", extent["G"], 1),
            *([Loop("dram", "NPQ", positions, extent["NPQ"])] if self.parts > 1 else []),
            Loop("dram", streamed, extent[streamed], self.chunk),
            *tiles,
            Loop("array", on_rows, tile_rows, 1, "rows"),
            Loop("array", on_cols, tile_cols, 1, "cols"),
            Loop("array", streamed, self.chunk, 1),
        )


def made_of(given: Mapping[str, Any], **changes: Any) -> Folding:
    """Return `Folding(**given, **changes)`, quicker than the constructor of a frozen record."""
    folding = object.__new__(Folding)
    folding.__dict__.update(given, **changes)
    folding.__post_init__()
    return folding
