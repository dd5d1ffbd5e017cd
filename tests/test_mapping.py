"""Mappings: the nest covers a layer once, what is kept fits, shares add up, the fastest of those tried is chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import DATAFLOWS, FORMATS, arrays, attention, conv, layers, linear, placed

from hwsim import catalog
from hwsim.chips.systolic import systolic
from hwsim.errors import InputError
from hwsim.ir import Layer
from hwsim.mapping import ArrayMapping, Loop, passes
from hwsim.mapping.folding import Folding
from hwsim.mapping.loops import extents
from hwsim.mapping.passes import Pass
from hwsim.mapping.systolic import cut_batch, foldings, input_visit, whole_stream

PLACES = st.tuples(layers(89), arrays(), st.sampled_from(DATAFLOWS), st.sampled_from(FORMATS))
"""A layer, an array, a dataflow and a format; layers are not stepped, so they may be larger."""

Place = tuple[Layer, dict[str, Any], str, str]


def mapping_of(place: Place) -> ArrayMapping:
    layer, parameters, dataflow, fmt = place
    return placed(layer, dataflow, fmt, **parameters)[0]


def run_nest(nest: tuple[Loop, ...], layer: Layer) -> Iterator[tuple[int, ...]]:
    """Yield the point (G, NPQ, CRS, K) of every multiply-accumulate that executing the loops performs."""
    sizes = extents(layer)
    for trips in product(*(range(loop.trips) for loop in nest)):
        start, room, inside = dict.fromkeys(sizes, 0), dict(sizes), True
        for loop, trip in zip(nest, trips, strict=True):
            inside = inside and trip * loop.tile < room[loop.dims]
            start[loop.dims] += trip * loop.tile
            room[loop.dims] = min(loop.tile, room[loop.dims] - trip * loop.tile)
        if inside:
            yield tuple(start.values())


@settings(deadline=None)
@given(PLACES)
def test_the_nest_of_every_mapping_passes_its_check(place: Place) -> None:
    mapping_of(place).check()


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize(
    "layer", [linear(7, 5, 3, steps=2), conv((1, 2, 5, 4), 4, 3, padding=1, groups=2), attention(3, 2, 5, 7)]
)
def test_executing_the_nest_does_every_multiply_accumulate_exactly_once(layer: Layer, dataflow: str) -> None:
    mapping, _, _ = placed(layer, dataflow, rows=3, cols=2, ofmap_kib=0.05, ifmap_kib=0.01, bandwidth_gb_s=0.5)
    points = Counter(run_nest(mapping.nest, layer))
    assert set(points.values()) == {1}
    assert len(points) == layer.macs


def test_executing_the_nest_of_a_batch_cut_in_parts_does_every_multiply_accumulate_exactly_once() -> None:
    mapping = cut_mapping()
    points = Counter(run_nest(mapping.nest, mapping.layer))
    assert set(points.values()) == {1}
    assert len(points) == mapping.layer.macs


@pytest.mark.parametrize("at", range(8))
def test_a_nest_that_lacks_a_loop_is_refused(at: int) -> None:
    mapping = tampered(lambda nest: nest[:at] + nest[at + 1 :])
    with pytest.raises(InputError, match="mapping of 'linear'"):
        mapping.check()


@pytest.mark.parametrize("at", range(8))
@pytest.mark.parametrize("change", [{"bound": 1000}, {"tile": 1000}])
def test_a_nest_with_a_wrong_bound_or_tile_is_refused(at: int, change: dict[str, int]) -> None:
    mapping = tampered(lambda nest: (*nest[:at], nest[at]._replace(**change), *nest[at + 1 :]))
    with pytest.raises(InputError, match="mapping of 'linear'"):
        mapping.check()


def test_a_nest_that_runs_a_loop_twice_is_refused() -> None:
    mapping = tampered(lambda nest: (nest[1], *nest))
    with pytest.raises(InputError, match="the loop over NPQ runs over 46, not 23"):
        mapping.check()


def cut_mapping() -> ArrayMapping:
    """Return a mapping of 2 x 46 x 7 x 5 in two parts of the batch, chunks of 10 and tiles of 3 x 2."""
    mapping, _, _ = placed(linear(46, 7, 5, steps=2), "weight_stationary", rows=3, cols=2)
    cut = replace(mapping, folding=cut_batch(mapping.folding, 2).but(chunk=10))
    assert [loop.trips for loop in cut.nest] == [2, 2, 3, 3, 3, 3, 2, 10]
    return cut


def tampered(change: Any) -> ArrayMapping:
    """Return that mapping with a changed nest."""
    mapping = cut_mapping()
    mapping.check()
    vars(mapping)["nest"] = change(mapping.nest)
    return mapping


@settings(deadline=None)
@given(PLACES)
def test_what_is_fetched_once_but_used_again_fits_its_buffer(place: Place) -> None:
    mapping = mapping_of(place)
    f, totals = mapping.folding, mapping.totals
    if f.stationary != "output":
        one_tile_sums = max(one.output_words for one, _ in passes.walk(f)) * f.accumulator_bits
        assert f.spills or f.row_folds == 1 or one_tile_sums <= f.output_room_bits
    cold = f.copies - f.warm_copies
    moved = {
        "input": (totals.input_words, f.copies * f.input_visit, f.input_visit, f.input_room_bits),
        "weight": (totals.weight_words, cold * f.weight_visit, f.weight_visit, f.weight_room_bits),
    }
    for operand, (words, once, visit, room_bits) in moved.items():
        assert words >= once
        if words == once:
            assert words_kept(f, operand, visit) * f.word_bits <= room_bits
    if f.warm_copies:
        reused_at_once = 1 if f.parts > 1 else cold
        assert reused_at_once * f.weight_visit * f.word_bits <= f.weight_room_bits


def words_kept(f: Folding, operand: str, visit: int) -> int:
    """Return the words of `operand` that must stay while others go by for none to be fetched twice.

    The operand of the outermost loop stays part by part while the inner tiles pass; the other as a whole, if it is
    needed again. With a stationary operand the stream's chunks are outermost.
    """
    if f.stationary == "output":
        outermost, extent, size, inner = "weight", f.col_extent, f.cols, f.row_folds
        if f.outer == "rows":
            outermost, extent, size, inner = "input", f.row_extent, f.rows, f.col_folds
    else:
        outermost, extent, size, inner = "input", f.stream_extent, f.chunk, f.col_folds
        if f.stationary == "input":
            outermost = "weight"
    parts = -(-extent // size)
    if operand != outermost:
        return visit if parts > 1 else 0
    return max(passes._share(visit, part, parts, size, extent) for part in range(parts)) if inner > 1 else 0


@given(st.integers(1, 10**6), st.integers(1, 97), st.integers(1, 1000))
def test_shares_of_all_tiles_sum_to_the_whole(words: int, size: int, extent: int) -> None:
    tiles = -(-extent // size)
    shares = [passes._share(words, tile, tiles, size, extent) for tile in range(tiles)]
    assert sum(shares) == words
    assert min(shares) >= 0


@settings(deadline=None)
@given(PLACES)
def test_passes_fetch_every_operand_once_where_all_of_it_fits(place: Place) -> None:
    layer, parameters, dataflow, fmt = place
    ample = {**parameters, "ifmap_kib": 1e6, "filter_kib": 1e6, "ofmap_kib": 1e6}
    walked = [one for one, _ in passes.walk(placed(layer, dataflow, fmt, **ample)[0].folding)]
    assert sum(one.input_words for one in walked) == layer.steps * layer.input_elements_used
    assert sum(one.weight_words for one in walked) == layer.weight_elements
    assert sum(one.output_words for one in walked) == layer.steps * layer.output_elements
    assert sum(one.psum_words for one in walked) == 0


@settings(deadline=None)
@given(PLACES)
def test_kinds_of_passes_are_those_that_the_walk_meets(place: Place) -> None:
    f = mapping_of(place).folding
    kinds: Counter[Pass] = Counter()
    for count, one in passes.kinds(f):
        kinds[one] += count
    assert kinds == Counter(one for one, _ in passes.walk(f))
    assert kinds.total() == f.passes


@settings(deadline=None, max_examples=200)
@given(PLACES)
def test_totals_are_the_sums_over_the_walk(place: Place) -> None:
    mapping = mapping_of(place)
    assert mapping.totals == totals_of_the_walk(mapping.folding)


def totals_of_the_walk(f: Folding) -> tuple[int, ...]:
    """Return the totals added up pass by pass."""
    walked = list(passes.walk(f))
    startup, tail = passes.startup_bits(f), passes.tail_bits(f)
    stalls = sum(max(0, passes.transfer_cycles(f, moved) - one.busy_cycles) for one, moved in walked)
    stalls += passes.transfer_cycles(f, startup) + passes.transfer_cycles(f, tail)
    fill, compute, drain, *words = (sum(column) for column in zip(*(one for one, _ in walked), strict=True))
    bits = sum(passes.moved_bits(f, one) for one, _ in walked)
    assert sum(moved for _, moved in walked) + startup + tail == bits
    assert min(moved for _, moved in walked) >= 0
    return fill, compute, drain, stalls, *words, bits


def test_a_last_share_that_alone_does_not_fit_is_waited_for() -> None:
    # 160 inputs over 21 positions in tiles of 7: 53, 53 and 54 words. The buffer's half holds 53, so the last comes
    # once per column tile: the only pass that waits for memory
    chip, fmt = systolic(rows=7, cols=1, ifmap_kib=0.103515625, bandwidth_gb_s=2), catalog.number_format("int8")
    f = whole_stream(conv((1, 5, 8, 4), 5, 2), chip, fmt, "output", 7, 1).but(outer="rows")
    assert [one.input_words for one, _ in passes.walk(f)] == [53, 53, 5 * 54]
    ideal = passes.unstalled(f)
    assert passes.totals(f, ideal) == totals_of_the_walk(f)
    assert passes.totals(f, ideal).stall_cycles > ideal.stall_cycles


@settings(deadline=None, max_examples=200)
@given(PLACES)
def test_the_chosen_folding_has_the_least_cycles_and_then_bits_of_all_tried(place: Place) -> None:
    layer, parameters, dataflow, fmt = place
    mapping, chip, number_format = placed(layer, dataflow, fmt, **parameters)
    tried = foldings(layer, chip, number_format, mapping.folding.stationary)
    assert mapping.folding in tried
    found = [passes.totals(one, passes.unstalled(one)) for one in tried]
    assert (mapping.totals.total_cycles, mapping.totals.moved_bits) == min(
        (one.total_cycles, one.moved_bits) for one in found
    )
    for folding, one in zip(tried, found, strict=True):
        assert passes.least_cycles(folding, passes.unstalled(folding)) <= one.total_cycles


@pytest.mark.parametrize(
    ("dataflow", "rows", "cols", "stream"),
    [("weight_stationary", 5, 3, 7), ("input_stationary", 5, 7, 3), ("output_stationary", 7, 3, 5)],
)
def test_each_dataflow_lays_its_own_dimensions_on_the_array(dataflow: str, rows: int, cols: int, stream: int) -> None:
    mapping, _, _ = placed(linear(7, 5, 3), dataflow)
    f = mapping.folding
    assert (f.row_extent, f.col_extent, f.stream_extent) == (rows, cols, stream)
    assert f"{mapping.stationary}_stationary" == mapping.dataflow == dataflow


def test_a_nest_names_the_level_dimension_and_axis_of_every_loop() -> None:
    assert cut_mapping().nest == (
        Loop("dram", "G", 2, 1),
        Loop("dram", "NPQ", 46, 23),
        Loop("dram", "NPQ", 23, 10),
        Loop("buffer", "K", 5, 2),
        Loop("buffer", "CRS", 7, 3),
        Loop("array", "CRS", 3, 1, "rows"),
        Loop("array", "K", 2, 1, "cols"),
        Loop("array", "NPQ", 10, 1),
    )


def test_output_stationary_keeps_the_operand_whose_refetching_would_cost_more() -> None:
    # 1009 x 97 inputs against 97 x 11 weights on 8 x 8, neither fitting as a whole: filters outermost fetch the inputs
    # twice, positions outermost 1067 weights 127 times, which is more than the inputs once more
    small: dict[str, Any] = {
        "rows": 8,
        "cols": 8,
        "ifmap_kib": 4,
        "filter_kib": 2,
        "ofmap_kib": 4,
        "bandwidth_gb_s": 0.5,
    }
    mapping, _, _ = placed(linear(1009, 97, 11), "output_stationary", **small)
    assert (mapping.folding.outer, mapping.totals.input_words, mapping.totals.weight_words) == (
        "cols",
        2 * 1009 * 97,
        97 * 11,
    )
    # 97 x 8 inputs of a tile fit in 2 KiB; 11 x 97 weights in 4 KiB are kept, so that everything is fetched once
    mapping, _, _ = placed(linear(1009, 97, 11), "output_stationary", **{**small, "filter_kib": 4})
    assert (mapping.folding.outer, mapping.totals.input_words, mapping.totals.weight_words) == (
        "rows",
        1009 * 97,
        97 * 11,
    )


def test_an_input_visit_counts_each_element_once_where_its_window_rows_fit() -> None:
    # a 3 x 3 filter on 4 channels of a 7 x 11 image; 5 x 9 positions of 36 products
    layer = conv((1, 4, 7, 11), 5, 3)
    assert input_visit(layer, "output", 8, 4 * 3 * 11) == 4 * 7 * 11
    assert input_visit(layer, "output", 8, 4 * 3 * 11 - 1) == 45 * 36
    # 8 stationary rows are products of at most ceil(8 / 9) + 1 = 2 channels
    assert input_visit(layer, "weight", 8, 2 * 3 * 11) == 4 * 7 * 11
    assert input_visit(layer, "weight", 8, 2 * 3 * 11 - 1) == 45 * 36


@pytest.mark.parametrize("bandwidth_gb_s", [0.5, inf])
def test_a_layer_of_one_element_maps(bandwidth_gb_s: float) -> None:
    for dataflow in DATAFLOWS:
        mapping, _, _ = placed(
            linear(1, 1, 1), dataflow, bandwidth_gb_s=bandwidth_gb_s, ifmap_kib=0.002, ofmap_kib=0.002
        )
        mapping.check()
        assert mapping.totals.compute_cycles == 1
