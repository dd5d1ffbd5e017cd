"""OSA: a PE keeps the sum of one output; the array has e x f outputs of one channel of n images at a time.

The filters of m channels and the inputs of the block stay in the buffer. Chen, Emer and Sze, ISCA 2016
(single output channel, multiple output-plane pixels).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hwsim.mapping.isca2016.output_stationary import RULE, blocks_of_outputs, channels_in_buffer, complete_sums
from hwsim.mapping.isca2016.search import Access, Candidates, Storage, Tile, grid, legal
from hwsim.mapping.isca2016.shape import Shape, ceil, chunks

__all__ = ["RULE", "accesses", "active_pes", "candidates", "tiles"]


def candidates(shape: Shape, storage: Storage) -> Iterator[Candidates]:
    """Yield the mappings that fit, with the most output channels m in the buffer."""
    c = grid(e=chunks(shape.P), f=chunks(shape.Q), n=chunks(shape.N))
    inputs = c["n"] * shape.C * shape.height(c["e"]) * shape.width(c["f"])
    m = channels_in_buffer(shape, storage, inputs)
    return legal({"m": m, **c}, (m > 0) & (c["n"] * c["e"] * c["f"] <= storage.pes))


def accesses(shape: Shape, c: Candidates) -> dict[Access, Any]:
    """Return the accesses: the buffer gives inputs for every output channel, weights for every block of outputs."""
    plane = shape.N * shape.C * shape.rows_read(c["e"]) * shape.cols_read(c["f"])
    blocks = ceil(shape.N, c["n"]) * ceil(shape.P, c["e"]) * ceil(shape.Q, c["f"])
    dram, buffer = plane * ceil(shape.K, c["m"]), plane * shape.K
    return complete_sums(shape, dram, buffer, shape.weights * blocks, shape.macs)


def active_pes(shape: Shape, c: Candidates) -> Any:
    """Return the PEs of a block of outputs."""
    return c["n"] * c["e"] * c["f"]


def tiles(shape: Shape, c: Mapping[str, int]) -> tuple[Tile, ...]:
    """Return the loops."""
    return blocks_of_outputs(("K", c["m"]), (("N", c["n"]), ("P", c["e"]), ("Q", c["f"])))
