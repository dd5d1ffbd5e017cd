"""What each kind of layer computes, in float32: products, windows, normalisations, softmax, functions of elements.

A network has no attributes that change no shape. Where a function has some, those of its publication or of ONNX's
default are taken and said in its docstring; one that is nothing without them is refused with the layer's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import InputError
from hwsim.functional.elements import ACTIVATIONS, BINARY, COMMUTATIVE, TERNARY, UNARY
from hwsim.functional.lowering import input_matrix, weight_matrix
from hwsim.functional.parameters import EPSILON, Array, Parameters
from hwsim.functional.windows import pooled
from hwsim.ir.layer import Kind, Layer

Operator = Callable[[Layer, Sequence[Array], Parameters], Any]

Multiply = Callable[..., Any]
"""What a product is made of: a function of two matrices, or of stacks of them."""

LRN_SIZE, LRN_K, LRN_ALPHA, LRN_BETA = 5, 2.0, 1e-4, 0.75
"""Constants of local response normalisation (Krizhevsky et al., NIPS 2012, Sec. 3.3)."""


def conv(
    layer: Layer, operands: Sequence[Array], parameters: Parameters, multiply: Multiply = np.matmul
) -> NDArray[Any]:
    """Return the convolution (N, G K, P, Q), image by image; weights are (G K, C, R, S), of sequences (G K, C, S).

    `multiply` takes windows (P Q, C R S) and weights (C R S, K).
    """
    groups = layer.G
    weights = parameters.filters(layer).reshape(groups, layer.K, layer.C, layer.R, layer.S)
    bias, one = parameters.bias(layer), replace(layer, N=1)
    y = np.empty((layer.N, groups, layer.K, layer.P * layer.Q), operands[0].dtype)
    for n in range(layer.N):
        for group in range(groups):
            image = input_matrix(one, operands[0][n : n + 1], group)
            y[n, group] = multiply(image, weight_matrix(one, weights, group)).T
    y = y.reshape(layer.output_shape)
    return y if bias is None else y + bias[:, None, None]


def matmul(layer: Layer, operands: Sequence[Array], parameters: Parameters, multiply: Multiply = np.matmul) -> Any:
    """Return the product of two activations, or of one by weights (K, C) or, in groups, (..., K, C).

    `multiply` takes (..., N, C) and (..., C, K) that broadcast.
    """
    if len(operands) == 2:
        return multiply(*operands)
    weights, bias = parameters.matrix(layer), parameters.bias(layer)
    y = multiply(operands[0], weights.swapaxes(-1, -2))
    return y if bias is None else y + bias


def activation(layer: Layer, operands: Sequence[Array], parameters: Parameters) -> Any:
    """Return a function of each element; "prelu" without slopes has torch's first one, 0.25."""
    (x,) = operands
    if layer.function == "prelu":
        slopes = parameters.given(layer, 0)
        return np.where(x < 0, (np.float32(0.25) if slopes is None else slopes) * x, x)
    return _function(layer, ACTIVATIONS)(x)


def elementwise(layer: Layer, operands: Sequence[Array], parameters: Parameters) -> Any:
    """Return an operator on operands that broadcast; one constant is among them where the layer names it."""
    constants = [found for index in range(len(layer.weights)) if (found := parameters.given(layer, index)) is not None]
    values, name = [*operands, *constants], layer.function
    if len(constants) < len(layer.weights) or (len(values) == 1 and name not in UNARY):
        raise InputError(f"layer '{layer.name}' ({name}) has a constant operand whose value the network does not have")
    if constants and name not in COMMUTATIVE:
        raise InputError(f"layer '{layer.name}' ({name}) has a constant operand, and it is not known on which side")
    if len(values) == 1:
        return _function(layer, UNARY)(values[0])
    if len(values) == 3 and name in TERNARY:
        return TERNARY[name](*values)
    function = _function(layer, BINARY)
    if len(values) > 2 and name not in COMMUTATIVE:
        raise InputError(f"layer '{layer.name}': {name} takes two operands, not {len(values)}")
    y = values[0]
    for other in values[1:]:
        y = function(y, other)
    return y / np.float32(len(values)) if name == "mean" else y


def normalisation(layer: Layer, operands: Sequence[Array], parameters: Parameters) -> Any:
    """Return a normalisation with its scale and shift, 1 and 0 where they are not given.

    "batch" uses the statistics that are given, 0 and 1 otherwise. "layer" and "rms" work over the dimensions of their
    scale, without one over the last; "instance" over those behind the channels.
    """
    return _function(layer, NORMALISATIONS)(layer, operands[0], parameters)


def batch(layer: Layer, x: Array, parameters: Parameters) -> Any:
    """Return (x - mean) / sqrt(variance + 1e-5) scale + shift, by channel."""
    factor, shift = (one.reshape(-1, *(1,) * (x.ndim - 2)) for one in parameters.folded(layer))
    return x * factor + shift


def over_last(layer: Layer, x: Array, parameters: Parameters, centred: bool = True) -> Any:
    """Return "layer" normalisation or, not centred, "rms"."""
    scale, shift = parameters.given(layer, 0), parameters.given(layer, 1) if centred else None
    axes = tuple(range(x.ndim - (1 if scale is None else scale.ndim), x.ndim))
    y = _standard(x, axes, centred)
    y = y if scale is None else y * scale
    return y if shift is None else y + shift


def instance(layer: Layer, x: Array, parameters: Parameters) -> Any:
    """Return each image's channels at mean 0 and variance 1, scaled and shifted by channel."""
    y, shape = _standard(x, tuple(range(2, x.ndim)), True), (-1, *(1,) * (x.ndim - 2))
    scale, shift = (parameters.given(layer, index, (x.shape[1:2],)) for index in (0, 1))
    y = y if scale is None else y * scale.reshape(shape)
    return y if shift is None else y + shift.reshape(shape)


def local_response(layer: Layer, x: Array, parameters: Parameters) -> Any:
    """Return x / (k + alpha sum of squares of 5 neighbouring channels)^beta with AlexNet's constants."""
    half = LRN_SIZE // 2
    squares = np.pad(x * x, ((0, 0), (half, half), *((0, 0),) * (x.ndim - 2)))
    total = sum(squares[:, index : index + x.shape[1]] for index in range(LRN_SIZE))
    return x / (np.float32(LRN_K) + np.float32(LRN_ALPHA) * total) ** np.float32(LRN_BETA)


def softmax(layer: Layer, operands: Sequence[Array], parameters: Parameters) -> Any:
    """Return the softmax over the last dimension, or its logarithm ("log")."""
    shifted = operands[0] - operands[0].max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    total = exponentials.sum(axis=-1, keepdims=True)
    return shifted - np.log(total) if layer.function == "log" else exponentials / total


def pool(layer: Layer, operands: Sequence[Array], parameters: Parameters) -> Any:
    """Return a function of each window; padding takes no part in it."""
    return pooled(layer, operands[0])


def concatenation(layer: Layer, operands: Sequence[Array], parameters: Parameters) -> Any:
    """Return the operands joined along the dimension in which the result is longer."""
    return np.concatenate(operands, axis=joined_axis(layer)) if len(operands) > 1 else operands[0]


def joined_axis(layer: Layer) -> int:
    """Return the dimension along which operands are joined: the first in which the result is longer."""
    sizes = enumerate(zip(layer.output_shape, layer.input_shapes[0], strict=True))
    return next((axis for axis, (size, given) in sizes if size != given), 0)


def _standard(x: Array, axes: tuple[int, ...], centred: bool) -> Any:
    y = x - x.mean(axis=axes, keepdims=True) if centred else x
    return y / np.sqrt((y * y).mean(axis=axes, keepdims=True) + EPSILON)


def _function(layer: Layer, known: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    """Return what the layer's function names; raises `InputError` where that is not computed."""
    if layer.function not in known:
        raise InputError(
            f"layer '{layer.name}': the values of {layer.kind} '{layer.function}' are not computed; the network does "
            f"not say all that they depend on, or nothing computes them yet"
        )
    return known[layer.function]


def root_mean_square(layer: Layer, x: Array, parameters: Parameters) -> Any:
    """Return "rms" normalisation."""
    return over_last(layer, x, parameters, centred=False)


NORMALISATIONS: dict[str, Callable[[Layer, Array, Parameters], Any]] = {
    "batch": batch,
    "layer": over_last,
    "instance": instance,
    "local_response": local_response,
    "rms": root_mean_square,
}

OPERATORS: dict[Kind, Operator] = {
    Kind.CONV: conv,
    Kind.MATMUL: matmul,
    Kind.POOL: pool,
    Kind.ACTIVATION: activation,
    Kind.ELEMENTWISE: elementwise,
    Kind.NORMALISATION: normalisation,
    Kind.SOFTMAX: softmax,
    Kind.CONCATENATION: concatenation,
}
"""By kind; changes of layout, which depend on other layers, are in `layouts`."""
