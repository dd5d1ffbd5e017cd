"""The search for the fastest folding of a layer on a systolic array."""

from __future__ import annotations

from collections.abc import Iterator

from hwsim.arch.accelerator import Accelerator
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Kind, Layer
from hwsim.mapping.folding import AXES, Folding, Operand, made_of
from hwsim.mapping.loops import ArrayMapping, extents
from hwsim.mapping.passes import Totals, least_cycles, moves_once, never_waits, totals, unstalled
from hwsim.units import ceil_div


def place(layer: Layer, chip: Accelerator, fmt: NumberFormat, stationary: Operand, dataflow: str) -> ArrayMapping:
    """Return the mapping of least cycles, and among those of fewest off-chip bits, with `stationary` kept in the PEs.

    Tried are streams cut so that partial sums or the passing operand fit their buffers, batches cut so that what comes
    again fits, either axis outermost with the output stationary, and, where tiles need not cross the whole array, tiles
    of half its sides, and half of those. Cuts are at powers of two: the passes of a coarser cut are those of a finer
    one joined, and so never slower; of each kind only the coarsest that makes something fit is tried.
    """
    return ArrayMapping(layer, dataflow, *_cheapest(foldings(layer, chip, fmt, stationary)))


def foldings(layer: Layer, chip: Accelerator, fmt: NumberFormat, stationary: Operand) -> list[Folding]:
    """Return the foldings among which `place` chooses."""
    if chip.array.drain == "array":
        whole = whole_stream(layer, chip, fmt, stationary, chip.array.rows, chip.array.cols)
        return list(_candidates(whole, layer))
    return [
        folding
        for rows, cols in _tiles(chip)
        for folding in _candidates(whole_stream(layer, chip, fmt, stationary, rows, cols), layer)
    ]


def _cheapest(tried: list[Folding]) -> tuple[Folding, Totals]:
    """Return the folding of least cycles, then of fewest bits; one whose bound is no better is not timed."""
    ideals = [unstalled(folding) for folding in tried]
    if len(tried) == 1:
        return tried[0], totals(tried[0], ideals[0])
    bounds = sorted(
        (least_cycles(folding, ideal), ideal.moved_bits, index)
        for index, (folding, ideal) in enumerate(zip(tried, ideals, strict=True))
    )
    best: tuple[int, int, int, Totals] | None = None
    for least, bits, index in bounds:
        if best is not None and (least, bits, index) > best[:3]:
            break
        found = totals(tried[index], ideals[index])
        timed = (found.total_cycles, bits, index, found)
        best = timed if best is None else min(best, timed)
    assert best is not None, "something is always tried"
    return tried[best[2]], best[3]


def whole_stream(
    layer: Layer, chip: Accelerator, fmt: NumberFormat, stationary: Operand, rows: int, cols: int
) -> Folding:
    """Return the folding into tiles of `rows` x `cols` that streams all of the third dimension through each."""
    extent, rooms, array = extents(layer), chip.rooms, chip.array
    on_rows, on_cols, streamed = AXES[stationary]
    weight_visit = layer.K * layer.reduction
    reused = layer.steps > 1 and weight_visit * layer.G * fmt.bits <= rooms["weight"]
    return made_of(
        {},
        stationary=stationary,
        rows=rows,
        cols=cols,
        tight=array.drain == "tile",
        overlapped=array.preload == "overlapped" and stationary != "output",
        row_extent=extent[on_rows],
        col_extent=extent[on_cols],
        stream_extent=extent[streamed],
        chunk=extent[streamed],
        outer="cols",
        parts=1,
        copies=extent["G"],
        warm_copies=layer.G * (layer.steps - 1) if reused else 0,
        input_visit=input_visit(layer, stationary, rows, rooms["input"] // fmt.bits),
        weight_visit=weight_visit,
        input_room_bits=rooms["input"],
        weight_room_bits=rooms["weight"],
        output_room_bits=rooms["output"],
        word_bits=fmt.bits,
        output_bits=fmt.operand_bits("output"),
        accumulator_bits=fmt.accumulator_bits,
        bandwidth=chip.off_chip_rate,
    )


def input_visit(layer: Layer, stationary: Operand, rows: int, room_words: int) -> int:
    """Return the off-chip words of one visit to the input of one group: each element once if its window's rows fit.

    A convolution's windows overlap. While the buffer holds the input rows that one row of windows needs, of the
    channels in use, each element is fetched once; otherwise each window is fetched anew, as a matrix of positions x
    reduction.
    """
    lowered = layer.positions * layer.reduction
    if layer.kind is not Kind.CONV:
        return lowered
    channels = layer.C if stationary != "weight" else min(layer.C, ceil_div(rows, layer.R * layer.S) + 1)
    reach = min(layer.dilation[0] * (layer.R - 1) + 1, layer.input_shapes[0][2])
    if channels * reach * layer.input_shapes[0][3] > room_words:
        return lowered
    return layer.input_elements_used // layer.G


def _tiles(chip: Accelerator) -> Iterator[tuple[int, int]]:
    """Yield the sizes of tiles that need not fill the array: its sides, their halves, quarters and so on."""
    rows, cols = chip.array.rows, chip.array.cols
    for shorter in range(rows.bit_length()):
        for narrower in range(cols.bit_length()):
            yield rows >> shorter, cols >> narrower


def _candidates(whole: Folding, layer: Layer) -> Iterator[Folding]:
    """Yield the foldings worth timing: of the whole batch alone where nothing moves twice and no pass waits."""
    yield from _orders(whole)
    if moves_once(whole) and (layer.N % 2 or never_waits(whole)):
        return
    for parts in _parts(layer):
        part = cut_batch(whole, parts)
        if parts > 1:
            yield from _orders(part)
        for chunk in useful_chunks(part):
            if chunk:
                yield part.but(chunk=chunk)


def _orders(f: Folding) -> Iterator[Folding]:
    """Yield the folding, and with the output stationary the one with the other axis outermost."""
    yield f
    if f.stationary == "output" and f.row_folds > 1 and f.col_folds > 1:
        yield f.but(outer="rows")


def useful_chunks(f: Folding) -> tuple[int, int]:
    """Return the longest streams, powers of two, with which the partial sums or the passing operand fit on chip.

    The longer comes first; 0 stands for none.
    """
    if f.output_stationary:
        return 0, 0
    of_sums = of_passing = 0
    if f.spills:
        of_sums = _chunk(f, f.output_room_bits // (min(f.cols, f.col_extent) * f.accumulator_bits))
    visit_bits = f.passing_visit * f.word_bits
    if f.col_folds > 1 and visit_bits > f.passing_room_bits:
        of_passing = _chunk(f, f.passing_room_bits * f.stream_extent // visit_bits)
    return max(of_sums, of_passing), 0 if of_sums == of_passing else min(of_sums, of_passing)


def _chunk(f: Folding, limit: int) -> int:
    return power_of_two(limit) if 1 <= limit < f.stream_extent else 0


def _parts(layer: Layer) -> Iterator[int]:
    """Yield into how many equal parts a batch can be cut: the powers of two that divide it."""
    for power in range((layer.N & -layer.N).bit_length()):
        yield 1 << power


def cut_batch(f: Folding, parts: int) -> Folding:
    """Return the folding of each of `parts` equal parts of the batch; weights that fit stay for the next part."""
    if parts == 1:
        return f
    return f.but(parts=parts, **dict(zip(CUT, cut(f, parts), strict=True)))


CUT = ("row_extent", "col_extent", "stream_extent", "chunk", "copies", "warm_copies", "input_visit")
"""What cutting a batch changes."""


def cut(f: Folding, parts: int) -> tuple[int, int, int, int, int, int, int]:
    """Return the numbers of `CUT` of each of `parts` equal parts of the batch."""
    row_extent, col_extent, stream_extent, chunk = f.row_extent, f.col_extent, f.stream_extent, f.chunk
    if f.output_stationary:
        row_extent //= parts
    elif f.passing_is_input:
        stream_extent //= parts
        chunk = stream_extent
    else:
        col_extent //= parts
    copies, cold = f.copies * parts, f.copies - f.warm_copies
    if f.weight_visit * f.word_bits > f.weight_room_bits:
        cold *= parts
    return row_extent, col_extent, stream_extent, chunk, copies, copies - cold, f.input_visit // parts


def power_of_two(limit: int) -> int:
    """Return the largest power of two that is at most `limit`."""
    return 1 << (limit.bit_length() - 1)
