"""Compressed sparse columns on many PEs, compiled: random matrices and the recurrence over broadcasts.

In cycle t the leading-non-zero detection finds an activation and broadcasts it, if no queue is full; from t + 1 on it
is in the queues. A PE takes the head of its queue when it has issued the last entry of the column before, and then
issues an entry per cycle; a column of which it has none costs it a cycle. Behind the issue an entry takes `LATENCY`
cycles: the read of the sparse matrix, then decode and address, read and multiply, add, write. Activations come row by
row, one for each PE; a row is left in a cycle of its own, unless its last PE had the last non-zero.
"""

from __future__ import annotations

import numpy as np
from numba import njit

FILL, LATENCY = 3, 5
"""Cycles before the first entry can be issued (row read, detection, queue), and of an entry behind its issue."""

BUCKET_BITS = 12
"""Random numbers are looked up by their highest bits."""

SUMS = ("cycles", "stalled", "entries", "nonzeros", "reads", "broadcasts", "theoretical", "started")
"""What is summed over products; "theoretical" are cycles in which all PEs have an equal share of the entries."""

GOLDEN, FIRST_MIX, SECOND_MIX = (
    np.uint64(0x9E3779B97F4A7C15),
    np.uint64(0xBF58476D1CE4E5B9),
    np.uint64(0x94D049BB133111EB),
)
S27, S30, S31, S32 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)
LOOKUP_SHIFT, LOW_CODE = np.uint64(64 - BUCKET_BITS), np.uint64(0xFFFFFFFF)


@njit(cache=True, error_model="numpy")
def mixed(state):  # type: ignore[no-untyped-def]
    """Return 64 random bits for a counter that grows by `GOLDEN` (SplitMix64: Steele, Lea and Flood, OOPSLA 2014)."""
    z = state
    z = (z ^ (z >> S30)) * FIRST_MIX
    z = (z ^ (z >> S27)) * SECOND_MIX
    return z ^ (z >> S31)


@njit(cache=True, error_model="numpy")
def random_columns(bounds, guess, rows, cols, pes, run, levels, seed, capacity, pointers, useful, codes, gaps):  # type: ignore[no-untyped-def]
    """Fill `pointers` (cols + 1, pes) and `useful` (cols) of a random matrix; return its entries, -1 without room.

    `bounds[g]` is the probability, times 2^64, of at most g zeros before a non-zero, `guess` the least g by the
    highest bits. Where they have room, `codes` are filled with 1 to `levels` and 0 for padding, `gaps` with gaps.
    """
    keep = codes.size > 0
    total = 0
    state = seed
    for p in range(pes):
        part = (rows - p + pes - 1) // pes
        entries = 0
        pointers[0, p] = 0
        for c in range(cols):
            r = -1
            while True:
                state += GOLDEN
                bits = mixed(state)
                zeros = guess[bits >> LOOKUP_SHIFT]
                while bits >= bounds[zeros] and zeros < part:
                    zeros += 1
                r += zeros + 1
                if r >= part:
                    break
                padding = zeros // run
                if keep:
                    if total + padding + 1 > codes.size:
                        return -1
                    for _ in range(padding):
                        codes[total] = 0
                        gaps[total] = run - 1
                        total += 1
                    codes[total] = 1 + ((bits & LOW_CODE) * np.uint64(levels) >> S32)
                    gaps[total] = zeros % run
                    total += 1
                entries += padding + 1
                useful[c] += 1
            if entries > capacity:
                return -1
            pointers[c + 1, p] = entries
        if not keep:
            total += entries
    return total


@njit(cache=True, error_model="numpy")
def random_positions(count, among, seed, out):  # type: ignore[no-untyped-def]
    """Fill `out` with `count` different numbers below `among`, ascending, each choice as likely as any other."""
    state = seed
    taken = 0
    for at in range(among):
        state += GOLDEN
        if mixed(state) % np.uint64(among - at) < np.uint64(count - taken):
            out[taken] = at
            taken += 1
            if taken == count:
                return


@njit(cache=True, error_model="numpy")
def broadcasts(pointers, columns, waiting, batch_rows, reload_cycles, free, ended, heads):  # type: ignore[no-untyped-def]
    """Return (cycles, cycles that the broadcast waited for a full queue) of one product, by recurrence.

    Columns `columns` are broadcast in order; column c is that of PE c mod n in row c // n. Queues hold `waiting`
    entries. Every `batch_rows` rows, if that is not 0, the registers are read anew in `reload_cycles`. With B the cycle
    of a broadcast and u that in which a PE takes it from its queue:
    B(j) = max(B(j-1) + 1, max over PEs of u(j - waiting) + 1), later where rows are left in between;
    u(j) = max(B(j) + 1, u(j-1) + max(1, entries(j-1))).
    `free` and `ended` (PEs) and `heads` (columns) are scratch.
    """
    cols, pes = pointers.shape[0] - 1, pointers.shape[1]
    free[:] = 0
    ended[:] = 0
    stalled = 0
    before = -1
    row = -1
    left = 0
    for j in range(columns.size):
        column = columns[j]
        at = column // pes
        cycle = before + 1
        if at != row:
            cycle = left + row_cycles(row, at, batch_rows, reload_cycles)
            row = at
        if j >= waiting and heads[j - waiting] >= cycle:
            stalled += heads[j - waiting] + 1 - cycle
            cycle = heads[j - waiting] + 1
        heads[j] = taken_by_all(pointers[column], pointers[column + 1], np.int32(cycle + 1), free, ended)
        before = cycle
        left = cycle if column % pes == pes - 1 else cycle + 1
    scanned = left + row_cycles(row, (cols - 1) // pes, batch_rows, reload_cycles)
    cycles = max(scanned, free.max()) + 1
    if ended.max() > 0:
        cycles = max(cycles, ended.max() + 1 + LATENCY)
    return cycles, stalled


@njit(cache=True, error_model="numpy")
def taken_by_all(begin, end, ready, free, ended):  # type: ignore[no-untyped-def]
    """Let every PE take a column from its queue, from cycle `ready` on; return when the last does.

    `free` is when each PE has done with the column, `ended` when it has issued its last entry of any.
    """
    one, latest = np.int32(1), np.int32(0)
    for p in range(free.size):
        taken = max(free[p], ready)
        latest = max(latest, taken)
        entries = np.int32(end[p] - begin[p])
        free[p] = np.int32(taken + max(one, entries))
        ended[p] = free[p] if entries > 0 else ended[p]
    return latest


@njit(cache=True, error_model="numpy")
def row_cycles(row, at, batch_rows, reload_cycles):  # type: ignore[no-untyped-def]
    """Return the cycles from leaving `row` until `at` is in the detection tree, a cycle each and those of reloading."""
    cycles = at - row
    if batch_rows:
        cycles += (at // batch_rows - (row // batch_rows if row >= 0 else -1)) * reload_cycles
    return cycles


@njit(cache=True, error_model="numpy")
def shift_of(width):  # type: ignore[no-untyped-def]
    """Return by how many bits to shift instead of dividing by `width`, -1 where it is no power of two."""
    for bits in range(31):
        if width == 1 << bits:
            return bits
    return -1


@njit(cache=True, error_model="numpy")
def column_counts(begin, end, per_read, shift):  # type: ignore[no-untyped-def]
    """Return (entries, reads of the matrix) of a column; a read gives an aligned row of `per_read` entries.

    A shift is a tenth of the time of a division, which no vector unit does.
    """
    entries, reads = np.int32(0), np.int32(0)
    zero, one, bits, width = np.int32(0), np.int32(1), np.int32(max(shift, 0)), np.int32(per_read)
    for p in range(begin.size):
        entries = np.int32(entries + np.int32(end[p] - begin[p]))
    if shift >= 0:
        for p in range(begin.size):
            rows = np.int32(np.int32(np.int32(end[p] - one) >> bits) - np.int32(begin[p] >> bits) + one)
            reads = np.int32(reads + (rows if end[p] > begin[p] else zero))
    else:
        for p in range(begin.size):
            if end[p] > begin[p]:
                reads = np.int32(reads + np.int32(end[p] - one) // width - begin[p] // width + one)
    return entries, reads


@njit(cache=True, error_model="numpy")
def counted(pointers, useful, columns, per_read):  # type: ignore[no-untyped-def]
    """Return (entries, non-zeros, reads of the matrix) of `columns`."""
    entries, nonzeros, reads = 0, 0, 0
    shift = shift_of(per_read)
    for j in range(columns.size):
        column = columns[j]
        nonzeros += useful[column]
        stored, read = column_counts(pointers[column], pointers[column + 1], per_read, shift)
        entries += stored
        reads += read
    return entries, nonzeros, reads


@njit(cache=True, error_model="numpy")
def added(cycles, stalled, entries, nonzeros, reads, broadcasts, pes, sums):  # type: ignore[no-untyped-def]
    """Add to `sums`, in the order of `SUMS`, what one product takes."""
    sums[0] += cycles
    sums[1] += stalled
    sums[2] += entries
    sums[3] += nonzeros
    sums[4] += reads
    sums[5] += broadcasts
    sums[6] += -(-entries // pes)
    sums[7] += entries > 0


@njit(cache=True, error_model="numpy")
def product_of(pointers, useful, columns, waiting, batch_rows, reload_cycles, per_read, free, ended, heads, sums):  # type: ignore[no-untyped-def]
    """Add to `sums` what one product takes."""
    cycles, stalled = broadcasts(pointers, columns, waiting, batch_rows, reload_cycles, free, ended, heads)
    entries, nonzeros, reads = counted(pointers, useful, columns, per_read)
    added(cycles, stalled, entries, nonzeros, reads, columns.size, pointers.shape[1], sums)


@njit(cache=True, error_model="numpy")
def counts_of_all(pointers, useful, per_read):  # type: ignore[no-untyped-def]
    """Return (entries, non-zeros, reads of the matrix) of each column."""
    counts = np.zeros((useful.size, 3), np.int64)
    shift = shift_of(per_read)
    for column in range(useful.size):
        counts[column, 0], counts[column, 2] = column_counts(pointers[column], pointers[column + 1], per_read, shift)
        counts[column, 1] = useful[column]
    return counts


@njit(cache=True, error_model="numpy")
def random_products(pointers, useful, vectors, count, seed, cols, waiting, batch_rows, reload_cycles, per_read, sums):  # type: ignore[no-untyped-def]
    """Add to `sums` the products with `vectors` random vectors of `count` non-zeros among `cols` each."""
    pes = pointers.shape[1]
    free, ended = np.zeros(pes, np.int32), np.zeros(pes, np.int32)
    heads, columns = np.zeros(count, np.int32), np.zeros(count, np.int64)
    runs = 1 if count == cols else vectors
    before = sums.copy()
    # several vectors meet the same columns
    known = counts_of_all(pointers, useful, per_read) if runs > 1 else np.zeros((0, 3), np.int64)
    for vector in range(runs):
        random_positions(count, cols, vector_seed(seed, vector), columns)
        cycles, stalled = broadcasts(pointers, columns, waiting, batch_rows, reload_cycles, free, ended, heads)
        entries, nonzeros, reads = 0, 0, 0
        if runs == 1:
            entries, nonzeros, reads = counted(pointers, useful, columns, per_read)
        else:
            for column in columns:
                entries += known[column, 0]
                nonzeros += known[column, 1]
                reads += known[column, 2]
        added(cycles, stalled, entries, nonzeros, reads, count, pes, sums)
    if runs < vectors:
        for index in range(sums.size):
            sums[index] += (sums[index] - before[index]) * (vectors - 1)


@njit(cache=True, error_model="numpy")
def vector_seed(seed, vector):  # type: ignore[no-untyped-def]
    """Return the seed of one of several vectors."""
    return mixed(seed ^ mixed(np.uint64(vector + 1) * GOLDEN))
