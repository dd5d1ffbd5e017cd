"""The search for a row-stationary mapping, compiled: every legal mapping is judged, or bounded by one that was.

Here, too, stands how a mapping is judged, because a cached kernel must call functions of its own file only. It is the
same arithmetic as `row_stationary.pass_of` and `row_stationary_traffic.tally`; a test holds them together.

A row of `strips` is (e, rows of a strip, moved rows, real rows); `images` are the n to try.

Left out are mappings that another is at least as good as in cycles and in every action: with PE sets, ofmap rows or
images that a smaller number serves in as many passes. Of the ofmap channels m only the number of chunks matters:
tried are the fewest that fit, in equal parts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit


class Cut(NamedTuple):
    """A layer as it is cut, in the words of `Geometry`, with what outputs take off-chip and how dense inputs are."""

    groups: int
    N: int
    K: int
    C: int
    P: int
    Q: int
    R: int
    set_rows: int
    set_taps: int
    pieces: int
    tap_pieces: int
    slide: int
    columns: int
    moved_columns: int
    real_columns: int
    read_columns: int
    weights: int
    outputs: int
    coded_outputs: int
    density: float


class Limits(NamedTuple):
    """What a mapping must fit and what sets its pace, in the words of `Machine`."""

    rows: int
    cols: int
    ifmap_spad: int
    filter_spad: int
    psum_spad: int
    banks: int
    bank_words: int
    filter_words: int
    ifmap_rate: int
    filter_rate: int
    psum_rate: int
    link_bits: int
    link_cycles: int
    gated: int
    stages: int
    word_bits: int


class Prices(NamedTuple):
    """[pJ] per unit of the fields of a `Tally` that depend on the mapping, and `fixed` for all others together."""

    filter_words: float
    ifmap_words: float
    ifmap_coded_words: float
    ifmap_reads: float
    psum_words: float
    filter_copies: float
    ifmap_copies: float
    psum_hops: float
    total_cycles: float
    fixed: float


OBJECTIVES = ("energy", "latency", "edp")


@njit(cache=True)
def up(dividend, divisor):  # type: ignore[no-untyped-def]
    """Return the quotient rounded up."""
    return -(-dividend // divisor)


@njit(cache=True)
def coded(words, nonzero):  # type: ignore[no-untyped-def]
    """Return `row_stationary_traffic.coded_words`."""
    if words == 0:
        return 0
    power = (words - nonzero) / words
    for _ in range(5):
        power *= power
    pairs = nonzero / (1 - power) if nonzero > 0 else words / 32
    return min(words, 4 * up(int(-(-pairs // 1)), 3))


@njit(cache=True)
def link(limits, words):  # type: ignore[no-untyped-def]
    """Return the cycles that words take off-chip."""
    return up(words * limits.word_bits * limits.link_cycles, limits.link_bits) if limits.link_bits else 0


@njit(cache=True)
def pass_cycles(cut, limits, strip_rows, n, e, p, q, r, t):  # type: ignore[no-untyped-def]
    """Return the cycles of a pass."""
    compute, per_row = p * q * cut.set_taps, strip_rows * q * r
    first, slide = per_row * cut.set_taps, per_row * cut.slide
    psums = up(p * t * e, limits.psum_rate)
    period, image = max(compute, psums), first + (cut.Q - 1) * slide
    last = 0
    for i in (0, n - 1):
        for w in (0, cut.Q - 1):
            arrived = up(i * image + first + w * slide, limits.ifmap_rate)
            last = max(last, arrived + compute + (n * cut.Q - 1 - i * cut.Q - w) * period)
    filters = up(compute * cut.set_rows * r * t, limits.filter_rate)
    return filters + last + cut.set_rows * r - 1 + limits.stages - 1 + psums


@njit(cache=True)
def fetched(cut, limits, strip, chunks):  # type: ignore[no-untyped-def]
    """Return the ifmap words that come from off-chip, coded where the machine codes them."""
    planes = cut.groups * cut.N * cut.C * chunks
    words, real = planes * strip[2] * cut.moved_columns, planes * strip[3] * cut.real_columns
    return coded(words, int(-(-(cut.density * real) // 1))) if limits.gated else words


@njit(cache=True)
def cost(cut, limits, prices, strip, batches, chunks, words_in, work, p, q, r, t):  # type: ignore[no-untyped-def]
    """Return (energy [pJ], total cycles) of `work` cycles of processing with `words_in` ifmap words from off-chip."""
    planes = cut.groups * cut.N * cut.C
    filter_words = cut.weights * up(cut.P, strip[0]) * batches
    cycles = max(work, link(limits, filter_words)) + link(limits, words_in + cut.coded_outputs)
    energy = (
        prices.filter_words * filter_words
        + prices.ifmap_words * (planes * strip[2] * cut.moved_columns * chunks)
        + prices.ifmap_coded_words * words_in
        + prices.ifmap_reads * (planes * strip[2] * cut.read_columns * up(cut.K, p * t))
        + prices.psum_words * (cut.outputs * up(cut.C, q * r) * cut.pieces)
        + prices.filter_copies * (cut.weights * cut.P * batches)
        + prices.ifmap_copies * (planes * cut.P * cut.R * cut.read_columns * up(cut.K, p))
        + prices.psum_hops * (cut.outputs * cut.R * cut.tap_pieces * up(cut.C, q))
        + prices.total_cycles * cycles
        + prices.fixed
    )
    return energy, cycles


@njit(cache=True)
def judge(cut, limits, prices, strip, m, n, p, q, r, t):  # type: ignore[no-untyped-def]
    """Return (energy [pJ], total cycles) of a mapping with the strips of row `strip`."""
    batches, chunks = up(cut.N, n), up(cut.K, m)
    passes = cut.groups * up(cut.P, strip[0]) * batches * up(cut.C, q * r) * cut.pieces * up(cut.K, p * t)
    work = passes * pass_cycles(cut, limits, strip[1], n, strip[0], p, q, r, t)
    return cost(cut, limits, prices, strip, batches, chunks, fetched(cut, limits, strip, chunks), work, p, q, r, t)


@njit(cache=True)
def better(objective, energy, cycles, best):  # type: ignore[no-untyped-def]
    """Return whether a cost is below the `best` (energy, cycles); equal ones are told apart by the other quantity."""
    if objective == 0:
        return energy < best[0] or (energy == best[0] and cycles < best[1])
    if objective == 1:
        return cycles < best[1] or (cycles == best[1] and energy < best[0])
    return energy * cycles < best[0] * best[1]


@njit(cache=True)
def resident(cut, limits, strip, filters, n, q, r):  # type: ignore[no-untyped-def]
    """Return m: all ofmap channels, or the least that gives the fewest equal chunks that fit the banks; 0 if none."""
    banks = limits.banks - up(n * q * r * strip[1] * cut.columns, limits.bank_words)
    most = max(0, banks) * limits.bank_words // (n * strip[0] * cut.Q)
    if most >= cut.K:
        return cut.K
    most -= most % filters
    return up(up(cut.K, up(cut.K, most)), filters) * filters if most else 0


@njit(cache=True)
def try_filters(cut, limits, prices, objective, strip, images, words_in, q, r, places, out, best, seen):  # type: ignore[no-untyped-def]
    """Try all p, t, n and m; keep the best in `out` and `best`, count in `seen`.

    No mapping takes less than one in which every word comes from off-chip once and nothing is waited for: where that is
    no better than the best, n and m are not tried.
    """
    e, taps = strip[0], cut.set_taps
    windows = cut.groups * up(cut.P, e) * cut.N * cut.Q * up(cut.C, q * r) * cut.pieces
    for p in range(min(cut.K, limits.psum_spad, limits.filter_spad // (q * taps)), 0, -1):
        for t in range(1, places + 1):
            seen[0] += 1
            if t > 1 and up(cut.K, p * t) == up(cut.K, p * (t - 1)):
                continue
            if p * q * taps * cut.set_rows * r * t > limits.filter_words:
                break
            least = windows * up(cut.K, p * t) * max(p * q * taps, up(p * t * e, limits.psum_rate))
            energy, cycles = cost(cut, limits, prices, strip, 1, 1, words_in, least, p, q, r, t)
            if not better(objective, energy, cycles, best):
                continue
            for n in images:
                seen[0] += 1
                m = resident(cut, limits, strip, p * t, n, q, r)
                if m == 0:
                    continue
                seen[1] += 1
                energy, cycles = judge(cut, limits, prices, strip, m, n, p, q, r, t)
                if better(objective, energy, cycles, best):
                    best[0], best[1] = energy, cycles
                    out[0], out[1], out[2], out[3], out[4], out[5], out[6] = m, n, e, p, q, r, t


@njit(cache=True)
def search(cut, limits, prices, strips, images, objective, out):  # type: ignore[no-untyped-def]
    """Write the best (m, n, e, p, q, r, t) into `out`; return (mappings looked at, legal ones judged)."""
    best, seen = np.full(2, 1e150), np.zeros(2, np.int64)
    for strip in strips:
        pieces = up(strip[0], limits.cols)
        beside = limits.cols // up(strip[0], pieces)
        words_in = fetched(cut, limits, strip, 1)
        for q in range(min(cut.C, limits.ifmap_spad // cut.set_taps), 0, -1):
            for r in range(1, limits.rows // cut.set_rows + 1):
                places = limits.rows // (cut.set_rows * r) * beside // pieces
                if places == 0:
                    break
                if r == 1 or up(cut.C, q * r) < up(cut.C, q * (r - 1)):
                    try_filters(cut, limits, prices, objective, strip, images, words_in, q, r, places, out, best, seen)
    return seen[0], seen[1]
