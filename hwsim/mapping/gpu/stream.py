"""Operators that are no products: a kernel each, bound by the memory it streams, by class of operators."""

from __future__ import annotations

from math import log2
from typing import Any

from hwsim.arch.source import Source
from hwsim.ir.layer import Kind, Layer
from hwsim.mapping.gpu import kernels
from hwsim.mapping.gpu.constants import Case, array

WARP_ROW = 1024
"""Longest row of a softmax that one warp keeps in registers."""

VECTOR_ELEMENTS = 4
"""Elements of 4 bytes that a thread loads at once."""

SOURCES = {
    "rows of a softmax or normalisation": Source.assumed(
        f"a warp keeps up to {WARP_ROW} elements in registers; longer rows are read again in part, wholly from four "
        f"times `long_row_elements` on; threads load {VECTOR_ELEMENTS} elements at once where rows allow it"
    )
}

CLASS = {
    Kind.POOL: "pool", Kind.ELEMENTWISE: "elementwise", Kind.ACTIVATION: "elementwise",
    Kind.NORMALISATION: "normalisation", Kind.SOFTMAX: "softmax",
}  # fmt: skip


def class_of(layer: Layer) -> str:
    """Return the class of an operator; a normalisation whose statistics are constants works element by element."""
    if layer.kind is Kind.NORMALISATION and layer.function in ("batch", "local_response"):
        return "elementwise"
    return CLASS.get(layer.kind, "elementwise")


def passes(op_class: str, cols: int, reads: int, case: Case) -> float:
    """Return how often an operator on rows of `cols` elements moves its bytes in effect.

    A long row is read again where it does not stay in a block, one that is not a multiple of 16 bytes is read in parts;
    a softmax of up to `WARP_ROW` elements is done by a warp per row.
    """
    if op_class not in ("normalisation", "softmax"):
        return 1.0
    reread, long_row, unaligned, short_row = case.values[4:8]
    if op_class == "softmax" and cols <= WARP_ROW:
        return short_row
    again = reread * min(1.0, max(0.0, log2(cols / long_row) / 2))
    return (reads + 1 + again) / (reads + 1) * (unaligned if cols % VECTOR_ELEMENTS else 1.0)


def cycles(op_class: str, dram_bytes: float, cols: int, reads: int, machine: Any, case: Case) -> float:
    """Return the cycles of a kernel that moves `dram_bytes` for rows of `cols` elements of `reads` tensors."""
    return float(kernels.vector(dram_bytes, passes(op_class, cols, reads, case), machine, array(case.values)))
