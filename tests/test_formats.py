"""Number formats: what they round, saturate and scale, worked by hand; and what a multiply-accumulate costs in each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hwsim import catalog
from hwsim.arch.reference_energy import arithmetic, mac_entry
from hwsim.errors import InputError
from hwsim.formats import NumberFormat
from hwsim.published import table
from hwsim.quantise import (
    Quantisation,
    asymmetric,
    binary_weights,
    decode,
    dequantise,
    encode,
    fitted,
    fixed,
    quantise,
    ranges,
    requantised,
    rounded,
    saturation,
    symmetric,
    ternary_weights,
    unscaled,
)

NAMES = catalog.names("format")
every_format = pytest.mark.parametrize("name", NAMES)


def fmt_of(name: str) -> NumberFormat:
    return catalog.number_format(name)


def array(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def on_format(values: Any, name: str, saturate: bool | None = None) -> list[float]:
    found: list[float] = rounded(np.asarray(values, np.float32), fmt_of(name), saturate).tolist()
    return found


def test_tf32_keeps_ten_bits_behind_the_point_and_rounds_ties_to_even() -> None:
    step = 2.0**-10
    assert on_format([1 + step / 2, 1 + 3 * step / 2], "tf32") == [1, 1 + 2 * step]
    assert on_format([1 + step / 2 + 2**-23, 1 + step / 2 - 2**-23], "tf32") == [1 + step, 1]
    assert on_format([-(1 + step / 2), -(1 + 3 * step / 2)], "tf32") == [-1, -(1 + 2 * step)]
    # a carry through the whole mantissa is the next power of two
    assert on_format([2 - 2**-23], "tf32") == [2]


def test_tf32_overflows_to_infinity_keeps_its_subnormals_and_nan() -> None:
    largest = (2 - 2**-10) * 2.0**127
    assert fmt_of("tf32").largest == largest
    half = 2.0**-11 * 2.0**127
    assert on_format([largest, largest + half * 0.99, largest + half], "tf32") == [largest, largest, np.inf]
    assert on_format([3 * 2.0**-136, 2.0**-137, 2.0**-149], "tf32") == [3 * 2.0**-136, 0, 0]
    # a NaN of all ones must not carry into another number
    nan = np.array([0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001], np.uint32).view(np.float32)
    assert np.isnan(rounded(nan, fmt_of("tf32"))).all()
    assert np.signbit(rounded(array(-0.0, -1e-45), fmt_of("tf32"))).all()


def test_tf32_codes_are_the_nineteen_upper_bits_of_float32() -> None:
    codes = encode(array(1.0, -2.5, np.inf), fmt_of("tf32"))
    assert codes.tolist() == [0x3F800000 >> 13, 0xC0200000 >> 13, 0x7F800000 >> 13]
    assert decode(codes, fmt_of("tf32")).tolist() == [1.0, -2.5, np.inf]


def test_e4m3_saturates_at_448_and_otherwise_has_nan_for_lack_of_infinity() -> None:
    # OFP8, Sec. 5: 464 lies halfway between 448 and the 480 that would be next, whose code is NaN's
    given = [448, 463.9, 465, 1e9, np.inf, -np.inf]
    assert on_format(given, "fp8") == [448, 448, 448, 448, 448, -448]
    wide = on_format(given, "fp8", saturate=False)
    assert wide[:2] == [448, 448]
    assert np.isnan(wide[2:]).all()
    assert np.isnan(on_format([np.nan], "fp8")).all()


def test_e5m2_saturates_at_57344_and_otherwise_overflows_to_infinity() -> None:
    assert on_format([57344, 61440, np.inf, -1e9], "fp8_e5m2") == [57344, 57344, 57344, -57344]
    # 61440 = 57344 + 8192 / 2 ties to the even code, which is infinity's
    assert on_format([61439, 61440, -1e9], "fp8_e5m2", saturate=False) == [57344, np.inf, -np.inf]


def test_the_smallest_numbers_of_both_fp8_are_those_of_the_ofp8_table() -> None:
    assert decode(np.array([1, 8]), fmt_of("fp8")).tolist() == [2.0**-9, 2.0**-6]
    assert decode(np.array([1, 4]), fmt_of("fp8_e5m2")).tolist() == [2.0**-16, 2.0**-14]
    assert [fmt_of(name).smallest_normal for name in ("fp8", "fp8_e5m2")] == [2.0**-6, 2.0**-14]


@pytest.mark.parametrize(("name", "largest"), [("fp16", 65504.0), ("bf16", (2 - 2**-7) * 2.0**127)])
def test_sixteen_bits_of_floating_point_overflow_to_infinity(name: str, largest: float) -> None:
    assert on_format([largest, 3.4e38, -np.inf], name) == [largest, np.inf, -np.inf]
    assert on_format([3.4e38, -np.inf], name, saturate=True) == [largest, -largest]


@pytest.mark.parametrize(("name", "low", "high"), [("int4", -8, 7), ("int8", -128, 127), ("int16", -32768, 32767)])
def test_integers_round_ties_to_even_saturate_and_know_neither_nan_nor_minus_zero(
    name: str, low: int, high: int
) -> None:
    found = rounded(array(0.5, 1.5, 2.5, -0.5, -1.5, np.nan, -0.0, np.inf, -np.inf, 1e9), fmt_of(name))
    assert found.tolist() == [0, 2, 2, 0, -2, 0, 0, high, low, high]
    assert not np.signbit(found[[3, 6]]).any()
    assert encode(array(-1, low), fmt_of(name)).tolist() == [(1 << fmt_of(name).bits) - 1, high + 1]


def test_ternary_is_the_nearest_of_minus_one_zero_and_one() -> None:
    assert on_format([-9, -0.51, -0.5, 0.2, 0.5, 0.51, np.inf, np.nan], "ternary") == [-1, -1, 0, 0, 0, 1, 1, 0]
    assert encode(array(-1, 0, 1), fmt_of("ternary")).tolist() == [0b11, 0b00, 0b01]
    with pytest.raises(InputError, match="code 2 is no number of format ternary"):
        decode(np.array([0, 2]), fmt_of("ternary"))


def test_binary_is_the_sign_and_takes_zero_minus_zero_and_nan_for_one() -> None:
    assert on_format([-3, -1e-30, 0.0, -0.0, np.nan, np.inf], "binary") == [-1, -1, 1, 1, 1, 1]
    assert encode(array(-2, 2), fmt_of("binary")).tolist() == [0, 1]
    assert decode(np.array([0, 1]), fmt_of("binary")).tolist() == [-1, 1]


@every_format
def test_rounding_twice_is_rounding_once_and_codes_give_back_the_number(name: str) -> None:
    fmt = fmt_of(name)
    values = np.random.default_rng(17).normal(scale=50, size=4001).astype(np.float32)
    once = rounded(values, fmt)
    assert (rounded(once, fmt) == once).all()
    codes = encode(values, fmt)
    assert codes.dtype.kind == "u"
    assert int(codes.max()).bit_length() <= fmt.bits
    assert (decode(codes, fmt) == once).all()


@every_format
def test_the_extremes_of_a_record_are_numbers_of_the_format(name: str) -> None:
    fmt = fmt_of(name)
    ends = np.array([fmt.lowest, fmt.largest])
    assert rounded(ends, fmt).tolist() == ends.tolist()
    assert rounded(ends * 1.5, fmt, saturate=True).tolist() == ends.tolist()


def test_q8_8_has_steps_of_a_256th_and_ends_a_step_below_128() -> None:
    how = fixed(8, 8)
    assert (how.fmt.name, float(how.scale)) == ("fixed16", 1 / 256)
    assert quantise(array(1.0, -1.5 / 256, 200, -200), how).tolist() == [256, -2, 32767, -32768]
    assert requantised(array(200, -200), how).tolist() == [128 - 1 / 256, -128]
    assert saturation(array(0, 127.9, 128, -129), how) == 0.5


@pytest.mark.parametrize(("m", "n", "carrier"), [(2, 3, "int8"), (3, 9, "int16"), (1, 31, "int32"), (16, 16, "int32")])
def test_fixed_point_of_any_width_rounds_to_its_fraction(m: int, n: int, carrier: str) -> None:
    how = fixed(m, n)
    assert (how.fmt.bits, how.fmt.carrier) == (m + n, carrier)
    assert requantised(array(2.0 ** (m + 1)), how).tolist() == [np.float32(2.0 ** (m - 1) - 2.0**-n)]
    assert requantised(array(2.0**-n, 2.0**-n / 4), how).tolist() == [2.0**-n, 0]


@pytest.mark.parametrize(("m", "n"), [(1, 0), (20, 20)])
def test_fixed_point_of_no_width_that_fits_is_refused(m: int, n: int) -> None:
    with pytest.raises(InputError, match=f"Q{m}.{n} has {m + n} bits: there must be from 2 to 32"):
        fixed(m, n)


def test_a_symmetric_scale_puts_the_largest_magnitude_on_the_largest_number() -> None:
    how = symmetric(fmt_of("int8"), 254.0)
    assert float(how.scale) == 2
    assert quantise(array(254, -254, 3, 1, -300), how).tolist() == [127, -127, 2, 0, -128]
    # nothing to scale
    assert float(symmetric(fmt_of("int8"), 0.0).scale) == 1


def test_an_asymmetric_scale_spans_the_range_and_has_zero_exactly() -> None:
    # 0 ... 25.5 in 255 steps of 0.1: 0 is -128
    how = asymmetric(fmt_of("int8"), 0.0, 25.5)
    assert int(how.zero_point) == -128
    assert quantise(array(0, 25.5, 12.8, np.nan), how).tolist() == [-128, 127, 0, -128]
    assert requantised(array(0.0), how).tolist() == [0]
    # a range that does not have 0 is widened to it
    assert float(asymmetric(fmt_of("int8"), 5.0, 25.5).scale) == float(how.scale)
    with pytest.raises(InputError, match="format fp16 has no zero point"):
        asymmetric(fmt_of("fp16"), 0, 1)


def test_channels_have_scales_of_their_own() -> None:
    weights = np.array([[[1, -2]], [[100, 50]], [[0, 0]]], np.float32)
    how = fitted(weights, fmt_of("int8"), axis=0)
    assert how.scale.tolist() == pytest.approx([2 / 127, 100 / 127, 1])
    assert quantise(weights, how).tolist() == [[[64, -127]], [[127, 64]], [[0, 0]]]
    assert [one.tolist() for one in ranges(weights, axis=0)] == [[-2, 50, 0], [1, 100, 0]]
    # with one scale for all, the first channel has next to nothing left
    assert quantise(weights, fitted(weights, fmt_of("int8"))).tolist()[0] == [[1, -3]]


def test_scales_lie_along_the_axis_they_are_of() -> None:
    values = np.random.default_rng(19).normal(size=(3, 5, 7)).astype(np.float32)
    whole = requantised(values, fitted(values, fmt_of("int8"), axis=1))
    parts = [requantised(values[:, c], fitted(values[:, c], fmt_of("int8"))) for c in range(5)]
    assert (whole == np.stack(parts, axis=1)).all()


def test_ternary_weights_have_the_threshold_and_scale_of_the_paper() -> None:
    # mean magnitude 2.5, threshold 1.75: 1 is zero, the others have mean magnitude 3
    weights = array(1, -2, 3, -4)
    how = ternary_weights(weights)
    assert how.threshold is not None
    assert float(how.threshold) == 1.75
    assert quantise(weights, how).tolist() == [0, -1, 1, -1]
    assert requantised(weights, how).tolist() == [0, -3, 3, -3]


def test_binary_weights_have_their_mean_magnitude_for_scale() -> None:
    weights = np.array([[1, -3], [0, 4]], np.float32)
    assert requantised(weights, binary_weights(weights, axis=0)).tolist() == [[2, -2], [2, 2]]
    assert requantised(weights, fitted(weights, fmt_of("binary"))).tolist() == [[2, -2], [2, 2]]


def test_fp8_is_scaled_to_its_largest_number_and_wider_floats_stand_for_themselves() -> None:
    assert float(fitted(array(4480, 1), fmt_of("fp8")).scale) == 10
    assert float(fitted(array(4480, 1), fmt_of("bf16")).scale) == 1
    assert saturation(array(4480, 1, 1e9, np.nan), unscaled(fmt_of("fp8"))) == 0.5


def test_a_tensor_without_elements_is_refused() -> None:
    with pytest.raises(InputError, match="a tensor without elements has no scale"):
        fitted(np.zeros((0, 3), np.float32), fmt_of("int8"))


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_quantising_equals_onnx_quantize_and_dequantize_linear(axis: int | None) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is the oracle")
    from onnx.reference import ReferenceEvaluator

    values = np.random.default_rng(23).normal(size=(5, 7, 3)).astype(np.float32)
    low, high = ranges(values, axis)
    how = asymmetric(fmt_of("int8"), low, high, axis)
    there = onnx.helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], axis=axis or 0)
    back = onnx.helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], axis=axis or 0)
    kinds = {"x": 1, "s": 1, "z": 3}
    graph = onnx.helper.make_graph(
        [there, back],
        "g",
        [onnx.helper.make_tensor_value_info(name, kind, None) for name, kind in kinds.items()],
        [onnx.helper.make_tensor_value_info(name, kind, None) for name, kind in (("q", 3), ("y", 1))],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 19)])
    zero = how.zero_point.astype(np.int8)
    numbers, real = ReferenceEvaluator(model).run(None, {"x": values, "s": how.scale, "z": zero})
    assert (quantise(values, how) == numbers).all()
    assert (requantised(values, how) == real).all()


def test_fake_quantisation_equals_torchs_per_tensor_and_per_channel() -> None:
    torch = pytest.importorskip("torch", reason="torch is the oracle")
    values = np.random.default_rng(29).normal(size=(7, 11)).astype(np.float32)
    # scales that are powers of two, because torch multiplies by their reciprocals
    scales = np.exp2(np.arange(-9, -2)).astype(np.float32)
    how = Quantisation(fmt_of("int8"), scales, np.zeros(7, np.int32), axis=0)
    expected = torch.fake_quantize_per_channel_affine(
        torch.from_numpy(values), torch.from_numpy(scales), torch.zeros(7, dtype=torch.int32), 0, -128, 127
    )
    assert (requantised(values, how) == expected.numpy()).all()
    one = Quantisation(fmt_of("int8"), np.float32(2.0**-5) * np.ones(()), np.asarray(3, np.int32))
    expected = torch.fake_quantize_per_tensor_affine(torch.from_numpy(values), 2.0**-5, 3, -128, 127)
    assert (requantised(values, one) == expected.numpy()).all()


def test_dequantising_integers_of_32_bits_is_exact_before_it_is_rounded() -> None:
    how = fixed(16, 16)
    assert dequantise(np.array([2**31 - 1, 2**24 + 1], np.int32), how).tolist() == [32768.0, 256.0]


PRINTED = {("int8", 0.2 + 0.1), ("fp16", 1.1 + 0.9), ("fp32", 3.7 + 0.9), ("fixed32", 3.1 + 0.1)}
"""A printed product, and a printed sum of the accumulator's width [pJ]."""


@pytest.mark.parametrize("operation", ["add", "multiply"])
@pytest.mark.parametrize("name", ["int8", "int32", "fp16", "fp32"])
def test_every_entry_of_horowitzs_table_is_reproduced_and_not_assumed(operation: str, name: str) -> None:
    printed = {
        "add": {"int8": 0.03, "int32": 0.1, "fp16": 0.4, "fp32": 0.9},
        "multiply": {"int8": 0.2, "int32": 3.1, "fp16": 1.1, "fp32": 3.7},
    }
    energy_pj, node_nm, source = arithmetic(operation, name)
    assert (energy_pj, node_nm) == (printed[operation][name], 45)
    assert (source.work.partition(",")[0], source.year) == ("Horowitz", 2014)
    assert f"{operation}_{name}" in {row["operation"] for row in table("energy")}


@every_format
def test_a_multiply_accumulate_has_printed_energy_or_says_what_is_assumed(name: str) -> None:
    entry = mac_entry(fmt_of(name), 45)
    printed = dict(PRINTED)
    assert entry.source.is_assumed == (name not in printed)
    if name in printed:
        assert entry.energy_pj == pytest.approx(printed[name])


def test_narrower_numbers_of_a_kind_cost_less_to_multiply() -> None:
    orders = (
        ("binary", "ternary", "int4", "int8", "int8x16", "fixed16", "fixed32"),
        ("fp8", "fp16", "tf32", "fp32"),
    )
    for order in orders:
        costs = [mac_entry(fmt_of(name), 45).energy_pj for name in order]
        assert costs == sorted(costs)


def test_assumed_products_lie_on_the_power_of_the_width_through_two_printed_ones() -> None:
    # integers: 3.1 / 0.2 over two doublings of the width; floating point: 3.7 / 1.1 over one
    assert arithmetic("multiply", "int4")[0] == pytest.approx(0.2 / (3.1 / 0.2) ** 0.5)
    assert arithmetic("multiply", "fp8")[0] == pytest.approx(1.1 / (3.7 / 1.1))
    assert mac_entry(fmt_of("tf32"), 45).energy_pj == pytest.approx(1.1 * (19 / 16) ** np.log2(3.7 / 1.1) + 0.9)
    # an XNOR, a sixteenth of an int8 sum, beside an int32 sum
    assert mac_entry(fmt_of("binary"), 45).energy_pj == pytest.approx(0.03 / 16 + 0.1)


def test_multipliers_read_nineteen_bits_of_tf32_and_what_a_codebooks_indices_stand_for() -> None:
    assert [fmt_of("tf32").multiplied_bits("weight"), fmt_of("tf32").operand_bits("weight")] == [19, 32]
    assert [fmt_of("codebook4").multiplied_bits("weight"), fmt_of("codebook4").operand_bits("weight")] == [16, 4]
    assert [fmt_of("int8x16").multiplied_bits(operand) for operand in ("weight", "input")] == [8, 16]


@pytest.mark.parametrize(
    ("wide", "narrow", "holds"),
    [
        ("fp32", "bf16", True), ("fp32", "tf32", True), ("fp16", "bf16", False), ("fp16", "fp8", True),
        ("fp16", "fp8_e5m2", True), ("fp8_e5m2", "fp8", False), ("int8", "int4", True), ("int8", "binary", True),
        ("binary", "ternary", False), ("ternary", "binary", True), ("ternary", "int4", False),
        ("int8", "int8x16", False), ("fp32", "int8", False),
        ("int16", "int8x16", True), ("fixed16", "codebook4", True),
    ],
)  # fmt: skip
def test_a_format_holds_another_if_it_has_all_its_numbers(wide: str, narrow: str, holds: bool) -> None:
    assert fmt_of(wide).holds(fmt_of(narrow)) == holds
