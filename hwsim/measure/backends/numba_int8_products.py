"""Products in int8 by this project's kernels: weights scaled by output channel, sums in 32 bits."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from hwsim.functional.kernels import gemm, images, int8
from hwsim.ir.layer import Layer
from hwsim.ir.network import Network
from hwsim.measure.backends.numba_products import F32, Padding, bias_of, rows_of
from hwsim.measure.backends.numba_tensors import Array, Buffer, by_channel
from hwsim.measure.operands import Prepared
from hwsim.measure.program import Compute

I32, U8 = np.int32, np.uint8
ZERO, LARGEST = int8.ZERO_POINT, 127

Scales = dict[str, np.float32]
"""What one step of a tensor's int8 is worth, by its name."""

LARGEST_BIAS = 2.0**30


def in_channels(weights: Array) -> tuple[Array, Array]:
    """Return weights (outputs, ...) in int8, and the scale of each output."""
    most = np.abs(weights.reshape(len(weights), -1)).max(axis=1)
    scale = np.where(most > 0, most / F32(LARGEST), F32(1)).astype(F32)
    return np.rint(weights / scale.reshape(-1, *(1,) * (weights.ndim - 1))).astype(np.int8), scale


def integer_bias(bias: Array, scale: Array, weights: Array) -> Array:
    """Return the bias in units of the sums' scale, less what the zero of 128 adds to each output's sum."""
    units = np.clip(np.rint(bias / scale), -LARGEST_BIAS, LARGEST_BIAS).astype(np.int64)
    return (units - ZERO * weights.reshape(len(weights), -1).astype(np.int64).sum(axis=1)).astype(I32)


def conv(layer: Layer, network: Network, parameters: Prepared, scales: Scales) -> Compute:
    """Return a convolution: 32-bit sums by windows, then int8."""
    outputs, x_scale = layer.G * layer.K, scales[layer.inputs[0]]
    weights, scale = in_channels(parameters.filters(layer))
    scale = scale * x_scale
    bias, factor = integer_bias(bias_of(layer, parameters), scale, weights), scale / scales[layer.name]
    sums, buffer = np.empty((layer.N, layer.P, layer.Q, outputs), I32), Buffer(layer.output_shape, U8)
    multiply = windows(layer, weights, bias, sums)

    def call(operands: list[Array], step: int) -> Array:
        y = buffer.image(step)
        multiply(operands[0])
        int8.requantise(sums.reshape(-1, outputs), factor, by_channel(y))
        return y

    return call


def windows(layer: Layer, weights: Array, bias: Array, sums: Array) -> Callable[[Array], None]:
    """Return what sums a convolution: on tiles, or, where a group's channels are no multiple of 4, one by one."""
    group = weights.reshape(layer.G, layer.K, layer.C, layer.R, layer.S)
    if layer.G > 1 and layer.C % gemm.GROUP:
        return few_channels(layer, group, bias, sums)
    padded, outputs = Padding(layer, U8, ZERO, gemm.GROUP), layer.G * layer.K
    fill = -layer.C % gemm.GROUP
    filled = np.pad(group.transpose(0, 3, 4, 2, 1), ((0, 0), (0, 0), (0, 0), (0, fill), (0, 0)))
    panels = [gemm.packed(one.reshape(-1, layer.K), gemm.GROUP) for one in filled]
    base, runs, length = padded.windows(layer.C + fill)

    def call(x: Array) -> None:
        x = padded(x).reshape(-1)
        for g, panel in enumerate(panels):
            own = bias[g * layer.K : (g + 1) * layer.K]
            gemm.multiply(
                x, base, runs + g * layer.C, length, panel, own, sums.reshape(-1), outputs, g * layer.K, layer.K
            )

    return call


def few_channels(layer: Layer, group: Array, bias: Array, sums: Array) -> Callable[[Array], None]:
    """Return what sums a convolution of every channel with its own filter, or in groups of few channels."""
    padded = Padding(layer, U8, ZERO, 1)
    kernel, taps = images.direct_int8, np.ascontiguousarray(group.transpose(0, 3, 4, 2, 1))
    if layer.is_depthwise:
        kernel, taps = images.depthwise_int8, np.ascontiguousarray(group[:, 0, 0].transpose(1, 2, 0))
    return lambda x: kernel(padded(x), taps, bias, layer.stride, layer.dilation, sums)


class Rows:
    """A matrix of uint8 (rows, depth) as the tiles read it: filled up to a multiple of 4 products."""

    def __init__(self, rows: int, depth: int) -> None:
        self.depth, self.filled = depth, -(-depth // gemm.GROUP) * gemm.GROUP
        self.base = rows_of(rows, self.filled)
        self.buffer = np.full((rows, self.filled if self.filled != depth else 0), ZERO, U8)

    def __call__(self, x: Array) -> Array:
        """Return `x`, flat."""
        if self.filled == self.depth:
            return np.ascontiguousarray(x).reshape(-1)
        self.buffer[:, : self.depth] = x.reshape(-1, self.depth)
        return self.buffer.reshape(-1)


RUN = np.zeros(1, np.int64)


def matmul(layer: Layer, network: Network, parameters: Prepared, scales: Scales) -> Compute | None:
    """Return a product by weights, or of two activations."""
    if len(layer.inputs) == 2:
        return each_pair(layer, scales)
    if layer.G > 1:
        return None
    weights, scale = in_channels(parameters.matrix(layer))
    scale, bias = scale * scales[layer.inputs[0]], parameters.bias(layer)
    added = integer_bias(np.zeros(layer.K, F32) if bias is None else bias, scale, weights)
    panel, factor = gemm.packed(weights.T, gemm.GROUP), scale / scales[layer.name]
    rows = Rows(prod(layer.output_shape) // layer.K, layer.C)
    sums, buffer = np.empty((len(rows.base), layer.K), I32), Buffer(layer.output_shape, U8)

    def call(operands: list[Array], step: int) -> Array:
        y = buffer.plain(step)
        gemm.multiply(
            rows(operands[0]), rows.base, RUN, rows.filled, panel, added, sums.reshape(-1), layer.K, 0, layer.K
        )
        int8.requantise(sums, factor, y.reshape(-1, layer.K))
        return y

    return call


def each_pair(layer: Layer, scales: Scales) -> Compute | None:
    """Return a product of two activations; the second is packed in the call."""
    lead, (count, depth), cols = layer.output_shape[:-2], layer.input_shapes[0][-2:], layer.output_shape[-1]
    if any(shape[:-2] != lead for shape in layer.input_shapes):
        return None
    a_scale, b_scale = (scales[name] for name in layer.inputs)
    rows, factor = Rows(count, depth), np.full(cols, a_scale * b_scale / scales[layer.name], F32)
    sums, second = np.empty((count, cols), I32), np.empty((depth, cols), np.int8)
    buffer = Buffer(layer.output_shape, U8)

    def call(operands: list[Array], step: int) -> Array:
        y = buffer.plain(step)
        a, b = operands[0].reshape(-1, count, depth), operands[1].reshape(-1, depth, cols)
        out = y.reshape(-1, count, cols)
        for index in range(len(out)):
            int8.signed(np.ascontiguousarray(b[index]).reshape(-1), second.reshape(-1))
            added = -ZERO * second.sum(axis=0, dtype=I32)
            panel = gemm.packed(second, gemm.GROUP)
            gemm.multiply(rows(a[index]), rows.base, RUN, rows.filled, panel, added, sums.reshape(-1), cols, 0, cols)
            int8.requantise(sums, factor, out[index])
        return y

    return call
