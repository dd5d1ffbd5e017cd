"""A processing pass of row stationary, cycle by cycle, with the values that scratchpads hold.

Nothing here knows how long a pass takes: it ends when the last sum has left. Every cycle the networks move as many
words as they are wide, and every PE does a multiply-accumulate once the words of its window have arrived. A pass has
the slots of a full one; where the layer has no channel, filter, row or tap for a slot, it is idle and nothing counts.

Indices in the PEs' scratchpads: set of filters, filter in it, set of channels, channel in it, filter row, tap, row of
the ofmap.
"""

from __future__ import annotations

import numpy as np
from numba import njit

PHASES = 5
"""Cycles of loading filters, of loading the first windows, of computing, of waiting, of draining."""

COUNTS = 8
"""MACs, those stopped by a zero, filter words and copies, ifmap words and copies, sums handed up, sums in and out."""


@njit(cache=True)
def run_pass(ifmaps, row_of, filters, sums, sizes, rates, stage_cycles, stride, dilation, phases, counts):  # type: ignore[no-untyped-def]
    """Run one pass: add the products of `ifmaps` and `filters` to `sums`, its cycles to `phases`, actions to `counts`.

    `ifmaps` (images, channels, rows, columns) are those of a strip, `row_of` (filter rows, ofmap rows) says which of
    its rows a PE reads, `filters` are (filters, channels, rows, taps), `sums` (images, filters, ofmap rows, columns).
    `sizes` are (n, e, p, q, r, t, filter rows, taps, rows of a full strip, new words per window), `rates` the words per
    cycle of the networks of ifmaps, filters and sums.
    """
    n, e, p, q, r, t, set_rows, taps, strip_rows, slide = sizes
    weights = np.zeros((t, p, r, q, set_rows, taps), filters.dtype)
    load_filters(filters, weights, row_of.shape[1], p, q, rates[1], phases, counts)
    window = np.zeros((r, q, taps, set_rows, e), ifmaps.dtype)
    columns = sums.shape[3]
    arrived = needed = leaving = 0
    for image in range(n):
        for column in range(columns):
            needed += strip_rows * q * r * (taps if column == 0 else slide)
            first = image == 0 and column == 0
            while arrived < needed:
                arrived += rates[0]
                leaving = max(0, leaving - rates[2])
                phases[1 if first else 3] += 1
            if image < ifmaps.shape[0]:
                deliver(ifmaps[image], row_of, window, column, filters.shape, p, stride, dilation, slide, counts)
            partial = np.zeros((t, p, r, set_rows, e), sums.dtype)
            for channel in range(q):
                for tap in range(taps):
                    for one in range(p):
                        if image < ifmaps.shape[0] and tap < filters.shape[3]:
                            multiply(
                                weights, window, partial, channel, tap, one, filters.shape, row_of.shape[1], counts
                            )
                        arrived += rates[0]
                        leaving = max(0, leaving - rates[2])
                        phases[2] += 1
            while leaving > 0:
                leaving = max(0, leaving - rates[2])
                arrived += rates[0]
                phases[3] += 1
            if image < ifmaps.shape[0]:
                add_up(partial, sums[image, :, :, column], q, filters.shape, counts)
            leaving = p * t * e
    phases[4] += set_rows * r - 1 + stage_cycles
    while leaving > 0:
        leaving -= rates[2]
        phases[4] += 1


@njit(cache=True)
def load_filters(filters, weights, ofmap_rows, p, q, rate, phases, counts):  # type: ignore[no-untyped-def]
    """Fill the filter scratchpads over their network, a row of PEs at once."""
    left = weights.size
    while left > 0:
        left -= rate
        phases[0] += 1
    for k in range(filters.shape[0]):
        for c in range(filters.shape[1]):
            for row in range(filters.shape[2]):
                for tap in range(filters.shape[3]):
                    weights[k // p, k % p, c // q, c % q, row, tap] = filters[k, c, row, tap]
                    counts[2] += 1
                    counts[3] += ofmap_rows


@njit(cache=True)
def deliver(ifmap, row_of, window, column, shape, p, stride, dilation, slide, counts):  # type: ignore[no-untyped-def]
    """Move the windows of all PEs to `column`: words that stay are moved up, new ones come over the network."""
    filters, channels, rows, taps = shape
    q = window.shape[1]
    fresh = taps if column == 0 else min(slide, taps)
    sets = -(-filters // p)
    for c in range(channels):
        held = window[c // q, c % q]
        for tap in range(taps):
            for row in range(rows):
                for at in range(row_of.shape[1]):
                    if tap < taps - fresh:
                        held[tap, row, at] = held[tap + fresh, row, at]
                    else:
                        held[tap, row, at] = ifmap[c, row_of[row, at], column * stride + tap * dilation]
                        counts[5] += sets
        counts[4] += fresh * ifmap.shape[1]


@njit(cache=True)
def multiply(weights, window, partial, channel, tap, one, shape, ofmap_rows, counts):  # type: ignore[no-untyped-def]
    """Let every PE that has a channel and a filter for the slot multiply and add; a zero stops it."""
    filters, channels, rows, _ = shape
    p, q = weights.shape[1], weights.shape[3]
    for k in range(one, filters, p):
        for c in range(channel, channels, q):
            for row in range(rows):
                weight = weights[k // p, one, c // q, channel, row, tap]
                for at in range(ofmap_rows):
                    value = window[c // q, channel, tap, row, at]
                    partial[k // p, one, c // q, row, at] += weight * value
                    counts[1] += value == 0
    counts[0] += len(range(one, filters, p)) * len(range(channel, channels, q)) * rows * ofmap_rows


@njit(cache=True)
def add_up(partial, sums, q, shape, counts):  # type: ignore[no-untyped-def]
    """Add the sums of each column from its lowest PE to its highest, and to what the buffer holds."""
    filters, channels, rows, _ = shape
    p = partial.shape[1]
    for k in range(filters):
        for at in range(sums.shape[1]):
            for c in range(0, channels, q):
                for row in range(rows):
                    sums[k, at] += partial[k // p, k % p, c // q, row, at]
                    counts[6] += 1
            counts[7] += 1
