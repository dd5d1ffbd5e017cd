"""Each kind of layer as ONNX operators in fp32, with the attributes that `hwsim.functional` gives it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hwsim.functional.operators import LRN_ALPHA, LRN_BETA, LRN_K, LRN_SIZE
from hwsim.functional.parameters import EPSILON, Array, Parameters
from hwsim.ir.layer import Kind, Layer

from .onnx_layouts import concatenation, reshape
from .onnx_place import Place, refused

ACTIVATIONS = {
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "gelu": "Gelu",
    "mish": "Mish",
    "softplus": "Softplus",
    "softsign": "Softsign",
    "hard_swish": "HardSwish",
    "selu": "Selu",
}
"""Functions that are one operator; the others are made of several in `activation`."""

ELEMENTWISE = {
    "add": "Add",
    "divide": "Div",
    "max": "Max",
    "mean": "Mean",
    "min": "Min",
    "multiply": "Mul",
    "pow": "Pow",
    "subtract": "Sub",
    "sum": "Sum",
}
UNARY = {
    "abs": "Abs",
    "ceil": "Ceil",
    "cos": "Cos",
    "erf": "Erf",
    "exp": "Exp",
    "floor": "Floor",
    "log": "Log",
    "neg": "Neg",
    "reciprocal": "Reciprocal",
    "round": "Round",
    "sign": "Sign",
    "sin": "Sin",
    "sqrt": "Sqrt",
    "tan": "Tan",
}
POOLS = {"max": "MaxPool", "average": "AveragePool", "l2": "LpPool"}


def add_layer(place: Place) -> None:
    """Add the operators of a layer; raises `InputError` with its name for one that is not offered."""
    OPERATORS[place.layer.kind](place)


def bias_of(layer: Layer, parameters: Parameters) -> Array | None:
    """Return a product's bias: zeros where it has one that is not given."""
    found = parameters.bias(layer)
    if found is None and layer.parameters > layer.weight_elements:
        return np.zeros(layer.G * layer.K if layer.kind is Kind.CONV else layer.K, np.float32)
    return found


def conv_attributes(layer: Layer) -> dict[str, Any]:
    """Return the attributes of a convolution."""
    return {**window_attributes(layer), "group": layer.G}


def window_attributes(layer: Layer) -> dict[str, Any]:
    """Return the attributes of a sliding window."""
    return {
        "kernel_shape": [layer.R, layer.S],
        "strides": list(layer.stride),
        "dilations": list(layer.dilation),
        "pads": list(layer.padding),
    }


def pool_attributes(layer: Layer) -> dict[str, Any]:
    """Return the attributes of pooling; windows that end beyond the padding need ONNX's `ceil_mode`."""
    extent = [layer.input_shapes[0][axis + 2] + layer.padding[axis] + layer.padding[axis + 2] for axis in (0, 1)]
    taps = (layer.dilation[0] * (layer.R - 1) + 1, layer.dilation[1] * (layer.S - 1) + 1)
    ends = ((layer.P - 1) * layer.stride[0] + taps[0], (layer.Q - 1) * layer.stride[1] + taps[1])
    return {
        **window_attributes(layer),
        "ceil_mode": int(any(end > size for end, size in zip(ends, extent, strict=True))),
    }


def is_global(layer: Layer) -> bool:
    """Whether a pool's one window is the whole image."""
    return layer.input_shapes[0][2:] == (layer.R, layer.S) and not any(layer.padding) and layer.P * layer.Q == 1


def _conv(place: Place) -> None:
    weights, bias = place.parameters.filters(place.layer), bias_of(place.layer, place.parameters)
    operands = [*place.inputs, place.constant("weight", weights)]
    if bias is not None:
        operands.append(place.constant("bias", bias))
    place.node("Conv", operands, **conv_attributes(place.layer))


def _matmul(place: Place) -> None:
    if len(place.inputs) == 2:
        place.node("MatMul")
        return
    weights, bias = place.parameters.matrix(place.layer), bias_of(place.layer, place.parameters)
    if len(place.layer.input_shapes[0]) == 2:
        operands = [*place.inputs, place.constant("weight", weights)]
        if bias is not None:
            operands.append(place.constant("bias", bias))
        place.node("Gemm", operands, transB=1)
        return
    operands = [*place.inputs, place.constant("weight", weights.swapaxes(-1, -2))]
    if bias is None:
        place.node("MatMul", operands)
        return
    product = place.node("MatMul", operands, place.part("product"))
    place.node("Add", [product, place.constant("bias", bias)])


def _pool(place: Place) -> None:
    layer = place.layer
    if is_global(layer) and layer.function in ("max", "average"):
        place.node("GlobalAveragePool" if layer.function == "average" else "GlobalMaxPool")
        return
    if layer.function not in POOLS:
        raise refused(layer)
    place.node(POOLS[layer.function], **pool_attributes(layer))


def _activation(place: Place) -> None:
    name, (x,) = place.layer.function, place.inputs
    if name in ACTIVATIONS:
        place.node(ACTIVATIONS[name])
    elif name == "relu6":
        bounds = [place.constant(bound, np.float32(value)) for bound, value in (("least", 0), ("most", 6))]
        place.node("Clip", [x, *bounds])
    elif name in ("silu", "swish"):
        place.node("Mul", [x, place.node("Sigmoid", [x], place.part("sigmoid"))])
    elif name == "hard_sigmoid":
        place.node("HardSigmoid", alpha=1 / 6, beta=0.5)
    elif name == "prelu":
        slopes = place.parameters.given(place.layer, 0)
        place.node("PRelu", [x, place.constant("slope", np.full(1, 0.25, np.float32) if slopes is None else slopes)])
    else:
        raise refused(place.layer)


def _elementwise(place: Place) -> None:
    layer = place.layer
    if len(layer.inputs) == 1 and not layer.weights and layer.function in UNARY:
        place.node(UNARY[layer.function])
        return
    operator = ELEMENTWISE.get(layer.function)
    given = [place.parameters.given(layer, index) for index in range(len(layer.weights))]
    constants = [place.constant(str(index), value) for index, value in enumerate(given) if value is not None]
    operands = [*place.inputs, *constants]
    if operator is None or len(operands) < 2 or len(constants) < len(given):
        raise refused(layer)
    if operator in ("Add", "Mul") and len(operands) > 2:
        for index, other in enumerate(operands[1:-1]):
            operands[0] = place.node(operator, [operands[0], other], place.part(str(index)))
        operands = [operands[0], operands[-1]]
    place.node(operator, operands)


def _normalisation(place: Place) -> None:
    layer, name = place.layer, place.layer.function
    if name == "batch":
        factors = place.parameters.statistics(layer)
        names = [place.constant(str(index), value) for index, value in enumerate(factors)]
        place.node("BatchNormalization", [*place.inputs, *names], epsilon=float(EPSILON))
    elif name == "local_response":
        place.node("LRN", size=LRN_SIZE, alpha=LRN_ALPHA * LRN_SIZE, beta=LRN_BETA, bias=LRN_K)
    elif name in ("layer", "rms"):
        _over_last(place)
    elif name == "instance":
        channels = layer.input_shapes[0][1:2]
        place.node("InstanceNormalization", [*place.inputs, *_scale_and_shift(place, channels)], epsilon=float(EPSILON))
    else:
        raise refused(layer)


def _over_last(place: Place) -> None:
    layer = place.layer
    scale = place.parameters.given(layer, 0)
    shape = layer.input_shapes[0][-1:] if scale is None else scale.shape
    names = _scale_and_shift(place, shape)
    axis = -len(shape)
    if layer.function == "layer":
        place.node("LayerNormalization", [*place.inputs, *names], axis=axis, epsilon=float(EPSILON))
    else:
        operands = [*place.inputs, names[0]]
        place.node("SimplifiedLayerNormalization", operands, axis=axis, epsilon=float(EPSILON))


def _scale_and_shift(place: Place, shape: Sequence[int]) -> list[str]:
    given = [place.parameters.given(place.layer, index) for index in (0, 1)]
    filled = [
        np.full(shape, default, np.float32) if one is None else one for one, default in zip(given, (1, 0), strict=True)
    ]
    return [place.constant(name, value) for name, value in zip(("scale", "shift"), filled, strict=True)]


def _softmax(place: Place) -> None:
    place.node("LogSoftmax" if place.layer.function == "log" else "Softmax", axis=-1)


def _unsupported(place: Place) -> None:
    raise refused(place.layer)


OPERATORS: dict[Kind, Callable[[Place], None]] = {
    Kind.CONV: _conv,
    Kind.MATMUL: _matmul,
    Kind.POOL: _pool,
    Kind.ACTIVATION: _activation,
    Kind.ELEMENTWISE: _elementwise,
    Kind.NORMALISATION: _normalisation,
    Kind.SOFTMAX: _softmax,
    Kind.CONCATENATION: concatenation,
    Kind.RESHAPE: reshape,
    Kind.UNSUPPORTED: _unsupported,
}
