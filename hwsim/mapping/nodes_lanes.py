"""Layers that are no products on the nodes: pooling and normalising rectangle by rectangle, all else in equal parts."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from hwsim.arch.accelerator import Accelerator
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Kind, Layer
from hwsim.mapping.nodes import fed_neurons, image_of
from hwsim.mapping.nodes_grid import Nodes, Split, splits
from hwsim.mapping.nodes_stages import Compute, Feed, Stage, borders
from hwsim.units import ceil_div

IMAGE = 4
"""Dimensions of a batch of images."""


class Lanes(NamedTuple):
    """Cycles of the busiest tile for one step of a layer: until it has its neurons, and computing."""

    feed_cycles: int
    compute_cycles: int


def lane_stages(layer: Layer, chip: Accelerator, fmt: NumberFormat) -> list[Stage]:
    """Return what nodes do for one step of a layer that is no product: an operation per lane and cycle."""
    nodes: Nodes = chip.options["nodes"]
    exchange = borders(image_of(layer), nodes, fmt.bits) if layer.kind is Kind.POOL else []
    cycles = lane_cycles(layer, chip, fmt)
    return [*exchange, Feed(cycles.feed_cycles), Compute(cycles.compute_cycles)]


def lane_cycles(layer: Layer, chip: Accelerator, fmt: NumberFormat) -> Lanes:
    """Return the cycles of the busiest tile for one step.

    A normalisation over neighbouring maps keeps all maps of a place in one tile, where they come from (Chen et al.,
    MICRO 2014, Sec. V: no communication).
    """
    lanes, fed = chip.options["vector_lanes"][fmt.name], fed_neurons(chip, fmt)
    operations = layer.operations // (layer.steps * layer.output_elements)
    if layer.kind not in (Kind.POOL, Kind.NORMALISATION) or len(layer.output_shape) != IMAGE:
        tiles = chip.options["nodes"].count * chip.options["tiles"]
        given = sum(map(prod, layer.input_shapes))
        return Lanes(ceil_div(given, tiles * fed), operations * ceil_div(layer.output_elements, tiles * lanes))
    batch, channels, *extent = layer.output_shape
    image = image_of(layer)

    def share(split: Split) -> Lanes:
        rows, cols = (
            ceil_div(ceil_div(size, nodes), tiles)
            for size, nodes, tiles in zip(extent, chip.options["nodes"].grid, split[1:], strict=True)
        )
        return Lanes(
            batch * ceil_div(ceil_div(channels, fed), split.maps) * image.inputs(rows, cols),
            operations * batch * ceil_div(ceil_div(channels, lanes), split.maps) * rows * cols,
        )

    ways = [one for one in splits(chip.options["tiles"], image=True) if one.maps == 1 or layer.kind is Kind.POOL]
    return min(map(share, ways), key=sum)
