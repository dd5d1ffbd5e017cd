"""The PEs of a systolic array, cycle by cycle, with the values they hold.

Every operand carries a tag on its way: `REAL` if a PE inside the tile computes with it, `LAST` at the end of its
stream. Nothing here knows how long a fold takes: it ends when the last tag leaves the last PE, and counts are of what
happened. Registers are updated from the last PE backwards, so that each reads what its neighbour held in the cycle
before. Values and tags move in loops of their own, and both folds write out how a row moves: so the compiler vectorises
every loop, and a stepped run is twice as fast as with one loop for both or a function for a row.
"""

from __future__ import annotations

import numpy as np
from numba import njit

REAL, LAST, PASSING = 1, 2, 4


@njit(cache=True)
def output_stationary_fold(a, b, out, height, width):  # type: ignore[no-untyped-def]
    """Run one fold of a (rows, T) by b (T, cols) into out (rows, cols) on `height` x `width` PEs.

    Rows of `a` enter from the left and columns of `b` from the top, each skewed by its index; a PE adds their product
    to its sum and drives the sum onto its column's bus when the last pair has met in it.
    Returns (cycles, MACs, words of a read, of b read, outputs written, latches of a, latches of b).
    """
    rows, stream = a.shape
    cols = b.shape[1]
    x, y = np.zeros((height, width), out.dtype), np.zeros((height, width), out.dtype)
    x_tag, y_tag = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
    total = np.zeros((height, width), out.dtype)
    macs = a_reads = b_reads = writes = a_hops = b_hops = 0
    cycle = 0
    done = False
    while not done:
        for r in range(height - 1, -1, -1):
            for c in range(width - 1, 0, -1):
                x[r, c] = x[r, c - 1]
            for c in range(width - 1, 0, -1):
                x_tag[r, c] = x_tag[r, c - 1]
            k = cycle - r
            x[r, 0] = 0
            x_tag[r, 0] = 0
            if 0 <= k < stream:
                x_tag[r, 0] = LAST if k == stream - 1 else 0
                if r < rows:
                    x[r, 0] = a[r, k]
                    x_tag[r, 0] |= REAL
                    a_reads += 1
            if r > 0:
                for c in range(width):
                    y[r, c] = y[r - 1, c]
                for c in range(width):
                    y_tag[r, c] = y_tag[r - 1, c]
            else:
                for c in range(width):
                    k = cycle - c
                    y[0, c] = 0
                    y_tag[0, c] = 0
                    if 0 <= k < stream and c < cols:
                        y[0, c] = b[k, c]
                        y_tag[0, c] = REAL
                        b_reads += 1
            met = 0
            ending = 0
            for c in range(width):
                total[r, c] += x[r, c] * y[r, c]
            for c in range(width):
                met += x_tag[r, c] & y_tag[r, c] & REAL
                ending |= x_tag[r, c] & LAST
            macs += met
            a_hops += met
            b_hops += met
            if ending:
                for c in range(width):
                    if x_tag[r, c] & LAST:
                        if r < rows and c < cols:
                            out[r, c] = total[r, c]
                            writes += 1
                        done = r == height - 1 and c == width - 1
        cycle += 1
    return cycle, macs, a_reads, b_reads, writes, a_hops, b_hops


@njit(cache=True)
def _push_row(held, tags, tile, step, load_cycles):  # type: ignore[no-untyped-def]
    """Move every stationary word one PE down and let the next row of `tile` in; return the latches of real words."""
    height, width = held.shape
    rows, cols = tile.shape
    for r in range(height - 1, 0, -1):
        for c in range(width):
            held[r, c] = held[r - 1, c]
        tags[r] = tags[r - 1]
    row = load_cycles - 1 - step
    tags[0] = REAL if row < rows else 0
    for c in range(width):
        held[0, c] = tile[row, c] if row < rows and c < cols else 0
    return cols * tags.sum()


@njit(cache=True)
def load_stationary(held, tile):  # type: ignore[no-untyped-def]
    """Load `tile` (rows, cols) into the registers `held` from the top; return (cycles, words read, latches)."""
    tags = np.zeros(held.shape[0], np.int64)
    hops = 0
    for step in range(held.shape[0]):
        hops += _push_row(held, tags, tile, step, held.shape[0])
    return held.shape[0], tile.size, hops


@njit(cache=True)
def operand_stationary_fold(held, x_stream, out, rows, cols, first, shadow, next_tile):  # type: ignore[no-untyped-def]
    """Stream x (T, rows) through PEs that hold `held` (height, width) into out (T, cols).

    Elements of x move right, partial sums down: they enter at the top as zero, or on all but the `first` row fold as
    what the output buffer holds, and leave at the bottom. Meanwhile `next_tile` is loaded into `shadow`, unless it is
    empty. Returns (cycles, cycles of them spent waiting for the shadow, MACs, words of x read, partial sums read,
    written, latches of x, words of the next tile read, latches of the next tile).
    """
    height, width = held.shape
    stream = x_stream.shape[0]
    x, total = np.zeros((height, width), out.dtype), np.zeros((height, width), out.dtype)
    tag = np.zeros((height, width), np.uint8)
    left = np.zeros(width, np.int64)
    shadow_tags = np.zeros(shadow.shape[0], np.int64)
    load_cycles = shadow.shape[0] if next_tile.size else 0
    macs = x_reads = psum_reads = writes = next_hops = waited = 0
    cycle = 0
    done = False
    while not done or cycle < load_cycles:
        if cycle < load_cycles:
            next_hops += _push_row(shadow, shadow_tags, next_tile, cycle, load_cycles)
        if done:
            waited += 1
            cycle += 1
            continue
        for r in range(height - 1, -1, -1):
            for c in range(width - 1, 0, -1):
                x[r, c] = x[r, c - 1]
            for c in range(width - 1, 0, -1):
                tag[r, c] = tag[r, c - 1]
            k = cycle - r
            x[r, 0] = 0
            tag[r, 0] = 0
            if 0 <= k < stream:
                tag[r, 0] = LAST if k == stream - 1 else PASSING
                if r < rows:
                    x[r, 0] = x_stream[k, r]
                    tag[r, 0] |= REAL
                    x_reads += 1
            if r > 0:
                for c in range(width):
                    total[r, c] = total[r - 1, c] + x[r, c] * held[r, c]
            else:
                for c in range(width):
                    k = cycle - c
                    carried = out.dtype.type(0)
                    if not first and 0 <= k < stream and c < cols:
                        carried = out[k, c]
                        psum_reads += 1
                    total[0, c] = carried + x[0, c] * held[0, c]
            met = 0
            for c in range(cols):
                met += tag[r, c] & REAL
            macs += met
        for c in range(width):
            if tag[height - 1, c]:
                if c < cols:
                    out[left[c], c] = total[height - 1, c]
                    left[c] += 1
                    writes += 1
                done = c == width - 1 and tag[height - 1, c] & LAST != 0
        cycle += 1
    return cycle, waited, macs, x_reads, psum_reads, writes, macs, next_tile.size, next_hops


@njit(cache=True)
def transfer(bits, whole, part, parts):  # type: ignore[no-untyped-def]
    """Return the cycles in which a channel of whole + part / parts bits per cycle, part < parts, has moved `bits`."""
    moved = 0
    left_over = 0
    cycles = 0
    while moved < bits:
        moved += whole
        left_over += part
        if left_over >= parts:
            left_over -= parts
            moved += 1
        cycles += 1
    return cycles
