"""Pooling: a function of the elements under each window; padding takes no part in it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from hwsim.errors import InputError
from hwsim.functional.parameters import Array
from hwsim.ir.layer import Layer

OVER_WINDOW = (-2, -1)

NEUTRAL = {"max": -np.inf, "min": np.inf, "product": 1.0, "log_sum_exp": -np.inf}
"""What stands in the padding so that it changes nothing; 0 for every other function."""


def pooled(layer: Layer, x: Array) -> Any:
    """Return the layer's function of each window, (N, channels, P, Q).

    An average is over the elements within the image, as ONNX has it by default. Raises `InputError` for a function
    that depends on more than the network says.
    """
    name = layer.function
    if name in ("argmax", "argmin") and layer.P * layer.Q == 1 and not any(layer.padding):
        flat = x.reshape(*x.shape[:2], -1)
        return (flat.argmax(-1) if name == "argmax" else flat.argmin(-1)).reshape(layer.output_shape)
    under = windows(layer, x, NEUTRAL.get(name, 0.0))
    if name == "average":
        inside = windows(layer, np.ones((1, 1, *x.shape[2:]), np.float32), 0.0)
        return under.sum(axis=OVER_WINDOW) / inside.sum(axis=OVER_WINDOW)
    if name not in REDUCTIONS:
        raise InputError(f"layer '{layer.name}': the values of pooling '{name}' are not computed")
    return REDUCTIONS[name](under)


def windows(layer: Layer, x: Array, outside: float) -> Array:
    """Return a view (N, channels, P, Q, R, S) of the windows, with the value `outside` beyond the image's edges."""
    top, left, _, _ = layer.padding
    rows = (layer.P - 1) * layer.stride[0] + (layer.R - 1) * layer.dilation[0] + 1
    cols = (layer.Q - 1) * layer.stride[1] + (layer.S - 1) * layer.dilation[1] + 1
    # a last window may end beyond the padding
    below, right = max(0, rows - top - x.shape[2]), max(0, cols - left - x.shape[3])
    padded = np.pad(x, ((0, 0), (0, 0), (top, below), (left, right)), constant_values=outside)
    n, c, h, w = padded.strides
    strides = (h * layer.stride[0], w * layer.stride[1], h * layer.dilation[0], w * layer.dilation[1])
    shape = (*padded.shape[:2], layer.P, layer.Q, layer.R, layer.S)
    return as_strided(padded, shape, (n, c, *strides), writeable=False)


def _log_sum_exp(under: Array) -> Any:
    largest = under.max(axis=OVER_WINDOW, keepdims=True)
    return largest[..., 0, 0] + np.log(np.exp(under - largest).sum(axis=OVER_WINDOW))


REDUCTIONS: dict[str, Any] = {
    "max": lambda under: under.max(axis=OVER_WINDOW),
    "min": lambda under: under.min(axis=OVER_WINDOW),
    "sum": lambda under: under.sum(axis=OVER_WINDOW),
    "product": lambda under: under.prod(axis=OVER_WINDOW),
    "l1": lambda under: np.abs(under).sum(axis=OVER_WINDOW),
    "l2": lambda under: np.sqrt(np.square(under).sum(axis=OVER_WINDOW)),
    "sum_square": lambda under: np.square(under).sum(axis=OVER_WINDOW),
    "log_sum": lambda under: np.log(under.sum(axis=OVER_WINDOW)),
    "log_sum_exp": _log_sum_exp,
}
