"""An on-chip buffer shared by all activations: which tensor lies where, from when to when."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import NamedTuple

from hwsim.ir.layer import Shape
from hwsim.units import ceil_div


class Lifetime(NamedTuple):
    """A tensor of `size_bits` that is written at time `first` and read until time `last`, both inclusive."""

    tensor: str
    size_bits: int
    first: int
    last: int


class Placement(NamedTuple):
    """Where a tensor lies while it lives."""

    lifetime: Lifetime
    offset_bits: int

    @property
    def end_bits(self) -> int:
        """The first bit behind it."""
        return self.offset_bits + self.lifetime.size_bits


def allocate(lifetimes: Iterable[Lifetime]) -> list[Placement]:
    """Return a place for each tensor such that none that live at the same time overlap.

    Larger tensors go first, each to the lowest gap it fits (greedy by size: Pisarchyk and Lee, "Efficient memory
    management for deep neural net inference", MLSys workshop 2020).
    """
    placed: list[Placement] = []
    for one in sorted(lifetimes, key=lambda life: (-life.size_bits, life.first, life.tensor)):
        at = 0
        for other in sorted(placed, key=lambda place: place.offset_bits):
            if other.lifetime.first > one.last or other.lifetime.last < one.first:
                continue
            if other.offset_bits - at >= one.size_bits:
                break
            at = max(at, other.end_bits)
        placed.append(Placement(one, at))
    return placed


def peak_bits(placements: Iterable[Placement]) -> int:
    """Return the bits from the start of the buffer to the end of what lies highest."""
    return max((place.end_bits for place in placements), default=0)


def rows_of(shape: Shape, lanes: int) -> int:
    """Return the rows of `lanes` values that hold a tensor, with as many positions in a row as their channels allow.

    Channels are the second dimension of an image (N, C, H, W), else the last.
    """
    if not shape:
        return 1
    channels = shape[1] if len(shape) == 4 else shape[-1]
    positions = prod(shape) // channels
    return positions * ceil_div(channels, lanes) if channels > lanes else ceil_div(positions, lanes // channels)
