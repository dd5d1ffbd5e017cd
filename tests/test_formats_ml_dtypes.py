"""Number formats agree with ml_dtypes and NumPy on every code point of 16 bits and less, and on samples of 32."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from hwsim import catalog
from hwsim.formats import NumberFormat
from hwsim.quantise import decode, encode, rounded
from hwsim.quantise.codes import library_type

FLOATS = ("fp8", "fp8_e5m2", "fp16", "bf16")
ORACLES: dict[str, Any] = {
    "fp8": ml_dtypes.float8_e4m3fn,
    "fp8_e5m2": ml_dtypes.float8_e5m2,
    "fp16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "int4": ml_dtypes.int4,
    "ternary": ml_dtypes.int2,
}
OTHERS = {"float8_e3m4": (3, 4), "float8_e4m3": (4, 3)}
"""Types of ml_dtypes that no format of ours has, by exponent and mantissa bits."""

by_own_code = pytest.mark.parametrize("own", [False, True], ids=["library", "own"])


def fmt_of(name: str, own: bool = False) -> NumberFormat:
    """Return a format; with `own`, one that is computed from its widths instead of by a library."""
    fmt = catalog.number_format(name)
    return replace(fmt, library_type="") if own else fmt


def codes_of(fmt: NumberFormat) -> NDArray[Any]:
    return np.arange(1 << fmt.bits).astype(np.uint8 if fmt.bits <= 8 else np.uint16)


def same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether float32 arrays hold the same numbers, -0 apart from 0, and NaN in the same places."""
    nan = np.isnan(one)
    return bool((nan == np.isnan(other)).all() and (one.view(np.uint32)[~nan] == other.view(np.uint32)[~nan]).all())


@pytest.mark.parametrize("name", FLOATS)
@by_own_code
def test_every_code_point_decodes_to_the_librarys_number(name: str, own: bool) -> None:
    codes = codes_of(fmt_of(name))
    assert same(decode(codes, fmt_of(name, own)), codes.view(ORACLES[name]).astype(np.float32))


@pytest.mark.parametrize("name", FLOATS)
@by_own_code
def test_every_number_encodes_to_its_code_and_nan_to_a_nan(name: str, own: bool) -> None:
    codes = codes_of(fmt_of(name))
    numbers = codes.view(ORACLES[name]).astype(np.float32)
    back = encode(numbers, fmt_of(name, own), saturate=False)
    nan = np.isnan(numbers)
    assert back.dtype == codes.dtype
    assert (back[~nan] == codes[~nan]).all()
    assert np.isnan(back[nan].view(ORACLES[name]).astype(np.float32)).all()


def between(name: str) -> NDArray[Any]:
    """Return halfway points of all neighbouring finite numbers, one float32 to either side, and what overflows."""
    numbers = np.unique(codes_of(fmt_of(name)).view(ORACLES[name]).astype(np.float32))
    finite = numbers[np.isfinite(numbers)]
    wide = finite.astype(np.float64)
    edge = wide[-1] + (wide[-1] - wide[-2]) * np.array([0.25, 0.5, 0.75, 1, 2])
    with np.errstate(over="ignore"):
        points = np.concatenate([(wide[1:] + wide[:-1]) / 2, edge, -edge]).astype(np.float32)
        beside = [np.nextafter(points, np.float32(side), dtype=np.float32) for side in (-np.inf, np.inf)]
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 3e38, 1e-45, -1e-45], np.float32)
    return np.concatenate([points, *beside, special])


@pytest.mark.parametrize("name", FLOATS)
@by_own_code
def test_ties_their_neighbours_overflow_nan_infinity_and_minus_zero_round_as_the_librarys(name: str, own: bool) -> None:
    points = between(name)
    with np.errstate(over="ignore"):
        expected = points.astype(ORACLES[name]).astype(np.float32)
    assert same(rounded(points, fmt_of(name, own), saturate=False), expected)


@pytest.mark.parametrize("name", FLOATS)
@by_own_code
def test_random_float32_bit_patterns_round_as_the_librarys(name: str, own: bool) -> None:
    bits = np.random.default_rng(5).integers(0, 1 << 32, 100_003, dtype=np.uint32)
    with np.errstate(all="ignore"):
        expected = bits.view(np.float32).astype(ORACLES[name]).astype(np.float32)
        assert same(rounded(bits.view(np.float32), fmt_of(name, own), saturate=False), expected)


@pytest.mark.parametrize(("type_name", "widths"), OTHERS.items(), ids=OTHERS)
def test_formats_of_other_widths_are_the_librarys_too(type_name: str, widths: tuple[int, int]) -> None:
    kind: Any = getattr(ml_dtypes, type_name)
    fmt = NumberFormat(type_name, 8, "fp", 32, "float32", "float32", *widths)
    codes = codes_of(fmt)
    assert same(decode(codes, fmt), codes.view(kind).astype(np.float32))
    values = np.random.default_rng(7).normal(scale=fmt.largest / 3, size=10_007).astype(np.float32)
    values = np.concatenate([values, values * np.float32(1e-3), decode(codes, fmt)])
    with np.errstate(over="ignore"):
        assert same(rounded(values, fmt), values.astype(kind).astype(np.float32))


@pytest.mark.parametrize("name", FLOATS)
def test_the_extremes_derived_from_a_record_are_those_of_finfo(name: str) -> None:
    fmt, info = fmt_of(name), ml_dtypes.finfo(ORACLES[name])
    assert (fmt.largest, fmt.lowest, fmt.smallest_normal) == (info.max, info.min, info.smallest_normal)
    assert (fmt.exponent_bits, fmt.mantissa_bits) == (fmt.bits - 1 - info.nmant, info.nmant)


@pytest.mark.parametrize("name", ["int4", "ternary"])
def test_integers_of_a_few_bits_have_the_librarys_codes(name: str) -> None:
    fmt = fmt_of(name)
    numbers = np.array(fmt.levels or range(-8, 8), np.int8)
    codes = numbers.astype(ORACLES[name]).view(np.uint8) & ((1 << fmt.bits) - 1)
    assert (decode(codes, fmt) == numbers).all()
    assert (encode(numbers, fmt) == codes).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_integers_of_whole_bytes_have_numpys_codes(bits: int) -> None:
    fmt = fmt_of(f"int{bits}")
    codes = codes_of(fmt)
    numbers = codes.view(f"int{bits}").astype(np.float32)
    assert (decode(codes, fmt) == numbers).all()
    assert (encode(numbers, fmt) == codes).all()


def test_fp32_is_float32_bit_for_bit() -> None:
    bits = np.random.default_rng(3).integers(0, 1 << 32, 100_003, dtype=np.uint32)
    fmt = fmt_of("fp32")
    assert same(decode(bits, fmt), bits.view(np.float32))
    assert same(rounded(bits.view(np.float32), fmt), bits.view(np.float32))
    assert (encode(bits.view(np.float32), fmt) == bits).all()


def test_tf32_with_seven_bits_of_mantissa_would_be_the_librarys_bfloat16() -> None:
    bits = np.random.default_rng(11).integers(0, 1 << 32, 100_003, dtype=np.uint32)
    short = replace(fmt_of("tf32"), mantissa_bits=7)
    with np.errstate(all="ignore"):
        expected = bits.view(np.float32).astype(ORACLES["bf16"]).astype(np.float32)
    assert same(rounded(bits.view(np.float32), short), expected)


def test_tf32_agrees_with_binary16_where_both_have_the_exponent() -> None:
    # the same 10 bits of mantissa: over binary16's normal range they round alike
    values = np.random.default_rng(13).normal(size=100_003).astype(np.float32)
    values = values[np.abs(values) > 2.0**-13]
    assert same(rounded(values, fmt_of("tf32")), values.astype(np.float16).astype(np.float32))


def test_a_formats_library_type_has_its_widths() -> None:
    for name in catalog.names("format"):
        fmt = fmt_of(name)
        if fmt.library_type:
            assert ml_dtypes.finfo(library_type(fmt)).nmant == fmt.mantissa_bits


@pytest.mark.parametrize("name", FLOATS)
def test_codes_of_positive_numbers_are_in_their_order(name: str) -> None:
    fmt = fmt_of(name)
    numbers = decode(codes_of(fmt)[: 1 << (fmt.bits - 1)], fmt)
    assert all(low < high for low, high in pairwise(numbers[~np.isnan(numbers)]))
