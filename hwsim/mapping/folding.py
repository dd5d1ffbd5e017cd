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
from dataclasses import dataclass, field, fields
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

    output_stationary: bool = _derived()
    rows_outer: bool = _derived()
    row_folds: int = _derived()
    col_folds: int = _derived()
    last_rows: int = _derived()
    last_cols: int = _derived()
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
        numbers = derived(self, self.stationary == "output", self.stationary == "weight", self.outer == "rows")
        self.__dict__.update(zip(DERIVED, numbers, strict=True))

    @property
    def chunks(self) -> int:
        """Visits to each stationary tile; one with the output stationary."""
        return 1 if self.output_stationary else self.outer_count

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


DERIVED = tuple(one.name for one in fields(Folding) if not one.init)
"""What `derived` returns, in its order."""


def derived(f: Folding, output_stationary: bool, weight_stationary: bool, rows_outer: bool) -> tuple[Any, ...]:
    """Return what follows from `f`, a folding or its numbers alone, in the order of `DERIVED`.

    This and `hwsim.mapping.passes` are also compiled as they stand (`hwsim.engine.array_points_kernels`), for which
    they keep to numbers, tuples and lists.
    """
    row_folds, col_folds = ceil_div(f.row_extent, f.rows), ceil_div(f.col_extent, f.cols)
    spills = False
    if output_stationary:
        passing_is_input = rows_outer
        outer_size, outer_extent = (f.rows, f.row_extent) if rows_outer else (f.cols, f.col_extent)
        pass_folds, inner_size, inner_extent = col_folds if rows_outer else row_folds, 1, 1
    else:
        outer_size, outer_extent, pass_folds = f.chunk, f.stream_extent, row_folds
        inner_size, inner_extent = f.cols, f.col_extent
        passing_is_input = weight_stationary
        spills = row_folds > 1 and f.chunk * min(f.cols, f.col_extent) * f.accumulator_bits > f.output_room_bits
    by_input, by_weight = (f.input_visit, f.input_room_bits), (f.weight_visit, f.weight_room_bits)
    passing, held = (by_input, by_weight) if passing_is_input else (by_weight, by_input)
    return (
        output_stationary,
        rows_outer,
        row_folds,
        col_folds,
        f.row_extent - (row_folds - 1) * f.rows,
        f.col_extent - (col_folds - 1) * f.cols,
        outer_size,
        outer_extent,
        ceil_div(outer_extent, outer_size),
        inner_size,
        inner_extent,
        ceil_div(inner_extent, inner_size),
        pass_folds,
        passing_is_input,
        passing[0],
        passing[1],
        held[0],
        held[1],
        spills,
    )


def made_of(given: Mapping[str, Any], **changes: Any) -> Folding:
    """Return `Folding(**given, **changes)`, quicker than the constructor of a frozen record."""
    folding = object.__new__(Folding)
    folding.__dict__.update(given, **changes)
    folding.__post_init__()
    return folding
