"""ONNX operators that are several matrix products or one in disguise: Einsum and Attention."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

from hwsim.errors import InputError
from hwsim.ir.layer import Shape
from hwsim.ir.onnx.lowering import Lowering, Node, NotSimulatedError

MASK, PAST = 3, 4
"""Optional operands of Attention: the mask, and the first of those that hold earlier keys and values."""


@dataclass(frozen=True)
class Contraction:
    """Which letters of "ab,bc->ac" are those of both operands and the result, summed over, or of one operand only."""

    operands: tuple[str, str]
    result: str
    shared: str
    summed: str
    rows: str
    cols: str


def einsum(g: Lowering, node: Node) -> str:
    """Einsum of two operands without ellipsis or repeated letters: a matrix product between changes of layout."""
    if len(node.inputs) != 2 or not all(node.inputs):
        raise NotSimulatedError
    parts = _contraction(node.text("equation", ""))
    given = [g.constants[name].shape if name in g.constants else g.net.shape_of(g.layers[name]) for name in node.inputs]
    sizes = _sizes(node, parts, given)
    if g.constant(node, 1) is not None:
        y = _linear(g, node, parts, sizes)
    else:
        left, right = g.operand(node, 0), g.operand(node, 1)
        a = _arranged(g, node, left, "left", parts.operands[0], (parts.shared, parts.rows, parts.summed), sizes)
        b = _arranged(g, node, right, "right", parts.operands[1], (parts.shared, parts.summed, parts.cols), sizes)
        y = g.net.matmul(node.name, a, b)
    function = "transpose" if parts.shared + parts.rows + parts.cols != parts.result else "reshape"
    return g.relayout(node.sub("result"), y, _extent(parts.result, sizes), function)


def _contraction(equation: str) -> Contraction:
    operands, arrow, result = equation.replace(" ", "").partition("->")
    pair = tuple(operands.split(","))
    terms = (*pair, result)
    if not arrow or len(pair) != 2 or not all(term.isalpha() or not term for term in terms):
        raise NotSimulatedError
    a, b = pair
    alone = set(a) ^ set(b)
    if any(len(set(term)) != len(term) for term in terms) or not alone <= set(result) <= set(a) | set(b):
        raise NotSimulatedError
    shared = "".join(letter for letter in result if letter in a and letter in b)
    summed = "".join(letter for letter in a if letter in b and letter not in result)
    rows, cols = ("".join(letter for letter in result if letter in term and letter in alone) for term in (a, b))
    return Contraction((a, b), result, shared, summed, rows, cols)


def _sizes(node: Node, parts: Contraction, given: Iterable[Shape]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for letters, shape in zip(parts.operands, given, strict=True):
        if len(letters) != len(shape) or any(sizes.setdefault(i, n) != n for i, n in zip(letters, shape, strict=True)):
            raise InputError(f"layer '{node.name}': operand of shape {shape} does not fit '{letters}' of its equation")
    return sizes


def _extent(letters: str, sizes: dict[str, int]) -> Shape:
    return tuple(sizes[letter] for letter in letters)


def _arranged(
    g: Lowering, node: Node, x: str, part: str, letters: str, groups: tuple[str, str, str], sizes: dict[str, int]
) -> str:
    """Return `x` with its dimensions in the order of `groups`, the last two groups each as one dimension."""
    lead, *matrix = groups
    shape = (*_extent(lead, sizes), *(prod(_extent(group, sizes)) for group in matrix))
    return g.relayout(node.sub(part), x, shape, "transpose" if "".join(groups) != letters else "reshape")


def _linear(g: Lowering, node: Node, parts: Contraction, sizes: dict[str, int]) -> str:
    """Add the product by a constant, kept as the matrix (K, C) under its name and ".T"."""
    matrix, x = g.weight(node, 1), g.operand(node, 0)
    if parts.shared:
        raise NotSimulatedError
    a = _arranged(g, node, x, "left", parts.operands[0], ("", parts.rows, parts.summed), sizes)
    order = [parts.operands[1].index(letter) for letter in parts.cols + parts.summed]
    features, depth = prod(_extent(parts.cols, sizes)), prod(_extent(parts.summed, sizes))
    array = None if matrix.array is None else matrix.array.transpose(order).reshape(features, depth)
    name = g.keep(f"{node.inputs[1]}.T", array)
    return g.learn(g.net.linear(node.name, a, features, bias=False, weights=(name,)), [matrix])


def attention(g: Lowering, node: Node) -> str:
    """Attention: scores Q K', a mask, softmax, and the product with V; past keys and values are not simulated.

    Q, K and V are (N, heads, steps, features) or (N, steps, heads x features); heads of Q may share one of K and
    V. The scale, a causal mask and a cap on the scores are not counted as work.
    """
    if any(node.has(index) for index in range(PAST, len(node.inputs))) or any(node.outputs[1:]):
        raise NotSimulatedError
    operands = [g.operand(node, index) for index in range(3)]
    flat = len(g.net.shape_of(operands[0])) == 3
    heads = (node.number("q_num_heads", 0), *(node.number("kv_num_heads", 0),) * 2)
    q, k, v = (_heads(g, node, x, "qkv"[index], heads[index]) for index, x in enumerate(operands))
    batch, count, steps, _ = g.net.shape_of(q)
    scores = g.net.matmul(node.sub("scores"), q, _shared(g, node, k, "k", count, transposed=True))
    if node.has(MASK) and node.inputs[MASK] in g.layers:
        scores = g.net.elementwise(node.sub("masked"), scores, g.operand(node, MASK))
    weights = g.net.softmax(node.sub("softmax"), scores)
    y = g.net.matmul(node.name, weights, _shared(g, node, v, "v", count, transposed=False))
    width = g.net.shape_of(y)[-1]
    return g.relayout(node.sub("joined"), y, (batch, steps, count * width), "transpose") if flat else y


def _heads(g: Lowering, node: Node, x: str, part: str, heads: int) -> str:
    """Return an operand as (N, heads, steps, features)."""
    shape = g.net.shape_of(x)
    if len(shape) == 4:
        return x
    if len(shape) != 3 or heads < 1 or shape[2] % heads:
        raise InputError(f"layer '{node.name}': shape {shape} does not divide into {heads} heads")
    return g.relayout(node.sub(part), x, (shape[0], heads, shape[1], shape[2] // heads), "transpose")


def _shared(g: Lowering, node: Node, x: str, part: str, heads: int, transposed: bool) -> str:
    """Return keys or values once for each of `heads`, keys transposed to (N, heads, features, steps)."""
    batch, own, steps, features = g.net.shape_of(x)
    if heads % own:
        raise InputError(f"layer '{node.name}': {heads} heads do not share {own} heads of keys and values")
    shape = (batch, heads, features, steps) if transposed else (batch, heads, steps, features)
    if heads == own:
        return g.relayout(node.sub(f"{part}_transposed"), x, shape, "transpose") if transposed else x
    return g.net.layout(node.sub(f"{part}_repeated"), x, shape, "expand")


ATTENTION = {"Attention": attention, "Einsum": einsum}
