"""What each pass of a folding takes and moves, and the sums over all passes.

While the folds of a pass compute, its operands arrive and the outputs before it leave: a pass lasts as long as the
slower of the array and off-chip memory. Fold lengths are those of SCALE-Sim (Samajdar et al., ISPASS 2020, Sec. III): a
stationary tile takes one cycle per row to load, the stream one per element, the skew of the array rows + cols - 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from hwsim.mapping.folding import Folding
from hwsim.units import ceil_div


class Pass(NamedTuple):
    """Cycles of one pass's folds and the words it moves off-chip; `psum_words` are both written and read."""

    fill_cycles: int
    compute_cycles: int
    drain_cycles: int
    input_words: int
    weight_words: int
    output_words: int
    psum_words: int

    @property
    def busy_cycles(self) -> int:
        """Cycles of the array when it waits for nothing."""
        return self.fill_cycles + self.compute_cycles + self.drain_cycles


class Totals(NamedTuple):
    """Sums over all passes, and the bits they move; `stall_cycles` are those that off-chip bandwidth adds."""

    fill_cycles: int
    compute_cycles: int
    drain_cycles: int
    stall_cycles: int
    input_words: int
    weight_words: int
    output_words: int
    psum_words: int
    moved_bits: int

    @property
    def total_cycles(self) -> int:
        """Cycles from the first off-chip read to the last off-chip write."""
        return self.fill_cycles + self.compute_cycles + self.drain_cycles + self.stall_cycles


def pass_at(f: Folding, outer: int, inner: int, warm: bool = False) -> Pass:
    """Return the pass at these indices; a `warm` copy finds its weights on chip."""
    outer_rest, inner_rest = f.outer_count - 1 - outer, f.inner_count - 1 - inner
    size = f.outer_size if outer_rest else f.outer_extent - outer * f.outer_size
    width = f.inner_size if inner_rest else f.inner_extent - inner * f.inner_size
    passing, held = _passing_words(f, outer, inner), _held_words(f, outer, inner)
    inputs, weights = (passing, held) if f.passing_is_input else (held, passing)
    if warm:
        weights = 0
    if f.output_stationary:
        others = f.col_extent if f.rows_outer else f.row_extent
        skew = others + f.pass_folds * (size - 2) if f.tight else f.pass_folds * (f.rows + f.cols - 2)
        return Pass(0, f.pass_folds * f.stream_extent, skew, inputs, weights, size * others, 0)
    skew = f.row_extent + f.pass_folds * (width - 2) if f.tight else f.pass_folds * (f.rows + f.cols - 2)
    fill = _load_cycles(f, size, width, outer == 0 and inner == 0, not outer_rest and not inner_rest)
    psums = (f.row_folds - 1) * size * width if f.spills else 0
    return Pass(fill, f.pass_folds * size, skew, inputs, weights, size * width, psums)


def walk(f: Folding) -> Iterator[tuple[Pass, int]]:
    """Yield every pass in order, with the bits that move while it computes."""
    first, last = (0, 0, 0), (f.copies - 1, f.outer_count - 1, f.inner_count - 1)
    for copy in range(f.copies):
        warm = copy >= f.copies - f.warm_copies
        for outer in range(f.outer_count):
            for inner in range(f.inner_count):
                one, at = pass_at(f, outer, inner, warm), (copy, outer, inner)
                aside = (startup_bits(f) if at == first else 0) + (tail_bits(f) if at == last else 0)
                yield one, moved_bits(f, one) - aside


def kinds(f: Folding) -> list[tuple[int, Pass]]:
    """Return (how often, pass) for each kind of pass: first, inner and last of either index, cold and warm copies."""
    found = []
    inners = _first_inner_last(f.inner_count)
    for copies, warm in ((f.copies - f.warm_copies, False), (f.warm_copies, True)):
        for outer, outer_times in _first_inner_last(f.outer_count):
            times = copies * outer_times
            if times:
                for inner, inner_times in inners:
                    if inner_times:
                        found.append((times * inner_times, pass_at(f, outer, inner, warm)))
    return found


def unstalled(f: Folding) -> Totals:
    """Return the sums without what passes wait for: of equal terms, so that no pass has to be looked at.

    The stalls counted are what must arrive before the first fold and leave after the last.
    """
    row_folds, col_folds, copies, skew = f.row_folds, f.col_folds, f.copies, f.rows + f.cols - 2
    folds, outputs = copies * row_folds * col_folds, copies * f.row_extent * f.col_extent
    load = psums = 0
    if f.output_stationary:
        if f.tight:
            others = f.col_extent if f.rows_outer else f.row_extent
            drain = copies * (f.outer_count * others + f.pass_folds * (f.outer_extent - 2 * f.outer_count))
        else:
            drain = folds * skew
    else:
        outputs, chunks = copies * f.stream_extent * f.col_extent, f.outer_count
        psums = (row_folds - 1) * outputs if f.spills else 0
        load = copies * chunks * col_folds * f.row_extent if f.tight else folds * chunks * f.rows
        drain = folds * chunks * skew
        if f.tight:
            drain = load + copies * chunks * row_folds * (f.col_extent - 2 * col_folds)
    if f.overlapped:
        load = 0
        for count, one in kinds(f):
            load += count * one.fill_cycles
    passing, held = copies * _all_passing_words(f), copies * _all_held_words(f)
    inputs, weights = (passing, held) if f.passing_is_input else (held, passing)
    if f.warm_copies:
        weights = weights // copies * (copies - f.warm_copies)
    bits = (inputs + weights) * f.word_bits + outputs * f.output_bits + 2 * psums * f.accumulator_bits
    stall = transfer_cycles(f, startup_bits(f)) + transfer_cycles(f, tail_bits(f))
    return Totals(load, folds * f.stream_extent, drain, stall, inputs, weights, outputs, psums, bits)


def totals(f: Folding, ideal: Totals) -> Totals:
    """Return `ideal`, as `unstalled` gives it, with the cycles that passes wait for what they move."""
    if f.bandwidth is None or never_waits(f):
        return ideal
    found, startup, tail, stall = kinds(f), startup_bits(f), tail_bits(f), ideal.stall_cycles
    for count, one in found:
        stall += count * stall_cycles(f, one)
    first, last = found[0][1], found[-1][1]
    if f.copies * f.outer_count * f.inner_count > 1:
        stall += stall_cycles(f, first, startup) - stall_cycles(f, first)
        stall += stall_cycles(f, last, tail) - stall_cycles(f, last)
    else:
        stall += stall_cycles(f, first, startup + tail) - stall_cycles(f, first)
    fill, compute, drain, _, inputs, weights, outputs, psums, bits = ideal
    return Totals(fill, compute, drain, stall, inputs, weights, outputs, psums, bits)


def moves_once(f: Folding) -> bool:
    """Whether every operand crosses the chip's edge once per copy; then no other folding of the tiles moves less."""
    passing_again = f.pass_folds if f.output_stationary else f.inner_count
    largest = f.passing_visit - (f.outer_count - 1) * (f.passing_visit * f.outer_size // f.outer_extent)
    return not f.spills and (
        (f.outer_count == 1 or f.held_visit * f.word_bits <= f.held_room_bits)
        and (passing_again == 1 or largest * f.word_bits <= f.passing_room_bits)
    )


def least_cycles(f: Folding, ideal: Totals) -> int:
    """Return a bound on the cycles that is quicker to find: the array's own, or those of all that moves."""
    return max(ideal[0] + ideal[1] + ideal[2] + ideal[3], transfer_cycles(f, ideal.moved_bits))


def moved_bits(f: Folding, one: Pass) -> int:
    """Return the bits a pass moves on and off the chip."""
    _, _, _, inputs, weights, outputs, psums = one
    return (inputs + weights) * f.word_bits + outputs * f.output_bits + 2 * psums * f.accumulator_bits


def transfer_cycles(f: Folding, bits: int) -> int:
    """Return the cycles that `bits` take off-chip."""
    return 0 if f.bandwidth is None else -(-bits * f.bandwidth[1] // f.bandwidth[0])


def stall_cycles(f: Folding, one: Pass, aside_bits: int = 0) -> int:
    """Return the cycles a pass waits for what it moves, less `aside_bits` that move before or after it."""
    return max(0, transfer_cycles(f, moved_bits(f, one) - aside_bits) - one[0] - one[1] - one[2])


def startup_bits(f: Folding) -> int:
    """Return what must arrive before the first fold can start: its stationary tile, or a word of each stream."""
    if f.output_stationary:
        passing, held = _passing_words(f, 0, 0), _held_words(f, 0, 0)
        along, across = min(f.rows, f.row_extent), min(f.cols, f.col_extent)
        if not f.passing_is_input:
            passing, held = held, passing
        return (min(along, passing) + min(across, held)) * f.word_bits
    return ceil_div(_held_words(f, 0, 0) * min(f.rows, f.row_extent), f.row_extent) * f.word_bits


def tail_bits(f: Folding) -> int:
    """Return what leaves after the last fold: outputs that finish with it, all of a stationary tile or else one row."""
    return f.last_cols * (f.last_rows if f.output_stationary else 1) * f.output_bits


def _held_words(f: Folding, outer: int, inner: int) -> int:
    if outer and f.held_visit * f.word_bits <= f.held_room_bits:
        return 0
    return _share(f.held_visit, inner, f.inner_count, f.inner_size, f.inner_extent)


def _passing_words(f: Folding, outer: int, inner: int) -> int:
    """With the output stationary a pass meets all inner tiles itself, so what does not fit comes for each of them."""
    share = _share(f.passing_visit, outer, f.outer_count, f.outer_size, f.outer_extent)
    if share * f.word_bits <= f.passing_room_bits:
        return 0 if inner else share
    return share * f.pass_folds if f.output_stationary else share


def _all_held_words(f: Folding) -> int:
    return f.held_visit * (1 if f.held_visit * f.word_bits <= f.held_room_bits else f.outer_count)


def _all_passing_words(f: Folding) -> int:
    again = f.pass_folds if f.output_stationary else f.inner_count
    full = f.passing_visit * f.outer_size // f.outer_extent
    last = f.passing_visit - (f.outer_count - 1) * full
    words = (f.outer_count - 1) * full * (1 if full * f.word_bits <= f.passing_room_bits else again)
    return words + last * (1 if last * f.word_bits <= f.passing_room_bits else again)


def _load_cycles(f: Folding, stream: int, width: int, first: bool, last: bool) -> int:
    """Return the cycles of a pass in which the array waits for stationary tiles to load.

    Overlapped, a tile loads behind the fold before it: only the first is waited for, and what outlasts a fold.
    """
    if not f.overlapped:
        return f.row_extent if f.tight else f.pass_folds * f.rows
    if f.tight:
        full, edge, across = min(f.rows, f.row_extent), f.last_rows, width
    else:
        full, edge, across = f.rows, f.rows, f.cols
    skew, last_skew = full + across - 2, edge + across - 2
    exposed = full if first else 0
    if f.pass_folds > 1:
        exposed += (f.pass_folds - 2) * max(0, full - stream - skew) + max(0, edge - stream - skew)
    return exposed + (0 if last else max(0, full - stream - last_skew))


def never_waits(f: Folding) -> bool:
    """Whether even the most that a pass can move takes no longer than the shortest pass; then none needs a look.

    No pass moves more than the first, but for the words that dividing an operand into equal shares leaves over, and but
    for a last share that alone does not fit its buffer.
    """
    first, last = pass_at(f, 0, 0), pass_at(f, f.outer_count - 1, f.inner_count - 1)
    left_over_bits = (f.outer_count + f.inner_count) * f.word_bits
    if f.output_stationary:
        left_over_bits = max(left_over_bits, moved_bits(f, last) - moved_bits(f, first))
        left_over_bits *= f.pass_folds
    shortest = min(first[0] + first[1] + first[2], last[0] + last[1] + last[2]) - (f.rows if f.overlapped else 0)
    return transfer_cycles(f, moved_bits(f, first) + left_over_bits) <= shortest


def _share(words: int, index: int, count: int, size: int, extent: int) -> int:
    """Return part number `index` of `words` spread over `extent` in parts of `size`; all `count` sum to `words`."""
    full = words * size // extent
    return full if index < count - 1 else words - (count - 1) * full


def _first_inner_last(count: int) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Return (index, how often) of the first, the inner and the last of `count`; none is counted twice."""
    return (0, 1), (1, max(0, count - 2)), (count - 1, 1 if count > 1 else 0)
