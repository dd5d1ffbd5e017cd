"""Scales and zero points: which real number a number of a format stands for.

A real number is scale x (number - zero point), with one scale for the whole tensor or one for each of its channels.
ONNX QuantizeLinear: divide by the scale, round ties to even, add the zero point, saturate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import InputError
from hwsim.formats import NumberFormat
from hwsim.formats.binary import binary
from hwsim.formats.fixed16 import fixed16
from hwsim.formats.fixed32 import fixed32
from hwsim.formats.ternary import ternary
from hwsim.quantise.codes import integers, rounded

Array = NDArray[Any]

TERNARY_THRESHOLD = 0.7
"""Of the mean magnitude; Li et al., Ternary Weight Networks, 2016, Eq. 6."""


@dataclass(frozen=True, eq=False)
class Quantisation:
    """What numbers of `fmt` stand for: `scale` and `zero_point` are single numbers, or vectors along `axis`.

    With a `threshold`, what is no farther from zero becomes zero and all else the level on its side.
    """

    fmt: NumberFormat
    scale: Array
    zero_point: Array
    axis: int | None = None
    threshold: Array | None = None


def unscaled(fmt: NumberFormat) -> Quantisation:
    """Return the quantisation in which numbers of `fmt` stand for themselves."""
    return _of(fmt, 1.0)


def fixed(integer_bits: int, fraction_bits: int) -> Quantisation:
    """Return fixed point Qm.n: `integer_bits`, the sign among them, before the point, and `fraction_bits` behind it.

    Widths of 16 and 32 bits are the formats that chips have; others are for values alone. Raises `InputError` for less
    than 2 or more than 32 bits.
    """
    bits = integer_bits + fraction_bits
    if not 2 <= bits <= fixed32.bits:
        raise InputError(f"Q{integer_bits}.{fraction_bits} has {bits} bits: there must be from 2 to {fixed32.bits}")
    known = {fixed16.bits: fixed16, fixed32.bits: fixed32}
    carrier = "int8" if bits <= 8 else "int16" if bits <= 16 else "int32"
    fmt = known.get(bits) or NumberFormat(f"fixed{bits}", bits, "int", 32, carrier, "int32")
    return _of(fmt, 2.0**-fraction_bits)


def symmetric(fmt: NumberFormat, largest: Array | float, axis: int | None = None) -> Quantisation:
    """Return the scale at which the largest number of `fmt` stands for `largest`, 1 where that is 0."""
    magnitude = np.asarray(largest, np.float32)
    return _of(fmt, np.where(magnitude > 0, magnitude / np.float32(fmt.largest), 1), axis)


def asymmetric(fmt: NumberFormat, low: Array | float, high: Array | float, axis: int | None = None) -> Quantisation:
    """Return the scale and zero point at which the numbers of `fmt` span `low` to `high`, widened to contain 0.

    Raises `InputError` for a format without zero points.
    """
    if not fmt.affine:
        raise InputError(f"format {fmt.name} has no zero point; its scales are symmetric")
    bottom, top = np.minimum(np.float32(low), 0), np.maximum(np.float32(high), 0)
    step = (top - bottom) / np.float32(fmt.largest - fmt.lowest)
    scale = np.where(step > 0, step, 1).astype(np.float32)
    zero = np.clip(np.rint(fmt.lowest - bottom / scale), fmt.lowest, fmt.largest)
    return Quantisation(fmt, scale, zero.astype(np.int32), axis)


def ternary_weights(values: Array, axis: int | None = None) -> Quantisation:
    """Return the threshold and scale of ternary weights: Li et al., 2016, Eq. 5 and 6.

    Weights within 0.7 of their mean magnitude are zero, the others their sign times their own mean magnitude.
    """
    magnitude = np.abs(_channels(values, axis))
    threshold = np.float32(TERNARY_THRESHOLD) * magnitude.mean(1, dtype=np.float32)
    kept = magnitude > threshold[:, None]
    means = (magnitude * kept).sum(1) / np.maximum(1, kept.sum(1))
    scale = np.where(means > 0, means, 1).astype(np.float32)
    one = (0,) if axis is None else (slice(None),)
    return replace(_of(ternary, scale[one], axis), threshold=np.asarray(threshold[one]))


def binary_weights(values: Array, axis: int | None = None) -> Quantisation:
    """Return the scale of binary weights, their mean magnitude: Rastegari et al., XNOR-Net, 2016, Eq. 6."""
    means = np.abs(_channels(values, axis)).mean(1, dtype=np.float32)
    return _of(binary, np.where(means > 0, means, 1)[0 if axis is None else slice(None)], axis)


def fitted(values: Array, fmt: NumberFormat, axis: int | None = None) -> Quantisation:
    """Return the quantisation of `values` to `fmt` by their largest magnitude.

    Binary and ternary are as they were published. Floating point formats of 16 bits and more stand for themselves.
    """
    if fmt.levels:
        return (ternary_weights if 0 in fmt.levels else binary_weights)(values, axis)
    if fmt.kind == "fp" and fmt.bits >= 16:
        return unscaled(fmt)
    low, high = ranges(values, axis)
    return symmetric(fmt, np.maximum(-low, high), axis)


def ranges(values: Array, axis: int | None = None) -> tuple[Array, Array]:
    """Return the least and the largest of `values`, or of each of their channels along `axis`."""
    channels = _channels(values, axis)
    low, high = channels.min(1), channels.max(1)
    return (low[0], high[0]) if axis is None else (low, high)


def quantise(values: Array, how: Quantisation) -> Array:
    """Return the numbers of the format that `values` become, in its carrier."""
    real, fmt = np.asarray(values, np.float32), how.fmt
    scale, zero = _along(how.scale, how, real.ndim), _along(how.zero_point, how, real.ndim)
    if how.threshold is not None:
        kept = np.abs(real) > _along(how.threshold, how, real.ndim)
        return (np.sign(real) * kept).astype(fmt.carrier)
    units = _units(real, scale)
    return integers(units, fmt, zero) if fmt.kind == "int" else rounded(units, fmt)


def dequantise(numbers: Array, how: Quantisation) -> Array:
    """Return the real numbers that `numbers` stand for, as float32."""
    scale, zero = _along(how.scale, how, numbers.ndim), _along(how.zero_point, how, numbers.ndim)
    whole = numbers.astype(np.float64 if how.fmt.kind == "int" and how.fmt.bits > 16 else np.float32)
    if np.any(zero):
        whole = whole - zero
    return np.asarray((whole * scale).astype(np.float32, copy=False))


def requantised(values: Array, how: Quantisation) -> Array:
    """Return `values` as the format has them: real numbers with its error."""
    return dequantise(quantise(values, how), how)


def saturation(values: Array, how: Quantisation) -> float:
    """Return the share of `values` that round to more than the format's largest number, or less than its lowest.

    It is 0 with a threshold or levels, of which the outer ones stand for all that is beyond.
    """
    if how.threshold is not None or how.fmt.levels or not values.size:
        return 0.0
    real = np.asarray(values, np.float32)
    units = _units(real, _along(how.scale, how, real.ndim))
    if how.fmt.kind == "fp":
        beyond = ~np.isfinite(rounded(units, how.fmt, saturate=False)) & ~np.isnan(real)
    else:
        near = np.rint(units) + _along(how.zero_point, how, real.ndim)
        beyond = (near > how.fmt.largest) | (near < how.fmt.lowest)
    return float(np.count_nonzero(beyond) / real.size)


def _units(real: Array, scale: Array) -> Array:
    """Return `real` in units of `scale`; what is too large for float32 is infinite."""
    if scale.ndim == 0 and scale == 1:
        return real
    with np.errstate(over="ignore"):
        return real / scale


def _of(fmt: NumberFormat, scale: Array | float, axis: int | None = None) -> Quantisation:
    return Quantisation(fmt, np.asarray(scale, np.float32), np.asarray(0, np.int32), axis)


def _channels(values: Array, axis: int | None) -> Array:
    """Return `values` as a row per channel along `axis`; one row without."""
    if not values.size:
        raise InputError("a tensor without elements has no scale")
    if axis is None:
        return values.reshape(1, -1)
    return np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)


def _along(vector: Array, how: Quantisation, dims: int) -> Array:
    """Return a single number as it is, and one per channel in the shape that lies along the axis of `dims`."""
    if how.axis is None or not np.ndim(vector):
        return vector
    shape = [1] * dims
    shape[how.axis] = -1
    return vector.reshape(shape)
