"""Functions of elements and of rows in fp32, vectorised: their exponential is a polynomial, not a call per element."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.extending import intrinsic

LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
LOG2_E = np.float32(1.44269504088896341)
LARGEST, SMALLEST = np.float32(88.0), np.float32(-87.0)
"""Beyond them exp would leave the normal numbers of fp32."""

HALF, ONE, TWO = np.float32(0.5), np.float32(1), np.float32(2)
EPSILON = np.float32(1e-5)
SQRT_HALF = np.float32(0.7071067811865476)


@intrinsic  # type: ignore[untyped-decorator]
def from_bits(typing: Any, bits: Any) -> Any:
    """Return the float32 that 32 bits write."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), code


@njit(cache=True)  # type: ignore[untyped-decorator]
def exponential(x: Any) -> Any:
    """Return exp(x) to 2 units in the last place: 2^n times a polynomial (Moshier, Cephes 2.2, expf)."""
    x = min(max(x, SMALLEST), LARGEST)
    n = np.floor(x * LOG2_E + HALF)
    r = x - n * LN2_HIGH - n * LN2_LOW
    p = np.float32(1.9875691500e-4)
    p = p * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    return (p * r * r + r + ONE) * from_bits(np.int32((np.int32(n) + np.int32(127)) << np.int32(23)))


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def clip(x: Any, low: Any, high: Any, y: Any) -> None:
    """Set y to x within `low` and `high`: relu, relu6."""
    for i in prange(x.shape[0]):
        y[i] = min(max(x[i], low), high)


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def sigmoid(x: Any, y: Any) -> None:
    """Set y to 1 / (1 + exp(-x))."""
    for i in prange(x.shape[0]):
        y[i] = ONE / (ONE + exponential(-x[i]))


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def tanh(x: Any, y: Any) -> None:
    """Set y to 1 - 2 / (1 + exp(2 x))."""
    for i in prange(x.shape[0]):
        y[i] = ONE - TWO / (ONE + exponential(TWO * x[i]))


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def swish(x: Any, y: Any) -> None:
    """Set y to x / (1 + exp(-x)), also called SiLU."""
    for i in prange(x.shape[0]):
        y[i] = x[i] / (ONE + exponential(-x[i]))


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def gelu(x: Any, y: Any) -> None:
    """Set y to x times the normal distribution at x, with erf to 1.5e-7 (Abramowitz & Stegun, 1964, 7.1.26)."""
    for i in prange(x.shape[0]):
        z = abs(x[i]) * SQRT_HALF
        t = ONE / (ONE + np.float32(0.3275911) * z)
        p = np.float32(1.061405429)
        p = p * t - np.float32(1.453152027)
        p = p * t + np.float32(1.421413741)
        p = p * t - np.float32(0.284496736)
        p = p * t + np.float32(0.254829592)
        tail = HALF * p * t * exponential(-z * z)
        y[i] = x[i] * (tail if x[i] < 0 else ONE - tail)


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def add(a: Any, b: Any, y: Any) -> None:
    """Set y to a + b."""
    for i in prange(a.shape[0]):
        y[i] = a[i] + b[i]


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def multiplied(a: Any, b: Any, y: Any) -> None:
    """Set y to a times b."""
    for i in prange(a.shape[0]):
        y[i] = a[i] * b[i]


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def scale_shift(x: Any, scale: Any, shift: Any, y: Any) -> None:
    """Set y to x scale + shift by column of (rows, channels): batch normalisation at inference."""
    for i in prange(x.shape[0]):
        for j in range(x.shape[1]):
            y[i, j] = x[i, j] * scale[j] + shift[j]


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def normalise(x: Any, scale: Any, shift: Any, centred: bool, y: Any) -> None:
    """Set each row of y to that of x at mean 0, if `centred`, and mean square 1, times scale plus shift."""
    rows, columns = x.shape
    for i in prange(rows):
        total = np.float32(0)
        for j in range(columns):
            total += x[i, j]
        mean = total / np.float32(columns) if centred else np.float32(0)
        squares = np.float32(0)
        for j in range(columns):
            squares += (x[i, j] - mean) * (x[i, j] - mean)
        factor = ONE / np.sqrt(squares / np.float32(columns) + EPSILON)
        for j in range(columns):
            y[i, j] = (x[i, j] - mean) * factor * scale[j] + shift[j]


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def softmax(x: Any, y: Any) -> None:
    """Set each row of y to exp(x - max) over its sum."""
    rows, columns = x.shape
    for i in prange(rows):
        largest = x[i, 0]
        for j in range(columns):
            largest = max(largest, x[i, j])
        for j in range(columns):
            y[i, j] = exponential(x[i, j] - largest)
        total = np.float32(0)
        for j in range(columns):
            total += y[i, j]
        for j in range(columns):
            y[i, j] /= total


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def local_response(x: Any, half: int, k: Any, alpha: Any, y: Any) -> None:
    """Set y to x / (k + alpha sum of squares of the 2 half + 1 channels about it)^(3/4), by row (position, channel)."""
    rows, channels = x.shape
    for i in prange(rows):
        for j in range(channels):
            total = np.float32(0)
            for other in range(max(0, j - half), min(channels, j + half + 1)):
                total += x[i, other] * x[i, other]
            root = np.sqrt(k + alpha * total)
            y[i, j] = x[i, j] / (root * np.sqrt(root))
