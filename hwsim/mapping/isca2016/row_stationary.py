"""RS: a PE keeps a filter row and slides it over an input row; rows of sums add up along the array.

m output channels of n images share the buffer, in strips of e output rows; a PE takes p output and q input channels,
r and t sets of PEs other ones. Chen, Emer and Sze, ISCA 2016.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from hwsim.mapping.isca2016.search import Access, Candidates, Storage, Tile, grid, legal
from hwsim.mapping.isca2016.shape import Ints, Shape, ceil, chunks

RULE = (
    "a filter row of each of its channels, their input window and a sum must fit a PE's registers, a set of filter "
    "rows x output rows the array, and the input rows and sums of a strip the buffer"
)


def candidates(shape: Shape, storage: Storage) -> Iterator[Candidates]:
    """Yield the mappings that fit, by e and n; r is the least for its number of chunks, t and m the most that fit."""
    for e in chunks(shape.P).tolist():
        sets = storage.pes // (shape.R * e)
        if not sets:
            break
        base = _in_the_array(shape, storage, sets)
        for n in chunks(shape.N).tolist():
            yield from _in_the_buffer(shape, storage, base, n, e, sets)


def _in_the_array(shape: Shape, storage: Storage, sets: int) -> dict[str, Ints]:
    """Return the p, q and r that fit registers and array."""
    c = grid(p=chunks(shape.K), q=chunks(shape.C))
    words = (c["p"] + 1) * c["q"] * shape.S + c["p"]
    fits = words <= storage.rf_words
    pairs = np.flatnonzero(fits)
    where = grid(pair=pairs, r=np.arange(1, min(shape.C, sets) + 1))
    p, q, r = c["p"][where["pair"]], c["q"][where["pair"]], where["r"]
    left = ceil(shape.C, q)
    least = r == ceil(left, ceil(left, r))
    return {"p": p[least], "q": q[least], "r": r[least]}


def _in_the_buffer(
    shape: Shape, storage: Storage, base: Mapping[str, Ints], n: int, e: int, sets: int
) -> Iterator[Candidates]:
    """Yield those that fit the buffer, with the most output channels m in it and t at a time."""
    p, q, r = base["p"], base["q"], base["r"]
    room = storage.buffer_words - n * q * r * shape.width(shape.Q) * shape.height(e)
    m = np.minimum(room // (n * shape.Q * e), shape.K)
    left = ceil(shape.K, p)
    most = np.minimum(sets // r, left)
    t = np.where(m >= shape.K, most, np.minimum(most, m // p))
    t = np.where(t > 0, ceil(left, ceil(left, np.maximum(t, 1))), 0)
    return legal({"m": m, "n": n, "e": e, "p": p, "q": q, "r": r, "t": t}, t > 0)


def accesses(shape: Shape, c: Candidates) -> dict[Access, Any]:
    """Return the accesses: inputs again for every m and, from the buffer, every p t; sums once per q r and per q."""
    n, e, p, q = c["n"], c["e"], c["p"], c["q"]
    plane_width, strips = shape.N * shape.C * shape.cols_read(shape.Q), ceil(shape.P, e)
    plane = plane_width * shape.rows_read(e)
    images = ceil(shape.N, n)
    from_buffer, from_array = ceil(shape.C, q * c["r"]), ceil(shape.C, q) * shape.R
    rf_sums = shape.outputs * (shape.reduction - from_array)
    return {
        ("dram", "read", "weight"): shape.weights * images * strips,
        ("dram", "read", "input"): plane * ceil(shape.K, c["m"]),
        ("dram", "write", "output"): shape.outputs,
        ("buffer", "read", "input"): plane * ceil(shape.K, p * c["t"]),
        ("buffer", "read", "psum"): shape.outputs * (from_buffer - 1),
        ("buffer", "write", "psum"): shape.outputs * (from_buffer - 1),
        ("array", "transfer", "weight"): shape.weights * images * shape.P,
        ("array", "transfer", "input"): plane_width * ceil(shape.K, p) * shape.R * shape.P,
        ("array", "transfer", "psum"): shape.outputs * (from_array - from_buffer),
        ("rf", "read", "weight"): shape.macs,
        ("rf", "read", "input"): shape.macs,
        ("rf", "read", "psum"): rf_sums,
        ("rf", "write", "psum"): rf_sums,
    }


def active_pes(shape: Shape, c: Candidates) -> Any:
    """Return the PEs of all sets."""
    return shape.R * c["e"] * c["r"] * c["t"]


def tiles(shape: Shape, c: Mapping[str, int]) -> tuple[Tile, ...]:
    """Return the loops: strips and output channels from DRAM, passes from the buffer, sets over the array."""
    outer = (Tile("dram", "N", c["n"]), Tile("dram", "P", c["e"]), Tile("dram", "K", c["m"]))
    passes = (Tile("buffer", "K", c["p"] * c["t"]), Tile("buffer", "C", c["q"] * c["r"]))
    sizes = (("R", shape.R), ("P", c["e"]), ("C", c["r"]), ("K", c["t"]))
    return (*outer, Tile("dram", "G", 1), *passes, *(Tile("rf", dim, size, spatial=True) for dim, size in sizes))
