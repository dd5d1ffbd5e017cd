"""Scales of activations and weights: which real number the numbers of a format stand for, from values that were seen.

Activations get one scale, and a zero point where the format has one; weights are symmetric, with a scale for each
output channel or one for all, by their largest magnitude (Wu et al., "Integer quantization for deep learning
inference", arXiv 2004.09602, 2020, Sec. 4 and 5.1). Fixed point has scales that are powers of two.
"""

from __future__ import annotations

from dataclasses import replace
from math import floor, log2
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.compress.sharing import shared_values
from hwsim.errors import UsageError, near_match
from hwsim.formats import NumberFormat
from hwsim.quantise import Quantisation, asymmetric, fitted, quantise, ranges, requantised, symmetric, unscaled

Array = NDArray[Any]

METHODS, GRANULARITIES = ("max", "percentile", "mse"), ("channel", "tensor")

PERCENTILE = 99.99
"""Of values between the ends of the range; the best of those that Wu et al. tried on most networks (Table 6)."""

SHRUNK = np.geomspace(1, 1 / 16, 33)
"""Shares of the whole range among which "mse" takes the one of least error."""

ROOM = 1 + 2**-18
"""What ranges are widened by: a rounded zero point may leave half a step beyond an end, which is no saturation."""

SAMPLED, SEARCHED = 2**17, 2**14
"""Most values of a tensor that its scale is found from, and that "mse" rounds again and again."""


class Choices(NamedTuple):
    """How scales are found: the range of activations by `scales`, those of weights for each `weight_scales`."""

    scales: str = "max"
    weight_scales: str = "channel"

    def checked(self) -> Choices:
        """Return the choices; raises `UsageError` for unknown ones."""
        for name, known in ((self.scales, METHODS), (self.weight_scales, GRANULARITIES)):
            if name not in known:
                raise UsageError(f"no scales named '{name}'{near_match(name, known)}")
        return self


def sample(values: Array, room: int = SAMPLED) -> Array:
    """Return at most about `room` of the finite values, evenly spaced, the least and the largest among them."""
    flat = values[np.isfinite(values)]
    if flat.size <= room:
        return flat if flat.size else np.zeros(1, np.float32)
    return np.concatenate([flat[:: -(-flat.size // room)], [flat.min(), flat.max()]]).astype(np.float32)


def activations(values: Array, fmt: NumberFormat, method: str) -> Quantisation:
    """Return the quantisation of activations like `values` to `fmt`.

    "max" spans them all, "percentile" 99.99 % of them, "mse" the share of their range that gives the least mean square
    error. Binary and ternary are as published, floating point formats of 16 bits and more stand for themselves.
    """
    if fmt.levels or is_plain(fmt):
        return fitted(values, fmt)
    if method == "percentile":
        tail = (100 - PERCENTILE) / 2
        low = np.percentile(values, tail, method="lower")
        return _spanning(fmt, low, np.percentile(values, 100 - tail, method="higher"))
    low, high = ranges(values)
    if method == "max":
        return _spanning(fmt, low, high)
    seen = sample(values, SEARCHED)
    tried = [_spanning(fmt, low * share, high * share) for share in SHRUNK]
    return min(tried, key=lambda how: float(np.square(requantised(seen, how) - seen, dtype=np.float64).mean()))


def is_plain(fmt: NumberFormat) -> bool:
    """Whether numbers of a format stand for themselves, without a scale."""
    return fmt.kind == "fp" and fmt.bits >= 16


def is_fixed_point(fmt: NumberFormat) -> bool:
    """Whether a format's products are brought to the width of the operands before they are summed."""
    return fmt.kind == "int" and fmt.accumulator_bits <= fmt.bits


def weights(values: Array, fmt: NumberFormat, axis: int, granularity: str) -> tuple[Array, Quantisation]:
    """Return weights as numbers of `fmt`, and what these stand for; channels lie along `axis`.

    Indices into a codebook stand for its entries, found by k-means (Han et al., Deep Compression, ICLR 2016).
    """
    if is_plain(fmt) or fmt.levels:
        how = fitted(values, fmt, axis if granularity == "channel" and fmt.levels else None)
        return quantise(values, how), how
    real = shared_values(values, fmt.weight_bits) if fmt.codebook else values
    stored = fmt if fmt.codebook else replace(fmt, bits=fmt.operand_bits("weight"), weight_bits=0)
    low, high = ranges(real, axis if granularity == "channel" and not is_fixed_point(fmt) else None)
    largest = np.maximum(-low, high)
    how = fixed_point(stored, float(largest)) if is_fixed_point(fmt) else symmetric(stored, largest, _axis(low, axis))
    return quantise(real, how), how


def fixed_point(fmt: NumberFormat, largest: float, spare_bits: int = 0) -> Quantisation:
    """Return the finest power of two at which `largest` and `spare_bits` above it are numbers of `fmt`."""
    exponent = floor(log2(fmt.largest / largest)) - spare_bits if largest > 0 else 0
    return replace(unscaled(fmt), scale=np.asarray(2.0**-exponent, np.float32))


def _axis(low: Array, axis: int) -> int | None:
    return axis if np.ndim(low) else None


def _spanning(fmt: NumberFormat, low: Array, high: Array) -> Quantisation:
    if fmt.affine:
        return asymmetric(fmt, low * ROOM, high * ROOM)
    largest = float(max(-low, high))
    return fixed_point(fmt, largest) if is_fixed_point(fmt) else symmetric(fmt, largest)
