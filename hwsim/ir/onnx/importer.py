"""Networks from ONNX files.

Every node becomes layers: operators that are not simulated keep their name and shape, and `Network.unsupported` lists
them. Shapes are inferred here and compared with what ONNX infers and with what the file declares.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import onnx

from hwsim.errors import InputError
from hwsim.ir.builder import NetworkBuilder
from hwsim.ir.network import Network
from hwsim.ir.onnx.constants import Constant, from_tensor
from hwsim.ir.onnx.lowering import Lowering
from hwsim.ir.onnx.model import read_model
from hwsim.ir.onnx.node import OnnxFile, lower_node, plain_domain
from hwsim.ir.onnx.values import Value, agreed, batch_symbols, input_shape, value_of, with_batch


def onnx_network(path: Path, *, batch: int = 1) -> Network:
    """Return the network of an ONNX file, with its weights in `Network.tensors`.

    A symbolic batch dimension takes the size `batch`. Layers have the names of their nodes, or operator and result
    where a node has none. Weights kept in other files are not read; their layers know the shapes only. Parameters are
    what products and normalisations learn (running statistics are not), slopes, embedding tables, and other floating
    constants of more than one number; a matrix that several layers share counts once. Raises `UsageError` where there
    is no file, `InputError` for a malformed or contradicting one, an open dimension that is not the batch, and an
    operator whose result's shape is not known.
    """
    if batch < 1:
        raise InputError(f"batch {batch} must be at least 1")
    model, external = read_model(path)
    try:
        return _network(path, model, external, batch)
    except InputError as error:
        raise InputError(f"ONNX file '{path}': {error}") from None


def _network(path: Path, model: onnx.ModelProto, external: frozenset[str], batch: int) -> Network:
    g = Lowering(NetworkBuilder(path.stem))
    declared = _declare(g, model, external, batch)
    opsets = {plain_domain(entry.domain): entry.version for entry in model.opset_import}
    file = OnnxFile(opsets, model.ir_version, declared, _read_values(model.graph))
    for proto, name in zip(model.graph.node, _layer_names(model.graph, g), strict=True):
        lower_node(g, file, proto, name)
    for output in model.graph.output:
        if output.name in g.constants:
            g.note(f"output '{output.name}' is a constant and no layer's")
    network = g.net.build(source=_source(path, model, opsets), notes=tuple(g.notes), tensors=g.tensors)
    return replace(network, layers=tuple(replace(layer, **g.changes.get(layer.name, {})) for layer in network.layers))


def _source(path: Path, model: onnx.ModelProto, opsets: Mapping[str, int]) -> str:
    producer = model.producer_name
    made_by = f" made by {producer}" if isinstance(producer, str) and producer and producer.isprintable() else ""
    return f"ONNX file {path.name}{made_by}, operator set {opsets.get('', 0)}"


def _declare(g: Lowering, model: onnx.ModelProto, external: frozenset[str], batch: int) -> dict[str, Value]:
    """Declare inputs and initializers to the network; return the shapes that the file declares, the batch filled in."""
    graph = model.graph
    _declare_constants(g, graph, external)
    given = {value.name: value_of(value.type) for value in graph.input if value.name not in g.constants}
    symbols = batch_symbols(given)
    read = _read_values(graph)
    for name, value in given.items():
        if name not in read:
            g.note(f"input '{name}' is not read by any node")
            continue
        shape = input_shape(name, with_batch(value, symbols, batch), batch)
        g.layers[name] = g.net.input(name, shape)
        g.values[name] = Value(value.elem, shape)
    if batch != 1:
        _check_batch(g, given, symbols, batch)
    values = chain(graph.input, graph.value_info, graph.output)
    declared = {value.name: with_batch(value_of(value.type), symbols, batch) for value in values}
    for name, constant in g.constants.items():
        agreed(name, constant.shape, [("declared", declared[name])] if name in declared else [])
    return declared


def _declare_constants(g: Lowering, graph: onnx.GraphProto, external: frozenset[str]) -> None:
    for tensor in graph.initializer:
        g.constants[tensor.name] = from_tensor(tensor)
    for sparse in graph.sparse_initializer:
        name = sparse.values.name
        g.constants[name] = Constant(tuple(sparse.dims), sparse.values.data_type, name)
        g.note(f"the values of the sparse weight '{name}' are not kept")
    for value in graph.input:
        if value.name in external:
            described = value_of(value.type)
            g.constants[value.name] = Constant(described.shape or (), described.elem, value.name)
    if external:
        g.note(f"the values of {len(external)} weights are in other files, which are not read; their shapes are known")
    for name, constant in g.constants.items():
        g.values[name] = Value(constant.elem, constant.shape)


def _read_values(graph: onnx.GraphProto) -> frozenset[str]:
    """Return the values that some node reads or the graph gives."""
    read = chain.from_iterable(node.input for node in _all_nodes(graph))
    return frozenset(chain(read, (output.name for output in graph.output)))


def _all_nodes(graph: onnx.GraphProto) -> Iterator[Any]:
    """Yield the nodes of a graph and of the graphs in their attributes, which read its values as well."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in chain([attribute.g] if attribute.HasField("g") else [], attribute.graphs):
                yield from _all_nodes(inner)


def _check_batch(g: Lowering, given: Mapping[str, Value], symbols: frozenset[str], batch: int) -> None:
    """Raise `InputError` where another batch is asked for than the only one the file has."""
    open_batch = symbols or any(value.dims and value.dims[0] is None for value in given.values())
    fixed = [g.values[name].dims for name in given if name in g.values]
    if not open_batch and not any(dims and dims[0] == batch for dims in fixed):
        raise InputError(f"batch {batch} is not possible: network '{g.net.name}' has inputs of fixed shape {fixed}")


def _layer_names(graph: onnx.GraphProto, g: Lowering) -> list[str]:
    """Return a name for the layer of each node, unique also with a dot and the name of a part behind it."""
    wanted = [node.name or f"{node.op_type}_{next((o for o in node.output if o), '')}" for node in graph.node]
    ordered = sorted({*wanted, *g.layers})
    taken, counts, names = set(g.layers), dict.fromkeys(wanted, 1), []
    for name in wanted:
        unique = name
        while unique in taken or _begins_another(f"{unique}.", ordered):
            counts[name] += 1
            unique = f"{name}#{counts[name]}"
        taken.add(unique)
        names.append(unique)
    return names


def _begins_another(stem: str, ordered: Sequence[str]) -> bool:
    """Return whether any of the sorted names begins with `stem`."""
    index = bisect_left(ordered, stem)
    return index < len(ordered) and ordered[index].startswith(stem)
