"""Builds small ONNX models in memory and writes them to files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hwsim.ir.network import Network
from hwsim.ir.onnx.importer import onnx_network

Dims = Sequence[int | str | None] | None


def weights(*shape: int) -> np.ndarray:
    """Return float32 values that no exporter takes for equal to another tensor's."""
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def model(
    nodes: Sequence[Any],
    inputs: Mapping[str, Dims],
    outputs: Mapping[str, Dims],
    *,
    constants: Mapping[str, Any] | None = None,
    opset: int = 18,
    elem: Mapping[str, int] | None = None,
    value_info: Mapping[str, Dims] | None = None,
    **options: Any,
) -> Any:
    """Return a ModelProto; `constants` become initializers, `elem` gives element types other than float."""
    types = elem or {}
    info = {
        kind: [
            helper.make_tensor_value_info(name, types.get(name, TensorProto.FLOAT), shape)
            for name, shape in values.items()
        ]
        for kind, values in (("in", inputs), ("out", outputs), ("between", value_info or {}))
    }
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    graph = helper.make_graph(list(nodes), "g", info["in"], info["out"], tensors, value_info=info["between"])
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in options.pop("domains", ()))]
    return helper.make_model(graph, opset_imports=imports, ir_version=8, **options)


def node(op: str, inputs: str, outputs: str, name: str = "", **attributes: Any) -> Any:
    """Return a NodeProto; operands and results are separated by spaces, "-" is an absent one."""
    operands, results = (["" if text == "-" else text for text in names.split()] for names in (inputs, outputs))
    return helper.make_node(op, operands, results, name=name, **attributes)


def save(proto: Any, folder: Path, name: str = "net.onnx") -> Path:
    """Return the path of a file that holds the model."""
    path = folder / name
    path.write_bytes(proto.SerializeToString())
    return path


def network(proto: Any, folder: Path, **options: Any) -> Network:
    """Return the network of a model."""
    return onnx_network(save(proto, folder), **options)


def light_model(name: str) -> Path:
    """Return the path of a model that the onnx package ships: a published network without its weights."""
    return Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / f"light_{name}.onnx"
