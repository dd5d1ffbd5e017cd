"""ONNX operators that move elements and compute nothing; most take their shapes from what ONNX infers."""

from __future__ import annotations

from functools import partial

from hwsim.errors import InputError
from hwsim.ir import shapes
from hwsim.ir.onnx.lowering import Lowering, Node, NotSimulatedError
from hwsim.ir.onnx.operators import Operator, learned_constants


def moved(g: Lowering, node: Node, function: str) -> str:
    """An operator that gives a part of the elements of its first operand, or some of them repeatedly."""
    return g.net.layout(node.name, g.operand(node), g.shape(node), function)


def permuted(g: Lowering, node: Node, function: str) -> str:
    """An operator that keeps all elements, in any order and shape."""
    y = g.relayout(node.name, g.operand(node), g.shape(node), function)
    if function == "dropout" and g.constant(node, 2) is not None:
        training = g.weight(node, 2).array
        if training is None or bool(training.any()):
            g.note(f"'{node.name}' drops nothing, although its training flag is set")
    return y


def reshape(g: Lowering, node: Node) -> str:
    """Reshape, by its own rule: 0 keeps a size, -1 takes what is left."""
    x = g.operand(node)
    before = g.net.shape_of(x)
    target = g.integers(node, 1) if node.has(1) else node.numbers("shape", ())
    if not node.number("allowzero", 0):
        target = tuple(before[i] if size == 0 and i < len(before) else size for i, size in enumerate(target))
    return g.net.layout(node.name, x, shapes.reshaped(node.name, before, target), "reshape")


def split(g: Lowering, node: Node) -> str:
    """Split: one slice for each result."""
    x = g.operand(node)
    axis, whole = node.number("axis", 0), g.net.shape_of(x)
    parts = [g.shape(node, index) for index in range(len(node.outputs))]
    if shapes.concatenated(node.name, parts, axis) != whole:
        raise InputError(f"layer '{node.name}' splits {whole} into {', '.join(map(str, parts))}")
    for index, (output, shape) in enumerate(zip(node.outputs, parts, strict=True)):
        name = node.name if index == 0 else node.sub(str(index))
        g.layers[output] = g.net.layout(name, x, shape, f"slice{index}")
    return node.name


def concat(g: Lowering, node: Node) -> str:
    """Concat: constants (a class token) are part of the result and, where floating, parameters of the layer."""
    given = g.activations(node)
    if not given:
        raise NotSimulatedError
    axis = node.number("axis", 1)
    constants = [(name, g.constants[name]) for name in node.inputs if name in g.constants]
    whole = [g.net.shape_of(layer) for layer in given] + [constant.shape for _, constant in constants]
    shape = shapes.concatenated(node.name, whole, axis)
    if not constants:
        return g.net.concatenation(node.name, *given, axis=axis)
    joined = given[0] if len(given) == 1 else g.net.concatenation(node.sub("given"), *given, axis=axis)
    y = g.net.layout(node.name, joined, shape, "concatenation")
    return learned_constants(g, y, constants)


def gather(g: Lowering, node: Node) -> str:
    """Gather...: of a tensor by constant indices a slice, of a constant table an embedding whose table is learned."""
    if g.constant(node, 1) is not None:
        return moved(g, node, "gather")
    table = g.weight(node, 0)
    y = g.net.layout(node.name, g.operand(node, 1), g.shape(node), "embedding")
    return g.learn(y, [table], g.kept(node, [0]))


def resize(g: Lowering, node: Node) -> str:
    """Resize and Upsample by copying the nearest element; interpolation is not simulated."""
    if node.text("mode", "nearest") != "nearest":
        raise NotSimulatedError
    return moved(g, node, "nearest")


LAYOUT: dict[str, Operator] = {
    **{op: partial(moved, function=op.lower()) for op in ("CenterCropPad", "Expand", "Pad", "Slice", "Tile", "Trilu")},
    **{
        op: partial(permuted, function=op.lower())
        for op in (
            "Cast",
            "CastLike",
            "DepthToSpace",
            "Dropout",
            "Flatten",
            "Identity",
            "SpaceToDepth",
            "Squeeze",
            "Transpose",
            "Unsqueeze",
        )
    },
    "Concat": concat,
    "Gather": gather,
    "GatherElements": gather,
    "GatherND": gather,
    "Reshape": reshape,
    "Resize": resize,
    "Split": split,
    "Upsample": resize,
}
