"""Layers as torch computes them, and runs of them timed on the device's clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hwsim.errors import InputError, reason
from hwsim.functional.layouts import rearranged
from hwsim.functional.operators import LRN_ALPHA, LRN_BETA, LRN_K, LRN_SIZE, joined_axis
from hwsim.functional.parameters import EPSILON
from hwsim.ir.layer import Kind, Layer
from hwsim.ir.network import Network
from hwsim.measure.moves import move
from hwsim.measure.operands import EMBEDDING, Prepared, require_consistent
from hwsim.measure.program import Compute

functional = torch.nn.functional
Tensor = Any

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "relu6": functional.relu6,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "swish": functional.silu,
    "mish": functional.mish,
    "softplus": functional.softplus,
    "softsign": functional.softsign,
    "hard_swish": functional.hardswish,
    "hard_sigmoid": functional.hardsigmoid,
    "selu": functional.selu,
}

BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "sum": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "divide": torch.div,
    "max": torch.maximum,
    "min": torch.minimum,
    "pow": torch.pow,
}

UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "abs": torch.abs,
    "exp": torch.exp,
    "log": torch.log,
    "neg": torch.neg,
    "sqrt": torch.sqrt,
    "erf": torch.erf,
    "reciprocal": torch.reciprocal,
}


@dataclass(frozen=True)
class Place:
    """Where tensors are, in which type, and what of the network a layer's call is made from."""

    device: str
    dtype: torch.dtype
    network: Network
    parameters: Prepared

    def tensor(self, values: Any) -> Tensor:
        """Return an array as a tensor in this place, or None as it is."""
        return None if values is None else torch.from_numpy(np.ascontiguousarray(values)).to(self.device, self.dtype)


def compute(layer: Layer, place: Place) -> Compute:
    """Return a layer's call; raises `InputError` for one that torch is not told how to compute."""
    require_consistent(layer)
    made = MAKERS[layer.kind](layer, place) if layer.kind in MAKERS else None
    if made is None:
        what = f"{layer.kind} '{layer.function}'"
        raise InputError(f"layer '{layer.name}': {what} is not among what torch is measured on")
    one = made

    def call(operands: list[Tensor], step: int) -> Tensor:
        try:
            return one(*operands)
        except RuntimeError as error:  # what torch lacks in a type, and memory
            raise InputError(f"layer '{layer.name}' cannot be run by torch in {place.dtype}: {reason(error)}") from None

    return call


Made = Callable[..., Tensor] | None


def conv(layer: Layer, place: Place) -> Made:
    """Return a convolution; torch pads equally on both sides, what is uneven is padded before."""
    weights, bias = place.tensor(place.parameters.filters(layer)), place.tensor(place.parameters.bias(layer))
    padding, extra = paddings(layer)

    def call(x: Tensor) -> Tensor:
        x = functional.pad(x, extra) if any(extra) else x
        y = functional.conv2d(x, weights, bias, layer.stride, padding, layer.dilation, layer.G)
        return y[:, :, : layer.P, : layer.Q]

    return call


def paddings(layer: Layer) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    """Return the padding of both sides, and (left, right, top, bottom) of what has to be padded before instead."""
    top, left, bottom, right = layer.padding
    if top >= bottom and left >= right and outputs_of(layer, top, left) == (layer.P, layer.Q):
        return (top, left), (0, 0, 0, 0)
    rows = (layer.P - 1) * layer.stride[0] + (layer.R - 1) * layer.dilation[0] + 1 - top - layer.input_shapes[0][2]
    cols = (layer.Q - 1) * layer.stride[1] + (layer.S - 1) * layer.dilation[1] + 1 - left - layer.input_shapes[0][3]
    return (0, 0), (left, max(0, cols), top, max(0, rows))


def outputs_of(layer: Layer, top: int, left: int) -> tuple[int, int]:
    """Return the output rows and columns with as much padding behind as before."""
    _, _, height, width = layer.input_shapes[0]
    rows = (height + 2 * top - (layer.R - 1) * layer.dilation[0] - 1) // layer.stride[0] + 1
    return rows, (width + 2 * left - (layer.S - 1) * layer.dilation[1] - 1) // layer.stride[1] + 1


def matmul(layer: Layer, place: Place) -> Made:
    """Return a product by weights, in groups or not, or of two activations."""
    if len(layer.inputs) == 2:
        return lambda a, b: torch.matmul(a, b)
    if layer.G > 1:
        return None
    weights = place.tensor(place.parameters.matrix(layer))
    bias = place.tensor(place.parameters.bias(layer))
    return lambda x: functional.linear(x, weights, bias)


def pool(layer: Layer, place: Place) -> Made:
    """Return a largest element or a mean by window; padding takes no part in it."""
    if layer.function not in ("max", "average") or len(layer.output_shape) != 4:
        return None
    if layer.input_shapes[0][2:] == (layer.R, layer.S) and layer.P == layer.Q == 1 and not any(layer.padding):
        whole = functional.adaptive_avg_pool2d if layer.function == "average" else functional.adaptive_max_pool2d
        return lambda x: whole(x, 1)
    (padding, extra), taps = paddings(layer), (layer.R, layer.S)
    if layer.function == "average":
        return average(layer, place)
    beyond = any(2 * one > tap for one, tap in zip(padding, taps, strict=True))
    if any(extra) or beyond:
        rows, cols = extra[2:], extra[:2]
        sides = (*cols, *rows) if any(extra) else (padding[1], padding[1], padding[0], padding[0])
        return lambda x: functional.max_pool2d(
            functional.pad(x, sides, value=-torch.inf), taps, layer.stride, 0, layer.dilation
        )[:, :, : layer.P, : layer.Q]
    return lambda x: functional.max_pool2d(x, taps, layer.stride, padding, layer.dilation)


def average(layer: Layer, place: Place) -> Made:
    """Return a mean by window over what lies within the image."""
    (padding, extra), taps = paddings(layer), (layer.R, layer.S)
    if layer.dilation != (1, 1):
        return None
    if not any(extra) and all(2 * one <= tap for one, tap in zip(padding, taps, strict=True)):
        return lambda x: functional.avg_pool2d(x, taps, layer.stride, padding, count_include_pad=False)
    top, left, _, _ = layer.padding
    sides = extra if any(extra) else (left, left, top, top)
    ones = functional.pad(torch.ones(1, 1, *layer.input_shapes[0][2:], device=place.device, dtype=place.dtype), sides)
    inside = functional.avg_pool2d(ones, taps, layer.stride)
    return lambda x: (functional.avg_pool2d(functional.pad(x, sides), taps, layer.stride) / inside)[
        :, :, : layer.P, : layer.Q
    ]


def activation(layer: Layer, place: Place) -> Made:
    """Return a function of each element."""
    return ACTIVATIONS.get(layer.function)


def elementwise(layer: Layer, place: Place) -> Made:
    """Return an operator on operands that broadcast."""
    if layer.weights:
        return None
    if len(layer.inputs) == 1:
        return UNARY.get(layer.function)
    found = BINARY.get(layer.function)
    if found is None:
        return None
    function = found

    def call(x: Tensor, *others: Tensor) -> Tensor:
        for other in others:
            x = function(x, other)
        return x

    return call


def normalisation(layer: Layer, place: Place) -> Made:
    """Return a normalisation."""
    make = {"batch": batch, "layer": over_last, "rms": over_last, "local_response": local_response}.get(layer.function)
    return make(layer, place) if make else None


def batch(layer: Layer, place: Place) -> Made:
    """Return batch normalisation with the statistics that are given, else 0 and 1 less epsilon."""
    scale, shift, mean, variance = map(place.tensor, place.parameters.statistics(layer))
    return lambda x: functional.batch_norm(x, mean, variance, scale, shift, False, 0.0, float(EPSILON))


def over_last(layer: Layer, place: Place) -> Made:
    """Return layer or root-mean-square normalisation over the dimensions of the scale, without one the last."""
    scale, shape = place.parameters.given(layer, 0), layer.input_shapes[0]
    sizes, factor = shape[-(scale.ndim if scale is not None else 1) :], place.tensor(scale)
    if layer.function == "rms":
        return lambda x: functional.rms_norm(x, sizes, factor, float(EPSILON))
    shift = place.tensor(place.parameters.given(layer, 1))
    return lambda x: functional.layer_norm(x, sizes, factor, shift, float(EPSILON))


def local_response(layer: Layer, place: Place) -> Made:
    """Return AlexNet's normalisation, in fp32: torch has none in 16 bits on the CPU, and divides alpha by the size."""

    def call(x: Tensor) -> Tensor:
        return functional.local_response_norm(x.float(), LRN_SIZE, LRN_ALPHA * LRN_SIZE, LRN_BETA, LRN_K).to(x.dtype)

    return call


def softmax(layer: Layer, place: Place) -> Made:
    """Return the softmax over the last dimension, or its logarithm."""
    function = functional.log_softmax if layer.function == "log" else functional.softmax
    return lambda x: function(x, dim=-1)


def concatenation(layer: Layer, place: Place) -> Made:
    """Return operands joined along the dimension in which the result is longer."""
    axis = joined_axis(layer)
    return lambda *operands: torch.cat(operands, axis)


def layout(layer: Layer, place: Place) -> Made:
    """Return a change of layout."""
    if layer.function == EMBEDDING:
        return embedding(layer, place)
    if layer.function == "expand":
        return lambda x: torch.broadcast_to(x, layer.output_shape)
    found = move(layer, place.network, place.parameters)
    return (lambda x: found.of(x, torch.permute)) if found else None


def embedding(layer: Layer, place: Place) -> Made:
    """Return the row of a table for each index."""
    # the reference looks the table up, or draws it
    rearranged(layer, np.zeros(layer.input_shapes[0], np.float32), place.network, place.parameters)
    given = place.parameters.found.get(("given", layer.name, 0))
    table = place.tensor(place.parameters.found[("weight", layer.name, 0)] if given is None else given)
    return lambda x: table[x.long()].reshape(layer.output_shape)


MAKERS: dict[Kind, Callable[[Layer, Place], Made]] = {
    Kind.CONV: conv,
    Kind.MATMUL: matmul,
    Kind.POOL: pool,
    Kind.ACTIVATION: activation,
    Kind.ELEMENTWISE: elementwise,
    Kind.NORMALISATION: normalisation,
    Kind.SOFTMAX: softmax,
    Kind.CONCATENATION: concatenation,
    Kind.RESHAPE: layout,
}
