"""NLR: PEs keep nothing; each of p output channels sums q input channels across the array.

n images, e x f outputs and m output channels of q input channels are in the buffer. Chen, Emer and Sze, ISCA 2016.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from hwsim.mapping.isca2016.search import Access, Candidates, Storage, Tile, grid, legal
from hwsim.mapping.isca2016.shape import Shape, ceil, chunks

RULE = "the inputs of a window of one channel, its weights and its sum must fit the buffer"


def candidates(shape: Shape, storage: Storage) -> Iterator[Candidates]:
    """Yield the mappings that fit, with the most output channels m in the buffer and p in the array."""
    depths = chunks(shape.C)
    c = grid(e=chunks(shape.P), f=chunks(shape.Q), n=chunks(shape.N), q=depths[depths <= storage.pes])
    room = storage.buffer_words - c["n"] * c["q"] * shape.height(c["e"]) * shape.width(c["f"])
    m = np.minimum(room // (c["q"] * shape.R * shape.S + c["n"] * c["e"] * c["f"]), shape.K)
    p = np.minimum(m, storage.pes // c["q"])
    return legal({"m": m, "p": p, **c}, m > 0)


def accesses(shape: Shape, c: Candidates) -> dict[Access, Any]:
    """Return the accesses: a weight from the buffer for every product, a window for every p, sums for every q."""
    plane = shape.N * shape.C * shape.rows_read(c["e"]) * shape.cols_read(c["f"])
    parts = ceil(shape.N, c["n"]) * ceil(shape.P, c["e"]) * ceil(shape.Q, c["f"])
    from_buffer = ceil(shape.C, c["q"]) * shape.R * shape.S
    return {
        ("dram", "read", "weight"): shape.weights * parts,
        ("dram", "read", "input"): plane * ceil(shape.K, c["m"]),
        ("dram", "write", "output"): shape.outputs,
        ("buffer", "read", "weight"): shape.macs,
        ("buffer", "read", "input"): ceil(shape.K, c["p"]) * shape.windows,
        ("buffer", "read", "psum"): shape.outputs * (from_buffer - 1),
        ("buffer", "write", "psum"): shape.outputs * (from_buffer - 1),
        ("array", "transfer", "input"): shape.macs,
        ("array", "transfer", "psum"): shape.outputs * (shape.reduction - from_buffer),
    }


def active_pes(shape: Shape, c: Candidates) -> Any:
    """Return the PEs of p sums of q products."""
    return c["p"] * c["q"]


def tiles(shape: Shape, c: Mapping[str, int]) -> tuple[Tile, ...]:
    """Return the loops: input channels are innermost in DRAM's, so that sums stay in the buffer."""
    outer = (("G", 1), ("N", c["n"]), ("P", c["e"]), ("Q", c["f"]), ("K", c["m"]), ("C", c["q"]))
    return (
        *(Tile("dram", dim, size) for dim, size in outer),
        Tile("buffer", "K", c["p"]),
        Tile("rf", "C", c["q"], spatial=True),
        Tile("rf", "K", c["p"], spatial=True),
    )
