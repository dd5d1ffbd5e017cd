"""ONNX operators on elements or windows: elementwise, activation, normalisation, softmax, pooling and reduction."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod

from hwsim.errors import InputError
from hwsim.ir import shapes
from hwsim.ir.onnx.constants import Constant
from hwsim.ir.onnx.lowering import Lowering, Node, NotSimulatedError
from hwsim.ir.onnx.products import image, window

Operator = Callable[[Lowering, Node], str | None]
"""Adds the layers of a node; returns the one that computes its first result, or None where it named them itself."""


def elementwise(g: Lowering, node: Node) -> str:
    """Any operator of elements that broadcast. Floating constants of more than one number count as parameters."""
    operands = g.activations(node)
    if not operands:
        raise NotSimulatedError
    constants = [(name, g.constants[name]) for name in node.inputs if name in g.constants]
    if node.version < 7 and "axis" in node.attributes:
        operands = [operands[0], *(_aligned(g, node, operand, operands[0]) for operand in operands[1:])]
        constants = [(name, c) for name, c in constants if c.size > 1]
    else:
        operands = _expanded(g, node, operands, [constant for _, constant in constants])
    y = g.net.elementwise(node.name, *operands, function=ELEMENTWISE.get(node.op, node.op.lower()))
    return learned_constants(g, y, constants)


def _aligned(g: Lowering, node: Node, operand: str, first: str) -> str:
    """Give `operand` the rank of the first one, its dimensions beginning at "axis": how versions below 7 broadcast."""
    shape, target = g.net.shape_of(operand), g.net.shape_of(first)
    axis = node.number("axis", 0) % max(1, len(target))
    padded = (*(1,) * axis, *shape, *(1,) * (len(target) - axis - len(shape)))
    return g.relayout(node.sub("aligned"), operand, padded)


def _expanded(g: Lowering, node: Node, operands: list[str], constants: list[Constant]) -> list[str]:
    """Return the operands, the first one repeated where the constants broadcast to a larger shape than all of them."""
    given = [g.net.shape_of(operand) for operand in operands]
    whole = shapes.broadcast(node.name, [*given, *(constant.shape for constant in constants)])
    if whole == shapes.broadcast(node.name, given):
        return operands
    return [g.net.layout(node.sub("expanded"), operands[0], whole, "expand"), *operands[1:]]


def learned_constants(g: Lowering, layer: str, constants: list[tuple[str, Constant]]) -> str:
    """Return `layer`, with those of its constant operands that look learned as its parameters."""
    learned = [(g.keep(name, constant.array), constant) for name, constant in constants if constant.is_learned]
    return g.learn(layer, [constant for _, constant in learned], [name for name, _ in learned])


def activation(g: Lowering, node: Node) -> str:
    """Any function of each element; bounds and slopes given as attributes or scalars are no parameters."""
    return g.net.activation(node.name, g.operand(node), ACTIVATIONS[node.op])


def prelu(g: Lowering, node: Node) -> str:
    """PRelu: its slopes are learned, also where there is only one."""
    slopes = g.weight(node, 1)
    return g.learn(g.net.activation(node.name, g.operand(node), "prelu"), [slopes], g.kept(node, [1]))


def normalisation(g: Lowering, node: Node, function: str, learned: int) -> str:
    """A normalisation whose operands 1 ... `learned` are learned; running statistics behind them are not counted."""
    x = g.operand(node)
    if not g.net.shape_of(x):
        raise InputError(f"layer '{node.name}' normalises a single number")
    given = [index for index in range(1, len(node.inputs)) if node.has(index)]
    constants = [g.weight(node, index) for index in given if index <= learned]
    y = g.net.normalisation(node.name, x, function, parameters=0)
    return g.learn(y, constants, g.kept(node, given))


def batch_normalisation(g: Lowering, node: Node) -> str:
    """BatchNormalization with its learned statistics; one that computes them (training) is not simulated."""
    if node.number("training_mode", 0):
        raise NotSimulatedError
    x = g.operand(node)
    for index in range(1, len(node.inputs)):
        g.check_weight(node, index, g.net.shape_of(x)[1:2])
    return normalisation(g, node, "batch", 2)


def softmax(g: Lowering, node: Node) -> str:
    """Softmax over whichever axis."""
    return g.net.softmax(node.name, g.operand(node))


def log_softmax(g: Lowering, node: Node) -> str:
    """LogSoftmax over whichever axis."""
    return g.net.softmax(node.name, g.operand(node), "log")


def pool(g: Lowering, node: Node, function: str) -> str:
    """MaxPool, AveragePool and LpPool of images and sequences; ONNX's default stride is 1."""
    x, shape = image(g, node)
    w = window(node, node.numbers("kernel_shape", (), len(shape) - 2), shape[2:])
    y = g.net.pool(
        node.name,
        x,
        w.kernel,
        function=function,
        stride=w.stride,
        padding=w.padding,
        dilation=w.dilation,
        ceil_mode=node.number("ceil_mode", 0) != 0,
    )
    batch, channels, _, cols = g.net.shape_of(y)
    return y if len(shape) == 4 else g.relayout(node.sub("sequence"), y, (batch, channels, cols))


def global_pool(g: Lowering, node: Node, function: str) -> str:
    """Global pooling over all dimensions behind the channels."""
    shape = g.net.shape_of(g.operand(node))
    if len(shape) < 3:
        raise InputError(f"layer '{node.name}' pools an image, but its input has shape {shape}")
    return _reduced(g, node, tuple(range(2, len(shape))), (*shape[:2], *(1,) * (len(shape) - 2)), function)


def reduction(g: Lowering, node: Node, function: str) -> str:
    """Reduce... over axes given as attribute or operand: a pooling whose window is all of them."""
    rank = len(g.net.shape_of(g.operand(node)))
    if node.has(1):
        axes = g.integers(node, 1)
    else:
        axes = node.numbers("axes", () if node.number("noop_with_empty_axes", 0) else tuple(range(rank)))
    return _reduced(g, node, _normal(node, axes, rank), g.shape(node), function)


def arg_reduction(g: Lowering, node: Node, function: str) -> str:
    """ArgMax and ArgMin: as many comparisons as the reduction has."""
    axes = _normal(node, (node.number("axis", 0),), len(g.net.shape_of(g.operand(node))))
    return _reduced(g, node, axes, g.shape(node), function)


def _normal(node: Node, axes: tuple[int, ...], rank: int) -> tuple[int, ...]:
    if any(not -rank <= axis < rank for axis in axes):
        raise InputError(f"layer '{node.name}': axes {axes} do not exist in {rank} dimensions")
    return tuple(sorted({axis % rank for axis in axes}))


def _reduced(g: Lowering, node: Node, axes: tuple[int, ...], shape: tuple[int, ...], function: str) -> str:
    """Pool over `axes`: images in place, other tensors as rows of one image per element that is left."""
    x = g.operand(node)
    before = g.net.shape_of(x)
    if len(before) == 4 and axes == (2, 3):
        y = g.net.global_pool(node.name, x, function=function)
    else:
        window_size = prod(before[axis] for axis in axes)
        # rows of the last dimensions are there already, others are gathered
        layout = "reshape" if axes == tuple(range(len(before) - len(axes), len(before))) else "gathered_rows"
        rows = g.relayout(node.sub("rows"), x, (prod(before) // window_size, 1, 1, window_size), layout)
        y = g.net.pool(node.name, rows, (1, window_size), function=function)
    return g.relayout(node.sub("shape"), y, shape)


ELEMENTWISE = {"Add": "add", "Sub": "subtract", "Mul": "multiply", "Div": "divide"}
"""What the network builder calls operators; the others keep ONNX's name in small letters."""

ELEMENTWISE_OPERATORS = (
    "Abs",
    "Acos",
    "Acosh",
    "Add",
    "And",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "BitShift",
    "BitwiseAnd",
    "BitwiseNot",
    "BitwiseOr",
    "BitwiseXor",
    "Ceil",
    "Cos",
    "Cosh",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "Div",
    "Equal",
    "Erf",
    "Exp",
    "Floor",
    "Greater",
    "GreaterOrEqual",
    "IsInf",
    "IsNaN",
    "Less",
    "LessOrEqual",
    "Log",
    "Max",
    "Mean",
    "Min",
    "Mod",
    "Mul",
    "Neg",
    "Not",
    "Or",
    "Pow",
    "QuantizeLinear",
    "Reciprocal",
    "Round",
    "Sign",
    "Sin",
    "Sinh",
    "Sqrt",
    "Sub",
    "Sum",
    "Tan",
    "Where",
    "Xor",
)

ACTIVATIONS = {
    "Celu": "celu",
    "Clip": "clip",
    "Elu": "elu",
    "Gelu": "gelu",
    "HardSigmoid": "hard_sigmoid",
    "HardSwish": "hard_swish",
    "LeakyRelu": "leaky_relu",
    "Mish": "mish",
    "Relu": "relu",
    "Selu": "selu",
    "Shrink": "shrink",
    "Sigmoid": "sigmoid",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Swish": "swish",
    "Tanh": "tanh",
    "ThresholdedRelu": "thresholded_relu",
}

REDUCTIONS = {
    "ReduceL1": "l1",
    "ReduceL2": "l2",
    "ReduceLogSum": "log_sum",
    "ReduceLogSumExp": "log_sum_exp",
    "ReduceMax": "max",
    "ReduceMean": "average",
    "ReduceMin": "min",
    "ReduceProd": "product",
    "ReduceSum": "sum",
    "ReduceSumSquare": "sum_square",
}

OPERATORS: dict[str, Operator] = {
    **dict.fromkeys(ELEMENTWISE_OPERATORS, elementwise),
    **dict.fromkeys(ACTIVATIONS, activation),
    **{op: partial(reduction, function=function) for op, function in REDUCTIONS.items()},
    "ArgMax": partial(arg_reduction, function="argmax"),
    "ArgMin": partial(arg_reduction, function="argmin"),
    "AveragePool": partial(pool, function="average"),
    "BatchNormalization": batch_normalisation,
    "GlobalAveragePool": partial(global_pool, function="average"),
    "GlobalLpPool": partial(global_pool, function="lp"),
    "GlobalMaxPool": partial(global_pool, function="max"),
    "GroupNormalization": partial(normalisation, function="group", learned=2),
    "InstanceNormalization": partial(normalisation, function="instance", learned=2),
    "LRN": partial(normalisation, function="local_response", learned=0),
    "LayerNormalization": partial(normalisation, function="layer", learned=2),
    "LogSoftmax": log_softmax,
    "LpPool": partial(pool, function="lp"),
    "MaxPool": partial(pool, function="max"),
    "PRelu": prelu,
    "RMSNormalization": partial(normalisation, function="rms", learned=1),
    "Softmax": softmax,
}
