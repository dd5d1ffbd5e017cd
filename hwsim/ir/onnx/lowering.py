"""The state while ONNX nodes become layers: what each value is called and looks like, and which weights are used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

from hwsim.errors import InputError
from hwsim.ir.builder import NetworkBuilder
from hwsim.ir.layer import Shape
from hwsim.ir.onnx.constants import Constant
from hwsim.ir.onnx.values import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray


class NotSimulatedError(Exception):
    """An operator, or a variant of one, that becomes a layer of kind "unsupported"."""


@dataclass(frozen=True)
class Node:
    """One ONNX node: its layer's name, operator, operands, results, attributes and the version of its operator set."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    version: int

    def has(self, index: int) -> bool:
        """Whether the optional operand `index` is given."""
        return index < len(self.inputs) and self.inputs[index] != ""

    def sub(self, part: str) -> str:
        """Return the name of a further layer that this node becomes."""
        return f"{self.name}.{part}"

    def number(self, attribute: str, default: int) -> int:
        """Return an integer attribute."""
        return int(self.attributes.get(attribute, default))

    def real(self, attribute: str, default: float) -> float:
        """Return a float attribute."""
        return float(self.attributes.get(attribute, default))

    def text(self, attribute: str, default: str) -> str:
        """Return a string attribute."""
        value = self.attributes.get(attribute, default)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    def numbers(self, attribute: str, default: Sequence[int], length: int | None = None) -> tuple[int, ...]:
        """Return an attribute that lists integers; raises `InputError` unless there are `length` of them."""
        values = tuple(int(value) for value in self.attributes.get(attribute, default))
        if length is not None and len(values) != length:
            raise InputError(f"layer '{self.name}': {attribute} {values} needs {length} numbers")
        return values


@dataclass
class Lowering:
    """A network under construction from ONNX nodes.

    `layers` maps ONNX values to layers, `values` to their types, `constants` to what is known without running.
    `changes` holds the fields in which a layer differs from what the builder made of it, `tensors` the weights that
    layers name, `counted` the matrices among them, `computed_bytes` the size of what was computed from constants.
    """

    net: NetworkBuilder
    values: dict[str, Value] = field(default_factory=dict)
    constants: dict[str, Constant] = field(default_factory=dict)
    layers: dict[str, str] = field(default_factory=dict)
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)
    tensors: dict[str, NDArray[Any]] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    counted: set[str] = field(default_factory=set)
    computed_bytes: int = 0

    def note(self, sentence: str) -> None:
        """Add a note once."""
        self.notes[sentence] = None

    def operand(self, node: Node, index: int = 0) -> str:
        """Return the layer that computes an operand; an operator that has a constant there is not simulated."""
        if not node.has(index) or node.inputs[index] not in self.layers:
            raise NotSimulatedError
        return self.layers[node.inputs[index]]

    def activations(self, node: Node) -> list[str]:
        """Return the layers that compute the operands that are not constant."""
        return [self.layers[name] for name in node.inputs if name in self.layers]

    def constant(self, node: Node, index: int) -> Constant | None:
        """Return a constant operand, or None where it is computed by a layer or absent."""
        return self.constants.get(node.inputs[index]) if node.has(index) else None

    def weight(self, node: Node, index: int) -> Constant:
        """Return a constant operand; an operator whose weights are computed by a layer is not simulated."""
        constant = self.constant(node, index)
        if constant is None:
            raise NotSimulatedError
        return constant

    def integers(self, node: Node, index: int) -> tuple[int, ...]:
        """Return a constant operand that lists integers."""
        array = self.weight(node, index).array
        if array is None or array.dtype.kind not in "iub" or array.size > 64:
            raise NotSimulatedError
        return tuple(int(value) for value in array.reshape(-1))

    def shape(self, node: Node, index: int = 0) -> Shape:
        """Return the shape that ONNX infers or declares for a result; raises `InputError` where it does neither."""
        name = node.outputs[index]
        value = self.values.get(name)
        shape = None if value is None else value.shape
        if shape is None:
            raise InputError(f"the shape of '{name}', which the {node.op} operator '{node.name}' computes, is unknown")
        return shape

    def keep(self, name: str, array: NDArray[Any] | None) -> str:
        """Keep the values of a weight, where there are any, under its name; return the name."""
        if array is not None:
            self.tensors[name] = array
        return name

    def learn(self, layer: str, constants: Iterable[Constant], weights: Sequence[str] = (), **bounds: Any) -> str:
        """Return `layer`, with the elements of `constants` as its parameters, its weights' names, and loop bounds set.

        A matrix that layers share (tied embeddings) counts once; a vector counts in each, as exporters merge vectors
        that merely are equal (biases of zero, scales of one).
        """
        parameters = 0
        for constant in constants:
            if constant.origin in self.counted:
                self.note(f"weight '{constant.origin}' is shared by several layers and counted once")
                continue
            parameters += constant.size
            if len(constant.shape) > 1:
                self.counted.add(constant.origin)
        self.changes[layer] = {"parameters": parameters, **({"weights": tuple(weights)} if weights else {}), **bounds}
        return layer

    def kept(self, node: Node, indices: Iterable[int]) -> tuple[str, ...]:
        """Keep constant operands under their own names; return the names."""
        given = [index for index in indices if self.constant(node, index) is not None]
        return tuple(self.keep(node.inputs[index], self.weight(node, index).array) for index in given)

    def check_weight(self, node: Node, index: int, expected: Sequence[int]) -> None:
        """Raise `InputError` unless a constant operand has the shape its layer needs."""
        constant = self.weight(node, index)
        if constant.shape != tuple(expected):
            raise InputError(
                f"layer '{node.name}': weight '{node.inputs[index]}' has shape {constant.shape}, but "
                f"{tuple(expected)} is needed"
            )

    def relayout(self, name: str, layer: str, shape: Sequence[int], function: str = "reshape") -> str:
        """Return `layer`, behind a change of layout where its shape is another one of as many elements."""
        before, after = self.net.shape_of(layer), tuple(shape)
        if before == after and function == "reshape":
            return layer
        if prod(before) != prod(after):
            raise InputError(f"layer '{name}': {prod(before)} elements of shape {before} do not fill {after}")
        return self.net.layout(name, layer, after, function)
