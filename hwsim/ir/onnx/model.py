"""Reads an ONNX file that nobody vouches for: bounded, decoded, inlined, sorted, checked; no other file is opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import onnx
import onnx.checker
import onnx.inliner
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from hwsim.errors import InputError
from hwsim.ir.untrusted import read_bounded

MAX_BYTES = 2**31 - 1
"""Largest file that is read; protobuf ends there too."""

MAX_NODES = 1_000_000
"""Most nodes after local functions are inlined: calls of calls multiply."""

MAX_CALL_DEPTH = 64

EXTERNAL = onnx.TensorProto.EXTERNAL


def read_model(path: Path) -> tuple[onnx.ModelProto, frozenset[str]]:
    """Return the model at `path`, valid and sorted, and the names of initializers that it keeps in other files.

    Those files are never opened: the initializers become inputs of the same shape. Raises `UsageError` where there is
    no file, `InputError` where it is no valid ONNX model.
    """
    data = read_bounded(path, "ONNX file", MAX_BYTES)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise InputError(f"ONNX file '{path}' ({len(data)} bytes) does not decode: it is cut off or no model") from None
    model = _inlined(path, model)
    _check_text(path, model.graph)
    external = _detach_external(path, model.graph)
    _check_order(path, model.graph)
    _check(path, model)
    return model, external


def _check(path: Path, model: onnx.ModelProto) -> None:
    """Raise `InputError` where ONNX's checker finds a fault; an output without a shape, which it minds, is none."""
    shapeless = [output.type.tensor_type for output in model.graph.output if _lacks_shape(output.type)]
    for tensor in shapeless:
        tensor.shape.SetInParent()
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, RuntimeError, ValueError) as error:
        raise InputError(f"ONNX file '{path}' is not a valid model: {one_line(error)}") from None
    for tensor in shapeless:
        tensor.ClearField("shape")


def _lacks_shape(kind: Any) -> bool:
    return bool(kind.HasField("tensor_type")) and not kind.tensor_type.HasField("shape")


def one_line(error: Exception) -> str:
    """Return the message of a C++ error without its line breaks, at most 300 characters long."""
    return " ".join(str(error).split())[:300].rstrip(".")


def _inlined(path: Path, model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with calls of its own functions replaced by their nodes."""
    if not model.functions:
        return model
    bodies = {(f.domain, f.name): f.node for f in model.functions}
    if _nodes_when_inlined(path, model.graph.node, bodies, {}, ()) > MAX_NODES:
        raise InputError(f"ONNX file '{path}' has more than {MAX_NODES} nodes when its functions are inlined")
    try:
        return onnx.inliner.inline_local_functions(model)
    except (RuntimeError, ValueError, onnx.checker.ValidationError) as error:
        raise InputError(f"ONNX file '{path}' has functions that cannot be inlined: {one_line(error)}") from None


def _nodes_when_inlined(
    path: Path,
    nodes: Iterable[Any],
    bodies: Mapping[tuple[str, str], Any],
    known: dict[tuple[str, str], int],
    within: tuple[tuple[str, str], ...],
) -> int:
    total = 0
    for node in chain.from_iterable(graph_nodes for graph_nodes in _node_lists(nodes)):
        called = (node.domain, node.op_type)
        if called in within or len(within) > MAX_CALL_DEPTH:
            raise InputError(f"ONNX file '{path}' has a function '{called[1]}' that calls itself, or calls too deep")
        if called in bodies and called not in known:
            known[called] = _nodes_when_inlined(path, bodies[called], bodies, known, (*within, called))
        total += known.get(called, 1)
    return total


def _node_lists(nodes: Iterable[Any]) -> Iterator[Sequence[Any]]:
    """Yield `nodes` and the nodes of the graphs in their attributes."""
    listed = list(nodes)
    yield listed
    for graph in _attribute_graphs(listed):
        yield from _node_lists(graph.node)


def _attribute_graphs(nodes: Iterable[Any]) -> Iterator[Any]:
    for attribute in chain.from_iterable(node.attribute for node in nodes):
        yield from ([attribute.g] if attribute.HasField("g") else [])
        yield from attribute.graphs


def _graphs(graph: onnx.GraphProto) -> Iterator[Any]:
    """Yield `graph` and the graphs in the attributes of its nodes."""
    yield graph
    for inner in _attribute_graphs(graph.node):
        yield from _graphs(inner)


def _check_text(path: Path, graph: onnx.GraphProto) -> None:
    """Raise `InputError` where a name is not printable, or not UTF-8: protobuf hands it over as bytes then."""
    for inner in _graphs(graph):
        names = chain(
            chain.from_iterable((n.name, n.op_type, n.domain, *n.input, *n.output) for n in inner.node),
            (attribute.name for node in inner.node for attribute in node.attribute),
            (tensor.name for tensor in inner.initializer),
            (tensor.values.name for tensor in inner.sparse_initializer),
            (value.name for value in chain(inner.input, inner.output, inner.value_info)),
            (
                dim.dim_param
                for value in chain(inner.input, inner.output, inner.value_info)
                for dim in value.type.tensor_type.shape.dim
            ),
        )
        for name in names:
            if not isinstance(name, str) or not name.isprintable():
                raise InputError(f"ONNX file '{path}' has the name {name[:40]!r}, which is not printable text")


def _detach_external(path: Path, graph: onnx.GraphProto) -> frozenset[str]:
    """Turn initializers kept in other files into inputs, so that nothing looks for their values; return their names."""
    names = [tensor.name for tensor in graph.initializer if tensor.data_location == EXTERNAL]
    inputs = {value.name for value in graph.input}
    for index in reversed(range(len(graph.initializer))):
        tensor = graph.initializer[index]
        if tensor.data_location != EXTERNAL:
            continue
        if tensor.name not in inputs:
            graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
        del graph.initializer[index]
    for inner in _graphs(graph):
        tensors = chain(
            inner.initializer,
            (t.values for t in inner.sparse_initializer),
            (t.indices for t in inner.sparse_initializer),
            _attribute_tensors(inner.node),
        )
        if any(tensor.data_location == EXTERNAL for tensor in tensors):
            raise InputError(f"ONNX file '{path}' keeps a tensor that is no initializer of its graph in another file")
    return frozenset(names)


def _attribute_tensors(nodes: Iterable[Any]) -> Iterator[Any]:
    for attribute in chain.from_iterable(node.attribute for node in nodes):
        yield from chain([attribute.t], attribute.tensors)
        for sparse in chain([attribute.sparse_tensor], attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)


def _check_order(path: Path, graph: onnx.GraphProto) -> None:
    """Raise `InputError` unless every node reads what an earlier node computes or the graph is given."""
    known = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    known |= {tensor.values.name for tensor in graph.sparse_initializer}
    computed = set(chain.from_iterable(node.output for node in graph.node))
    for node in graph.node:
        for name in node.input:
            if name and name not in known:
                later = "a later node computes: the nodes are not sorted, or form a cycle"
                raise InputError(
                    f"ONNX file '{path}': the {node.op_type} node '{node.name}' reads '{name}', which "
                    f"{later if name in computed else 'nothing computes'}"
                )
        known.update(node.output)
    for output in graph.output:
        if output.name not in known:
            raise InputError(f"ONNX file '{path}': nothing computes the output '{output.name}'")
