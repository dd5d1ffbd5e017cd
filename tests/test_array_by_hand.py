"""The systolic array against cases worked by hand: fold lengths, edge tiles, preload, accesses, stalls, chunks."""

from __future__ import annotations

from math import ceil, inf
from typing import Any

import pytest
from strategies import DATAFLOWS, conv, linear, placed

from hwsim import catalog
from hwsim.engine import array, array_stepped
from hwsim.formats.int8 import int8
from hwsim.ir import Layer
from hwsim.mapping.passes import unstalled
from hwsim.mapping.systolic import whole_stream
from hwsim.results.record import Outcome, Timing

IDEAL: dict[str, Any] = {"rows": 5, "cols": 3, "bandwidth_gb_s": inf}
"""Five rows by three columns, buffers larger than any layer here, and nothing to wait for."""


def close(layer: Layer, dataflow: str, **parameters: Any) -> Outcome:
    """Return cycles and counts of an int8 layer."""
    return array.closed(*placed(layer, dataflow, **parameters))


def cycles(layer: Layer, dataflow: str, **parameters: Any) -> Timing:
    """Return the timing of a layer on the ideal array with `parameters` changed, after stepping it to the same."""
    given = {**IDEAL, **parameters}
    timing = close(layer, dataflow, **given).timing
    assert array_stepped.run(*placed(layer, dataflow, **given)).outcome.timing == timing
    return timing


def test_output_stationary_fold_takes_rows_plus_cols_plus_stream_less_2() -> None:
    # 5 x 3 outputs, 7 products each: 7 cycles of stream, and 5 + 3 - 2 of skew
    assert cycles(linear(5, 7, 3), "output_stationary") == Timing(0, 7, 0, 6)
    assert cycles(linear(5, 7, 3), "output_stationary").total_cycles == 5 + 3 + 7 - 2


def test_weight_stationary_fold_takes_twice_the_rows_plus_cols_plus_stream_less_2() -> None:
    # 5 x 3 weights load in 5 cycles, 7 positions stream, 5 + 3 - 2 of skew
    assert cycles(linear(7, 5, 3), "weight_stationary") == Timing(5, 7, 0, 6)
    assert cycles(linear(7, 5, 3), "weight_stationary").total_cycles == 2 * 5 + 3 + 7 - 2


def test_input_stationary_is_weight_stationary_of_the_transposed_product() -> None:
    # positions and filters change places: 5 x 3 inputs load, 7 filters stream
    assert cycles(linear(3, 5, 7), "input_stationary") == cycles(linear(7, 5, 3), "weight_stationary")


def test_array_drain_charges_the_whole_array_for_the_smallest_tile() -> None:
    # one product of one element on 5 x 3 PEs
    assert cycles(linear(1, 1, 1), "output_stationary").total_cycles == 5 + 3 + 1 - 2
    assert cycles(linear(1, 1, 1), "weight_stationary").total_cycles == 2 * 5 + 3 + 1 - 2


def test_output_stationary_edge_tiles_with_tile_drain_pay_for_their_own_size() -> None:
    # 7 = 5 + 2 positions, 4 = 3 + 1 filters, T = 11: each tile T + h + w - 2
    tiles = [11 + 5 + 3 - 2, 11 + 2 + 3 - 2, 11 + 5 + 1 - 2, 11 + 2 + 1 - 2]
    assert tiles == [17, 14, 15, 12]
    assert cycles(linear(7, 11, 4), "output_stationary", drain="tile") == Timing(0, 4 * 11, 0, sum(tiles) - 44)
    assert cycles(linear(7, 11, 4), "output_stationary", drain="array").total_cycles == 4 * 17


def test_weight_stationary_edge_tiles_with_tile_drain_pay_for_their_own_size() -> None:
    # 7 = 5 + 2 rows of weights, 4 = 3 + 1 filters, T = 11: each tile h to load, then T + h + w - 2
    tiles = [2 * 5 + 3 + 9, 2 * 2 + 3 + 9, 2 * 5 + 1 + 9, 2 * 2 + 1 + 9]
    assert tiles == [22, 16, 20, 14]
    fill = 5 + 2 + 5 + 2
    assert cycles(linear(11, 7, 4), "weight_stationary", drain="tile") == Timing(fill, 44, 0, sum(tiles) - fill - 44)
    assert cycles(linear(11, 7, 4), "weight_stationary", drain="array").total_cycles == 4 * 22


@pytest.mark.parametrize("positions", [5, 11])
def test_overlapped_preload_hides_every_load_but_the_first_behind_a_stream_of_at_least_rows(positions: int) -> None:
    # 2 x 2 tiles: serial loads 4 x 5 cycles, overlapped the first 5 only
    serial = cycles(linear(positions, 7, 4), "weight_stationary")
    overlapped = cycles(linear(positions, 7, 4), "weight_stationary", preload="overlapped")
    assert serial == Timing(4 * 5, 4 * positions, 0, 4 * 6)
    assert overlapped == serial._replace(fill_cycles=5)


def test_overlapped_preload_shows_where_a_short_tile_precedes_a_tall_one() -> None:
    # T = 1, tiles (h, w) in order (5, 3) (1, 3) (5, 1) (1, 1), each h + w - 1 cycles; the load of the third takes 5
    # cycles behind the second's 3, so 2 show, besides the first tile's 5
    layer, array = linear(1, 6, 4), {**IDEAL, "drain": "tile", "preload": "overlapped"}
    chip = catalog.chip("systolic:" + ",".join(f"{key}={value}" for key, value in array.items()))
    folding = whole_stream(layer, chip, int8, "weight", 5, 3)
    assert unstalled(folding)[:4] == (5 + 2, 4, 7 + 3 + 5 + 1 - 4, 0)
    # the search finds tiles of 2 x 3 faster: 2 to load the first, then 6 folds of 1 + 2 + w - 2, w being 3 and 1
    assert cycles(layer, "weight_stationary", drain="tile", preload="overlapped").total_cycles == 2 + 3 * 4 + 3 * 2


def test_output_stationary_has_nothing_to_preload() -> None:
    timing = cycles(linear(7, 11, 4), "output_stationary")
    assert cycles(linear(7, 11, 4), "output_stationary", preload="overlapped") == timing


def test_groups_run_one_after_the_other() -> None:
    # two groups of 3 x 3 filters on 2 channels: 18 products are 4 tiles of 5 rows; 2 filters, 4 x 4 positions
    layer = conv((1, 4, 6, 6), 4, 3, groups=2)
    assert cycles(layer, "weight_stationary") == Timing(2 * 4 * 5, 2 * 4 * 16, 0, 2 * 4 * 6)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_one_row_and_one_column_of_pes(dataflow: str) -> None:
    # 1 x 1: every fold has no skew; 2 positions, 3 products, 5 filters
    folds, stream, load = {
        "output_stationary": (2 * 5, 3, 0),
        "weight_stationary": (3 * 5, 2, 1),
        "input_stationary": (3 * 2, 5, 1),
    }[dataflow]
    assert cycles(linear(2, 3, 5), dataflow, rows=1, cols=1) == Timing(folds * load, folds * stream, 0, 0)


def test_partial_sums_are_written_and_read_once_per_row_fold_but_one() -> None:
    # 13 products are 3 folds of 5 rows; 7 positions, 4 filters: (3 - 1) x 7 x 4
    counts = close(linear(7, 13, 4), "weight_stationary", **IDEAL).counts
    assert counts["ofmap_buffer", "write", "psum"] == counts["ofmap_buffer", "read", "psum"] == 2 * 7 * 4
    assert counts["ofmap_buffer", "write", "output"] == 7 * 4
    assert ("ofmap_buffer", "write", "psum") not in close(linear(7, 5, 4), "weight_stationary", **IDEAL).counts
    assert ("ofmap_buffer", "write", "psum") not in close(linear(7, 13, 4), "output_stationary", **IDEAL).counts


@pytest.mark.parametrize(
    ("dataflow", "inputs", "weights"),
    [
        # 7 positions are 2 folds of 5 rows or 3 of 3 columns, 4 filters are 2 of 3 columns
        ("weight_stationary", 7 * 13 * 2, 13 * 4),
        ("input_stationary", 7 * 13, 13 * 4 * 3),
        ("output_stationary", 7 * 13 * 2, 13 * 4 * 2),
    ],
)
def test_a_stationary_operand_is_read_once_and_others_once_per_fold_that_needs_them(
    dataflow: str, inputs: int, weights: int
) -> None:
    counts = close(linear(7, 13, 4), dataflow, **IDEAL).counts
    assert counts["ifmap_buffer", "read", "input"] == inputs
    assert counts["filter_buffer", "read", "weight"] == weights


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_operands_that_fit_cross_the_edge_of_the_chip_once(dataflow: str) -> None:
    counts = close(linear(7, 13, 4), dataflow, **IDEAL).counts
    assert counts["dram", "read", "weight"] == counts["filter_buffer", "write", "weight"] == 13 * 4
    assert counts["dram", "read", "input"] == counts["ifmap_buffer", "write", "input"] == 7 * 13
    assert counts["dram", "write", "output"] == counts["ofmap_buffer", "read", "output"] == 7 * 4


def test_a_stationary_word_is_latched_by_every_pe_above_its_place() -> None:
    # 7 rows of weights are tiles of 5 and 2: (1 + 2 + 3 + 4 + 5) + (1 + 2) latches per column, 4 columns
    counts = close(linear(11, 7, 4), "weight_stationary", **IDEAL).counts
    assert counts["pe_register", "write", "weight"] == (15 + 3) * 4
    assert counts["pe_register", "write", "input"] == counts["pe_register", "write", "psum"] == 11 * 7 * 4
    assert counts["mac", "int8", "output"] == 11 * 7 * 4


def test_a_layer_of_one_pass_waits_for_all_it_moves() -> None:
    # 1 GB/s at 1 GHz is one int8 word per cycle. Before the fold 5 x 3 weights, after it the last 3 outputs; beside its
    # 5 + 7 + 6 cycles 7 x 5 inputs and the other 18 outputs
    assert cycles(linear(7, 5, 3), "weight_stationary", bandwidth_gb_s=1) == Timing(5, 7, 15 + 3 + (35 + 18 - 18), 6)


def test_what_the_next_pass_needs_arrives_while_the_array_computes() -> None:
    # 3 + 1 filters are 2 passes of 18 cycles. Before: 15 weights; after: the last of the last filter's 7 outputs.
    # Pass 1 moves 35 inputs and 21 outputs, more than its 18 cycles hide; pass 2 5 weights and 6 outputs, hidden
    stall = 15 + 1 + (35 + 21 - 18) + 0
    assert cycles(linear(7, 5, 4), "weight_stationary", bandwidth_gb_s=1) == Timing(10, 14, stall, 12)


def test_output_stationary_stalls_for_the_slower_of_array_and_memory() -> None:
    # 7 = 5 + 2 positions, 3 filters, 2 products: one pass of 2 folds of 2 + 6 cycles. 14 inputs, 6 weights, 21 outputs
    # move: before it a word for each of 5 rows and 3 columns, after it 2 x 3 outputs, beside it 41 - 8 - 6 = 27
    assert cycles(linear(7, 2, 3), "output_stationary", bandwidth_gb_s=1) == Timing(0, 4, 8 + 6 + (27 - 16), 12)


@pytest.mark.parametrize("bandwidth_gb_s", [0.5, 0.07, 0.31415926535, 37.0])
def test_a_fraction_of_a_bit_per_cycle_counts(bandwidth_gb_s: float) -> None:
    # 15 bytes before, 3 after and 53 beside a fold of 18 cycles, each rounded up to cycles of a nanosecond
    expected = ceil(15 / bandwidth_gb_s) + ceil(3 / bandwidth_gb_s) + max(0, ceil(53 / bandwidth_gb_s) - 18)
    assert cycles(linear(7, 5, 3), "weight_stationary", bandwidth_gb_s=bandwidth_gb_s).stall_cycles == expected


def test_weights_of_recurrent_steps_are_fetched_once_where_their_buffer_holds_them() -> None:
    layer = linear(2, 5, 3, steps=4)
    counts = close(layer, "weight_stationary", **IDEAL).counts
    assert counts["dram", "read", "weight"] == 5 * 3
    assert counts["dram", "read", "input"] == 4 * 2 * 5
    assert counts["filter_buffer", "read", "weight"] == 4 * 5 * 3
    # 0.02 KiB is 163 bits, of which 81 hold the data in use: less than 15 x 8
    assert close(layer, "weight_stationary", **IDEAL, filter_kib=0.02).counts["dram", "read", "weight"] == 4 * 5 * 3


def test_a_stream_is_cut_where_its_partial_sums_would_overflow_and_cost_more() -> None:
    # 0.25 KiB is 2048 bits, 1024 in use: 10 positions of 3 columns of 32 bits, cut at the power of two below: 8 + 8 + 7
    layer, small = linear(23, 7, 3), {**IDEAL, "ofmap_kib": 0.25}
    mapping, _, _ = placed(layer, "weight_stationary", **{**small, "bandwidth_gb_s": 1.0})
    assert (mapping.folding.chunk, mapping.folding.chunks, mapping.folding.spills) == (8, 3, False)
    counts = close(layer, "weight_stationary", **{**small, "bandwidth_gb_s": 1.0}).counts
    assert counts["filter_buffer", "read", "weight"] == 3 * 7 * 3
    assert counts["dram", "read", "weight"] == 7 * 3
    # with nothing to wait for the whole stream is faster, and (2 - 1) x 23 x 3 partial sums leave and come back
    counts = close(layer, "weight_stationary", **small).counts
    assert counts["filter_buffer", "read", "weight"] == 7 * 3
    assert counts["dram", "write", "psum"] == counts["dram", "read", "psum"] == 23 * 3


def test_chunks_reload_weights_that_their_buffer_does_not_hold() -> None:
    # 21 weights need 168 bits; 0.03 KiB gives 246 bits, 123 in use
    tiny = {**IDEAL, "ofmap_kib": 0.25, "filter_kib": 0.03, "bandwidth_gb_s": 1.0}
    mapping, _, _ = placed(linear(23, 7, 3), "weight_stationary", **tiny)
    assert mapping.folding.chunks == 3
    assert close(linear(23, 7, 3), "weight_stationary", **tiny).counts["dram", "read", "weight"] == 3 * 7 * 3


def test_a_stream_is_cut_where_the_inputs_that_every_column_tile_needs_would_not_fit() -> None:
    # 4 filters are 2 column tiles; 0.125 KiB is 1024 bits, 512 in use: 64 of 23 x 7 inputs, 9 positions; cut 8 + 8 + 7
    small = {**IDEAL, "ifmap_kib": 0.125, "bandwidth_gb_s": 1.0, "rows": 7}
    mapping, _, _ = placed(linear(23, 7, 4), "weight_stationary", **small)
    assert (mapping.folding.chunk, mapping.folding.chunks) == (8, 3)
    counts = close(linear(23, 7, 4), "weight_stationary", **small).counts
    assert counts["dram", "read", "input"] == 23 * 7
    assert counts["filter_buffer", "read", "weight"] == 3 * 7 * 4
    # with nothing to wait for, the whole stream is faster and the inputs come for each column tile
    counts = close(linear(23, 7, 4), "weight_stationary", **{**small, "bandwidth_gb_s": inf}).counts
    assert counts["dram", "read", "input"] == 2 * 23 * 7
    assert counts["filter_buffer", "read", "weight"] == 7 * 4


def test_windows_whose_rows_do_not_fit_are_fetched_one_by_one() -> None:
    # 3 x 3 windows of a 7 x 7 image: 49 distinct inputs, 25 x 9 in windows. 3 rows of 7 need 168 bits
    layer = conv((1, 1, 7, 7), 3, 3)
    assert close(layer, "output_stationary", **IDEAL).counts["dram", "read", "input"] == 49
    assert close(layer, "output_stationary", **IDEAL, ifmap_kib=0.03).counts["dram", "read", "input"] == 25 * 9
