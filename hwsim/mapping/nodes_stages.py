"""What nodes do for a layer, stage by stage: exchange borders, pass blocks round while computing, add up, compute."""

from __future__ import annotations

from typing import NamedTuple

from hwsim.mapping.nodes_grid import Nodes, wire_bits
from hwsim.units import ceil_div


class Compute(NamedTuple):
    """Every node computes for `cycles`."""

    cycles: int


class Feed(NamedTuple):
    """Every node sends its tiles the neurons that they work on, which takes `cycles`."""

    cycles: int


class Border(NamedTuple):
    """Every node sends the one before it along axis number `axis` so many `messages` of `bits`, each over `hops`."""

    axis: int
    messages: int
    bits: int
    hops: int


class Gather(NamedTuple):
    """Computing and forwarding: every node's block of `bits` comes to all nodes.

    A node computes on a block for `cycles` and then forwards it, along its row and, all blocks of its row as one, along
    its column (Chen et al., MICRO 2014, Sec. V).
    """

    bits: int
    cycles: int


class Reduce(NamedTuple):
    """Every node has a summand of every block of `bits`, and gets the sum of one block: a gather backwards in time."""

    bits: int


Stage = Compute | Feed | Border | Gather | Reduce


class Image(NamedTuple):
    """What a window over an image reads: `channels` at each place of `rows` x `cols` outputs."""

    channels: int
    rows: int
    cols: int
    stride: tuple[int, int]
    reach: tuple[int, int]

    def inputs(self, rows: int, cols: int) -> int:
        """Return the places of the input that a rectangle of outputs reads."""
        down, across = (
            (extent - 1) * stride + reach
            for extent, stride, reach in zip((rows, cols), self.stride, self.reach, strict=True)
        )
        return down * across


def borders(image: Image, nodes: Nodes, bits: int) -> list[Stage]:
    """Return the exchange of borders: what windows of a node's rectangle reach beyond it, columns first, then rows.

    A column's rows are messages of their own, since they lie apart in memory; rows come with their corners.
    """
    own = [
        ceil_div(extent, parts) * stride
        for extent, parts, stride in zip((image.rows, image.cols), nodes.grid, image.stride, strict=True)
    ]
    beyond = [
        max(0, reach - stride) if parts > 1 else 0
        for reach, parts, stride in zip(image.reach, nodes.grid, image.stride, strict=True)
    ]
    hops = [min(parts - 1, ceil_div(far, near)) for parts, far, near in zip(nodes.grid, beyond, own, strict=True)]
    stages: list[Stage] = []
    if beyond[1]:
        stages.append(Border(0, own[0], beyond[1] * image.channels * bits, hops[1]))
    if beyond[0]:
        row_bits = (own[1] + beyond[1]) * image.channels * bits
        stages.append(Border(1, beyond[0], row_bits, hops[0]))
    return stages


def link_bits(stage: Stage, nodes: Nodes) -> int:
    """Return the bits that pass links in a stage, headers included, each time that they pass one."""
    if isinstance(stage, Compute | Feed) or nodes.count == 1:
        return 0
    if isinstance(stage, Border):
        receivers = nodes.count - (0 if nodes.axes[stage.axis].wraps else nodes.count // nodes.axes[stage.axis].size)
        return receivers * stage.messages * wire_bits(stage.bits) * stage.hops
    along, across = nodes.axes
    row = (along.size - 1) * wire_bits(stage.bits)
    return nodes.count * (row + (across.size - 1) * wire_bits(along.size * stage.bits))
