"""Each kind of layer as ONNX operators in fp32, with the attributes that `hwsim.functional` gives it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from hwsim.errors import InputError
from hwsim.functional.layouts import SAME_ORDER, rearranged
from hwsim.functional.operators import EPSILON, LRN_ALPHA, LRN_BETA, LRN_K, LRN_SIZE
from hwsim.functional.parameters import Array, Parameters
from hwsim.ir.layer import Kind, Layer
from hwsim.ir.network import Network

from .onnx_graph import Graph

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


class Place(NamedTuple):
    """Where a layer's nodes go: the graph, the network and its weights, what is read and what is to be computed."""

    graph: Graph
    network: Network
    parameters: Parameters
    layer: Layer
    inputs: Sequence[str]
    output: str

    def part(self, name: str) -> str:
        """Return the name of a tensor on the way to the output."""
        return f"{self.output}/{name}"

    def constant(self, name: str, value: Any) -> str:
        """Return the name of a constant of the layer, the same in all of its steps."""
        return self.graph.constant(f"{self.output.partition('@')[0]}/{name}", value)

    def node(self, operator: str, inputs: Sequence[str] | None = None, output: str = "", **attributes: Any) -> str:
        """Add an operator, by default from all inputs to the output."""
        read = self.inputs if inputs is None else inputs
        return self.graph.node(operator, read, output or self.output, **attributes)


def add_layer(place: Place) -> None:
    """Add the operators of a layer; raises `InputError` with its name for one that is not offered."""
    OPERATORS[place.layer.kind](place)


def conv_weights(layer: Layer, parameters: Parameters) -> tuple[Array, Array | None]:
    """Return the filters (G K, C, R, S) and the bias of a convolution, None without."""
    outputs = layer.G * layer.K
    shapes = [(outputs, layer.C, layer.R, layer.S), *([(outputs, layer.C, layer.S)] if layer.R == 1 else [])]
    return parameters.weight(layer, shapes).reshape(shapes[0]), _bias(layer, parameters)


def _bias(layer: Layer, parameters: Parameters) -> Array | None:
    """Return a product's bias: zeros where it has one that is not given."""
    found = parameters.bias(layer)
    if found is None and layer.parameters > layer.weight_elements:
        return np.zeros(layer.G * layer.K if layer.kind is Kind.CONV else layer.K, np.float32)
    return found


def linear_weights(layer: Layer, parameters: Parameters) -> tuple[Array, Array | None]:
    """Return the matrix (K, C), or one per group (G, K, C), and the bias of a fully connected layer."""
    shapes: list[tuple[int, ...]] = [(layer.K, layer.C)]
    if layer.G > 1:
        lead = layer.input_shapes[0][:-2]
        shapes = [(*lead[index:], layer.K, layer.C) for index in range(len(lead))]
        shapes = [shape for shape in shapes if prod(shape[:-2]) == layer.G]
    return parameters.weight(layer, shapes), _bias(layer, parameters)


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
    weights, bias = conv_weights(place.layer, place.parameters)
    operands = [*place.inputs, place.constant("weight", weights)]
    if bias is not None:
        operands.append(place.constant("bias", bias))
    place.node("Conv", operands, **conv_attributes(place.layer))


def _matmul(place: Place) -> None:
    if len(place.inputs) == 2:
        place.node("MatMul")
        return
    weights, bias = linear_weights(place.layer, place.parameters)
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


def batch_factors(layer: Layer, parameters: Parameters) -> tuple[Array, Array, Array, Array]:
    """Return scale, shift, mean and variance by channel of a batch normalisation."""
    channels = layer.input_shapes[0][1:2]
    given = [parameters.given(layer, index, (channels,)) for index in range(4)]
    defaults = (1.0, 0.0, 0.0, 1 - float(EPSILON))
    a, b, c, d = (
        np.full(channels, default, np.float32) if value is None else value
        for value, default in zip(given, defaults, strict=True)
    )
    return a, b, c, d


def _normalisation(place: Place) -> None:
    layer, name = place.layer, place.layer.function
    if name == "batch":
        factors = batch_factors(layer, place.parameters)
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


def concatenation_axis(layer: Layer) -> int:
    """Return the dimension along which operands are joined: the one in which the result is longer."""
    longer = (axis for axis, size in enumerate(layer.output_shape) if size != layer.input_shapes[0][axis])
    return next(longer, 0)


def _concatenation(place: Place) -> None:
    place.node("Concat", axis=concatenation_axis(place.layer))


def reshape(place: Place) -> None:
    """Add a change of layout, which is the same for numbers of all types."""
    layer, name = place.layer, place.layer.function
    shape = np.asarray(layer.output_shape, np.int64)
    if name in SAME_ORDER:
        place.node("Reshape", [*place.inputs, place.constant("shape", shape)])
    elif name == "expand":
        place.node("Expand", [*place.inputs, place.constant("shape", shape)])
    elif name == "embedding":
        table = place.parameters.given(layer, 0)
        if table is None:
            raise refused(layer)
        indices = place.node("Cast", place.inputs, place.part("indices"), to=7)
        rows = place.node("Gather", [place.constant("table", table), indices], place.part("rows"))
        place.node("Reshape", [rows, place.constant("shape", shape)])
    else:
        _moved(place)


def _moved(place: Place) -> None:
    """Add a transposition or a slice, read off where it puts the numbers 0, 1, 2, ..."""
    layer = place.layer
    before, after = layer.input_shapes[0], layer.output_shape
    numbers: Any = np.arange(prod(before)).reshape(before)
    moved = rearranged(layer, numbers, place.network, place.parameters)
    first = int(moved.reshape(-1)[0])
    starts = np.unravel_index(first, before)
    if layer.function == "transpose":
        place.node("Transpose", _squeezed(place, before), place.part("turned"), perm=_order(before, moved))
        target = place.constant("shape", np.asarray(after, np.int64))
        place.node("Reshape", [place.part("turned"), target])
        return
    axis = next((axis for axis, size in enumerate(after) if size != before[axis]), 0)
    start = int(starts[axis])
    bounds = {"starts": [start], "ends": [start + after[axis]], "axes": [axis]}
    names = [place.constant(name, np.asarray(value, np.int64)) for name, value in bounds.items()]
    place.node("Slice", [*place.inputs, *names])


def _squeezed(place: Place, before: Sequence[int]) -> list[str]:
    sizes = [size for size in before if size > 1]
    if len(sizes) == len(before):
        return list(place.inputs)
    shape = place.constant("squeezed", np.asarray(sizes, np.int64))
    return [place.node("Reshape", [*place.inputs, shape], place.part("squeezed"))]


def _order(before: Sequence[int], moved: Any) -> list[int]:
    """Return which dimension above 1 of `before` each one above 1 of the result is."""
    sizes = [size for size in before if size > 1]
    strides = [prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
    kept = np.squeeze(moved)
    corner = (0,) * kept.ndim
    steps = [int(kept[(*corner[:axis], 1, *corner[axis + 1 :])] - kept[corner]) for axis in range(kept.ndim)]
    return [strides.index(step) for step in steps]


def refused(layer: Layer) -> InputError:
    """Return the error for a layer that is not offered."""
    what = f"{layer.kind} '{layer.function}'" if layer.function else f"{layer.kind}"
    return InputError(
        f"layer '{layer.name}': onnxruntime is not given {what} by this program, or its constants are not known"
    )


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
    Kind.CONCATENATION: _concatenation,
    Kind.RESHAPE: reshape,
    Kind.UNSUPPORTED: _unsupported,
}
