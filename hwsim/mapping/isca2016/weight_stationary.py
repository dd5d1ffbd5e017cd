"""WS: a PE keeps one weight; a filter's PEs pass sums along, and all sums of a layer wait in the buffer.

t filters and r of their input channels are in the array, inputs pass in strips of f columns. Chen, Emer and Sze, ISCA
2016.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from hwsim.mapping.isca2016.search import Access, Candidates, Storage, Tile, grid, legal
from hwsim.mapping.isca2016.shape import Shape, ceil, chunks

RULE = (
    "a filter must fit the array, a weight a PE's registers, and the sums of the whole batch the buffer, with the "
    "input rows between a filter's rows"
)


def candidates(shape: Shape, storage: Storage) -> Iterator[Candidates]:
    """Yield the mappings that fit."""
    filters = storage.pes // (shape.R * shape.S)
    if not filters or not storage.rf_words:
        return
    c = grid(r=np.arange(1, min(shape.C, filters) + 1), t=np.arange(1, min(shape.K, filters) + 1), f=chunks(shape.Q))
    waiting = (shape.width(c["f"]) - shape.width(1)) * (shape.height(1) - 1)
    words = c["t"] * shape.N * shape.P * shape.Q + c["r"] * c["t"] * waiting
    yield from legal(c, (c["r"] * c["t"] <= filters) & (words <= storage.buffer_words))


def accesses(shape: Shape, c: Candidates) -> dict[Access, Any]:
    """Return the accesses: a weight from DRAM once, an input for every t filters, sums for each row of r channels."""
    plane = shape.N * shape.C * shape.rows_read(shape.P) * shape.cols_read(c["f"])
    from_buffer = ceil(shape.C, c["r"]) * shape.R
    return {
        ("dram", "read", "weight"): shape.weights,
        ("dram", "read", "input"): plane * ceil(shape.K, c["t"]),
        ("dram", "write", "output"): shape.outputs,
        ("buffer", "read", "psum"): shape.outputs * (from_buffer - 1),
        ("buffer", "write", "psum"): shape.outputs * (from_buffer - 1),
        ("array", "transfer", "input"): shape.macs,
        ("array", "transfer", "psum"): shape.outputs * (shape.reduction - from_buffer),
        ("rf", "read", "weight"): shape.macs,
    }


def active_pes(shape: Shape, c: Candidates) -> Any:
    """Return the PEs of all filters in the array."""
    return shape.R * shape.S * c["r"] * c["t"]


def tiles(shape: Shape, c: Mapping[str, int]) -> tuple[Tile, ...]:
    """Return the loops: filters over the array, all positions past them."""
    spatial = (("R", shape.R), ("S", shape.S), ("C", c["r"]), ("K", c["t"]))
    return (
        Tile("dram", "G", 1),
        Tile("dram", "K", c["t"]),
        Tile("dram", "Q", c["f"]),
        Tile("buffer", "C", c["r"]),
        *(Tile("rf", dim, size, spatial=True) for dim, size in spatial),
    )
