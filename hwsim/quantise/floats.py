"""Floating point formats by their widths alone, for those that neither NumPy nor ml_dtypes has."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.formats import NumberFormat

Array = NDArray[Any]

FLOAT32_EXPONENT_BITS, FLOAT32_MANTISSA_BITS = 8, 23


def rounded(values: Array, fmt: NumberFormat) -> Array:
    """Return float32 `values` as the nearest numbers of `fmt`, ties to even.

    What rounds to more than its largest number becomes infinity, or NaN where there is none. NaN stays NaN, -0 stays
    -0, and so does the sign of what rounds to zero.
    """
    if _is_short_float32(fmt):
        return _shortened(values, FLOAT32_MANTISSA_BITS - fmt.mantissa_bits)
    with np.errstate(invalid="ignore"):
        near = np.ldexp(np.rint(np.ldexp(values.astype(np.float64), -_quantum(values, fmt))), _quantum(values, fmt))
        beyond = np.abs(near) > fmt.largest
    near[beyond] = np.copysign(np.inf if fmt.has_infinity else np.nan, near[beyond])
    return near.astype(np.float32)


def _is_short_float32(fmt: NumberFormat) -> bool:
    """Whether numbers of `fmt` are those of float32 whose last bits are 0."""
    return fmt.exponent_bits == FLOAT32_EXPONENT_BITS and fmt.has_infinity


def _shortened(values: Array, dropped: int) -> Array:
    """Return `values` with `dropped` bits of mantissa rounded away; a carry out of it is the next exponent."""
    bits = values.view(np.uint32)
    half_below = np.uint32((1 << (dropped - 1)) - 1) if dropped else np.uint32(0)
    odd = (bits >> np.uint32(dropped)) & np.uint32(1) if dropped else np.uint32(0)
    kept = (bits + half_below + odd) & np.uint32((1 << 32) - (1 << dropped))
    # the carry of a NaN would end in another number
    return np.where(np.isnan(values), values, kept.view(np.float32))


def _quantum(values: Array, fmt: NumberFormat) -> Array:
    """Return the exponent of the distance between numbers of `fmt` around each of `values`."""
    _, above = np.frexp(values)
    exponent: Array = np.maximum(above - 1, 1 - fmt.exponent_bias) - fmt.mantissa_bits
    return exponent


def encode(numbers: Array, fmt: NumberFormat) -> Array:
    """Return the codes, as integers, of float32 `numbers` that are all `fmt`'s."""
    if _is_short_float32(fmt):
        return np.asarray(numbers.view(np.uint32) >> np.uint32(FLOAT32_MANTISSA_BITS - fmt.mantissa_bits))
    quantum = _quantum(numbers, fmt)
    magnitude = np.nan_to_num(np.abs(numbers.astype(np.float64)), nan=0, posinf=0)
    mantissa = np.ldexp(magnitude, -quantum).astype(np.int64)
    # a normal number's mantissa has its hidden bit, which counts as one in the exponent's field
    exponent = quantum.astype(np.int64) + fmt.mantissa_bits + fmt.exponent_bias - 1
    codes = np.where(mantissa > 0, (exponent << fmt.mantissa_bits) + mantissa, 0)
    codes = np.where(np.isinf(numbers), _infinity(fmt), codes)
    codes = np.where(np.isnan(numbers), _nan(fmt), codes)
    signs: Array = np.signbit(numbers).astype(np.int64) << (fmt.exponent_bits + fmt.mantissa_bits)
    return codes | signs


def decode(codes: Array, fmt: NumberFormat) -> Array:
    """Return the float32 numbers that `codes` of `fmt` stand for."""
    if _is_short_float32(fmt):
        bits = codes.astype(np.uint32) << np.uint32(FLOAT32_MANTISSA_BITS - fmt.mantissa_bits)
        numbers: Array = np.asarray(bits).view(np.float32)
        return numbers
    whole = codes.astype(np.int64)
    magnitude = whole & ((1 << (fmt.exponent_bits + fmt.mantissa_bits)) - 1)
    field, fraction = magnitude >> fmt.mantissa_bits, magnitude & ((1 << fmt.mantissa_bits) - 1)
    hidden = np.where(field > 0, 1 << fmt.mantissa_bits, 0)
    exponent = np.maximum(field, 1) - fmt.exponent_bias - fmt.mantissa_bits
    numbers = np.ldexp((hidden + fraction).astype(np.float64), exponent.astype(np.int32))
    numbers[magnitude >= _infinity(fmt)] = np.inf if fmt.has_infinity else np.nan
    numbers[magnitude > _infinity(fmt)] = np.nan
    negative = whole >> (fmt.exponent_bits + fmt.mantissa_bits) & 1
    return np.where(negative == 1, -numbers, numbers).astype(np.float32)


def _infinity(fmt: NumberFormat) -> int:
    """Return the code of infinity; without one, that of the NaN, which is all ones."""
    if fmt.has_infinity:
        return ((1 << fmt.exponent_bits) - 1) << fmt.mantissa_bits
    return (1 << (fmt.exponent_bits + fmt.mantissa_bits)) - 1


def _nan(fmt: NumberFormat) -> int:
    """Return the code of a quiet NaN."""
    return _infinity(fmt) | (1 << (fmt.mantissa_bits - 1) if fmt.has_infinity else 0)
