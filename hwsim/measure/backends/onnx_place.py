"""Where a layer's operators go in an ONNX graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from hwsim.errors import InputError
from hwsim.functional.parameters import Parameters
from hwsim.ir.layer import Layer
from hwsim.ir.network import Network

from .onnx_graph import Graph


class Place(NamedTuple):
    """Where a layer's nodes go: the graph, the network and its weights, what is read and what is to be computed."""

    graph: Graph
    network: Network
    parameters: Parameters
    layer: Layer
    inputs: Sequence[str]
    output: str

    def part(self, name: str) -> str:
        """Return the name of a tensor on the way to the output."""
        return f"{self.output}/{name}"

    def constant(self, name: str, value: Any) -> str:
        """Return the name of a constant of the layer, the same in all of its steps."""
        return self.graph.constant(f"{self.output.partition('@')[0]}/{name}", value)

    def node(self, operator: str, inputs: Sequence[str] | None = None, output: str = "", **attributes: Any) -> str:
        """Add an operator, by default from all inputs to the output."""
        read = self.inputs if inputs is None else inputs
        return self.graph.node(operator, read, output or self.output, **attributes)


def refused(layer: Layer) -> InputError:
    """Return the error for a layer that is not offered."""
    what = f"{layer.kind} '{layer.function}'" if layer.function else f"{layer.kind}"
    return InputError(
        f"layer '{layer.name}': onnxruntime is not given {what} by this program, or its constants are not known"
    )
