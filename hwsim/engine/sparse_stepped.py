"""Compressed sparse columns on many PEs, cycle by cycle with the values they hold.

What happens in a cycle is said in `sparse_kernels`. Nothing here knows how long a product takes: it ends when the last
row has been scanned and nothing is left in queues and registers. Registers are updated from the last stage backwards,
so that each reads what the one before held in the cycle before.
"""

from __future__ import annotations

import numpy as np
from numba import njit

READ, DECODE, MULTIPLY, ADD, WRITE, ALL_STAGES = 1, 2, 4, 8, 16, 31
"""The registers that an entry is in behind its issue."""


@njit(cache=True)
def stepped_product(  # type: ignore[no-untyped-def]
    pointers, starts, codes, gaps, codebook, activations, waiting, batch_rows, reload_cycles, per_read, out
):
    """Run one product cycle by cycle into `out` (PEs, rows per PE); nothing in it knows how long it takes.

    `activations` has a value for every PE of every row. Returns (cycles, cycles that a full queue held the broadcast
    back, entries, non-zeros, reads of the sparse matrix, broadcasts, sums forwarded to the multiplier's next entry
    before they were written).
    """
    pes = pointers.shape[1]
    rows = activations.size // pes
    queue = np.zeros((pes, waiting), np.int64)
    head, length = np.zeros(pes, np.int64), np.zeros(pes, np.int64)
    # the column that a PE issues: next entry, end, its activation
    at, end, busy, opening = (
        np.zeros(pes, np.int64),
        np.zeros(pes, np.int64),
        np.zeros(pes, np.bool_),
        np.zeros(pes, np.bool_),
    )
    value = np.zeros(pes, activations.dtype)
    # which registers behind the issue hold an entry: a bit for each of the stages below, and one for the issue
    pipe = np.zeros(pes, np.int64)
    address, line = np.zeros(pes, np.int64), np.full(pes, -1)
    first, first_read = np.zeros(pes, np.bool_), np.zeros(pes, np.bool_)
    act, act_read, act_decoded = np.zeros_like(value), np.zeros_like(value), np.zeros_like(value)
    code, gap, place = np.zeros(pes, np.int64), np.zeros(pes, np.int64), np.zeros(pes, np.int64)
    weight = np.zeros(pes, codebook.dtype)
    target, target_added, target_written = np.zeros(pes, np.int64), np.zeros(pes, np.int64), np.zeros(pes, np.int64)
    product, old, total = np.zeros(pes, out.dtype), np.zeros(pes, out.dtype), np.zeros(pes, out.dtype)
    entries = nonzeros = reads = sent = stalled = forwarded = 0
    row, after, wait, cycle = -1, pes, 0, 0
    while True:
        full = False
        for p in range(pes):
            full |= length[p] >= waiting
        found = -1
        if 0 <= row < rows and wait == 0:
            found = leading_nonzero(activations, row * pes + after, (row + 1) * pes)
        push = found >= 0 and not full
        stalled += found >= 0 and full
        working = False
        for p in range(pes):
            stages = pipe[p]
            if stages & WRITE:
                out[p, target_written[p]] = total[p]
            if stages & ADD:
                total[p], target_written[p] = old[p] + product[p], target_added[p]
            if stages & MULTIPLY:
                same = stages & ADD and target_added[p] == target[p]
                forwarded += same != 0
                old[p] = total[p] if same else out[p, target[p]]
                product[p], target_added[p] = weight[p] * act_decoded[p], target[p]
            if stages & DECODE:
                place[p] = gap[p] if first_read[p] else place[p] + gap[p] + 1
                target[p], weight[p], act_decoded[p] = place[p], codebook[code[p]], act_read[p]
            if stages & READ:
                if first[p]:
                    line[p] = address[p] // per_read * per_read
                    reads += 1
                elif address[p] == line[p] + per_read:
                    line[p] += per_read
                    reads += 1
                code[p], gap[p] = codes[starts[p] + address[p]], gaps[starts[p] + address[p]]
                act_read[p], first_read[p] = act[p], first[p]
                entries += 1
                nonzeros += code[p] != 0
            stages = (stages << 1) & ALL_STAGES
            if busy[p]:
                if at[p] < end[p]:
                    stages |= READ
                address[p], act[p], first[p] = at[p], value[p], opening[p]
                opening[p] = False
                at[p] += 1
                busy[p] = at[p] < end[p]
            pipe[p] = stages
            if not busy[p] and length[p] > 0:
                column = queue[p, head[p]]
                head[p] = head[p] + 1 if head[p] + 1 < waiting else 0
                length[p] -= 1
                value[p], at[p], end[p] = activations[column], pointers[column, p], pointers[column + 1, p]
                busy[p] = opening[p] = True
            if push:
                tail = head[p] + length[p]
                queue[p, tail if tail < waiting else tail - waiting] = found
                length[p] += 1
            working |= busy[p] or length[p] > 0 or stages != 0
        cycle += 1
        if push:
            sent += 1
            after = found % pes + 1
        if wait > 0:
            wait -= 1
        elif row < rows and (found < 0 or (push and after == pes)):
            row += 1
            after = 0
            if batch_rows and row % batch_rows == 0 and row < rows:
                wait = reload_cycles
        if row >= rows and not working:
            return cycle, stalled, entries, nonzeros, reads, sent, forwarded


@njit(cache=True)
def leading_nonzero(activations, begin, end):  # type: ignore[no-untyped-def]
    """Return the place of the first activation that is not zero, -1 if there is none."""
    for index in range(begin, end):
        if activations[index] != 0:
            return index
    return -1
