"""Cycles of attention in one kernel, compiled. `machine` is that of `kernels`, `c` in the order of `constants`."""

from __future__ import annotations

from math import ceil
from typing import Any

from numba import njit

KEYS = 128.0
"""Keys of a block."""


@njit(cache=True)  # type: ignore[untyped-decorator]
def overlapped(one: float, other: float, exponent: float) -> float:
    """Return (one^p + other^p)^(1/p)."""
    big, small = max(one, other), min(one, other)
    if small <= 0 or exponent >= 64.0:
        return big
    return float(big * (1 + (small / big) ** exponent) ** (1 / exponent))


@njit(cache=True)  # type: ignore[untyped-decorator]
def prefill(
    batch: float, queries: float, keys: float, heads: float, kv_heads: float, width: float, element_bytes: float,
    causal: bool, machine: Any, c: Any,
) -> float:  # fmt: skip
    """Return the cycles of `queries` against `keys` of `width` elements, launch included.

    A block takes 128 queries, 64 where heads are wider than 256, through all keys they see. With c[7] grouped queries
    are packed into one block where that fills it better, as FlashAttention 3 does.
    """
    us, high = machine[3], 64.0 if width > 256 else 128.0
    group = heads / kv_heads
    plain = queries / (ceil(queries / high) * high)
    packed = queries * group / (ceil(queries * group / high) * high)
    blocks, rows = batch * heads * ceil(queries / high), high
    if c[7] > 0 and plain < 0.9 * packed:
        blocks, rows = batch * kv_heads * ceil(queries * group / high), high / group
    longest = ceil(keys / KEYS)
    seen = keys - queries + (queries + rows) / 2 if causal else keys
    mean = min(seen / KEYS + 0.5, longest) if causal else longest
    share = min(1.0, c[1] * width / (width + c[2]))
    step = 2 * 128.0 * KEYS * width / (machine[1] * share)
    start = (c[3] + c[4] * width / 128) * us
    busy = max(blocks / machine[0] * (mean * step + start), longest * step + start)
    moved = 2 * element_bytes * width * batch * (queries * heads + keys * kv_heads)
    return float(c[0] * us + overlapped(busy, moved / (machine[2] * c[5]), c[6]))


@njit(cache=True)  # type: ignore[untyped-decorator]
def decode(
    batch: float, keys: float, heads: float, kv_heads: float, width: float, element_bytes: float, machine: Any, c: Any
) -> float:
    """Return the cycles of one query against `keys` cached ones, launch included, the keys split over free SMs.

    Above c[13] query heads per key head each query head is a block of its own.
    """
    us = machine[3]
    streams = batch * (heads if heads / kv_heads > c[13] else kv_heads)
    splits = max(1.0, min(ceil(machine[0] / streams), ceil(keys / 256)))
    wide = width / 128 * us
    busy = max(streams * splits / machine[0], 1.0) * (keys / splits / KEYS * c[10] * wide + c[11] * wide)
    moved = 2 * element_bytes * width * batch * (kv_heads * keys + heads)
    return float(c[8] * us + overlapped(busy, moved / (machine[2] * c[9]), c[12]))
