"""EIE's matrix format: compressed sparse columns, interleaved over PEs, with relative row indices.

Row i of the matrix is on PE i mod n, so each PE has a part of every column. Of its part a PE stores the non-zeros as
entries (gap, code): the zeros since the entry before, in 4 bits, and an index into a codebook, in 4 bits. A run of
more than 15 zeros is broken by padding zeros, entries of code 0. Two pointers, of a column and of the next, say
where its entries are.

Han et al., EIE, ISCA 2016, Sec. III.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import InputError
from hwsim.units import ceil_div

Array = NDArray[Any]

PADDING_CODE = 0
"""The code of a padding zero; a codebook's first entry is therefore 0."""


@dataclass(frozen=True, eq=False)
class Columns:
    """A sparse matrix (rows, cols) as `pes` processing elements store it.

    `codes` and `gaps` are the entries of PE 0, then of PE 1 and so on; those of PE p begin at `starts[p]`.
    `pointers[c, p]` counts the entries of PE p before column c, `useful[c]` the entries of column c that are no
    padding. Without `codes` and `gaps` only counts are known.
    """

    rows: int
    cols: int
    pes: int
    index_bits: int
    pointers: Array
    starts: Array
    useful: Array
    codes: Array | None = None
    gaps: Array | None = None

    @property
    def entries(self) -> int:
        """Stored entries of all PEs, padding zeros included."""
        return int(self.pointers[-1].sum(dtype=np.int64))

    @property
    def largest(self) -> int:
        """Entries of the PE that has most."""
        return int(self.pointers[-1].max())

    @property
    def padding(self) -> int:
        """Padding zeros of all PEs."""
        return self.entries - int(self.useful.sum(dtype=np.int64))


def encode(codes: Array, pes: int, index_bits: int = 4) -> Columns:
    """Return the matrix of `codes` (rows, cols), 0 for what is pruned, in columns over `pes` processing elements.

    Raises `InputError` for a matrix of other than two dimensions, no PE, or no bit of index.
    """
    if codes.ndim != 2 or not codes.size:
        raise InputError(f"a matrix of shape {codes.shape} has no columns to compress")
    if pes < 1 or not 1 <= index_bits <= 16:
        raise InputError(f"{pes} PEs with {index_bits} bits of index: there must be a PE, and from 1 to 16 bits")
    rows, cols = codes.shape
    pe, col, row = _by_pe(codes, pes)
    first = np.ones(len(row), bool)
    first[1:] = (pe[1:] != pe[:-1]) | (col[1:] != col[:-1])
    before = np.empty_like(row)
    before[:1], before[1:] = -1, row[:-1]
    gap = row - np.where(first, -1, before) - 1
    run = 1 << index_bits
    padding = gap // run
    place = np.cumsum(padding + 1) - 1
    total = int(place[-1]) + 1 if len(place) else 0
    stored = np.full(total, PADDING_CODE, codes.dtype)
    gaps = np.full(total, run - 1, np.uint16)
    stored[place], gaps[place] = codes[row * pes + pe, col], gap % run
    counts = np.zeros((cols, pes), np.int64)
    np.add.at(counts, (col, pe), padding + 1)
    pointers = np.zeros((cols + 1, pes), np.int32)
    np.cumsum(counts, axis=0, out=pointers[1:])
    starts = np.concatenate([[0], np.cumsum(pointers[-1], dtype=np.int64)])
    useful = np.bincount(col, minlength=cols).astype(np.int64)
    return Columns(rows, cols, pes, index_bits, pointers, starts, useful, stored, gaps)


def decode(columns: Columns) -> Array:
    """Return the matrix of codes (rows, cols) that `columns` hold; padding zeros are zeros among the others.

    Raises `InputError` where entries are missing or lead out of the matrix, as they may in a damaged file.
    """
    if columns.codes is None or columns.gaps is None:
        raise InputError("columns of which only the counts are known hold no matrix")
    matrix = np.zeros((columns.rows, columns.cols), columns.codes.dtype)
    for pe in range(columns.pes):
        begin, end = columns.starts[pe], columns.starts[pe + 1]
        counts = np.diff(columns.pointers[:, pe])
        steps = np.cumsum(columns.gaps[begin:end].astype(np.int64) + 1)
        col = np.repeat(np.arange(columns.cols), counts)
        if len(col) != end - begin:
            raise InputError(f"PE {pe} has {end - begin} entries, but its pointers count {len(col)}")
        before = np.concatenate([[0], steps])[columns.pointers[:-1, pe]]
        row = (steps - np.repeat(before, counts) - 1) * columns.pes + pe
        if len(row) and row.max() >= columns.rows:
            raise InputError(f"an entry of PE {pe} is of row {row.max()}, and the matrix has {columns.rows}")
        matrix[row, col] = columns.codes[begin:end]
    return matrix


def expected_entries(rows: int, cols: int, density: float, pes: int, index_bits: int = 4) -> float:
    """Return the entries of the fullest PE that a random matrix of `density` is expected to need, padding included.

    A non-zero has 2^b k zeros before it with probability (1 - d)^(2^b k), wherever so many rows come before it.
    """
    part, run = ceil_div(rows, pes), 1 << index_bits
    padding = sum(density * (1 - density) ** zeros * (part - zeros) for zeros in range(run, part, run))
    return cols * (density * part + padding)


def _by_pe(codes: Array, pes: int) -> tuple[Array, Array, Array]:
    """Return PE, column and row within the PE of every non-zero, in the order in which they are stored."""
    rows, cols = codes.shape
    part = ceil_div(rows, pes)
    padded = np.zeros((part * pes, cols), bool)
    padded[:rows] = codes != PADDING_CODE
    pe, col, row = np.nonzero(padded.reshape(part, pes, cols).transpose(1, 2, 0))
    return pe, col, row
