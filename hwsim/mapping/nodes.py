"""Layers on nodes of tiles: which part of a layer each node and each tile computes, and what nodes tell each other.

| place       | nodes share         | so that they exchange                      | used for                            |
|-------------|---------------------|--------------------------------------------|-------------------------------------|
| `positions` | the image           | borders, and kernels that no node can hold | convolutions                        |
| `outputs`   | output neurons      | all inputs, computing and forwarding       | fully connected layers              |
| `reduction` | the sums' summands  | partial sums                               | gradients of inputs (`outputs`)     |
|             |                     |                                            | and of kernels                      |
| `update`    | rows of the weights | nothing                                    | gradients of weights (`outputs`)    |

Within a node, tiles share output maps and the image; which share of which takes the fewest cycles is chosen, among
those whose kernels fit a tile's eDRAM. A tile multiplies 16 inputs by 16 outputs per cycle; its adders are a tree for
each output or, in updates, one per product (Chen et al., MICRO 2014, Sec. V).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Literal, NamedTuple

from hwsim.arch.accelerator import Accelerator
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Kind, Layer
from hwsim.ir.training import INPUT_GRADIENT, WEIGHT_GRADIENT
from hwsim.mapping.loops import Loop, Mapping
from hwsim.mapping.nodes_grid import Nodes, Split, splits
from hwsim.mapping.nodes_stages import Compute, Feed, Gather, Image, Reduce, Stage, borders
from hwsim.units import ceil_div

Place = Literal["positions", "outputs", "reduction", "update"]

PRIVATE = "private"
"""The function of a product whose weights are those of one place of an image each."""

SHARED = {"outputs": "K", "update": "N"}
"""The dimension that nodes share, where it is one alone and all nodes have a part of it."""


class Lanes(NamedTuple):
    """What a tile takes in per cycle: inputs of each of so many outputs."""

    inputs: int
    outputs: int


@dataclass(frozen=True)
class NodesMapping(Mapping):
    """HOW a layer is placed on nodes: how they share it, how tiles do, and the lanes of a tile.

    `kernels_apart` says that kernels are spread over nodes, since no node holds all of them; a tile of an image is sent
    `fed` neurons per cycle.
    """

    place: Place
    nodes: Nodes
    tiles: Split
    lanes: Lanes
    kernels_apart: bool = False
    fed: int = 0

    @property
    def bounds(self) -> dict[str, int]:
        """The extent of each dimension; those of private kernels have the places of the image in P and Q."""
        return extents(self.layer)

    @property
    def sides(self) -> dict[str, int]:
        """Parts of each kind that there may be."""
        rows, cols = self.nodes.grid
        return {
            "nodes": self.nodes.count,
            "node_rows": rows,
            "node_cols": cols,
            "tile_maps": self.tiles.maps,
            "tile_rows": self.tiles.rows,
            "tile_cols": self.tiles.cols,
            "lane_inputs": self.lanes.inputs,
            "lane_outputs": self.lanes.outputs,
        }

    @cached_property
    def nest(self) -> tuple[Loop, ...]:
        """Loops over nodes, over tiles, over time, and over the lanes of a tile."""
        loops: list[Loop] = []
        left = dict(self.bounds)
        for level, dims, parts, axis in (*self._node_loops(), *self._tile_loops()):
            tile = ceil_div(left[dims], parts)
            if dims == "K" and level == "tiles":
                # whole groups of outputs, as many as pass the lanes together
                tile = min(left["K"], ceil_div(ceil_div(left["K"], self.lanes.outputs), parts) * self.lanes.outputs)
            loops.append(Loop(level, dims, left[dims], tile, axis))
            left[dims] = tile
        reduced = summed(self.layer)
        lanes = {reduced: min(self.lanes.inputs, left[reduced]), "K": min(self.lanes.outputs, left["K"])}
        order = (
            *(dims for dims in "GNPQ" if dims != reduced),
            "K",
            *(dims for dims in "CRS" if dims != reduced),
            reduced,
        )
        loops += [Loop("time", dims, left[dims], lanes.get(dims, 1)) for dims in order]
        return (
            *loops,
            Loop("lanes", "K", lanes["K"], 1, "lane_outputs"),
            Loop("lanes", reduced, lanes[reduced], 1, "lane_inputs"),
        )

    def _node_loops(self) -> list[tuple[str, str, int, str]]:
        rows, cols = self.nodes.grid
        if self.place in SHARED:
            return [("nodes", SHARED[self.place], self.nodes.count, "nodes")]
        if self.place == "reduction" and self.layer.kind is not Kind.CONV:
            return [("nodes", "C", self.nodes.count, "nodes")]
        down, across = ("P", "Q") if self.place == "positions" else ("R", "S")
        return [("nodes", down, rows, "node_rows"), ("nodes", across, cols, "node_cols")]

    def _tile_loops(self) -> list[tuple[str, str, int, str]]:
        down = "P" if has_image(self.layer) else "N"
        return [
            ("tiles", "K", self.tiles.maps, "tile_maps"),
            ("tiles", down, self.tiles.rows, "tile_rows"),
            ("tiles", "Q", self.tiles.cols, "tile_cols"),
        ]

    @cached_property
    def compute_cycles(self) -> int:
        """Cycles in which the busiest tile multiplies, all steps of the layer."""
        if self.place == "outputs":
            return self.layer.steps * self.nodes.count * self._block_cycles
        return prod(loop.trips for loop in self.nest if loop.level == "time")

    @cached_property
    def feed_cycles(self) -> int:
        """Cycles until the tiles have the part of an image that they work on, in one step."""
        if self.place != "positions":
            return 0
        image = image_of(self.layer)
        tile = {loop.dims: loop.tile for loop in self.nest if loop.level == "tiles"}
        return ceil_div(image.channels, self.fed) * image.inputs(tile["P"], tile["Q"])

    @property
    def _block_cycles(self) -> int:
        """Cycles of one node's block of inputs in one step."""
        block = ceil_div(ceil_div(self.layer.C, self.nodes.count), self.lanes.inputs)
        trips = prod(loop.trips for loop in self.nest if loop.level == "time" and loop.dims not in "GC")
        return self.layer.G * trips * block

    def stages(self, fmt: NumberFormat) -> list[Stage]:
        """Return what nodes do in one step of the layer."""
        layer, count = self.layer, self.nodes.count
        if self.place == "outputs":
            given = sum(map(prod, layer.input_shapes))
            return [Gather(ceil_div(given, count) * fmt.bits, self._block_cycles)]
        computing = Compute(self.compute_cycles // layer.steps)
        if self.place == "update":
            return [computing]
        if self.place == "reduction":
            bits = ceil_div(layer.output_elements, count) * fmt.accumulator_bits
            shared = [Gather(bits, 0)] if layer.kind is Kind.CONV else []
            return [computing, Reduce(bits), *shared]
        before = [*borders(image_of(layer), self.nodes, fmt.bits), Feed(self.feed_cycles)]
        if not self.kernels_apart:
            return [*before, computing]
        block = ceil_div(layer.weight_elements, count) * fmt.operand_bits("weight")
        return [*before, Gather(block, ceil_div(computing.cycles, count))]


def place_on_nodes(layer: Layer, chip: Accelerator, fmt: NumberFormat) -> NodesMapping:
    """Return the mapping of `layer` that takes the fewest cycles."""
    nodes, room = chip.options["nodes"], chip.options["tile_edram_bits"]
    place, lanes = place_of(layer), lanes_of(chip, fmt)
    if place == "update":
        lanes = Lanes(1, lanes.inputs * lanes.outputs)
    apart = place == "positions" and not _fits_a_node(layer, chip, fmt)
    candidates = [
        NodesMapping(layer, "no_local_reuse", place, nodes, split, lanes, apart, fed_neurons(chip, fmt))
        for split in splits(chip.options["tiles"], has_image(layer))
    ]
    fitting = [one for one in candidates if _kernel_bits(one, fmt) <= room]
    return min(fitting or candidates[-1:], key=_cost)


def _cost(one: NodesMapping) -> tuple[int, int]:
    """Return the cycles of a mapping and, where they are equal, what prefers one.

    Those are whole maps in one tile on an image, and neurons that more tiles share without one.
    """
    maps = one.tiles.maps
    return one.compute_cycles + one.feed_cycles * one.layer.steps, maps if has_image(one.layer) else -maps


def lanes_of(chip: Accelerator, fmt: NumberFormat) -> Lanes:
    """Return the lanes of a tile: 16 inputs, and as many outputs as its multipliers allow in `fmt`."""
    full: Lanes = chip.options["lanes"]
    return full._replace(outputs=int(full.outputs * chip.array.macs_per_cycle[fmt.name]))


def fed_neurons(chip: Accelerator, fmt: NumberFormat) -> int:
    """Return the neurons that a tile is sent per cycle."""
    bits: int = chip.options["feed_bits"]
    return bits // fmt.bits


def place_of(layer: Layer) -> Place:
    """Return how nodes share `layer`."""
    if layer.function == WEIGHT_GRADIENT:
        return "reduction" if layer.kind is Kind.CONV else "update"
    if layer.kind is Kind.CONV or layer.function == PRIVATE:
        return "positions"
    return "reduction" if layer.function == INPUT_GRADIENT else "outputs"


def has_image(layer: Layer) -> bool:
    """Whether the outputs of a product lie on an image."""
    return layer.kind is Kind.CONV or layer.function == PRIVATE


def summed(layer: Layer) -> str:
    """Return the dimension that the inputs of a cycle lie along: maps, or places for the gradient of a kernel."""
    return "S" if layer.kind is Kind.CONV and layer.function == WEIGHT_GRADIENT else "C"


def extents(layer: Layer) -> dict[str, int]:
    """Return the extents of the loops of a product, repetitions in "G"."""
    G, P, Q = layer.G, layer.P, layer.Q
    if layer.function == PRIVATE:
        G, P, Q = 1, *layer.output_shape[2:]
    return {
        "G": G * layer.steps,
        "N": layer.N,
        "K": layer.K,
        "C": layer.C,
        "P": P,
        "Q": Q,
        "R": layer.R,
        "S": layer.S,
    }


def image_of(layer: Layer) -> Image:
    """Return what the windows of a convolution, a pooling layer or one of private kernels read."""
    batch, channels, height, width = layer.input_shapes[0]
    rows, cols = layer.output_shape[2:]
    reach = [dilation * (taps - 1) + 1 for dilation, taps in zip(layer.dilation, (layer.R, layer.S), strict=True)]
    if layer.function == PRIVATE:
        reach = [height - rows + 1, width - cols + 1]
    return Image(batch * channels, rows, cols, layer.stride, (reach[0], reach[1]))


def _kernel_bits(one: NodesMapping, fmt: NumberFormat) -> int:
    """Return the synapses that a tile keeps of a layer whose kernels are shared by the image."""
    if one.place != "positions" or one.layer.function == PRIVATE:
        return 0
    (maps,) = (loop.tile for loop in one.nest if (loop.level, loop.dims) == ("tiles", "K"))
    return one.layer.G * maps * one.layer.reduction * fmt.operand_bits("weight")


def _fits_a_node(layer: Layer, chip: Accelerator, fmt: NumberFormat) -> bool:
    """Whether a node holds all kernels of a convolution and its part of the neurons."""
    if layer.function == PRIVATE:
        return True
    neurons = (sum(map(prod, layer.input_shapes)) + layer.output_elements) * fmt.bits
    kernels = layer.weight_elements * fmt.operand_bits("weight")
    room: int = chip.options["node_bits"]
    return kernels + ceil_div(neurons, chip.options["nodes"].count) <= room
