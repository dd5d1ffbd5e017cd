"""Cycles of blocked matrix products on streaming multiprocessors, compiled; machine and constants are arguments.

`machine` holds, in this order, SMs, multiply-accumulates per SM and cycle, off-chip bytes per cycle and cycles per us;
`c` the constants in the order of `constants.GEMM`, `constants.CONVOLUTION` or `constants.VECTOR`, `menu` a row (TM, TN,
splits) each.
"""

from __future__ import annotations

from math import ceil, floor
from typing import Any

import numpy as np
from numba import njit

Found = tuple[float, int, float, float, float, float, float, float, float]
"""What `gemm` returns, and kernels that contain one."""

(
    EFFICIENCY, EDGE_ELEMENTS, L2_BYTES_PER_CYCLE, PROLOGUE_US, BANDWIDTH_SHARE, RAMP_US, LAUNCH_US, OVERLAP_EXPONENT,
    REDUCTION_US, SUSTAINED_SHARE, STEP_US, TAIL_SHARE, THROTTLE_SLOPE, THROTTLE_FROM_US, THROTTLE_SPAN, NARROW_COLUMNS,
    WINOGRAD_EFFICIENCY, FUSED_EFFICIENCY, TRANSFORM_SHARE, TRANSFORM_US, FUSED_PROLOGUE_US, SIMT_EFFICIENCY,
) = range(22)  # fmt: skip
"""Places of a product's constants; they stand here so that compiled code is made anew when one is moved."""

VECTOR_LAUNCH_US, VECTOR_BANDWIDTH_SHARE, VECTOR_RAMP_US, VECTOR_OVERLAP_EXPONENT = range(4)
"""Places of those of an operator that streams."""

SHARP = 64.0
"""Exponent from which on the sum of two overlapping times is their maximum."""

RESIDENT_ELEMENTS = 32768.0
"""Outputs of the blocks that an SM works on side by side: half of its 65536 registers."""

RESIDENT_BLOCKS = 8.0
"""Most blocks that an SM works on side by side."""

POWER_EXPONENT = 8.0
"""Exponent of the sum of a product's time and that at the sustained rate: nearly the larger of both."""

FFT_SHARE = 0.75
"""Share of the efficiency of Winograd's products that products of frequencies reach."""

LINE_BYTES, WARPS, EXTRA_LINES = 128.0, 64.0, 1.5
"""What a warp has in flight, warps resident on an SM, and latencies of a warp beside those of its lines."""


@njit(cache=True)  # type: ignore[untyped-decorator]
def overlapped(one: float, other: float, exponent: float) -> float:
    """Return (one^p + other^p)^(1/p): the larger of two times, and what is left of the smaller one."""
    big, small = max(one, other), min(one, other)
    if small <= 0 or exponent >= SHARP:
        return big
    return float(big * (1 + (small / big) ** exponent) ** (1 / exponent))


@njit(cache=True)  # type: ignore[untyped-decorator]
def gemm(
    batch: float, rows: float, cols: float, depth: float, dram_bytes: float, operand_bytes: float,
    quantum: float, efficiency: float, menu: Any, machine: Any, c: Any,
) -> Found:  # fmt: skip
    """Return the fastest of `menu` for `batch` products (rows x depth) by (depth x cols), launch excluded.

    It is (cycles, row of the menu, blocks, cycles of a block, of one in the last wave, cycles of the busiest SM, cycles
    with memory overlapped, cycles that the power limit adds, cycles of the reduction). Among equals the one with least
    padded work is taken. `dram_bytes` are those that must cross the chip's edge; blocks read `operand_bytes` from L2.
    """
    sms, rate, us = machine[0], machine[1], machine[3]
    edge, l2, tail, sustained = c[EDGE_ELEMENTS], c[L2_BYTES_PER_CYCLE], c[TAIL_SHARE], c[SUSTAINED_SHARE]
    memory = dram_bytes / (machine[2] * c[BANDWIDTH_SHARE]) + c[RAMP_US] * us
    narrow = c[NARROW_COLUMNS]
    whole_tile = (1 + edge / menu[0, 3]) * (1 + edge / menu[0, 4])
    best, best_work = np.inf, np.inf
    found = (np.inf, -1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    for i in range(menu.shape[0]):
        tm, tn, splits = menu[i, 0], menu[i, 1], menu[i, 2]
        ks = ceil(depth / splits / quantum) * quantum
        if (splits > 1 and ks * (splits - 1) >= depth) or (tn < 32 and cols > narrow) or (tm < 32 and rows > narrow):
            continue
        blocks = batch * ceil(rows / tm) * ceil(cols / tn) * splits
        share = min(1.0, efficiency * whole_tile / ((1 + edge / tm) * (1 + edge / tn)))
        work = tm * tn * ks / rate
        block = ceil(max(work / share, (tm + tn) * ks * operand_bytes / l2) + c[PROLOGUE_US] * us)
        full = floor(blocks / sms)
        part = blocks - full * sms
        last = 0.0
        if part > 0:
            last = block - (floor(tail * (1 - part / sms) * block) if full else 0.0)
        resident = min(RESIDENT_BLOCKS, max(1.0, floor(RESIDENT_ELEMENTS / (tm * tn))))
        sm = full * block + last + ceil(blocks / sms / resident) * ceil(ks / 64 * c[STEP_US] * us)
        reduction = c[REDUCTION_US] * us + 8 * batch * rows * cols * splits / (l2 * sms) if splits > 1 else 0.0
        limit = blocks * work / (sms * sustained) if sustained > 0 else 0.0
        if max(sm, memory, limit) + reduction > best * (1 + 1e-9):
            continue
        body = overlapped(sm, memory, c[OVERLAP_EXPONENT])
        powered = overlapped(body, limit, POWER_EXPONENT)
        total = powered + reduction
        if total < best * (1 - 1e-9) or (total <= best * (1 + 1e-9) and blocks * work < best_work):
            best, best_work = total, blocks * work
            found = (total, i, blocks, block, last, sm, body, powered - body, reduction)
    return found


@njit(cache=True)  # type: ignore[untyped-decorator]
def throttled(cycles: float, machine: Any, c: Any) -> float:
    """Return the cycles of a kernel whose clock falls with the logarithm of its length."""
    if c[THROTTLE_SLOPE] <= 0 or cycles <= 0:
        return cycles
    length = np.log(cycles / (machine[3] * c[THROTTLE_FROM_US]))
    return float(cycles * (1 + c[THROTTLE_SLOPE] * min(max(length, 0.0), c[THROTTLE_SPAN])))


@njit(cache=True)  # type: ignore[untyped-decorator]
def winograd(
    images: float, channels: float, read: float, rows: float, cols: float, filters: float, taps: float,
    element_bytes: float, menu: Any, machine: Any, c: Any,
) -> Found:  # fmt: skip
    """Return the same for F(4x4, taps x taps): a product per point of the transformed tiles.

    `read` are the pixels of an input image, rows and cols those of an output. Transforms stand in the reduction.
    """
    points = (taps + 3) ** 2
    tiles = images * ceil(rows / 4) * ceil(cols / 4)
    product_bytes = points * element_bytes * (tiles * channels + channels * filters + tiles * filters)
    found = gemm(
        points, tiles, filters, channels, product_bytes, element_bytes, 8.0, c[WINOGRAD_EFFICIENCY], menu, machine, c
    )
    moved = images * (read * channels + rows * cols * filters) + points * tiles * (channels + filters)
    moved += (points + taps * taps) * channels * filters
    passes = element_bytes * moved / (machine[2] * c[TRANSFORM_SHARE]) + c[TRANSFORM_US] * machine[3]
    whole: Found = with_transforms(found, passes)
    return whole


@njit(cache=True)  # type: ignore[untyped-decorator]
def fft(
    images: float, channels: float, rows: float, cols: float, filters: float, taps: float, element_bytes: float,
    menu: Any, machine: Any, c: Any,
) -> Found:  # fmt: skip
    """Return the same in the frequency domain: tiles of 32 x 32 that overlap by taps - 1, four products per point."""
    tiles = images * ceil(rows / (33 - taps)) * ceil(cols / (33 - taps))
    points = 32.0 * 17.0
    product_bytes = 4 * points * element_bytes * (tiles * channels + channels * filters + tiles * filters)
    share = FFT_SHARE * c[WINOGRAD_EFFICIENCY]
    found = gemm(4 * points, tiles, filters, channels, product_bytes, element_bytes, 8.0, share, menu, machine, c)
    moved = 4 * points * (tiles * channels + tiles * filters + channels * filters)
    passes = element_bytes * moved / (machine[2] * c[TRANSFORM_SHARE]) + 3 * c[TRANSFORM_US] * machine[3]
    whole: Found = with_transforms(found, passes)
    return whole


@njit(cache=True)  # type: ignore[untyped-decorator]
def with_transforms(found: Found, transforms: float) -> Found:
    """Return what was found for products with the cycles of their transforms."""
    return (
        found[0] + transforms, found[1], found[2], found[3], found[4], found[5], found[6], found[7],
        found[8] + transforms,
    )  # fmt: skip


@njit(cache=True)  # type: ignore[untyped-decorator]
def fused_winograd(
    images: float, channels: float, rows: float, cols: float, filters: float, dram_bytes: float,
    element_bytes: float, machine: Any, c: Any,
) -> Found:  # fmt: skip
    """Return the same for F(2x2, 3x3) in one kernel: blocks of 8 x 4 tiles of one image by 32 filters."""
    sms, us = machine[0], machine[3]
    down, across = ceil(rows / 2), ceil(cols / 2)
    strips = min(ceil(down / 8) * ceil(across / 4), ceil(down / 4) * ceil(across / 8))
    blocks = images * strips * ceil(filters / 32)
    rate = machine[1] * min(1.0, c[FUSED_EFFICIENCY])
    block = ceil(16 * 32 * 32 * ceil(channels / 8) * 8 / rate + c[FUSED_PROLOGUE_US] * us)
    full = floor(blocks / sms)
    part = blocks - full * sms
    last = 0.0
    if part > 0:
        last = block - (floor(c[TAIL_SHARE] * (1 - part / sms) * block) if full else 0.0)
    sm = full * block + last
    body = overlapped(sm, dram_bytes / (machine[2] * c[BANDWIDTH_SHARE]), c[OVERLAP_EXPONENT])
    transformed = 25 * element_bytes * channels * filters / (machine[2] * c[BANDWIDTH_SHARE])
    return (body + transformed, -1, blocks, block, last, sm, body, 0.0, transformed)


@njit(cache=True)  # type: ignore[untyped-decorator]
def gemv(
    blocks: float, depth: float, dram_bytes: float, word_bytes: float, share: float, machine: Any
) -> tuple[float, float, float, float]:
    """Return (cycles, those of a block of 64 warps with an output each, of a last one, of the busiest SM), no launch.

    A warp has a line in flight; the latency is that at which all warps reach `share` of the bandwidth. Where that is
    none, at a share of 1, a block computes at the peak rate.
    """
    sms, dram = machine[0], machine[2]
    latency = sms * WARPS * LINE_BYTES / dram * np.sqrt(1 / share**2 - 1)
    waiting = (ceil(depth * word_bytes / LINE_BYTES) + EXTRA_LINES) * latency
    block = ceil(max(waiting, WARPS * depth / machine[1]))
    rounds = blocks / sms
    full = floor(rounds)
    last = float(block) if not full else ceil((rounds - full) * block)
    sm = full * block + last
    return overlapped(sm, dram_bytes / dram, 2.0), block, last, sm


@njit(cache=True)  # type: ignore[untyped-decorator]
def vector(dram_bytes: float, passes: float, machine: Any, c: Any) -> float:
    """Return the cycles of a kernel that reads and writes `dram_bytes`, `passes` times as much in effect."""
    moving = dram_bytes * passes / (machine[2] * c[VECTOR_BANDWIDTH_SHARE]) + c[VECTOR_RAMP_US] * machine[3]
    whole = overlapped(c[VECTOR_LAUNCH_US] * machine[3], moving, c[VECTOR_OVERLAP_EXPONENT])
    return float(max(whole, dram_bytes / machine[2]))
