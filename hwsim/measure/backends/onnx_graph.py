"""An ONNX graph under construction, whose tensors and nodes are named by the layer that they belong to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CONTRIBUTED = "com.microsoft"
"""The domain of operators that onnxruntime adds to ONNX."""

OPSET, CONTRIBUTED_OPSET, IR_VERSION = 20, 1, 10

LAYER = re.compile(r"L(\d+)(?!\d)")
"""Where a name says which layer it belongs to: libraries put other words around it."""

TYPES = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.uint8): TensorProto.UINT8}


def tensor_name(index: int, step: int | None = None, part: str = "") -> str:
    """Return the name of what layer `index` computes, in `step` of several, or of a `part` on the way there."""
    return f"L{index}" + ("" if step is None else f"@{step}") + (f"/{part}" if part else "")


def layer_index(name: str) -> int | None:
    """Return the layer that a tensor or node of this name belongs to, None where it says none."""
    found = LAYER.search(name)
    return int(found[1]) if found else None


class Graph:
    """Nodes and constants in the order in which they were added."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.inputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: Sequence[int], dtype: Any = np.float32) -> str:
        """Declare a tensor that the graph is given."""
        self.inputs.append(helper.make_tensor_value_info(name, TYPES[np.dtype(dtype)], list(shape)))
        return name

    def constant(self, name: str, value: Any) -> str:
        """Return the name of a constant; one that is there already is taken again."""
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def node(self, operator: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: Any) -> str:
        """Add an operator named after its output; return that name."""
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def model(self, outputs: Sequence[str], dtype: Any = np.float32) -> bytes:
        """Return the serialised model that gives `outputs`."""
        results = [helper.make_tensor_value_info(name, TYPES[np.dtype(dtype)], None) for name in outputs]
        graph = helper.make_graph(self.nodes, self.name, self.inputs, results, list(self.constants.values()))
        versions = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIBUTED, CONTRIBUTED_OPSET)]
        made = helper.make_model(graph, opset_imports=versions, ir_version=IR_VERSION)
        return bytes(made.SerializeToString())
