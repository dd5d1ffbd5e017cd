"""What nodes and tiles compute, part by part in the order of a mapping: the check that the parts make up the layer.

Every tile computes its rectangle of the image, or its outputs, from the inputs that its node has or is sent, 16 at a
time; partial sums have the accumulator's width and wrap as it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.formats import NumberFormat
from hwsim.functional.lowering import input_matrix, weight_matrix
from hwsim.mapping.nodes import NodesMapping

Array = NDArray[Any]


def computed(mapping: NodesMapping, x: Array, weights: Array, fmt: NumberFormat) -> Array:
    """Return the outputs (G, N P Q, K) of one step, each from the tile that computes it.

    `x` and `weights` have the shapes of `functional.lowering.random_operands`. Every output is written once: what is
    left over keeps a value that no test of a whole layer would miss, the smallest of the accumulator.
    """
    layer = mapping.layer
    out = np.full((layer.G, layer.positions, layer.K), np.iinfo(fmt.accumulator).min, fmt.accumulator)
    rows = np.arange(layer.positions).reshape(layer.N, layer.P, layer.Q)
    for group in range(layer.G):
        a, b = input_matrix(layer, x, group), weight_matrix(layer, weights, group)
        for images, down, across, maps in _parts(mapping):
            places = rows[images, down, across].ravel()
            out[group][np.ix_(places, np.arange(layer.K)[maps])] = _tile(mapping, a[places], b[:, maps], fmt)
    return out


def _tile(mapping: NodesMapping, a: Array, b: Array, fmt: NumberFormat) -> Array:
    """Return the product of a tile, in blocks of as many inputs as pass the lanes at once, as they come."""
    sums = np.zeros((a.shape[0], b.shape[1]), np.int64)
    for block in _blocks(mapping, a.shape[1]):
        sums += a[:, block].astype(np.int64) @ b[block].astype(np.int64)
        sums = sums.astype(fmt.accumulator).astype(np.int64)
    return sums.astype(fmt.accumulator)


def _blocks(mapping: NodesMapping, reduction: int) -> Iterator[slice]:
    """Yield the inputs of each cycle: of fully connected layers those of one node after those of the next."""
    parts = mapping.nodes.count if mapping.place == "outputs" else 1
    own = -(-reduction // parts)
    for first in range(0, reduction, own):
        last = min(reduction, first + own)
        for at in range(first, last, mapping.lanes.inputs):
            yield slice(at, min(last, at + mapping.lanes.inputs))


def _parts(mapping: NodesMapping) -> Iterator[tuple[slice, slice, slice, slice]]:
    """Yield images, rows, columns and maps of each tile of each node, as the spatial loops of the mapping cut them."""
    cuts: dict[str, list[slice]] = {dims: [slice(0, mapping.bounds[dims])] for dims in "NPQK"}
    for loop in mapping.nest:
        if loop.level in ("nodes", "tiles") and loop.dims in cuts:
            cuts[loop.dims] = [
                slice(at, min(part.stop, at + loop.tile))
                for part in cuts[loop.dims]
                for at in range(part.start, part.stop, loop.tile)
            ]
    yield from product(*(cuts[dims] for dims in "NPQK"))
