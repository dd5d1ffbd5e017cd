"""OSC: a PE keeps the sum of one output; the array has one output of p channels of n images at a time.

The filters of m channels and the windows stay in the buffer. Chen, Emer and Sze, ISCA 2016 (multiple output
channels, single output-plane pixel). That several images share the array is assumed: with one, its channels alone must
fill the array, few layers have as many as PEs, and the energy comes out a third above the published.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from hwsim.mapping.isca2016.output_stationary import RULE, blocks_of_outputs, channels_in_buffer, complete_sums
from hwsim.mapping.isca2016.search import Access, Candidates, Storage, Tile, grid, legal
from hwsim.mapping.isca2016.shape import Shape, ceil, chunks

__all__ = ["RULE", "accesses", "active_pes", "candidates", "tiles"]


def candidates(shape: Shape, storage: Storage) -> Iterator[Candidates]:
    """Yield the mappings that fit, with the most output channels m in the buffer."""
    images = chunks(shape.N)
    c = grid(n=images[images <= storage.pes], p=chunks(shape.K))
    m = channels_in_buffer(shape, storage, c["n"] * shape.reduction)
    return legal({"m": m, **c}, (m >= c["p"]) & (c["n"] * c["p"] <= storage.pes))


def accesses(shape: Shape, c: Candidates) -> dict[Access, Any]:
    """Return the accesses: windows share nothing; weights pass from PE to PE where several images share them."""
    blocks = ceil(shape.N, c["n"]) * shape.P * shape.Q
    dram, buffer = shape.windows * ceil(shape.K, c["m"]), shape.windows * ceil(shape.K, c["p"])
    return complete_sums(shape, dram, buffer, shape.weights * blocks, shape.macs * (np.asarray(c["n"]) > 1))


def active_pes(shape: Shape, c: Candidates) -> Any:
    """Return the PEs of one output of p channels."""
    return c["n"] * c["p"]


def tiles(shape: Shape, c: Mapping[str, int]) -> tuple[Tile, ...]:
    """Return the loops."""
    return blocks_of_outputs(("K", c["m"]), (("N", c["n"]), ("K", c["p"])))
