"""One ONNX node becomes a constant, layers that are simulated, or a layer that is listed as unsupported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from hwsim.errors import InputError
from hwsim.ir.onnx.attention import ATTENTION
from hwsim.ir.onnx.constants import FOLDED, REARRANGING, SMALL, Constant, fold, from_array, from_tensor
from hwsim.ir.onnx.guards import check_node
from hwsim.ir.onnx.layout import LAYOUT
from hwsim.ir.onnx.lowering import Lowering, Node, NotSimulatedError
from hwsim.ir.onnx.model import one_line
from hwsim.ir.onnx.operators import OPERATORS, Operator, learned_constants
from hwsim.ir.onnx.products import PRODUCTS
from hwsim.ir.onnx.recurrent import RECURRENT
from hwsim.ir.onnx.values import FAULTS, Value, agreed, inferred

LOWERED: dict[str, Operator] = {**OPERATORS, **LAYOUT, **PRODUCTS, **ATTENTION, **RECURRENT}
"""What each operator of ONNX's own domain becomes; operators of other domains and of subgraphs are not simulated."""

MAX_COMPUTED_BYTES = 2**33
"""Most memory for values computed from constants: a chain of casts could ask for any amount."""

LARGEST_ELEMENT_BYTES = 16


@dataclass(frozen=True)
class OnnxFile:
    """What a node needs of its file: operator set versions by domain, declared types, and which values are read."""

    opsets: Mapping[str, int]
    ir_version: int
    declared: Mapping[str, Value]
    read: frozenset[str]


def plain_domain(domain: str) -> str:
    """Return a domain's name, with one of the two names of ONNX's own."""
    return "" if domain == "ai.onnx" else domain


def lower_node(g: Lowering, file: OnnxFile, proto: Any, name: str) -> None:
    """Add what `proto` becomes to `g`; compare its results' shapes with what ONNX infers and the file declares.

    Raises `InputError` where they differ, and where operands contradict or a shape is unknown.
    """
    domain = plain_domain(proto.domain)
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute}
    node = Node(name, proto.op_type, tuple(proto.input), tuple(proto.output), attributes, file.opsets.get(domain, 1))
    if domain == "":
        check_node(node, g.values)
    found, fault = _inferred(g, file, proto, domain)
    for output in node.outputs:
        _remember(g, file, output, found)
    if _is_constant(g, node):
        is_known = domain == "" and node.op in FOLDED | LOWERED.keys()
        _make_constants(g, file, proto, node, fault if is_known else "")
    else:
        operator = LOWERED.get(node.op) if domain == "" else None
        simulated = operator is not None and _simulated(g, node, operator)
        if simulated and fault:
            raise InputError(f"layer '{name}' ({node.op}): {fault}")
        if not simulated:
            _unsupported(g, node, f"{domain}.{node.op}" if domain else node.op)
        _name_further_results(g, file, node)
    for output in filter(None, node.outputs):
        _compare(g, file, output, found)


def _inferred(g: Lowering, file: OnnxFile, proto: Any, domain: str) -> tuple[dict[str, Value], str]:
    """Return what ONNX infers for the results, or why the operands contradict."""
    data = {}
    for name in proto.input:
        constant = g.constants.get(name)
        if constant is not None and constant.array is not None and constant.size <= SMALL:
            data[name] = onnx.numpy_helper.from_array(constant.array, name)
    try:
        return inferred(proto, domain, file.opsets, file.ir_version, g.values, data), ""
    except FAULTS as error:
        return {}, one_line(error) or "its operands contradict"


def _remember(g: Lowering, file: OnnxFile, output: str, found: Mapping[str, Value]) -> None:
    """Note the type of a result: as inferred, or as declared where that says more."""
    value, stated = found.get(output, Value(0, None)), file.declared.get(output)
    if value.shape is None and stated is not None:
        value = Value(value.elem or stated.elem, stated.dims)
    g.values[output] = value


def _is_constant(g: Lowering, node: Node) -> bool:
    """Whether the results are known before the network runs: an operator of constants, or of a shape."""
    if node.op in ("Shape", "Size"):
        return node.inputs[0] in g.values and g.values[node.inputs[0]].shape is not None
    has_graph = any(isinstance(value, onnx.GraphProto) for value in node.attributes.values())
    operands = [name for name in node.inputs if name]
    return node.op == "Constant" or (bool(operands) and not has_graph and all(name in g.constants for name in operands))


def _make_constants(g: Lowering, file: OnnxFile, proto: Any, node: Node, fault: str) -> None:
    if fault:
        raise InputError(f"constant '{node.name}' ({node.op}): {fault}")
    if node.op == "Constant":
        g.constants[node.outputs[0]] = _constant(node)
        return
    operands = [g.constants.get(name) for name in node.inputs]
    elements = g.values[node.outputs[0]].elements
    has_room = g.computed_bytes + LARGEST_ELEMENT_BYTES * (elements or 0) <= MAX_COMPUTED_BYTES
    arrays = _shape_array(g, node) or (fold(proto, file.opsets, operands, elements) if has_room else [])
    g.computed_bytes += sum(array.nbytes for array in arrays)
    first = operands[0]
    for index, output in enumerate(node.outputs):
        if index < len(arrays):
            constant = from_array(output, np.asarray(arrays[index]))
        else:
            constant = Constant(g.shape(node, index), g.values[output].elem, output)
        if node.op in REARRANGING and first is not None:
            constant = Constant(constant.shape, constant.elem, first.origin, constant.array)
        g.constants[output] = constant


def _shape_array(g: Lowering, node: Node) -> list[Any]:
    """Return the results of Shape and Size."""
    if node.op not in ("Shape", "Size"):
        return []
    shape = g.values[node.inputs[0]].shape or ()
    if node.op == "Size":
        return [np.asarray(np.prod(shape, dtype=np.int64))]
    return [np.asarray(shape[node.number("start", 0) : node.number("end", len(shape))], dtype=np.int64)]


def _constant(node: Node) -> Constant:
    """Return the value of a Constant node, which one of several attributes holds."""
    attribute, value = next(iter(node.attributes.items()), ("", None))
    if isinstance(value, onnx.SparseTensorProto):
        return Constant(tuple(value.dims), value.values.data_type, node.outputs[0])
    if isinstance(value, onnx.TensorProto):
        tensor = from_tensor(value)
        return Constant(tensor.shape, tensor.elem, node.outputs[0], tensor.array)
    if attribute in ("value_int", "value_ints"):
        return from_array(node.outputs[0], np.asarray(value, dtype=np.int64))
    if attribute in ("value_float", "value_floats"):
        return from_array(node.outputs[0], np.asarray(value, dtype=np.float32))
    shape = (len(value),) if attribute == "value_strings" and isinstance(value, list) else ()
    return Constant(shape, onnx.TensorProto.STRING, node.outputs[0])


def _simulated(g: Lowering, node: Node, operator: Operator) -> bool:
    """Add the layers of a node; return False where this variant of its operator is not simulated."""
    try:
        layer = operator(g, node)
    except NotSimulatedError:
        return False
    if layer is not None and node.outputs[0]:
        g.layers[node.outputs[0]] = layer
    return True


def _unsupported(g: Lowering, node: Node, operator: str) -> None:
    index = next((index for index, output in enumerate(node.outputs) if output), None)
    shape = () if index is None else g.shape(node, index)
    layer = g.net.unsupported(node.name, g.activations(node), shape, operator)
    learned_constants(g, layer, [(name, g.constants[name]) for name in node.inputs if name in g.constants])
    if index is not None:
        g.layers[node.outputs[index]] = layer


def _name_further_results(g: Lowering, file: OnnxFile, node: Node) -> None:
    """Give further results that something reads (a mask, indices) their shapes, as views of the node's last layer."""
    known = [g.layers[output] for output in node.outputs if output in g.layers]
    for index, output in enumerate(node.outputs):
        if output and output not in g.layers and output in file.read:
            part = f"result{index}"
            g.layers[output] = g.net.layout(node.sub(part), known[0], g.shape(node, index), part)


def _compare(g: Lowering, file: OnnxFile, output: str, found: Mapping[str, Value]) -> None:
    if output in g.layers:
        shape = g.net.shape_of(g.layers[output])
    elif output in g.constants:
        shape = g.constants[output].shape
    else:
        return
    said = [("inferred by ONNX", found.get(output)), ("declared in the file", file.declared.get(output))]
    agreed(output, shape, [(who, value) for who, value in said if value is not None])
    g.values[output] = Value(g.values[output].elem, shape)
