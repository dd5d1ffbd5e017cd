"""The systolic array: closed form and stepped simulation agree exactly, and both with cases worked by hand."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import DATAFLOWS, FORMATS, arrays, attention, conv, layers, linear, network_of, placed

import hwsim
from hwsim.engine import array, array_stepped
from hwsim.functional import lowering
from hwsim.ir import Kind, Layer
from hwsim.results.record import Outcome, Timing

IDEAL: dict[str, Any] = {"rows": 5, "cols": 3, "bandwidth_gb_s": inf}
"""Five rows by three columns, buffers larger than any layer here, and nothing to wait for."""

MOST_FOLDS = 1500
"""Largest layers that are stepped; each fold is a call from Python."""


@pytest.fixture(scope="session", autouse=True)
def compiled() -> None:
    """Compile the kernels, or load them from numba's cache, before anything here is timed."""
    for dataflow in DATAFLOWS:
        for fmt in FORMATS:
            step(linear(3, 7, 2), dataflow, fmt, rows=2, cols=2, bandwidth_gb_s=1)


def close(layer: Layer, dataflow: str, fmt: str = "int8", **parameters: Any) -> Outcome:
    return array.closed(*placed(layer, dataflow, fmt, **parameters))


def step(layer: Layer, dataflow: str, fmt: str = "int8", **parameters: Any) -> array_stepped.Stepped:
    return array_stepped.run(*placed(layer, dataflow, fmt, **parameters))


def cycles(layer: Layer, dataflow: str, **parameters: Any) -> Timing:
    """Return the timing of a layer on the ideal array with `parameters` changed, after stepping it to the same."""
    given = {**IDEAL, **parameters}
    timing = close(layer, dataflow, **given).timing
    assert step(layer, dataflow, **given).outcome.timing == timing
    return timing


def reference(layer: Layer, x: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    """Return a layer's outputs (G, positions, K) in the widest type, one filter tap at a time over shifted images."""
    wide = np.int64 if x.dtype.kind == "i" else np.float64
    x, weights = x.astype(wide), weights.astype(wide)
    if layer.kind is not Kind.CONV:
        return np.einsum("gnc,gkc->gnk", x, weights[..., 0, 0])
    (top, left, bottom, right), (up, along) = layer.padding, layer.stride
    image = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right))).reshape(layer.N, layer.G, layer.C, *_padded(layer))
    out = np.zeros((layer.G, layer.N, layer.P, layer.Q, layer.K), wide)
    for r in range(layer.R):
        for s in range(layer.S):
            row, col = r * layer.dilation[0], s * layer.dilation[1]
            window = image[..., row : row + layer.P * up : up, col : col + layer.Q * along : along]
            out += np.einsum("ngcpq,gkc->gnpqk", window[..., : layer.P, : layer.Q], weights[..., r, s])
    return out.reshape(layer.G, layer.positions, layer.K)


def _padded(layer: Layer) -> tuple[int, int]:
    (_, _, height, width), (top, left, bottom, right) = layer.input_shapes[0], layer.padding
    return height + top + bottom, width + left + right


@settings(max_examples=200, deadline=None)
@given(layers(), arrays(), st.sampled_from(DATAFLOWS), st.sampled_from(FORMATS))
def test_stepped_and_closed_form_agree_and_outputs_are_the_operators(
    layer: Layer, parameters: dict[str, Any], dataflow: str, fmt: str
) -> None:
    mapping, chip, number_format = placed(layer, dataflow, fmt, **parameters)
    f = mapping.folding
    assume(f.copies * f.chunks * f.row_folds * f.col_folds <= MOST_FOLDS)
    stepped, closed = array_stepped.run(mapping, chip, number_format, seed=7), array.closed(mapping, chip, number_format)
    assert stepped.outcome.timing == closed.timing
    assert stepped.outcome.counts == closed.counts
    assert stepped.outcome.counts["mac", fmt, "output"] == layer.macs
    expected = np.concatenate([
        reference(layer, *lowering.random_operands(layer, number_format, 7 + time)) for time in range(layer.steps)])
    if number_format.kind == "int":
        # the accumulator wraps, so wrap the exact sum
        np.testing.assert_array_equal(stepped.outputs, expected.astype(number_format.accumulator))
    else:
        np.testing.assert_allclose(stepped.outputs, expected, rtol=1e-4, atol=1e-4)


def test_int8_sums_wrap_at_32_bits_nowhere_below_2_to_the_17_products() -> None:
    # the largest product is (-128)^2 = 2^14, and 2^31 / 2^14 = 2^17 of them overflow: 9973 products of random values do not
    stepped = step(linear(2, 9973, 3), "output_stationary", **IDEAL)
    x, weights = lowering.random_operands(linear(2, 9973, 3), hwsim.catalog.number_format("int8"), 0)
    np.testing.assert_array_equal(stepped.outputs[0], x[0].astype(np.int64) @ weights[0, :, :, 0, 0].astype(np.int64).T)


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
    # T = 1, tiles (h, w) in order (5, 3) (1, 3) (5, 1) (1, 1), each h + w - 1 cycles; the load of the third takes 5 cycles
    # behind the second's 3, so 2 show, besides the first tile's 5
    assert cycles(linear(1, 6, 4), "weight_stationary", drain="tile", preload="overlapped") == Timing(
        5 + 2, 4, 0, 7 + 3 + 5 + 1 - 4)


def test_output_stationary_has_nothing_to_preload() -> None:
    timing = cycles(linear(7, 11, 4), "output_stationary")
    assert cycles(linear(7, 11, 4), "output_stationary", preload="overlapped") == timing


def test_groups_run_one_after_the_other() -> None:
    # two groups of 3 x 3 filters on 2 channels: reduction 18 = 4 tiles of 5 rows, 2 filters on 3 columns, 4 x 4 positions
    layer = conv((1, 4, 6, 6), 4, 3, groups=2)
    assert cycles(layer, "weight_stationary") == Timing(2 * 4 * 5, 2 * 4 * 16, 0, 2 * 4 * 6)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_one_row_and_one_column_of_pes(dataflow: str) -> None:
    # 1 x 1: every fold has no skew; 2 positions, 3 products, 5 filters
    folds, stream, load = {"output_stationary": (2 * 5, 3, 0), "weight_stationary": (3 * 5, 2, 1),
                           "input_stationary": (3 * 2, 5, 1)}[dataflow]
    assert cycles(linear(2, 3, 5), dataflow, rows=1, cols=1) == Timing(folds * load, folds * stream, 0, 0)


def test_partial_sums_are_written_and_read_once_per_row_fold_but_one() -> None:
    # 13 products are 3 folds of 5 rows; 7 positions, 4 filters: (3 - 1) x 7 x 4
    counts = close(linear(7, 13, 4), "weight_stationary", **IDEAL).counts
    assert counts["ofmap_buffer", "write", "psum"] == counts["ofmap_buffer", "read", "psum"] == 2 * 7 * 4
    assert counts["ofmap_buffer", "write", "output"] == 7 * 4
    assert ("ofmap_buffer", "write", "psum") not in close(linear(7, 5, 4), "weight_stationary", **IDEAL).counts
    assert ("ofmap_buffer", "write", "psum") not in close(linear(7, 13, 4), "output_stationary", **IDEAL).counts


def test_weight_stationary_reads_each_weight_once_and_each_input_once_per_column_fold() -> None:
    counts = close(linear(7, 13, 4), "weight_stationary", **IDEAL).counts
    assert counts["filter_buffer", "read", "weight"] == 13 * 4
    assert counts["ifmap_buffer", "read", "input"] == 7 * 13 * 2  # 4 filters are 2 folds of 3 columns
    assert counts["dram", "read", "weight"] == counts["filter_buffer", "write", "weight"] == 13 * 4
    assert counts["dram", "read", "input"] == counts["ifmap_buffer", "write", "input"] == 7 * 13
    assert counts["dram", "write", "output"] == counts["ofmap_buffer", "read", "output"] == 7 * 4


def test_input_stationary_reads_each_input_once_and_each_weight_once_per_column_fold() -> None:
    counts = close(linear(7, 13, 4), "input_stationary", **IDEAL).counts
    assert counts["ifmap_buffer", "read", "input"] == 7 * 13
    assert counts["filter_buffer", "read", "weight"] == 13 * 4 * 3  # 7 positions are 3 folds of 3 columns


def test_output_stationary_reads_inputs_once_per_column_fold_and_weights_once_per_row_fold() -> None:
    counts = close(linear(7, 13, 4), "output_stationary", **IDEAL).counts
    assert counts["ifmap_buffer", "read", "input"] == 7 * 13 * 2  # 4 filters are 2 folds of 3 columns
    assert counts["filter_buffer", "read", "weight"] == 13 * 4 * 2  # 7 positions are 2 folds of 5 rows


def test_a_stationary_word_is_latched_by_every_pe_above_its_place() -> None:
    # 7 rows of weights are tiles of 5 and 2: (1 + 2 + 3 + 4 + 5) + (1 + 2) latches per column, 4 columns
    counts = close(linear(11, 7, 4), "weight_stationary", **IDEAL).counts
    assert counts["pe_register", "write", "weight"] == (15 + 3) * 4
    assert counts["pe_register", "write", "input"] == counts["pe_register", "write", "psum"] == 11 * 7 * 4
    assert counts["mac", "int8", "output"] == 11 * 7 * 4


def test_a_layer_of_one_pass_waits_for_all_it_moves() -> None:
    # 1 GB/s at 1 GHz is one int8 word per cycle. Before the fold 7 x 5 inputs and 5 x 3 weights, after it 7 x 3 outputs
    assert cycles(linear(7, 5, 3), "weight_stationary", bandwidth_gb_s=1) == Timing(5, 7, 35 + 15 + 21, 6)


def test_what_the_next_pass_needs_arrives_while_the_array_computes() -> None:
    # 3 + 1 filters are 2 passes of 18 cycles. Before: 35 inputs and 15 weights; after: the last filter's 7 outputs. Pass 1
    # moves its 21 outputs, 3 more than its 18 cycles hide; pass 2 the 5 weights of the last filter, hidden
    stall = (35 + 15) + 7 + (21 - 18) + 0
    assert cycles(linear(7, 5, 4), "weight_stationary", bandwidth_gb_s=1) == Timing(10, 14, stall, 12)


def test_output_stationary_stalls_for_the_slower_of_array_and_memory() -> None:
    # 7 = 5 + 2 positions, 3 filters, 2 products: one pass of 2 folds of 2 + 6 cycles. 14 inputs, 6 weights, 21 outputs move:
    # before it half of the inputs (a tile of two) and the 6 weights, after it 2 x 3 outputs, beside it 41 - 13 - 6 = 22
    assert cycles(linear(7, 2, 3), "output_stationary", bandwidth_gb_s=1) == Timing(0, 4, 13 + 6 + (22 - 16), 12)


@pytest.mark.parametrize(("bandwidth_gb_s", "bits_per_cycle"), [(0.5, 4.0), (0.07, 0.56), (0.31415926535, 2.5132741228), (37.0, 296.0)])
def test_a_fraction_of_a_bit_per_cycle_counts(bandwidth_gb_s: float, bits_per_cycle: float) -> None:
    # 50 words before and 21 after a fold that moves nothing beside it, each rounded up to whole cycles
    expected = int(np.ceil(50 * 8 / bits_per_cycle) + np.ceil(21 * 8 / bits_per_cycle))
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
    # 0.25 KiB is 2048 bits, 1024 in use: 10 positions of 3 columns of 32 bits. 23 positions are chunks of 10, 10 and 3
    layer, small = linear(23, 7, 3), {**IDEAL, "ofmap_kib": 0.25}
    mapping, _, _ = placed(layer, "weight_stationary", **{**small, "bandwidth_gb_s": 1.0})
    assert (mapping.folding.chunk, mapping.folding.chunks, mapping.folding.spills) == (10, 3, False)
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


def test_windows_whose_rows_do_not_fit_are_fetched_one_by_one() -> None:
    # 3 x 3 windows of a 7 x 7 image: 49 distinct inputs, 25 x 9 in windows. 3 rows of 7 need 168 bits
    layer = conv((1, 1, 7, 7), 3, 3)
    assert close(layer, "output_stationary", **IDEAL).counts["dram", "read", "input"] == 49
    assert close(layer, "output_stationary", **IDEAL, ifmap_kib=0.03).counts["dram", "read", "input"] == 25 * 9


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_what_steps_does_not_depend_on_the_values(dataflow: str) -> None:
    arguments = placed(conv((1, 2, 5, 5), 3, 3), dataflow, **IDEAL)
    first, second = (array_stepped.run(*arguments, seed=seed) for seed in (0, 1))
    assert first.outcome == second.outcome
    assert not np.array_equal(first.outputs, second.outputs)


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_stepped_output_that_is_not_the_reference_is_a_bug(fmt: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lowering, "product", lambda a, b, _fmt: 1 + a.astype(np.float64) @ b)
    with pytest.raises(RuntimeError, match="layer 'linear': 6 of 6 stepped outputs differ from the reference"):
        step(linear(3, 7, 2), "output_stationary", fmt)


@pytest.mark.parametrize("fmt", ["int8", "int16", "fp16", "bf16", "fp32"])
@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_simulate_gives_the_same_rows_at_both_fidelities(dataflow: str, fmt: str) -> None:
    network = network_of(conv((2, 3, 7, 5), 5, (3, 2), stride=2, padding=1), linear(3, 11, 7, steps=2), attention(2, 3, 5, 7))
    chip = "systolic:rows=5,cols=3,ofmap_kib=0.1,bandwidth_gb_s=3"
    closed, stepped = (hwsim.simulate(network, on=chip, dataflow=dataflow, format=fmt, fidelity=fidelity)
                       for fidelity in ("closed", "stepped"))
    assert closed.rows == stepped.rows
    assert [layer.counts for layer in closed.layers] == [layer.counts for layer in stepped.layers]
