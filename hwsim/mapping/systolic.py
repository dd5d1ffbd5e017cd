"""The search for the fastest folding of a layer on a systolic array."""

from __future__ import annotations

from hwsim.arch.accelerator import Accelerator
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Kind, Layer
from hwsim.mapping.folding import AXES, Folding, Operand
from hwsim.mapping.loops import Mapping, extents
from hwsim.mapping.passes import Totals, least_cycles, totals, unstalled
from hwsim.units import ceil_div


def place(layer: Layer, chip: Accelerator, fmt: NumberFormat, stationary: Operand, dataflow: str) -> Mapping:
    """Return the mapping of least cycles, and among those of fewest off-chip bits, with `stationary` kept in the PEs.

    Tried are, for stationary weights and inputs, streams cut so that the partial sums or the streaming operand fit
    their buffer, or not at all; for stationary outputs, which axis's tiles stay while the other's go by.
    """
    whole = whole_stream(layer, chip, fmt, stationary)
    tried = _output_candidates(whole) if stationary == "output" else _operand_candidates(whole)
    return Mapping(layer, dataflow, *_cheapest(tried))


def whole_stream(layer: Layer, chip: Accelerator, fmt: NumberFormat, stationary: Operand) -> Folding:
    """Return the folding that streams all of the third dimension through each tile."""
    extent, rooms, array = extents(layer), chip.rooms, chip.array
    on_rows, on_cols, streamed = AXES[stationary]
    weight_visit = layer.K * layer.reduction
    reused = layer.steps > 1 and weight_visit * layer.G * fmt.bits <= rooms["weight"]
    return Folding(
        stationary=stationary,
        rows=array.rows,
        cols=array.cols,
        tight=array.drain == "tile",
        overlapped=array.preload == "overlapped" and stationary != "output",
        row_extent=extent[on_rows],
        col_extent=extent[on_cols],
        stream_extent=extent[streamed],
        chunk=extent[streamed],
        outer="cols",
        copies=extent["G"],
        warm_copies=layer.G * (layer.steps - 1) if reused else 0,
        input_visit=input_visit(layer, stationary, array.rows, rooms["input"] // fmt.bits),
        weight_visit=weight_visit,
        input_room_bits=rooms["input"],
        weight_room_bits=rooms["weight"],
        output_room_bits=rooms["output"],
        word_bits=fmt.bits,
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


def _operand_candidates(whole: Folding) -> list[Folding]:
    """Return foldings whose chunks let the partial sums, or those and the passing operand, stay on chip."""
    chunks = {whole.stream_extent}
    fits = whole.stream_extent
    if whole.spills:
        fits = max(1, whole.output_room_bits // (min(whole.cols, whole.col_extent) * whole.accumulator_bits))
        chunks.add(fits)
    visit_bits, room_bits = whole.passing_visit * whole.word_bits, whole.passing_room_bits
    if whole.col_folds > 1 and visit_bits > room_bits:
        chunks.add(max(1, min(fits, room_bits * whole.stream_extent // visit_bits)))
    return [whole if chunk == whole.chunk else whole.but(chunk=chunk) for chunk in sorted(chunks, reverse=True)]


def _output_candidates(whole: Folding) -> list[Folding]:
    """Return foldings with either axis outermost; with one fold along an axis both are the same."""
    if whole.row_folds == 1 or whole.col_folds == 1:
        return [whole]
    return [whole, whole.but(outer="rows")]


def _cheapest(tried: list[Folding]) -> tuple[Folding, Totals]:
    """Return the folding of least cycles, then of fewest bits; one whose bound is no better is not timed."""
    if len(tried) == 1:
        return tried[0], totals(tried[0], unstalled(tried[0]))
    bounded = []
    for index, folding in enumerate(tried):
        ideal = unstalled(folding)
        bounded.append((least_cycles(folding, ideal), ideal.moved_bits, index, ideal))
    best: tuple[int, int, int, Totals] | None = None
    for bound, bits, index, ideal in sorted(bounded):
        if best is None or (bound, bits) < best[:2]:
            found = totals(tried[index], ideal)
            best = min(best or (found.total_cycles, bits, index, found), (found.total_cycles, bits, index, found))
    assert best is not None
    return tried[best[2]], best[3]
