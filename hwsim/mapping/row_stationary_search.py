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

SLACK = 1 - 1e-9
"""By how much a bound is lowered, or a cost that is a bound raised: far more than rounding, far less than matters."""


@njit(cache=True, error_model="numpy")
def up(dividend, divisor):  # type: ignore[no-untyped-def]
    """Return the quotient rounded up."""
    return -(-dividend // divisor)


@njit(cache=True, error_model="numpy")
def coded(words, nonzero):  # type: ignore[no-untyped-def]
    """Return `row_stationary_traffic.coded_words`."""
    if words == 0:
        return 0
    power = (words - nonzero) / words
    for _ in range(5):
        power *= power
    pairs = nonzero / (1 - power) if nonzero > 0 else words / 32
    return min(words, 4 * up(int(-(-pairs // 1)), 3))


@njit(cache=True, error_model="numpy")
def link(limits, words):  # type: ignore[no-untyped-def]
    """Return the cycles that words take off-chip."""
    return up(words * limits.word_bits * limits.link_cycles, limits.link_bits) if limits.link_bits else 0


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy")
def fetched(cut, limits, strip, chunks):  # type: ignore[no-untyped-def]
    """Return the ifmap words that come from off-chip, coded where the machine codes them."""
    planes = cut.groups * cut.N * cut.C * chunks
    words, real = planes * strip[2] * cut.moved_columns, planes * strip[3] * cut.real_columns
    return coded(words, int(-(-(cut.density * real) // 1))) if limits.gated else words


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy")
def judge(cut, limits, prices, strip, m, n, p, q, r, t):  # type: ignore[no-untyped-def]
    """Return (energy [pJ], total cycles) of a mapping with the strips of row `strip`."""
    batches, chunks = up(cut.N, n), up(cut.K, m)
    passes = cut.groups * up(cut.P, strip[0]) * batches * up(cut.C, q * r) * cut.pieces * up(cut.K, p * t)
    work = passes * pass_cycles(cut, limits, strip[1], n, strip[0], p, q, r, t)
    return cost(cut, limits, prices, strip, batches, chunks, fetched(cut, limits, strip, chunks), work, p, q, r, t)


@njit(cache=True, error_model="numpy")
def better(objective, energy, cycles, best):  # type: ignore[no-untyped-def]
    """Return whether a cost is below the `best` (energy, cycles); equal ones are told apart by the other quantity."""
    if objective == 0:
        return energy < best[0] or (energy == best[0] and cycles < best[1])
    if objective == 1:
        return cycles < best[1] or (cycles == best[1] and energy < best[0])
    return energy * cycles < best[0] * best[1]


@njit(cache=True, error_model="numpy")
def resident(cut, limits, strip, filters, n, q, r):  # type: ignore[no-untyped-def]
    """Return m: all ofmap channels, or the least that gives the fewest equal chunks that fit the banks; 0 if none."""
    banks = limits.banks - up(n * q * r * strip[1] * cut.columns, limits.bank_words)
    most = max(0, banks) * limits.bank_words // (n * strip[0] * cut.Q)
    if most >= cut.K:
        return cut.K
    most -= most % filters
    return up(up(cut.K, up(cut.K, most)), filters) * filters if most else 0


@njit(cache=True, error_model="numpy")
def hopeless(cut, limits, prices, objective, strip, chunks, words_in, least, p, q, r, places, best):  # type: ignore[no-untyped-def]
    """Return whether nothing with at most p filters, at most `places` PE sets and `least` cycles of work is better.

    That is so where not even all of both at once is, ifmaps coming from off-chip for each of the fewest `chunks` and
    filters once. `SLACK` is for rounding.
    """
    energy, cycles = cost(cut, limits, prices, strip, 1, chunks, words_in, least, p, q, r, places)
    return not better(objective, energy * SLACK, cycles, best)


@njit(cache=True, error_model="numpy")
def least_overhead(cut, limits, strip, p, q, r, t):  # type: ignore[no-untyped-def]
    """Return the cycles of a pass at least, those in which windows follow each other at the slowest pace aside."""
    compute, psums = p * q * cut.set_taps, up(p * t * strip[0], limits.psum_rate)
    filters = up(compute * cut.set_rows * r * t, limits.filter_rate)
    loading = up(strip[1] * q * r * cut.set_taps, limits.ifmap_rate)
    return filters + loading + min(compute, psums) + cut.set_rows * r + limits.stages - 2


@njit(cache=True, error_model="numpy")
def try_filters(cut, limits, prices, objective, strip, images, q, r, places, out, best, seen):  # type: ignore[no-untyped-def]
    """Try all p, t, n and m; keep the best in `out` and `best`, count in `seen`.

    No mapping takes less than with the ofmap channels that one image leaves room for, with filters from off-chip once
    and nothing waited for: where that is no better than the best, n and m are not tried, and where it is so for all p
    or t together, neither are these.
    """
    e, taps = strip[0], cut.set_taps
    passes = cut.groups * up(cut.P, e) * up(cut.C, q * r) * cut.pieces
    windows = passes * cut.N * cut.Q
    most, psums = min(cut.K, limits.psum_spad, limits.filter_spad // (q * taps)), cut.K * e // limits.psum_rate
    sets = limits.filter_words // (q * taps * cut.set_rows * r)
    kept = limits.banks - up(q * r * strip[1] * cut.columns, limits.bank_words)
    kept = max(0, kept) * limits.bank_words // (e * cut.Q)
    if most == 0 or sets == 0 or kept == 0:
        return
    chunks = up(cut.K, kept)
    words_in = fetched(cut, limits, strip, chunks)
    least = windows * max(cut.K * q * taps // places, psums)
    beside = min(places, up(sets, most))
    if hopeless(cut, limits, prices, objective, strip, chunks, words_in, least, most, q, r, beside, best):
        seen[0] += most * places
        return
    for p in range(min(most, sets), 0, -1):
        beside = min(places, sets // p)
        least = windows * max(up(cut.K, p * beside) * p * q * taps, psums)
        if hopeless(cut, limits, prices, objective, strip, chunks, words_in, least, p, q, r, beside, best):
            seen[0] += beside
            continue
        for t in range(1, beside + 1):
            seen[0] += 1
            if t > 1 and up(cut.K, p * t) == up(cut.K, p * (t - 1)):
                continue
            least = windows * max(p * q * taps, up(p * t * e, limits.psum_rate))
            least = up(cut.K, p * t) * (least + passes * least_overhead(cut, limits, strip, p, q, r, t))
            if hopeless(cut, limits, prices, objective, strip, chunks, words_in, least, p, q, r, t, best):
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


@njit(cache=True, error_model="numpy")
def search(cut, limits, prices, strips, images, objective, out):  # type: ignore[no-untyped-def]
    """Write the best (m, n, e, p, q, r, t) into `out`; return (mappings looked at, legal ones judged)."""
    return search_below(cut, limits, prices, strips, images, objective, np.full(2, 1e150), out)


@njit(cache=True, error_model="numpy")
def search_near(cut, limits, prices, strips, images, objective, known, out):  # type: ignore[no-untyped-def]
    """Do the same quicker, with a legal mapping `known` that may be good.

    What is found does not depend on it: the first of the best is still found in its turn.
    """
    best = np.full(2, 1e150)
    for strip in strips:
        if strip[0] == known[2]:
            m, n, p, q, r, t = known[0], known[1], known[3], known[4], known[5], known[6]
            energy, cycles = judge(cut, limits, prices, strip, m, n, p, q, r, t)
            if objective != 1:
                best[0] = energy / SLACK
            if objective != 0:
                best[1] = cycles / SLACK
    looked, judged = search_below(cut, limits, prices, strips, images, objective, best, out)
    if not out.any():
        return search(cut, limits, prices, strips, images, objective, out)
    return looked, judged


@njit(cache=True, error_model="numpy")
def search_below(cut, limits, prices, strips, images, objective, best, out):  # type: ignore[no-untyped-def]
    """Write the best mapping into `out` if it is better than `best` (energy, cycles), which it becomes."""
    seen = np.zeros(2, np.int64)
    for strip in strips:
        pieces = up(strip[0], limits.cols)
        beside = limits.cols // up(strip[0], pieces)
        for q in range(min(cut.C, limits.ifmap_spad // cut.set_taps), 0, -1):
            for r in range(1, limits.rows // cut.set_rows + 1):
                places = limits.rows // (cut.set_rows * r) * beside // pieces
                if places == 0:
                    break
                if r == 1 or up(cut.C, q * r) < up(cut.C, q * (r - 1)):
                    try_filters(cut, limits, prices, objective, strip, images, q, r, places, out, best, seen)
    return seen[0], seen[1]
