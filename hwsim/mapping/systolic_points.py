"""The search of `hwsim.mapping.systolic` in numbers alone, so that it can be compiled and run over many machines.

What a folding costs and how it is cut are the functions of `folding`, `passes` and `systolic` themselves: a `Fold` has
the numbers of a `Folding` under the same names. Only which foldings are tried, and in which order, is said again here.
Everything runs as plain Python, too; `hwsim.engine.array_points_kernels` compiles it.
"""

from __future__ import annotations

from collections import namedtuple
from typing import Any, NamedTuple

from hwsim.mapping.folding import DERIVED, derived
from hwsim.mapping.passes import Totals, least_cycles, moves_once, never_waits, totals, unstalled
from hwsim.mapping.systolic import cut, useful_chunks
from hwsim.mapping.systolic_shapes import Machine, Shape, Words
from hwsim.units import ceil_div

LARGEST = 2.0**61
"""No product of a covered point reaches this, so that its sums stay in int64."""

NEVER = 1 << 62
"""More cycles than any folding takes."""


class Given(NamedTuple):
    """What a `Fold` is derived from."""

    weight_stationary: bool
    rows: int
    cols: int
    tight: bool
    overlapped: bool
    row_extent: int
    col_extent: int
    stream_extent: int
    chunk: int
    copies: int
    warm_copies: int
    input_visit: int
    weight_visit: int
    input_room_bits: int
    weight_room_bits: int
    output_room_bits: int
    word_bits: int
    output_bits: int
    accumulator_bits: int
    bandwidth: tuple[int, int]


Fold: Any = namedtuple("Fold", (*Given._fields, *DERIVED))  # type: ignore[misc]
"""The numbers of a `Folding` that its costs depend on: those of `Given`, then what is `derived`."""

GIVEN = len(Given._fields)


class Choice(NamedTuple):
    """The best folding so far and its cycles; `exact` says that none of those tried is too large for int64."""

    fold: Any
    totals: Totals
    cycles: int
    exact: bool


def fastest(shape: Shape, machine: Machine, words: Words) -> Choice:
    """Return the folding that `hwsim.mapping.systolic.place` chooses."""
    whole = whole_stream(shape, machine, words, machine.rows, machine.cols)
    best = Choice(whole, Totals(0, 0, 0, 0, 0, 0, 0, 0, 0), NEVER, fits(whole))
    if not best.exact:
        return best
    best = fastest_of(whole, shape.batch, best)
    if not machine.tight:
        return best
    loads = 0 if machine.overlapped or words.output_stationary else 1
    rows = machine.rows
    while rows:
        cols = machine.cols
        while cols:
            if (rows < machine.rows or cols < machine.cols) and busy_cycles(shape, loads, rows, cols) <= best.cycles:
                whole = whole_stream(shape, machine, words, rows, cols)
                if not fits(whole):
                    return Choice(best.fold, best.totals, best.cycles, False)
                best = fastest_of(whole, shape.batch, best)
            cols >>= 1
        rows >>= 1
    return best


def busy_cycles(shape: Shape, loads: int, rows: int, cols: int) -> int:
    """Return the least cycles of an array in tiles of this size, however they are ordered, cut or waited for.

    These are the streams, the skews and, if each tile `loads` first, the loads of the whole batch in whole streams:
    the sums of `passes.unstalled`. Parts of it have as many folds or more, and chunks load and skew more often.
    """
    row_folds, col_folds = ceil_div(shape.row_extent, rows), ceil_div(shape.col_extent, cols)
    skews = (1 + loads) * col_folds * shape.row_extent + row_folds * shape.col_extent
    return shape.groups * shape.steps * (row_folds * col_folds * (shape.stream_extent - 2) + skews)


def fastest_of(whole: Any, batch: int, best: Choice) -> Choice:
    """Return the fastest of tiles of one size, or `best` where none is faster: what `systolic._candidates` yields."""
    best = in_either_order(whole, best)
    if moves_once(whole) and (batch % 2 or never_waits(whole)):
        return best
    parts, part = 1, whole
    while batch % parts == 0:
        if parts > 1:
            part = part_of(whole, parts)
            best = in_either_order(part, best)
        for chunk in useful_chunks(part):
            if chunk:
                best = faster(chunked(part, chunk), best)
        parts *= 2
    return best


def in_either_order(fold: Any, best: Choice) -> Choice:
    """Return the faster of a folding's orders, or `best`."""
    best = faster(fold, best)
    if fold.output_stationary and fold.row_folds > 1 and fold.col_folds > 1:
        return faster(fold_of(Given(*fold[:GIVEN]), fold.output_stationary, True), best)
    return best


def faster(fold: Any, best: Choice) -> Choice:
    """Return `fold` with its cost if it takes fewer cycles, or as many and moves fewer bits; ties go to the earlier."""
    ideal = unstalled(fold)
    least, bits = least_cycles(fold, ideal), ideal.moved_bits
    if least > best.cycles or (least == best.cycles and bits >= best.totals.moved_bits):
        return best
    found = totals(fold, ideal)
    cycles = found[0] + found[1] + found[2] + found[3]
    if cycles > best.cycles or (cycles == best.cycles and bits >= best.totals.moved_bits):
        return best
    return Choice(fold, found, cycles, best.exact)


def whole_stream(shape: Shape, machine: Machine, words: Words, rows: int, cols: int) -> Any:
    """Return the folding that `systolic.whole_stream` returns."""
    reused = shape.steps > 1 and shape.weight_visit * shape.groups * words.word_bits <= machine.weight_room_bits
    channels = min(shape.channels, ceil_div(rows, shape.taps) + 1) if shape.taps else shape.channels
    overlaps = channels * shape.reach_words <= machine.input_room_bits // words.word_bits
    given = Given(
        words.weight_stationary,
        rows,
        cols,
        machine.tight,
        machine.overlapped and not words.output_stationary,
        shape.row_extent,
        shape.col_extent,
        shape.stream_extent,
        shape.stream_extent,
        shape.groups * shape.steps,
        shape.groups * (shape.steps - 1) if reused else 0,
        shape.once if overlaps else shape.lowered,
        shape.weight_visit,
        machine.input_room_bits,
        machine.weight_room_bits,
        machine.output_room_bits,
        words.word_bits,
        words.output_bits,
        words.accumulator_bits,
        machine.bandwidth,
    )
    return fold_of(given, words.output_stationary, False)


def part_of(whole: Any, parts: int) -> Any:
    """Return the folding that `systolic.cut_batch` returns."""
    changed = Given(*(whole[:5] + cut(whole, parts) + whole[12:GIVEN]))
    return fold_of(changed, whole.output_stationary, False)


def chunked(fold: Any, chunk: int) -> Any:
    """Return the folding with another chunk."""
    changed = (*fold[:8], chunk, *fold[9:GIVEN])
    return fold_of(Given(*changed), fold.output_stationary, False)


def fold_of(given: Any, output_stationary: bool, rows_outer: bool) -> Any:
    """Return a fold with what follows from its numbers."""
    return Fold(*(given[:GIVEN] + derived(given, output_stationary, given.weight_stationary, rows_outer)))


def fits(f: Any) -> bool:
    """Whether no product on the way to the costs of `f`, or of its parts, can leave int64.

    Bounds are in floating point: all words that cross the chip's edge, each operand again for every tile of the other,
    at the widest of the formats; the same in cycles; the latches of loading; operands times a part of what they are
    shared out over; and for the output stationary, what `never_waits` adds, the words of a pass for every fold of it.
    """
    rows, cols, stream = float(f.row_extent) + f.rows, float(f.col_extent) + f.cols, float(f.stream_extent) + 1
    cycles_per_bit = 1.0 + float(f.bandwidth[1]) / float(f.bandwidth[0])
    width_bits = max(f.word_bits, f.output_bits, f.accumulator_bits)
    every, side = f.copies * rows * cols * stream, float(max(f.rows, f.cols) + 1)
    moved_bits = 16.0 * width_bits * every
    if f.output_stationary:
        down, along, once = float(f.row_folds), float(f.col_folds), float(f.input_visit) + f.weight_visit + rows * cols
        most = max((f.weight_visit * down + once) * down, (f.input_visit * along + once) * along)
        moved_bits = max(moved_bits, 4.0 * width_bits * most)
    rooms = float(max(f.input_room_bits, f.weight_room_bits, f.output_room_bits))
    visit = float(max(f.input_visit, f.weight_visit))
    return (
        moved_bits * cycles_per_bit < LARGEST
        and every * side < LARGEST
        and visit * max(side, 0.0 if f.output_stationary else stream) < LARGEST
        and min(rooms, visit * f.word_bits) * stream < LARGEST
        and rooms < LARGEST
    )


def counted(choice: Choice, shape: Shape) -> tuple[int, ...]:
    """Return the numbers of `COUNTS`, as `hwsim.engine.array.array_counts` counts them."""
    f, found = choice.fold, choice.totals
    rows, cols, stream = f.row_extent, f.col_extent, f.stream_extent
    psums = 0
    if f.output_stationary:
        input_reads, weight_reads = f.copies * rows * stream * f.col_folds, f.copies * cols * stream * f.row_folds
        input_hops = weight_hops = shape.macs
    else:
        held, hops = f.copies * f.outer_count * rows * cols, f.copies * f.outer_count * latches(f)
        streamed = f.copies * stream * rows * f.col_folds
        input_reads, weight_reads = (streamed, held) if f.passing_is_input else (held, streamed)
        input_hops, weight_hops = (shape.macs, hops) if f.passing_is_input else (hops, shape.macs)
        psums = shape.outputs * (f.row_folds - 1)
    return (
        choice.cycles,
        found.stall_cycles,
        found.input_words,
        found.weight_words,
        found.output_words,
        found.psum_words,
        input_hops,
        weight_hops,
        input_reads,
        weight_reads,
        shape.outputs,
        psums,
        shape.macs,
    )


def latches(f: Any) -> int:
    """Return the latches of loading every stationary tile once, as `hwsim.engine.array.load_hops` counts them."""
    full, last = f.rows * (f.rows + 1) // 2, f.last_rows * (f.last_rows + 1) // 2
    return int(((f.row_folds - 1) * full + last) * f.col_extent)


COUNTS = (
    "total_cycles", "stall_cycles", "input_words", "weight_words", "output_words", "psum_words", "input_hops",
    "weight_hops", "input_reads", "weight_reads", "outputs", "psums", "macs",
)  # fmt: skip
"""What is counted of a layer on a machine."""
