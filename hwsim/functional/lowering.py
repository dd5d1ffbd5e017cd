"""A convolution or matrix product as matrices: what the array multiplies, and the reference it must equal."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from hwsim.formats import NumberFormat
from hwsim.ir.layer import Kind, Layer
from hwsim.quantise import rounded

Array = NDArray[Any]

BLOCK_ELEMENTS = 2**22
"""Elements of an operand that are widened at once."""


def random_operands(layer: Layer, fmt: NumberFormat, seed: int) -> tuple[Array, Array]:
    """Return seeded input and weights of one step of `layer` in the format's carrier.

    The input has the layer's input shape, weights (G, K, C, R, S); a matrix product's input is (G, N, C). Integers
    cover the whole range of their width, floating point numbers are normal and rounded to the format.
    """
    generator = np.random.default_rng(seed)
    is_conv = layer.kind is Kind.CONV
    input_shape = layer.input_shapes[0] if is_conv else (layer.G, layer.N, layer.C)
    weight_shape = (layer.G, layer.K, layer.C, layer.R, layer.S)
    return _random(generator, input_shape, fmt, "input"), _random(generator, weight_shape, fmt, "weight")


def input_matrix(layer: Layer, x: Array, group: int) -> Array:
    """Return the input of `group` as (positions, reduction): row n p q is the zero-padded window of that output."""
    if layer.kind is not Kind.CONV:
        return np.ascontiguousarray(x[group])
    top, left, bottom, right = layer.padding
    channels = x[:, group * layer.C : (group + 1) * layer.C]
    padded = np.pad(channels, ((0, 0), (0, 0), (top, bottom), (left, right)))
    n, c, h, w = padded.strides
    windows = as_strided(
        padded,
        (layer.N, layer.P, layer.Q, layer.C, layer.R, layer.S),
        (n, h * layer.stride[0], w * layer.stride[1], c, h * layer.dilation[0], w * layer.dilation[1]),
        writeable=False,
    )
    return windows.reshape(layer.positions, layer.reduction)


def weight_matrix(layer: Layer, weights: Array, group: int) -> Array:
    """Return the weights of `group`, of shape (K, C, R, S), as a view of (reduction, K)."""
    matrix: Array = weights[group].reshape(layer.K, layer.reduction).T
    return matrix


def product(a: Array, b: Array, fmt: NumberFormat) -> Array:
    """Return a @ b summed as the format's accumulator does: exactly modulo 2^bits, or in float32.

    Integers of up to 16 bits are multiplied in float64, whose 53 bits hold every sum of up to 2^22 such products
    exactly; both operands go in blocks, so that the wide copies stay small.
    """
    wide: Any = np.float64 if fmt.kind == "int" else np.float32
    out = np.empty((a.shape[0], b.shape[1]), fmt.accumulator)
    step = max(1, BLOCK_ELEMENTS // a.shape[1])
    for cols in (slice(at, at + step) for at in range(0, b.shape[1], step)):
        right = b[:, cols].astype(wide)
        for rows in (slice(at, at + step) for at in range(0, a.shape[0], step)):
            sums = a[rows].astype(wide) @ right
            out[rows, cols] = sums.astype(np.int64) if fmt.kind == "int" else sums
    return out


def _random(generator: np.random.Generator, shape: tuple[int, ...], fmt: NumberFormat, operand: str) -> Array:
    if fmt.levels:
        return np.asarray(fmt.levels, fmt.carrier)[generator.integers(len(fmt.levels), size=shape)]
    if fmt.kind == "int":
        half = 1 << (fmt.operand_bits(operand) - 1)
        return generator.integers(-half, half, size=shape, dtype=fmt.carrier)
    return rounded(generator.standard_normal(shape, dtype=np.float32), fmt)
