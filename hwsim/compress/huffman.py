"""Sizes under Huffman coding (Huffman, Proceedings of the IRE 40(9), 1952)."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def code_lengths(counts: Sequence[int]) -> list[int]:
    """Return the bits of the code of each symbol that occurs `counts` times; 0 for one that does not occur.

    A symbol that is alone has a code of one bit.
    """
    lengths = [0] * len(counts)
    heap = [(count, index, [index]) for index, count in enumerate(counts) if count > 0]
    if len(heap) == 1:
        lengths[heap[0][1]] = 1
    heapq.heapify(heap)
    while len(heap) > 1:
        few, order, one = heapq.heappop(heap)
        more, _, other = heapq.heappop(heap)
        for symbol in (*one, *other):
            lengths[symbol] += 1
        heapq.heappush(heap, (few + more, order, one + other))
    return lengths


def huffman_bits(symbols: Array) -> int:
    """Return the bits of `symbols` under the Huffman code of their own frequencies, without its table."""
    counts = np.unique(symbols, return_counts=True)[1].tolist()
    return sum(count * length for count, length in zip(counts, code_lengths(counts), strict=True))
