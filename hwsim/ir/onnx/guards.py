"""Checks ahead of ONNX's own shape inference, which is C++ and ends the process on some contradictions.

Found by changing valid models at random, with onnx 1.16 to 1.23: a stride of 0 or a vast block divides by zero, a
convolution whose weight has another rank than its input reads beyond its dimensions, as does a Split with more results
than it says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hwsim.errors import InputError
from hwsim.ir.builder import MAX_SIZE
from hwsim.ir.onnx.lowering import Node
from hwsim.ir.onnx.values import Value

POSITIVE = ("blocksize", "dilations", "group", "hidden_size", "kernel_shape", "num_groups", "num_outputs", "strides")
"""Attributes that count something there must be at least one of; squared they must not overflow."""

WINDOWS = {
    "AveragePool": None,
    "Conv": 1,
    "ConvInteger": 1,
    "ConvTranspose": 1,
    "DeformConv": 1,
    "LpPool": None,
    "MaxPool": None,
    "MaxUnpool": None,
    "QLinearConv": 3,
}
"""Operators with a sliding window, and which operand is their weight."""


def check_node(node: Node, values: Mapping[str, Value]) -> None:
    """Raise `InputError` where ONNX's inference must not see a node; `values` are the types of its operands."""
    for name in POSITIVE:
        given = node.attributes.get(name, ())
        sizes = given if isinstance(given, Sequence) else (given,)
        if any(isinstance(size, int) and not 1 <= size <= MAX_SIZE for size in sizes):
            raise InputError(f"layer '{node.name}': {name} {given} must be at least 1 and at most {MAX_SIZE}")
    if node.op == "Split" and node.number("num_outputs", len(node.outputs)) != len(node.outputs):
        parts = node.number("num_outputs", 0)
        raise InputError(f"layer '{node.name}' splits into {parts} and has {len(node.outputs)} results")
    if node.op in WINDOWS:
        _check_window(node, values)


def _check_window(node: Node, values: Mapping[str, Value]) -> None:
    """Raise `InputError` unless input, weight and attributes of a sliding window have the same number of dimensions."""
    rank = _rank(node, 0, values)
    if rank is None:
        return
    if rank < 3:
        raise InputError(f"layer '{node.name}' slides over an image or sequence, but its input has {rank} dimensions")
    for name, count in (
        ("kernel_shape", rank - 2),
        ("strides", rank - 2),
        ("dilations", rank - 2),
        ("pads", 2 * rank - 4),
    ):
        node.numbers(name, (0,) * count, count)
    weight = WINDOWS[node.op]
    if weight is not None and _rank(node, weight, values) not in (rank, None):
        raise InputError(
            f"layer '{node.name}': weight '{node.inputs[weight]}' has {_rank(node, weight, values)} dimensions, "
            f"its input {rank}"
        )


def _rank(node: Node, index: int, values: Mapping[str, Value]) -> int | None:
    value = values.get(node.inputs[index]) if node.has(index) else None
    return None if value is None or value.dims is None else len(value.dims)
