"""Nodes on a network of links, and how an image is cut into rectangles for them and for the tiles of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, isqrt
from typing import Literal, NamedTuple

from hwsim.units import BITS_PER_BYTE, ceil_div

Topology = Literal["mesh", "torus", "ring"]

PACKET_BITS, HEADER_BITS = 64 * BITS_PER_BYTE, 8 * BITS_PER_BYTE
"""A packet's most data, and the request before it: HyperTransport I/O Link Specification 2.00, 2004."""


class Split(NamedTuple):
    """Into how many parts maps, rows and columns are cut."""

    maps: int
    rows: int
    cols: int


class Axis(NamedTuple):
    """One direction of the network: `size` nodes in a line, or a circle if it `wraps`."""

    size: int
    wraps: bool


@dataclass(frozen=True)
class Nodes:
    """Equal nodes, joined by links of `latency_cycles` that carry `bits_per_cycle` in either direction."""

    count: int
    topology: Topology
    latency_cycles: Fraction
    bits_per_cycle: Fraction

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of nodes, as square as their number allows; a ring is one column."""
        return (self.count, 1) if self.topology == "ring" else most_square(self.count)

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """The directions in the order in which messages take them: along a row, then along a column."""
        rows, cols = self.grid
        return Axis(cols, self.topology != "mesh"), Axis(rows, self.topology != "mesh")

    def message_cycles(self, bits: int, hops: int = 1) -> int:
        """Return how long a message of `bits` holds its link: from the head's departure to the tail's arrival.

        Its packets each have a header. What passes nodes on its way (wormhole) pays the latency of every hop, and its
        length once; but where all nodes send as far at once, each link carries `hops` messages in that time.
        """
        wire = wire_bits(bits) / self.bits_per_cycle
        return ceil(max(hops * self.latency_cycles + wire, hops * wire))


def wire_bits(bits: int) -> int:
    """Return the bits that a link carries for a message of `bits`: its packets, each with a header."""
    return bits + ceil_div(bits, PACKET_BITS) * HEADER_BITS


def most_square(count: int) -> tuple[int, int]:
    """Return the divisors of `count` that are nearest to each other, the larger one first."""
    small = next(one for one in range(isqrt(count), 0, -1) if count % one == 0)
    return count // small, small


def splits(tiles: int, image: bool) -> Iterator[Split]:
    """Yield the ways to share a layer among `tiles`: maps by some of them, the places of an image by the rest.

    An image is cut as square as can be; without one, rows are all there is.
    """
    for maps in (one for one in range(1, tiles + 1) if tiles % one == 0):
        large, small = most_square(tiles // maps) if image else (tiles // maps, 1)
        yield Split(maps, large, small)
        if image and large != small:
            yield Split(maps, small, large)
