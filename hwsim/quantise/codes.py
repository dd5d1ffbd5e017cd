"""Numbers of a format and their codes.

NaN, infinity and -0 keep their meaning where the format has them. An integer format takes 0 for -0 and NaN, and for
infinity its largest number; binary has no 0, and of its -1 and 1 takes 1 for 0, -0 and NaN.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import InputError
from hwsim.formats import NumberFormat
from hwsim.quantise import floats

Array = NDArray[Any]

EXACT_BITS = 24
"""Integers of so many bits are float32 numbers."""


def rounded(values: Array, fmt: NumberFormat, saturate: bool | None = None) -> Array:
    """Return the nearest numbers of `fmt`, ties to even, as float32, or float64 for integers beyond 24 bits.

    With `saturate` what is beyond the largest number, infinity too, becomes that; otherwise infinity, or NaN without
    one. None does as the format does; integers always saturate.
    """
    if fmt.kind == "int":
        return integers(values, fmt).astype(_real_type(fmt))
    real = _limited(values, fmt, saturate)
    if not fmt.library_type:
        return floats.rounded(real, fmt)
    return _cast(real, fmt).astype(np.float32, copy=False)


def encode(values: Array, fmt: NumberFormat, saturate: bool | None = None) -> Array:
    """Return the codes of `values`, rounded as by `rounded`, in the lowest bits of unsigned integers.

    Integers are in two's complement; where 0 is not among a format's levels, as in binary, codes number its levels.
    """
    if fmt.kind == "int":
        whole = integers(values, fmt)
        if _has_gaps(fmt):
            return np.asarray(np.sum([whole >= level for level in fmt.levels[1:]], axis=0, dtype=np.uint8))
        return np.asarray(whole.view(f"uint{8 * whole.itemsize}") & ((1 << fmt.bits) - 1))
    real = _limited(values, fmt, saturate)
    if not fmt.library_type:
        return floats.encode(floats.rounded(real, fmt), fmt).astype(_code_type(fmt))
    codes: Array = _cast(real, fmt).view(_code_type(fmt))
    return codes


def decode(codes: Array, fmt: NumberFormat) -> Array:
    """Return the numbers that `codes` stand for, as float32, or float64 for integers beyond 24 bits.

    Raises `InputError` for a code that stands for none.
    """
    codes = np.asarray(codes, _code_type(fmt))
    if fmt.kind == "fp":
        return codes.view(library_type(fmt)).astype(np.float32) if fmt.library_type else floats.decode(codes, fmt)
    if _has_gaps(fmt):
        _require_levels(codes, range(len(fmt.levels)), codes, fmt)
        return np.asarray(fmt.levels, np.float32)[codes]
    half = 1 << (fmt.bits - 1)
    whole = (codes.astype(np.int64) ^ half) - half
    if fmt.levels:
        _require_levels(whole, fmt.levels, codes, fmt)
    return whole.astype(_real_type(fmt))


def integers(values: Array, fmt: NumberFormat, zero_point: Array | int = 0) -> Array:
    """Return the nearest numbers of integer format `fmt`, `zero_point` added, in its carrier."""
    real = np.asarray(values, _real_type(fmt))
    if _has_gaps(fmt):
        found = np.full(real.shape, fmt.levels[0], fmt.carrier)
        for below, level in pairwise(fmt.levels):
            found[~(real < (below + level) / 2)] = level
        return found
    near = np.rint(real)
    if np.any(zero_point):
        near += zero_point
    np.clip(near, fmt.lowest, fmt.largest, out=near)
    np.copyto(near, zero_point, where=np.isnan(near))
    numbers: Array = near.astype(fmt.carrier)
    return numbers


def library_type(fmt: NumberFormat) -> Any:
    """Return the NumPy type whose numbers are those of floating point format `fmt`."""
    if hasattr(np, fmt.library_type):
        return getattr(np, fmt.library_type)
    import ml_dtypes

    return getattr(ml_dtypes, fmt.library_type)


def _cast(real: Array, fmt: NumberFormat) -> Array:
    """Return `real` in the type of a library; that it overflows, or has a signalling NaN, is no reason to warn."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(real.astype(library_type(fmt), copy=False))


def _limited(values: Array, fmt: NumberFormat, saturate: bool | None) -> Array:
    """Return float32 `values`, without what is beyond the largest number of `fmt` where that saturates."""
    with np.errstate(over="ignore"):
        real = np.asarray(values, np.float32)
    return np.clip(real, -fmt.largest, fmt.largest) if (fmt.saturates if saturate is None else saturate) else real


def _has_gaps(fmt: NumberFormat) -> bool:
    """Whether a format has not every integer from its lowest to its largest number."""
    return bool(fmt.levels) and len(fmt.levels) <= fmt.largest - fmt.lowest


def _require_levels(numbers: Array, known: Any, codes: Array, fmt: NumberFormat) -> None:
    wrong = ~np.isin(numbers, list(known))
    if wrong.any():
        raise InputError(f"code {codes[wrong].flat[0]} is no number of format {fmt.name}")


def _real_type(fmt: NumberFormat) -> Any:
    return np.float32 if fmt.bits <= EXACT_BITS else np.float64


def _code_type(fmt: NumberFormat) -> Any:
    return np.uint8 if fmt.bits <= 8 else np.uint16 if fmt.bits <= 16 else np.uint32
