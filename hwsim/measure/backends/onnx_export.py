"""A network as a serialised ONNX model, in fp32 or int8; steps of recurrent layers follow one another in the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from hwsim.errors import InputError
from hwsim.functional.forward import STACK, STEP
from hwsim.functional.parameters import Parameters
from hwsim.ir.layer import Kind, Layer
from hwsim.ir.network import Network

from .onnx_graph import Graph, tensor_name
from .onnx_operators import add_layer
from .onnx_place import Place

MAX_NODES = 20_000
"""Operators of a graph with all steps written out."""

Emit = Callable[[Place], str]
"""What adds the operators of a layer, and returns the name of the tensor that has its value."""


class Export(NamedTuple):
    """A model, and the tensors of the graph that are given and that are its results, by names of the network."""

    model: bytes
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


class Written(NamedTuple):
    """A graph, and where the value of each tensor of the network stands in it: one name, or one of each step."""

    graph: Graph
    names: Mapping[str, str | list[str]]


def export_fp32(network: Network, parameters: Parameters, every_layer: bool = False) -> Export:
    """Return the network in fp32; its results are what no layer reads, or what every layer computes."""
    written = write(network, parameters, _emit_fp32, np.float32, lambda _: np.float32(0))
    last = {layer.name for layer in network.layers if every_layer or layer.name not in network.consumers}
    outputs = {name: _last(written.names[name]) for name in last_in_order(network, last)}
    return Export(written.graph.model(list(outputs.values())), given(network), outputs)


def last_in_order(network: Network, names: set[str]) -> list[str]:
    """Return those of `names` that are layers, in the network's order."""
    return [layer.name for layer in network.layers if layer.name in names]


def given(network: Network) -> dict[str, str]:
    """Return the graph's names of the inputs that are no states."""
    return {one.name: f"input{index}" for index, one in enumerate(network.inputs) if one.name not in network.states}


def write(network: Network, parameters: Parameters, emit: Emit, dtype: Any, zero: Callable[[str], Any]) -> Written:
    """Return the graph that `emit` makes, layer by layer, of inputs of type `dtype`; states start at `zero` of them."""
    operators = sum(layer.steps for layer in network.layers)
    if operators > MAX_NODES:
        raise InputError(
            f"network '{network.name}' has {operators} operators in all steps; onnxruntime is given up to {MAX_NODES}"
        )
    writer = _Writer(network, parameters, emit, zero)
    shapes = {one.name: one.shape for one in network.inputs}
    for name, known in given(network).items():
        writer.names[name] = writer.graph.input(known, shapes[name], dtype)
    numbered = list(enumerate(network.layers))
    for steps, run in groupby(numbered, key=lambda pair: pair[1].steps):
        writer.run(list(run), steps)
    return Written(writer.graph, writer.names)


def _emit_fp32(place: Place) -> str:
    add_layer(place)
    return place.output


def _last(name: str | list[str]) -> str:
    return name if isinstance(name, str) else name[-1]


class _Writer:
    """The graph so far, and the names of what has been computed."""

    def __init__(self, network: Network, parameters: Parameters, emit: Emit, zero: Callable[[str], Any]) -> None:
        self.network, self.parameters, self.emit, self.zero = network, parameters, emit, zero
        self.graph = Graph(network.name)
        self.names: dict[str, str | list[str]] = {}
        self.carried = network.states

    def run(self, layers: Sequence[tuple[int, Layer]], steps: int) -> None:
        """Add layers that run together, in all their steps."""
        if steps == 1:
            for index, layer in layers:
                self.names[layer.name] = self._add(index, layer, self._outside(layer), None)
            return
        now = {name: self._start(name) for _, layer in layers for name in layer.inputs if name in self.carried}
        history: dict[str, list[str]] = {layer.name: [] for _, layer in layers}
        for step in range(steps):
            for index, layer in layers:
                now[layer.name] = self._step(index, layer, now, step, steps)
                history[layer.name].append(now[layer.name])
            now |= {name: now[self.carried[name]] for name in now if name in self.carried}
        self.names |= history

    def _outside(self, layer: Layer) -> list[str]:
        """Return what a layer after the steps reads: all of them for a stack, otherwise the last."""
        if layer.kind is Kind.RESHAPE and layer.function in STACK:
            steps = self.names[layer.inputs[0]]
            if isinstance(steps, list):
                return steps if layer.function == STACK[0] else steps[::-1]
        return [_last(self.names[name]) if name in self.names else self._start(name) for name in layer.inputs]

    def _start(self, state: str) -> str:
        index, shape = next((at, one.shape) for at, one in enumerate(self.network.inputs) if one.name == state)
        return self.graph.constant(f"state{index}", np.full(shape, self.zero(state)))

    def _step(self, index: int, layer: Layer, now: Mapping[str, str], step: int, steps: int) -> str:
        reads = [now[name] if name in now else _last(self.names[name]) for name in layer.inputs]
        if layer.kind is Kind.RESHAPE and layer.function in STEP:
            at = step if layer.function == STEP[0] else steps - 1 - step
            where = self.graph.constant(f"step{at}", np.int64(at))
            return self.graph.node("Gather", [*reads, where], tensor_name(index, step), axis=1)
        return self._add(index, layer, reads, step)

    def _add(self, index: int, layer: Layer, reads: list[str], step: int | None) -> str:
        output = tensor_name(index, step)
        if layer.kind is Kind.RESHAPE and layer.function in STACK and len(reads) > 1:
            joined = self.graph.node("Concat", reads, f"{output}/joined", axis=1)
            shape = self.graph.constant(f"{output}/shape", np.asarray(layer.output_shape, np.int64))
            return self.graph.node("Reshape", [joined, shape], output)
        return self.emit(Place(self.graph, self.network, self.parameters, layer, reads, output))
