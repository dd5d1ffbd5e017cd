"""Products in fp32 by this project's kernels: convolutions as products whose rows are windows, and matrix products."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from hwsim.functional.kernels import gemm, images
from hwsim.ir.layer import Layer
from hwsim.ir.network import Network
from hwsim.measure.backends.numba_tensors import Array, Buffer, channels_last, flat
from hwsim.measure.operands import Prepared
from hwsim.measure.program import Compute

F32 = np.float32


def conv(layer: Layer, network: Network, parameters: Prepared) -> Compute:
    """Return a convolution: padded, then a product whose rows are windows; channels on their own one by one."""
    weights = parameters.filters(layer).reshape(layer.G, layer.K, layer.C, layer.R, layer.S)
    bias, buffer, padded = bias_of(layer, parameters), Buffer(layer.output_shape, F32), Padding(layer, F32, 0, 1)
    if layer.is_depthwise:
        taps = np.ascontiguousarray(weights.reshape(layer.G, layer.R, layer.S).transpose(1, 2, 0))

        def each_channel(operands: list[Array], step: int) -> Array:
            y = buffer.image(step)
            images.depthwise(padded(operands[0]), taps, bias, layer.stride, layer.dilation, channels_last(y))
            return y

        return each_channel
    panels = [gemm.packed(group.transpose(2, 3, 1, 0).reshape(-1, layer.K), 1) for group in weights]
    base, runs, length = padded.windows(layer.C)
    outputs = layer.G * layer.K

    def windows(operands: list[Array], step: int) -> Array:
        x, y = padded(operands[0]).reshape(-1), buffer.image(step)
        for g, panel in enumerate(panels):
            own = bias[g * layer.K : (g + 1) * layer.K]
            gemm.multiply(x, base, runs + g * layer.C, length, panel, own, flat(y), outputs, g * layer.K, layer.K)
        return y

    return windows


class Padding:
    """An image with its padding, in a buffer of its own, (N, rows, columns, channels); as it is where it has none.

    Channels are filled up to a multiple of `group`.
    """

    def __init__(self, layer: Layer, dtype: Any, value: int, group: int) -> None:
        (n, c, h, w), (top, left, _, _) = layer.input_shapes[0], layer.padding
        rows = max(h + top, (layer.P - 1) * layer.stride[0] + (layer.R - 1) * layer.dilation[0] + 1)
        cols = max(w + left, (layer.Q - 1) * layer.stride[1] + (layer.S - 1) * layer.dilation[1] + 1)
        self.layer, self.shape = layer, (n, rows, cols, -(-c // group) * group)
        self.needed = self.shape != (n, h, w, c)
        self.buffer = np.full(self.shape if self.needed else (), value, dtype)

    def __call__(self, x: Array) -> Array:
        """Return `x` with its padding."""
        x, (top, left, _, _) = channels_last(x), self.layer.padding
        if self.needed:
            images.place(x, top, left, self.buffer)
        return self.buffer if self.needed else x

    def windows(self, channels: int) -> tuple[Array, Array, int]:
        """Return where each window begins in the padded image, where its runs do behind that, and how long they are.

        A run is a filter row of all channels, or, where a group has only some or taps are apart, one tap.
        """
        layer, (n, rows, cols, stored) = self.layer, self.shape
        image, p, q = np.ogrid[:n, : layer.P, : layer.Q]
        base = ((image * rows + p * layer.stride[0]) * cols + q * layer.stride[1]) * stored
        r, s = np.ogrid[: layer.R, : layer.S]
        runs = (r * layer.dilation[0] * cols + s * layer.dilation[1]) * stored
        whole = channels == stored and layer.dilation[1] == 1
        return (
            base.reshape(-1).astype(np.int64),
            np.ascontiguousarray(runs[:, 0] if whole else runs.reshape(-1)).astype(np.int64),
            layer.S * stored if whole else channels,
        )


def bias_of(layer: Layer, parameters: Prepared) -> Array:
    """Return a product's bias, zero where it has none."""
    bias = parameters.bias(layer)
    return np.zeros(layer.G * layer.K, F32) if bias is None else bias


def matmul(layer: Layer, network: Network, parameters: Prepared) -> Compute | None:
    """Return a product by weights, packed before, or of two activations, the second packed in the call."""
    if len(layer.inputs) == 1:
        return by_weights(layer, parameters) if layer.G == 1 else None
    lead, (rows, depth), cols = layer.output_shape[:-2], layer.input_shapes[0][-2:], layer.output_shape[-1]
    if any(shape[:-2] != lead for shape in layer.input_shapes):
        return None
    base, run, none = rows_of(rows, depth), np.zeros(1, np.int64), np.zeros(cols, F32)
    buffer = Buffer(layer.output_shape, F32)

    def each_pair(operands: list[Array], step: int) -> Array:
        a, y = np.ascontiguousarray(operands[0]).reshape(-1, rows * depth), buffer.plain(step)
        b, out = operands[1].reshape(-1, depth, cols), y.reshape(-1, rows * cols)
        for index in range(len(out)):
            gemm.multiply(a[index], base, run, depth, gemm.packed(b[index], 1), none, out[index], cols, 0, cols)
        return y

    return each_pair


def by_weights(layer: Layer, parameters: Prepared) -> Compute:
    """Return a product of all rows by weights (K, C)."""
    panel = gemm.packed(parameters.matrix(layer).T, 1)
    base, run = rows_of(prod(layer.output_shape) // layer.K, layer.C), np.zeros(1, np.int64)
    bias, buffer, cols = parameters.bias(layer), Buffer(layer.output_shape, F32), layer.K
    added = np.zeros(cols, F32) if bias is None else bias

    def rows(operands: list[Array], step: int) -> Array:
        x, y = np.ascontiguousarray(operands[0]).reshape(-1), buffer.plain(step)
        gemm.multiply(x, base, run, layer.C, panel, added, y.reshape(-1), cols, 0, cols)
        return y

    return rows


def rows_of(rows: int, depth: int) -> Array:
    """Return where each row of a matrix begins."""
    return np.arange(rows, dtype=np.int64) * depth
