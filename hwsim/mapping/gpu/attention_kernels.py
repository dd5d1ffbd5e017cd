"""Cycles of attention in one kernel, compiled. `machine` is that of `kernels`, `c` in the order of `constants`."""

from __future__ import annotations

from math import ceil
from typing import Any

from numba import njit

from hwsim.mapping.gpu.kernels import overlapped

(
    LAUNCH_US, EFFICIENCY, HEAD_ELEMENTS, BLOCK_US, BLOCK_WIDE_US, BANDWIDTH_SHARE, OVERLAP_EXPONENT, PACKS_GROUPS,
    DECODE_LAUNCH_US, DECODE_BANDWIDTH_SHARE, DECODE_STEP_US, DECODE_BLOCK_US, DECODE_OVERLAP_EXPONENT, DECODE_GROUP,
) = range(14)  # fmt: skip
"""Places of the constants of attention; they stand here so that compiled code is made anew when one is moved."""

KEYS, QUERIES, WIDE_QUERIES, WIDEST = 128.0, 128.0, 64.0, 256
"""Keys and queries of a block, and its queries where heads are wider than `WIDEST` elements."""

PACKED_SHARE = 0.9
"""Groups are packed where single queries fill less of their blocks than this part of what groups fill."""

SPLIT_KEYS = 256
"""Fewest keys of a part, where those of one query are split."""


@njit(cache=True)  # type: ignore[untyped-decorator]
def prefill(
    batch: float, queries: float, keys: float, heads: float, kv_heads: float, width: float, element_bytes: float,
    causal: bool, machine: Any, c: Any,
) -> float:  # fmt: skip
    """Return the cycles of `queries` against `keys` of `width` elements, launch included.

    A block takes 128 queries, 64 where heads are wider than 256, through all keys they see. With
    PACKS_GROUPS grouped queries share a block where that fills it better, as FlashAttention 3 does.
    """
    us, high = machine[3], WIDE_QUERIES if width > WIDEST else QUERIES
    group = heads / kv_heads
    plain = queries / (ceil(queries / high) * high)
    packed = queries * group / (ceil(queries * group / high) * high)
    blocks, rows = batch * heads * ceil(queries / high), high
    if c[PACKS_GROUPS] > 0 and plain < PACKED_SHARE * packed:
        blocks, rows = batch * kv_heads * ceil(queries * group / high), high / group
    longest = ceil(keys / KEYS)
    seen = keys - queries + (queries + rows) / 2 if causal else keys
    mean = min(seen / KEYS + 0.5, longest) if causal else longest
    share = min(1.0, c[EFFICIENCY] * width / (width + c[HEAD_ELEMENTS]))
    step = 2 * QUERIES * KEYS * width / (machine[1] * share)
    start = (c[BLOCK_US] + c[BLOCK_WIDE_US] * width / 128) * us
    busy = max(blocks / machine[0] * (mean * step + start), longest * step + start)
    moved = 2 * element_bytes * width * batch * (queries * heads + keys * kv_heads)
    memory = moved / (machine[2] * c[BANDWIDTH_SHARE])
    return float(c[LAUNCH_US] * us + overlapped(busy, memory, c[OVERLAP_EXPONENT]))


@njit(cache=True)  # type: ignore[untyped-decorator]
def decode(
    batch: float, keys: float, heads: float, kv_heads: float, width: float, element_bytes: float, machine: Any, c: Any
) -> float:
    """Return the cycles of one query against `keys` cached ones, launch included, the keys split over free SMs.

    Above DECODE_GROUP query heads per key head each query head is a block of its own.
    """
    us = machine[3]
    streams = batch * (heads if heads / kv_heads > c[DECODE_GROUP] else kv_heads)
    splits = max(1.0, min(ceil(machine[0] / streams), ceil(keys / SPLIT_KEYS)))
    wide = width / 128 * us
    block = keys / splits / KEYS * c[DECODE_STEP_US] * wide + c[DECODE_BLOCK_US] * wide
    busy = max(streams * splits / machine[0], 1.0) * block
    moved = 2 * element_bytes * width * batch * (kv_heads * keys + heads)
    memory = moved / (machine[2] * c[DECODE_BANDWIDTH_SHARE])
    return float(c[DECODE_LAUNCH_US] * us + overlapped(busy, memory, c[DECODE_OVERLAP_EXPONENT]))
