"""Depthwise convolutions whose filters are outer products: a column filter, then a row filter.

R + S multiplications per output take the place of R S (Mamalet & Garcia, "Simplifying ConvNets for fast learning",
ICANN 2012, Sec. 2).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwsim.errors import InputError
from hwsim.functional.kernels.convolution import Array, depthwise, require
from hwsim.ir.layer import Layer

TOLERANCE = 4 * np.finfo(np.float32).eps
"""How far a filter may be from an outer product, in parts of its largest singular value: rounding to float32."""


def convolved(layer: Layer, x: Array, weights: Array) -> Array:
    """Return the convolution (N, G, P, Q) of x (N, G, H, W) by outer products, weights (G, 1, 1, R, S), in float32.

    Raises `InputError` for filters that are none, and for layers that sum over channels.
    """
    require(layer, x, weights)
    if x.dtype != np.float32:
        raise InputError(f"layer '{layer.name}': separable filters are float32, not {x.dtype}")
    columns, rows = factors(layer, weights)
    top, left, bottom, right = layer.padding
    cols_read = (layer.Q - 1) * layer.stride[1] + (layer.S - 1) * layer.dilation[1] + 1
    width = x.shape[3] + left + right
    down = replace(
        layer, S=1, Q=width, stride=(layer.stride[0], 1), dilation=(layer.dilation[0], 1),
        padding=(top, left, bottom, right), output_shape=(layer.N, layer.G, layer.P, width),
    )  # fmt: skip
    between = depthwise(down, x, columns)
    across = replace(
        layer, R=1, stride=(1, layer.stride[1]), dilation=(1, layer.dilation[1]),
        padding=(0, 0, 0, max(0, cols_read - width)), input_shapes=(between.shape,),
    )  # fmt: skip
    return depthwise(across, between, rows)


def factors(layer: Layer, weights: Array) -> tuple[Array, Array]:
    """Return column filters (G, 1, 1, R, 1) and row filters (G, 1, 1, 1, S) whose outer products are the weights."""
    left, values, right = np.linalg.svd(weights.reshape(-1, layer.R, layer.S).astype(np.float64), full_matrices=False)
    if values.shape[1] > 1 and (values[:, 1] > TOLERANCE * values[:, 0]).any():
        raise InputError(f"layer '{layer.name}' has filters that are no outer products of a column and a row")
    scale = np.sqrt(values[:, :1])
    columns, rows = left[:, :, 0] * scale, right[:, 0] * scale
    shape = weights.shape[:3]
    return columns.reshape(*shape, -1, 1).astype(np.float32), rows.reshape(*shape, 1, -1).astype(np.float32)
