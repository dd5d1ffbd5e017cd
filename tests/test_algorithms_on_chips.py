"""A chip's convolution algorithms: what they save, add and err is what the records of `hwsim.functional` say."""

from __future__ import annotations

import re

import numpy as np
import pytest
from strategies import conv, network_of

import hwsim
from hwsim.engine.gpu_algorithms import error_growth
from hwsim.errors import InputError
from hwsim.formats.fp32 import fp32
from hwsim.functional import lowering
from hwsim.functional.algorithms import ALGORITHMS, algorithm
from hwsim.ir import Layer
from hwsim.ir.minimal_filters import F2X2_3X3, F4X4_3X3, MinimalFilter, minimal_filter, terms
from hwsim.mapping.gpu import transforms
from hwsim.results.record import Row

EXACT = conv((1, 5, 12, 12), 7, 3, padding=1)
"""3 x 3 tiles of 4 x 4 outputs, 6 x 6 of 2 x 2."""

MIXED = network_of(conv((1, 16, 28, 28), 19, 5, padding=2, stride=2), conv((1, 31, 13, 11), 37, 3, padding=1))
SAME = {"winograd": "winograd_f4", "winograd_fused": "winograd_f2"}
"""A GPU's kernels of 3x3 filters, by the names of algorithms on real values."""


@pytest.mark.slow
def row(layer: Layer, wanted: str, fidelity: str = "closed") -> Row:
    chip = f"gpu:v100,convolution={wanted}"
    return hwsim.simulate(network_of(layer), on=chip, format="fp32", fidelity=fidelity).rows[0]


def test_f4x4_does_36_of_144_multiplications_on_exact_tiles() -> None:
    found = row(EXACT, "winograd")
    # 3 x 3 tiles of 36 products each, for 12 x 12 outputs of 9
    assert found["macs"] == 12 * 12 * 9 * 5 * 7
    assert found["macs_done"] == 3 * 3 * 36 * 5 * 7 == found["macs"] * 36 // (16 * 9)
    assert found["multiplications_saved_fraction"] == 1 - 36 / 144
    # entries of B': 3 + 4 + 4 + 4 + 4 + 3, G: 1 + 3 + 3 + 3 + 3 + 1, A': 5 + 4 + 4 + 5; over 12, 9 and 10 rows
    assert found["transform_operations"] == 12 * 22 * 9 * 5 + 9 * 14 * 5 * 7 + 10 * 18 * 9 * 7
    # tiles, filters and products of 36 words of 4 bytes, written and read
    assert found["transform_bytes"] == 2 * 4 * 36 * (9 * 5 + 5 * 7 + 9 * 7)


def test_f2x2_in_one_kernel_does_16_of_36_and_moves_filters_alone() -> None:
    found = row(EXACT, "winograd_fused")
    assert found["macs_done"] == 6 * 6 * 16 * 5 * 7
    assert found["multiplications_saved_fraction"] == 1 - 16 / 36
    assert found["transform_bytes"] == 2 * 4 * 16 * 5 * 7


def test_tiles_beyond_the_outputs_are_multiplied_too() -> None:
    # 13 x 11 outputs: 4 x 3 tiles of 36; one tile of 32 x 32 with 32 x 17 frequencies of 4 products
    layer = conv((1, 31, 13, 11), 37, 3, padding=1)
    assert row(layer, "winograd")["macs_done"] == 4 * 3 * 36 * 31 * 37
    found = row(layer, "fft")
    assert found["macs_done"] == 4 * 32 * 17 * 31 * 37
    assert found["multiplications_saved_fraction"] == 1 - 4 * 32 * 17 / (13 * 11 * 9) < 0
    assert found["transform_bytes"] == 2 * 4 * 2 * 32 * 17 * (31 + 31 * 37 + 37)


def test_a_product_saves_and_adds_nothing() -> None:
    found = row(EXACT, "implicit_gemm")
    assert found["macs_done"] == found["macs"]
    assert (found["multiplications_saved_fraction"], found["transform_operations"], found["transform_bytes"]) == (
        0,
        0,
        0,
    )
    # 45 products summed one by one (Higham, Eq. 3.3)
    assert found["error_bound"] == pytest.approx(45 * 2.0**-24, rel=1e-5)


@pytest.mark.parametrize("name", SAME)
def test_counts_and_bounds_of_a_gpu_are_the_records(name: str) -> None:
    known = algorithm(SAME[name])
    for layer in (EXACT, conv((2, 3, 13, 11), 37, 3, padding=1)):
        found = row(layer, name)
        assert found["macs_done"] == known.multiplications(layer)
        filters = 4 * 2 * known.weight_words(layer)
        assert found["transform_bytes"] == filters + (4 * known.traffic_words(layer) if name == "winograd" else 0)
        assert found["error_bound"] == known.error_bound(layer, 1.0, 1.0)


@pytest.mark.parametrize(("name", "by"), [("winograd", F4X4_3X3), ("winograd_fused", F2X2_3X3)])
def test_operations_of_transforms_are_the_entries_of_the_records_matrices(name: str, by: MinimalFilter) -> None:
    matrices = (by.input_matrix, by.filter_matrix, by.output_matrix)
    # each is applied to all columns it is given and to all rows it makes
    expected = sum(sum(map(terms, one)) * (len(one) + len(one[0])) for one in matrices)
    assert transforms.additions(conv((1, 1, 1, 1), 1, 3, padding=1), name) == expected


def test_a_tile_of_32_multiplies_as_the_whole_transform_does_where_that_is_of_32_too() -> None:
    layer = conv((1, 5, 28, 28), 7, 3, padding=1)
    products = 2 * algorithm("fft").weight_words(layer)
    assert row(layer, "fft")["macs_done"] == products
    assert row(layer, "fft")["error_bound"] == algorithm("fft").error_bound(layer, 1.0, 1.0)


def test_toom_and_cooks_filters_are_lavin_and_grays() -> None:
    assert minimal_filter(4, 3) == F4X4_3X3
    made = minimal_filter(2, 3)
    for ours, theirs in zip(
        (made.input_matrix, made.filter_matrix, made.output_matrix),
        (F2X2_3X3.input_matrix, F2X2_3X3.filter_matrix, F2X2_3X3.output_matrix),
        strict=True,
    ):
        np.testing.assert_array_equal(np.abs(ours), np.abs(theirs))


@pytest.mark.parametrize(("outputs", "taps"), [(2, 3), (4, 3), (4, 5)])
def test_a_minimal_filter_is_the_correlation(outputs: int, taps: int) -> None:
    made = minimal_filter(outputs, taps)
    generator = np.random.default_rng(5)
    data, weights = generator.standard_normal(outputs + taps - 1), generator.standard_normal(taps)
    found = np.array(made.output_matrix) @ ((np.array(made.filter_matrix) @ weights) * (made.input_matrix @ data))
    np.testing.assert_allclose(found, np.correlate(data, weights, "valid"), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("wanted", ["implicit_gemm", "winograd", "winograd_fused", "fft"])
def test_stepped_equals_closed_by_every_algorithm(wanted: str) -> None:
    closed, stepped = (
        hwsim.simulate(MIXED, on=f"gpu:v100,convolution={wanted}", format="fp32", fidelity=fidelity)
        for fidelity in ("closed", "stepped")
    )
    assert [one["algorithm"] for one in closed.rows] == ["implicit_gemm", wanted]
    assert stepped.rows == closed.rows


@pytest.mark.slow
@pytest.mark.parametrize("name", ["winograd_f2", "winograd_f4", "fft", "direct"])
def test_a_computed_layer_errs_less_than_the_column_says(name: str) -> None:
    layer = conv((1, 31, 13, 11), 37, 3, padding=1)
    x, weights = lowering.random_operands(layer, fp32, 1)
    exact = lowering.input_matrix(layer, x, 0).astype(np.float64) @ lowering.weight_matrix(layer, weights, 0)
    found = ALGORITHMS[name].compute(layer, x, weights)
    error = np.abs(found.transpose(0, 2, 3, 1).reshape(exact.shape) - exact).max()
    wanted = {"direct": "implicit_gemm", "fft": "fft", **{own: gpu for gpu, own in SAME.items()}}[name]
    scale = np.abs(x).max() * np.abs(weights).sum(axis=(2, 3, 4)).max()
    assert 0 < error <= row(layer, wanted)["error_bound"] * scale


def test_a_layer_that_cannot_be_run_so_falls_back_and_a_note_says_how_many() -> None:
    asked = hwsim.simulate(MIXED, on="gpu:v100,convolution=winograd", format="fp32")
    free = hwsim.simulate(MIXED, on="gpu:v100", format="fp32")
    assert "1 of 2 convolutions cannot be run by winograd; they are by the fastest that can" in asked.notes
    first, other = asked.rows[0], free.rows[0]
    assert {**first, "chip": ""} == {**other, "chip": ""}
    assert not any("cannot be run by" in note for note in free.notes)


def test_auto_is_the_fastest() -> None:
    times = {one: row(EXACT, one)["total_cycles"] for one in ("implicit_gemm", "winograd", "winograd_fused", "fft")}
    assert row(EXACT, "auto")["total_cycles"] == min(times.values())


def test_an_unknown_algorithm_is_refused_in_a_sentence_with_the_one_that_was_meant() -> None:
    said = "chip 'gpu': convolution=winogard is not one of its choices; did you mean 'winograd'?"
    with pytest.raises(InputError, match=f"^{re.escape(said)}$"):
        hwsim.simulate(MIXED, on="gpu:v100,convolution=winogard")


def test_transformed_tensors_that_l2_does_not_hold_cross_the_chips_edge() -> None:
    small, large = (conv((batch, 16, 12, 12), 16, 3, padding=1) for batch in (1, 211))
    # V100: 6 MiB of L2; 9 tiles an image, of 36 points and 16 channels in and out
    words = 36 * 16 * (211 * 9 + 16 + 211 * 9)
    assert row(small, "winograd")["dram_read_bytes"] == 4 * (16 * 12 * 12 + 16 * 16 * 9)
    assert 4 * words > 6 * 2**20
    assert row(large, "winograd")["dram_read_bytes"] == 4 * (211 * 16 * 12 * 12 + 16 * 16 * 9 + words)


def test_rows_of_other_operators_have_no_columns_of_algorithms() -> None:
    rows = hwsim.simulate("mlp:hidden=13", on="gpu:v100").rows
    assert not any("error_bound" in one or "transform_bytes" in one for one in rows)


def test_integers_have_no_error_and_5x5_errs_more_than_3x3() -> None:
    layer = conv((1, 16, 12, 12), 16, 3, padding=1)
    assert hwsim.simulate(network_of(layer), on="gpu:t4", format="int8").rows[0]["error_bound"] == 0
    wide = conv((1, 16, 12, 12), 16, 5, padding=2)
    assert error_growth(wide, "winograd") > error_growth(layer, "winograd") > error_growth(layer, "implicit_gemm")


def cpu_row(layer: Layer, wanted: str, machine: str = "sapphire_rapids_vm_2c", fidelity: str = "closed") -> Row:
    chip = f"cpu:machine={machine},convolution={wanted}"
    return hwsim.simulate(network_of(layer), on=chip, format="fp32", fidelity=fidelity).rows[0]


def test_a_cpu_multiplies_and_adds_as_the_record_says() -> None:
    known, found = algorithm("winograd_f4"), cpu_row(EXACT, "winograd_f4")
    assert found["macs_done"] == found["macs"] * 36 // (16 * 9)
    assert found["multiplications_saved_fraction"] == 1 - 36 / 144
    assert found["transform_operations"] == known.additions(EXACT)
    # 9 tiles of 36 words for each of 5 channels and 7 filters, written and read; filters are transformed once, before
    assert found["transform_bytes"] == 4 * known.traffic_words(EXACT) == 2 * 4 * 9 * 36 * (5 + 7)
    assert found["error_bound"] == known.error_bound(EXACT, 1.0, 1.0)


def test_a_cpus_fourier_transform_has_four_products_a_frequency_and_its_own_multiplications() -> None:
    known, found = algorithm("fft"), cpu_row(EXACT, "fft")
    # 14 x 14 inputs in 16 x 16 points: 16 x 9 frequencies
    assert found["macs_done"] == 4 * 16 * 9 * 5 * 7
    assert found["transform_operations"] == known.additions(EXACT) + (5 + 7) * 256 * 8
    assert found["transform_bytes"] == 2 * 4 * 2 * 16 * 9 * (5 + 7)


@pytest.mark.parametrize("machine", ["sapphire_rapids_vm_2c", "i7_5930k"])
@pytest.mark.parametrize("wanted", ["direct", "im2col", "winograd_f2", "winograd_f4", "fft"])
def test_a_stepped_cpu_equals_the_closed_one_by_every_algorithm(wanted: str, machine: str) -> None:
    layer = conv((1, 31, 13, 11), 37, 3, padding=1)
    closed = cpu_row(layer, wanted, machine)
    assert closed["algorithm"] == wanted
    assert cpu_row(layer, wanted, machine, "stepped") == closed


def test_a_cpu_told_nothing_does_what_its_library_does() -> None:
    auto, direct = (cpu_row(EXACT, wanted) for wanted in ("auto", "direct"))
    assert {key: direct[key] for key in auto if key != "chip"} == {key: auto[key] for key in auto if key != "chip"}
    assert "algorithm" not in auto
    assert cpu_row(EXACT, "winograd_f2")["algorithm"] == "winograd_f2"


def test_a_cpus_layer_that_cannot_be_run_so_is_the_librarys() -> None:
    asked, free = (hwsim.simulate(MIXED, on=f"cpu{one}", format="fp32") for one in (":convolution=winograd_f2", ""))
    assert "1 of 2 convolutions cannot be run by winograd_f2; they are as the library runs them" in asked.notes
    assert asked.rows[0]["total_cycles"] == free.rows[0]["total_cycles"]
    assert asked.rows[0]["algorithm"] == "direct"


def test_a_cpu_refuses_an_unknown_algorithm_in_a_sentence() -> None:
    said = "chip 'cpu': convolution=winograd_f8 is not one of its choices; did you mean 'winograd_f4'?"
    with pytest.raises(InputError, match=re.escape(said[:60])):
        hwsim.simulate(MIXED, on="cpu:convolution=winograd_f8")


def test_minimal_filtering_pays_on_a_large_layer_of_a_cpu_and_a_spectrum_does_not() -> None:
    layer = conv((1, 256, 56, 56), 256, 3, padding=1)
    times = {one: cpu_row(layer, one)["total_cycles"] for one in ("direct", "winograd_f4", "fft")}
    assert times["winograd_f4"] < times["direct"] < times["fft"]
