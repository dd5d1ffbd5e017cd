"""ONNX's LSTM, GRU and RNN, through `hwsim.ir.recurrent`.

ONNX has sequences (steps, batch, features), or (batch, steps, features) with layout=1, and results with a dimension
for the directions; the changes of layout around the cell are layers without work. W, R and the two bias vectors in B
are kept per direction d as "W[d]" (gates x hidden, features), their gates in the order of `hwsim.ir.recurrent` where
ONNX has i o f c and z r h. States start at zero whatever they are given: that changes values, not work.
"""

from __future__ import annotations

from typing import Any

from hwsim.errors import InputError
from hwsim.ir.onnx.constants import Constant
from hwsim.ir.onnx.lowering import Lowering, Node, NotSimulatedError
from hwsim.ir.recurrent import recurrent

GATES = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
"""Which of ONNX's gates stand where: i f g o, and r z n."""

BIAS, LENGTHS, STATE, CELL, PEEPHOLES = 3, 4, 5, 6, 7
"""Optional operands by position."""


def recurrent_operator(g: Lowering, node: Node) -> None:
    """LSTM, GRU and RNN of one or two directions; peepholes, and weights that a layer computes, are not simulated."""
    batch_first = node.number("layout", 0) != 0
    x = g.operand(node)
    if node.has(PEEPHOLES) or len(g.net.shape_of(x)) != 3:
        raise NotSimulatedError
    steps, batch, features = g.net.shape_of(x)
    hidden, directions = _check_weights(g, node, features)
    _note_differences(g, node)
    if not batch_first:
        x = g.relayout(node.sub("input"), x, (batch, steps, features), "transpose")
    parts = [node.name] if directions == 1 else [node.sub("forward"), node.sub("reverse")]
    for direction, part in enumerate(parts):
        reverse = direction == 1 or node.text("direction", "forward") == "reverse"
        recurrent(g.net, part, x, hidden, cell=node.op.lower(), biases=2 if node.has(BIAS) else 0, reverse=reverse)
        _learn(g, node, part, direction, hidden)
    _results(g, node, parts, batch_first)


def _check_weights(g: Lowering, node: Node, features: int) -> tuple[int, int]:
    """Return hidden size and directions; raises `InputError` where a weight has another shape than they imply."""
    directions = 2 if node.text("direction", "forward") == "bidirectional" else 1
    given, gates = g.weight(node, 1).shape, len(GATES[node.op])
    hidden = node.number("hidden_size", given[1] // gates if len(given) == 3 else 0)
    if hidden < 1:
        raise InputError(f"layer '{node.name}' has hidden size {hidden}; it must be at least 1")
    g.check_weight(node, 1, (directions, gates * hidden, features))
    g.check_weight(node, 2, (directions, gates * hidden, hidden))
    if node.has(BIAS):
        g.check_weight(node, BIAS, (directions, 2 * gates * hidden))
    return hidden, directions


def _note_differences(g: Lowering, node: Node) -> None:
    if node.op == "GRU" and not node.number("linear_before_reset", 0):
        g.note(f"GRU '{node.name}' resets its state before the product; it is simulated with the reset behind it")
    if "activations" in node.attributes or "clip" in node.attributes:
        g.note(f"{node.op} '{node.name}' may name activations of its own; sigmoid and tanh are simulated")
    if any(node.has(index) and node.inputs[index] in g.layers for index in (LENGTHS, STATE, CELL)):
        g.note(f"{node.op} '{node.name}' is simulated over all steps and from zero states, whatever it is given")


def _learn(g: Lowering, node: Node, part: str, direction: int, hidden: int) -> None:
    """Divide W, R and B of one direction between the products of the inputs and of the states."""
    for index, product in ((1, "input_gates"), (2, "recurrent_gates")):
        pieces = [_piece(g, node, index, direction, hidden)]
        if node.has(BIAS):
            pieces.append(_piece(g, node, BIAS, direction, hidden, half=index - 1))
        g.learn(f"{part}.{product}", pieces, [g.keep(piece.origin, piece.array) for piece in pieces])


def _piece(g: Lowering, node: Node, index: int, direction: int, hidden: int, half: int | None = None) -> Constant:
    """Return one direction of a weight, gates reordered; of B, the `half` that belongs to W (0) or R (1)."""
    whole, order = g.weight(node, index), GATES[node.op]
    rows = len(order) * hidden
    shape = whole.shape[1:] if half is None else (rows,)
    name = f"{node.inputs[index]}[{direction}]" + ("" if half is None else ("", ".W", ".R")[half + 1])
    array = None if whole.array is None else _reordered(whole.array[direction], order, hidden, half)
    return Constant(shape, whole.elem, name, array)


def _reordered(array: Any, order: tuple[int, ...], hidden: int, half: int | None) -> Any:
    rows = len(order) * hidden
    part = array if half is None else array[half * rows : (half + 1) * rows]
    return part.reshape(len(order), hidden, *part.shape[1:])[list(order)].reshape(part.shape)


def _results(g: Lowering, node: Node, parts: list[str], batch_first: bool) -> None:
    """Give Y, Y_h and Y_c their shapes: all steps, the last state and, of an LSTM, the last cell."""
    for output, layer in zip(node.outputs, ("sequence", "hidden", "cell"), strict=False):
        if not output:
            continue
        sources = [f"{part}.{layer}" for part in parts]
        *lead, width = g.net.shape_of(sources[0])
        joined = sources[0]
        if len(sources) > 1:
            joined = g.net.concatenation(node.sub(f"both_{layer}"), *sources, axis=len(lead))
        each = (len(parts), width)
        shape = (*lead, *each) if batch_first else (*reversed(lead[1:]), len(parts), lead[0], width)
        g.layers[output] = g.net.layout(node.sub(f"result_{layer}"), joined, shape, "transpose")


RECURRENT = dict.fromkeys(GATES, recurrent_operator)
