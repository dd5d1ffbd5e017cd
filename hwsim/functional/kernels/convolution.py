"""Convolutions as products of windows by filters, fp32 or int8: read in place ("direct"), or unrolled ("im2col").

Images go as (N, rows, columns, channels), so that a filter row's window is one run of consecutive elements. A direct
convolution hands these runs to the product; im2col first copies all windows to a matrix (Chellapilla, Puri & Simard,
"High performance convolutional neural networks for document processing", IWFHR 2006), R S / stride^2 times the image.

Integers: x is uint8 with any zero point, or int8, which is turned into uint8 by adding 128; w is int8 with zero point
0. Sums are exact modulo 2^32: of u = x + zero, sum x w = sum u w - zero sum w, and padding holds `zero`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from hwsim.errors import InputError
from hwsim.functional.kernels import gemm, images
from hwsim.ir.layer import Kind, Layer

Array = NDArray[Any]

SIGNED_ZERO = 128
"""What int8 is moved up by to be unsigned."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Every output's window as runs of `length` elements of the flat `values`, at base + runs[t]."""

    values: Array
    base: Array
    runs: Array
    length: int


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of one group, packed for the product, with the bias that takes `zero` out of integer sums."""

    columns: Array
    bias: Array
    zero: int


def unsigned(x: Array, zero: int) -> tuple[Array, int]:
    """Return integers as uint8 with their zero point; fp32 is returned as it is."""
    if x.dtype == np.int8:
        return x.view(np.uint8) ^ np.uint8(SIGNED_ZERO), zero + SIGNED_ZERO
    if x.dtype not in (np.uint8, np.float32):
        raise InputError(f"no convolution of {x.dtype}: there are float32, uint8 and int8")
    return x, zero


def stored_channels(layer: Layer, dtype: Any) -> int:
    """Return the channels of a group's image: in integers a multiple of the products that are summed at once."""
    return layer.C if dtype == np.float32 else -(-layer.C // gemm.GROUP) * gemm.GROUP


def image(layer: Layer, x: Array, group: int, zero: int) -> Array:
    """Return a group's channels of x (N, G C, H, W) as (N, rows, columns, channels) with the padding around it."""
    rows = (layer.P - 1) * layer.stride[0] + (layer.R - 1) * layer.dilation[0] + 1
    cols = (layer.Q - 1) * layer.stride[1] + (layer.S - 1) * layer.dilation[1] + 1
    made = np.empty((layer.N, rows, cols, stored_channels(layer, x.dtype)), x.dtype)
    channels = x[:, group * layer.C : (group + 1) * layer.C].transpose(0, 2, 3, 1)
    images.pad(channels, layer.padding[0], layer.padding[1], x.dtype.type(zero), made)
    return made


def filters(layer: Layer, weights: Array, zero: int) -> Filters:
    """Return the filters of one group (K, C, R, S), packed in the order in which windows are read."""
    channels = stored_channels(layer, weights.dtype)
    ordered = np.zeros((layer.R, layer.S, channels, layer.K), weights.dtype)
    ordered[:, :, : layer.C] = weights.transpose(2, 3, 1, 0)
    columns = ordered.reshape(-1, layer.K)
    if weights.dtype == np.float32:
        return Filters(gemm.packed(columns, 1), np.zeros(layer.K, np.float32), 0)
    bias = -zero * columns.sum(axis=0, dtype=np.int64)
    return Filters(gemm.packed(columns, gemm.GROUP), bias.astype(np.int32), zero)


def in_place(layer: Layer, padded: Array) -> Windows:
    """Return the windows where they are in a padded image: a run per filter row, or per element of spread filters."""
    _, height, width, channels = padded.shape
    rows = np.arange(layer.P, dtype=np.int64)[:, None] * layer.stride[0] * width
    places = rows + np.arange(layer.Q, dtype=np.int64) * layer.stride[1]
    base = np.arange(layer.N, dtype=np.int64)[:, None] * height * width + places.reshape(-1)
    taps = np.arange(layer.R, dtype=np.int64)[:, None] * layer.dilation[0] * width
    if layer.dilation[1] == 1:
        return Windows(padded.reshape(-1), base.reshape(-1) * channels, taps.reshape(-1) * channels, layer.S * channels)
    taps = taps + np.arange(layer.S, dtype=np.int64) * layer.dilation[1]
    return Windows(padded.reshape(-1), base.reshape(-1) * channels, taps.reshape(-1) * channels, channels)


def unrolled(layer: Layer, padded: Array) -> Windows:
    """Return the windows as the rows of a matrix, each one run; 1 x 1 windows of every place are one already."""
    where = in_place(layer, padded)
    if (layer.R, layer.S, layer.stride) == (1, 1, (1, 1)):
        return where
    length = where.length * len(where.runs)
    matrix = np.empty(len(where.base) * length, padded.dtype)
    unroll(where.values, where.base, where.runs, where.length, matrix)
    base = np.arange(len(where.base), dtype=np.int64) * length
    return Windows(matrix, base, np.zeros(1, np.int64), length)


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def unroll(values: Any, base: Any, runs: Any, length: int, matrix: Any) -> None:
    """Copy each row's runs one behind the other."""
    for row in prange(base.shape[0]):
        at = row * runs.shape[0] * length
        for run in range(runs.shape[0]):
            start = base[row] + runs[run]
            # as views, whose indices cannot be negative, the copy is a vector's
            source, out = values[start : start + length], matrix[at : at + length]
            for k in range(length):
                out[k] = source[k]
            at += length


def multiply(windows: Windows, packed: Filters, y: Array, group: int) -> None:
    """Set a group's channels of y (positions, G K), contiguous, to the windows times the filters."""
    outputs, row = len(packed.bias), y.shape[1]
    gemm.multiply(
        windows.values, windows.base, windows.runs, windows.length, packed.columns, packed.bias,
        y.reshape(-1), row, group * outputs, outputs,
    )  # fmt: skip


def convolved(layer: Layer, x: Array, weights: Array, zero: int, windows_of: Any) -> Array:
    """Return the convolution (N, G K, P, Q) of x (N, G C, H, W) by weights (G, K, C, R, S), float32 or int32."""
    require(layer, x, weights)
    x, zero = unsigned(x, zero)
    y = np.empty((layer.positions, layer.G * layer.K), np.float32 if x.dtype == np.float32 else np.int32)
    for group in range(layer.G):
        packed = filters(layer, weights[group], zero)
        multiply(windows_of(layer, image(layer, x, group, zero)), packed, y, group)
    return channels_first(layer, y)


def channels_first(layer: Layer, y: Array) -> Array:
    """Return a convolution's result (positions, G K) as (N, G K, P, Q)."""
    made = np.empty(layer.output_shape, y.dtype)
    words = y.reshape(layer.N, layer.P * layer.Q, -1).view(np.int32), made.reshape(layer.N, -1, layer.P * layer.Q)
    transpose(words[0], words[1].view(np.int32))
    return made


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def transpose(x: Any, y: Any) -> None:
    """Set y (N, columns, rows) to x (N, rows, columns), in squares of a cache line's side."""
    images, rows, cols = x.shape
    across = -(-cols // 16)
    for task in prange(images * across):
        n, first = task // across, task % across * 16
        for row in range(0, rows, 16):
            for col in range(first, min(cols, first + 16)):
                for i in range(row, min(rows, row + 16)):
                    y[n, col, i] = x[n, i, col]


def direct(layer: Layer, x: Array, weights: Array, zero: int = 0) -> Array:
    """Return the convolution with windows read in place; see `convolved`."""
    return convolved(layer, x, weights, zero, in_place)


def im2col(layer: Layer, x: Array, weights: Array, zero: int = 0) -> Array:
    """Return the convolution with windows unrolled to a matrix; see `convolved`."""
    return convolved(layer, x, weights, zero, unrolled)


def depthwise(layer: Layer, x: Array, weights: Array, zero: int = 0) -> Array:
    """Return a convolution with one filter per channel, no sum over channels; see `convolved`."""
    require(layer, x, weights)
    if layer.C != 1 or layer.K != 1:
        raise InputError(
            f"layer '{layer.name}' sums {layer.C} channels into {layer.K} per group; depthwise has one of each"
        )
    x, zero = unsigned(x, zero)
    rows = (layer.P - 1) * layer.stride[0] + (layer.R - 1) * layer.dilation[0] + 1
    cols = (layer.Q - 1) * layer.stride[1] + (layer.S - 1) * layer.dilation[1] + 1
    padded = np.empty((layer.N, rows, cols, layer.G), x.dtype)
    images.pad(x.transpose(0, 2, 3, 1), layer.padding[0], layer.padding[1], x.dtype.type(zero), padded)
    y = np.empty((layer.N, layer.P, layer.Q, layer.G), np.float32 if x.dtype == np.float32 else np.int32)
    w = np.ascontiguousarray(weights.reshape(layer.G, layer.R, layer.S).transpose(1, 2, 0))
    bias = (-zero * w.sum(axis=(0, 1), dtype=np.int64)).astype(y.dtype) if zero else np.zeros(layer.G, y.dtype)
    kernel = images.depthwise if x.dtype == np.float32 else images.depthwise_int8
    kernel(padded, w, bias, layer.stride, layer.dilation, y)
    return channels_first(layer, y)


def require(layer: Layer, x: Array, weights: Array) -> None:
    """Raise `InputError` unless operands are a convolution's, and of the layer's shapes: kernels do not look."""
    given, needed = (x.shape, weights.shape), (layer.G * layer.C, (layer.G, layer.K, layer.C, layer.R, layer.S))
    if layer.kind is not Kind.CONV:
        raise InputError(f"layer '{layer.name}' is no convolution but a {layer.kind}")
    if x.ndim != 4 or x.shape[:2] != (layer.N, needed[0]) or weights.shape != needed[1]:
        raise InputError(f"layer '{layer.name}': operands of shapes {given[0]} and {given[1]} are not its own")
    if (x.dtype == np.float32) != (weights.dtype == np.float32) or weights.dtype not in (np.float32, np.int8):
        raise InputError(f"layer '{layer.name}': no product of {x.dtype} by {weights.dtype}")
