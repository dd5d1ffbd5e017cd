"""The mapping record: a loop nest over memory levels, and the check that it covers a layer exactly once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from hwsim.errors import InputError
from hwsim.ir.layer import Layer
from hwsim.units import ceil_div

if TYPE_CHECKING:
    from hwsim.mapping.folding import Folding
    from hwsim.mapping.passes import Totals

GEMM_DIMS = {"input": ("NPQ", "CRS"), "weight": ("CRS", "K"), "output": ("NPQ", "K")}
"""Dimensions of each operand of a layer seen as a matrix product; flattened loop bounds are written as one word."""


class Loop(NamedTuple):
    """A loop over the flattened dimensions `dims` of extent `bound` in tiles of `tile`, at memory level `level`.

    `axis` is "rows" or "cols" for a spatial loop over the array, empty for one in time.
    """

    level: str
    dims: str
    bound: int
    tile: int
    axis: str = ""

    @property
    def trips(self) -> int:
        """How often the body runs."""
        return ceil_div(self.bound, self.tile)


@dataclass(frozen=True)
class Mapping:
    """HOW a layer is placed by a dataflow: its loop nest. What else is known of it stands in the records of a dataflow.

    `nest` goes from the outermost loop inward; the body of the last is one multiply-accumulate per PE. `bounds` are the
    layer's dimensions as the nest names them, `sides` the most that spatial loops may spread over each axis.
    """

    layer: Layer
    dataflow: str

    @property
    def nest(self) -> tuple[Loop, ...]:
        """Loops from the outermost inward."""
        raise NotImplementedError

    @property
    def bounds(self) -> dict[str, int]:
        """The extent of each dimension of the layer."""
        raise NotImplementedError

    @property
    def sides(self) -> dict[str, int]:
        """The PEs along each axis."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise `InputError` unless the nest covers every loop bound of the layer once and its tiles fit the array."""
        name, sides = self.layer.name, self.sides
        for loop in self.nest:
            if loop.axis and loop.trips > sides[loop.axis]:
                raise InputError(
                    f"mapping of '{name}': {loop.trips} {loop.dims} do not fit {sides[loop.axis]} {loop.axis}"
                )
        covered = {dims: extent for dims, extent in self.bounds.items() if extent > 1}
        for loop in self.nest:
            if loop.bound != covered.get(loop.dims, 1):
                raise InputError(
                    f"mapping of '{self.layer.name}': the loop over {loop.dims} runs over {loop.bound}, "
                    f"not {covered.get(loop.dims, 1)}"
                )
            covered[loop.dims] = loop.tile
        left = {dims: extent for dims, extent in covered.items() if extent != 1}
        if left:
            raise InputError(f"mapping of '{self.layer.name}' leaves loops over {left} open")


@dataclass(frozen=True)
class ArrayMapping(Mapping):
    """HOW a layer is placed on a systolic array: its folds, and what their passes sum up to."""

    folding: Folding
    totals: Totals

    @property
    def stationary(self) -> str:
        """The operand that stays in the PEs: "weight", "input" or "output"."""
        return self.folding.stationary

    @cached_property
    def nest(self) -> tuple[Loop, ...]:
        """Loops from the outermost inward, over the layer as a matrix product."""
        return self.folding.nest(self.layer)

    @property
    def bounds(self) -> dict[str, int]:
        """The extents of the layer as a matrix product."""
        return extents(self.layer)

    @property
    def sides(self) -> dict[str, int]:
        """Rows and columns of the array, or of the part that a tile may use."""
        return {"rows": self.folding.rows, "cols": self.folding.cols}


def extents(layer: Layer) -> dict[str, int]:
    """Return the extents of a layer's flattened dimensions as a matrix product, repetitions in "G"."""
    return {"G": layer.G * layer.steps, "NPQ": layer.positions, "CRS": layer.reduction, "K": layer.K}
