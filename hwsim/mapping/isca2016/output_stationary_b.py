"""OSB: a PE keeps the sum of one output; the array has f outputs of a row of p channels of n images at a time.

The filters of m channels and the input rows under the outputs stay in the buffer. Chen, Emer and Sze, ISCA 2016
(multiple output channels, multiple output-plane pixels).
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
    """Yield the mappings that fit, with the most output channels m in the buffer and p in the array."""
    c = grid(f=chunks(shape.Q), n=chunks(shape.N))
    m = channels_in_buffer(shape, storage, c["n"] * shape.C * shape.R * shape.width(c["f"]))
    p = np.minimum(m, storage.pes // (c["n"] * c["f"]))
    return legal({"m": m, "p": p, **c}, (m > 0) & (p > 0))


def accesses(shape: Shape, c: Candidates) -> dict[Access, Any]:
    """Return the accesses: inputs again for every m channels and, from the buffer, every p, row by row."""
    plane = shape.N * shape.C * shape.R * shape.P * shape.cols_read(c["f"])
    blocks = ceil(shape.N, c["n"]) * shape.P * ceil(shape.Q, c["f"])
    dram, buffer = plane * ceil(shape.K, c["m"]), plane * ceil(shape.K, c["p"])
    return complete_sums(shape, dram, buffer, shape.weights * blocks, shape.macs)


def active_pes(shape: Shape, c: Candidates) -> Any:
    """Return the PEs of a row of outputs of p channels."""
    return c["n"] * c["p"] * c["f"]


def tiles(shape: Shape, c: Mapping[str, int]) -> tuple[Tile, ...]:
    """Return the loops."""
    return blocks_of_outputs(("K", c["m"]), (("N", c["n"]), ("Q", c["f"]), ("K", c["p"])))
