"""Row-stationary mappings: what they move and how long a pass takes, by hand; PE sets; limits and their errors."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import attention, conv, convolutions, linear, network_of

import hwsim
from hwsim import catalog
from hwsim.chips.eyeriss import eyeriss
from hwsim.engine import row_stationary as engine
from hwsim.engine.row_stationary_trace import layer_spans
from hwsim.errors import InputError
from hwsim.formats.fixed16 import fixed16
from hwsim.ir import Layer
from hwsim.mapping.row_stationary import Parameters, RowStationaryMapping, misfit
from hwsim.mapping.row_stationary_geometry import geometry_of, strips_of
from hwsim.mapping.row_stationary_place import batch_shares, place, shares
from hwsim.mapping.row_stationary_sets import pe_sets
from hwsim.mapping.row_stationary_traffic import coded_words, tally


def placed(layer: Layer, **parameters: object) -> RowStationaryMapping:
    """Return the mapping of `layer` on Eyeriss with `parameters`."""
    return place(layer, eyeriss(**parameters), fixed16, "row_stationary")  # type: ignore[arg-type]


def with_parameters(mapping: RowStationaryMapping, *values: int) -> RowStationaryMapping:
    return replace(mapping, parameters=Parameters(*values))


CONV1 = conv((4, 3, 227, 227), 96, 11, stride=4)
CONV2 = conv((4, 96, 27, 27), 256, 5, padding=2, groups=2)
CONV4 = conv((4, 384, 13, 13), 384, 3, padding=1, groups=2)


def test_a_pass_of_conv1_takes_the_cycles_that_one_counts_by_hand() -> None:
    mapping = placed(CONV1, mapping="published")
    assert mapping.parameters == (96, 1, 7, 16, 1, 1, 2)
    rows = (7 - 1) * 4 + 11
    filters, window = 16 * 1 * 11 * 11 * 1 * 2 // 4, rows * 11
    psums, chain = 16 * 2 * 7 // 4, 11 - 1 + 3 - 1
    # 54 windows follow the first, each as long as its MACs, because 56 cycles of sums are hidden behind 176
    assert mapping.one_pass == (filters, window, 55 * 176, 0, chain + psums)
    assert mapping.one_pass.cycles == 968 + 385 + 176 + 54 * 176 + 12 + 56 == 11101
    # 8 strips of 55 rows, 4 images, 3 channels, 96 / 32 filters
    assert mapping.passes == 8 * 4 * 3 * 3 == 288
    assert tally(mapping, 1.0).processing_cycles == 288 * 11101


def test_conv2_moves_the_words_that_one_counts_by_hand() -> None:
    mapping = placed(CONV2, mapping="published")
    count = tally(mapping, 1.0)
    channel_passes, filter_passes = 48 // 2, 128 // 16
    assert (mapping.channel_passes, mapping.filter_passes) == (channel_passes, filter_passes)
    # the padded plane goes to the array once per filter pass, sums come and go once per channel pass
    assert count.ifmap_reads == 4 * 96 * 31 * 31 * filter_passes == 2_952_192
    assert 2 * count.psum_words == 2 * 4 * 256 * 729 * channel_passes == 35_831_808
    # off-chip: filters for each of 4 images, ifmaps for each 64 of 128 ofmap channels, ofmaps once
    assert count.filter_words == 4 * 307_200
    assert count.ifmap_words == 2 * 4 * 96 * 31 * 31
    assert count.ofmap_words == 4 * 256 * 729


def test_sums_set_the_pace_where_their_network_is_slower_than_the_macs() -> None:
    # Table III's mapping of CONV3: 16 x 4 sums of 13 rows in 208 cycles, 16 x 4 x 3 MACs in 192
    mapping = with_parameters(placed(conv((4, 256, 13, 13), 384, 3, padding=1)), 64, 4, 13, 16, 4, 1, 4)
    windows = 4 * 13
    assert mapping.one_pass.wait_cycles == (windows - 1) * (208 - 192)


def test_the_ifmap_network_sets_the_pace_where_it_is_slower_than_the_macs() -> None:
    # one filter of 1 x 1: a MAC per window, and 5 rows to fetch for it
    mapping = with_parameters(placed(conv((1, 1, 5, 7), 1, 1)), 1, 1, 5, 1, 1, 1, 1)
    # filter 1; first window 5; then each of 6 others 5, of which 1 is its MAC; last sums ceil(5 / 4), pipeline 2
    assert mapping.one_pass == (1, 5, 7, 6 * (5 - 1), 2 + 2)


def test_filters_higher_than_the_array_take_turns_in_pieces() -> None:
    layer = conv((1, 2, 29, 9), 3, (13, 3))
    mapping = placed(layer)
    assert (mapping.geometry.set_rows, mapping.geometry.row_pieces) == (7, 2)
    whole = placed(layer, rows=13)
    assert (whole.geometry.set_rows, whole.geometry.row_pieces) == (13, 1)
    # 17 ofmap rows: pieces of 7 and 6 filter rows read 23 and 22 of the 29 rows each, in whatever strips
    one_strip = strips_of(mapping.geometry, 17)
    assert one_strip.moved_rows == 23 + 22
    mapping.check()


def test_rows_that_no_window_reads_are_not_moved() -> None:
    # windows of 2 rows every 3: rows 2, 5, 8 of 11 are skipped
    geometry = geometry_of(conv((1, 1, 11, 11), 1, 2, stride=3), 12, 12)
    assert strips_of(geometry, 4).moved_rows == 4 * 2
    assert geometry.moved_columns == 4 * 2
    assert geometry.slide == 2


@given(convolutions(5))
@settings(deadline=None, derandomize=True)
def test_rows_products_and_words_are_those_found_by_looking_at_every_window(layer: Layer) -> None:
    geometry = geometry_of(layer, 4, 3)
    _, _, height, _ = layer.input_shapes[0]
    e = max(1, layer.P // 2)
    moved = real = 0
    for first, start in product(range(0, layer.R, geometry.set_rows), range(0, layer.P, e)):
        taps = range(first, min(layer.R, first + geometry.set_rows))
        outputs = range(start, min(layer.P, start + e))
        read = {p * layer.stride[0] + r * layer.dilation[0] - layer.padding[0] for p in outputs for r in taps}
        moved, real = moved + len(read), real + len(read & set(range(height)))
    assert strips_of(geometry, e)[2:] == (moved, real)
    ones = np.pad(
        np.ones(layer.input_shapes[0][2:], int),
        ((layer.padding[0], layer.padding[2]), (layer.padding[1], layer.padding[3])),
    )
    inside = sum(
        ones[p * layer.stride[0] + r * layer.dilation[0], q * layer.stride[1] + s * layer.dilation[1]]
        for p, r, q, s in product(range(layer.P), range(layer.R), range(layer.Q), range(layer.S))
    )
    assert geometry.inside_products == layer.N * layer.G * layer.K * layer.C * inside


@pytest.mark.parametrize("zeros", [0.0, 0.3, 0.725, 0.97, 1.0])
def test_coded_words_are_those_of_a_run_length_encoder(zeros: float) -> None:
    values = np.random.default_rng(7).random(300_000) >= zeros
    pairs = run = 0
    for value in values.tolist():
        if value or run == 31:
            pairs, run = pairs + 1, 0
        else:
            run += 1
    words = 4 * -(-pairs // 3)
    # a run of 32 zeros takes a pair with a zero value; 300,000 draws are within a percent of what is expected
    assert coded_words(values.size, int(values.sum())) == pytest.approx(min(words, values.size), rel=0.01)


def test_nothing_is_coded_longer_than_raw() -> None:
    assert coded_words(1000, 1000) == 1000
    assert coded_words(0, 0) == 0
    # dense values would take 4/3; 48,000 pairs of three in 4 words, and one for the run of 32 zeros that may happen
    assert coded_words(96_000, 48_000) == 4 * (48_000 // 3 + 1)


def test_every_pe_of_a_mapping_has_a_place_of_its_own() -> None:
    for set_rows, e, r, t in ((11, 7, 1, 2), (5, 27, 1, 1), (3, 13, 2, 2), (3, 13, 1, 4), (1, 1, 9, 2)):
        pes = list(pe_sets(12, 14, set_rows, e, r, t))
        assert len({(pe.row, pe.col) for pe in pes}) == len(pes) == set_rows * e * r * t
        assert all(0 <= pe.row < 12 and 0 <= pe.col < 14 for pe in pes)
        assert set(Counter(pe[2:] for pe in pes).values()) == {1}


def test_a_set_wider_than_the_array_is_folded_and_sets_of_channels_stand_on_each_other() -> None:
    # CONV2: 27 columns as 14 and 13, one piece above the other
    at = {(pe.row, pe.col): pe for pe in pe_sets(12, 14, 5, 27, 1, 1)}
    assert at[0, 13].ofmap_row == 13
    assert (at[5, 0].filter_row, at[5, 0].ofmap_row) == (0, 14)
    assert (5, 13) not in at
    # CONV4: sums of the second set of channels go up into the first
    at = {(pe.row, pe.col): pe for pe in pe_sets(12, 14, 3, 13, 2, 2)}
    assert [at[row, 4].channel_set for row in range(12)] == [0, 0, 0, 1, 1, 1] * 2
    assert [at[row, 4].filter_set for row in range(12)] == [0] * 6 + [1] * 6


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((64, 4, 13, 16, 5, 2, 2), "15 words of a window in an ifmap scratchpad do not fit 12"),
        ((64, 4, 13, 25, 3, 2, 2), "225 words of filters in a filter scratchpad do not fit 224"),
        ((50, 4, 13, 25, 1, 2, 2), "25 partial sums in a psum scratchpad do not fit 24"),
        ((64, 4, 13, 16, 1, 5, 1), "15 PEs that add up a column do not fit 12"),
        ((64, 4, 13, 16, 3, 2, 3), "3 PE sets of different filters do not fit 2"),
        ((96, 1, 13, 24, 3, 2, 4), "4 PE sets of different filters do not fit 2"),
        ((96, 4, 13, 16, 3, 2, 2), "35 banks of ifmaps and partial sums do not fit 25"),
        ((16, 4, 13, 16, 3, 2, 2), "32 filters of a pass among ofmap channels in the global buffer do not fit 16"),
        ((60, 4, 13, 16, 3, 2, 2), "60 ofmap channels in the global buffer are no multiple of the 32 filters"),
    ],
)
def test_what_does_not_fit_is_said(values: tuple[int, ...], said: str) -> None:
    mapping = with_parameters(placed(CONV4, mapping="published"), *values)
    assert said in misfit(mapping)
    with pytest.raises(InputError, match="mapping of 'conv', m="):
        mapping.check()


def test_filters_of_the_next_pass_must_fit_their_buffer() -> None:
    # 24 filters of 2 channels and 3 x 3 in 4 x 4 sets: 6912 words do not fit 8 kB
    mapping = with_parameters(placed(conv((1, 8, 4, 4), 96, 3, padding=1)), 96, 1, 3, 24, 2, 4, 4)
    assert misfit(mapping) == "6912 filter words of the next pass do not fit 4096"


def test_an_image_too_wide_for_the_buffer_is_refused() -> None:
    with pytest.raises(InputError, match="no row-stationary mapping of 'conv' fits: one strip of 60000 columns"):
        placed(conv((1, 1, 1, 60000), 1, 1))


def test_a_published_mapping_that_does_not_fit_a_smaller_chip_is_refused() -> None:
    with pytest.raises(InputError, match="2 PE sets of different filters do not fit 1"):
        placed(CONV1, mapping="published", cols=7)


def test_strips_and_shares_are_of_every_useful_size() -> None:
    assert shares(13) == [13, 7, 5, 4, 3, 2, 1]
    assert batch_shares(4) == [4, 2, 1]
    # in 1, 2, 3, 4, 6, 8, 12, 16 and 20 parts
    assert batch_shares(20) == [20, 10, 7, 5, 4, 3, 2, 1]
    for images in range(1, 200):
        assert {-(-2 * images // (2 * -(-images // n))) for n in batch_shares(images)} <= set(batch_shares(2 * images))


@pytest.mark.parametrize(
    "layer", [conv((2, 6, 13, 11), 10, 3, padding=1, groups=2), linear(7, 31, 17), attention(3, 5, 7, 11)]
)
def test_spans_of_a_layer_nest_and_end_with_it(layer: Layer) -> None:
    (one,) = hwsim.simulate(network_of(layer), on="eyeriss").layers
    spans = list(layer_spans(one))
    assert max(span.start_cycle + span.cycles for span in spans) == one.timing.total_cycles
    drawn = [span for span in spans if span.name.startswith("pass")]
    assert sum(span.cycles for span in drawn) == one.extras["processing_cycles"]
    assert len(drawn) <= 64
    phases = [span for span in spans if span.unit == "array" and span not in drawn]
    assert sum(span.cycles for span in phases) == one.extras["processing_cycles"]


def test_zeros_stop_filter_reads_and_macs_and_shorten_what_moves_off_chip() -> None:
    chip, (whole, half) = eyeriss(), (replace(CONV4, input_density=density) for density in (1.0, 0.5))
    dense = engine.closed(place(whole, chip, fixed16, "row_stationary"), chip, fixed16)
    sparse = engine.closed(
        replace(place(whole, chip, fixed16, "row_stationary"), layer=half, density=0.5), chip, fixed16
    )
    for action in (("filter_spad", "read", "weight"), ("mac", "fixed16", "output")):
        assert sparse.counts[action] == dense.counts[action] / 2
    assert sparse.counts["psum_spad", "write", "psum"] == dense.counts["psum_spad", "write", "psum"]
    assert sparse.counts["dram", "read", "input"] < 0.7 * dense.counts["dram", "read", "input"]
    assert sparse.extras["processing_cycles"] == dense.extras["processing_cycles"]
    assert sparse.timing.total_cycles < dense.timing.total_cycles
    # padding is zero, too: 37 of 39 products of a row of 13 with 3 taps are inside
    assert dense.counts["mac", "gated", "output"] == CONV4.macs - CONV4.macs * 37 * 37 // (39 * 39)


@given(st.integers(1, 99), st.integers(1, 99), st.integers(1, 99))
@settings(deadline=None, derandomize=True, max_examples=30)
def test_a_matrix_product_is_a_convolution_of_single_elements(positions: int, reduction: int, features: int) -> None:
    product_, image = linear(positions, reduction, features), conv((positions, reduction, 1, 1), features, 1)
    assert placed(product_).parameters == placed(image).parameters
    placed(product_).check()


def test_the_catalogue_has_it() -> None:
    assert "row_stationary" in catalog.names("dataflow")
