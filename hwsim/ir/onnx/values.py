"""Types of ONNX values: the sizes of an input, and what ONNX itself infers for the outputs of a node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import onnx
import onnx.checker
import onnx.defs
import onnx.helper
import onnx.shape_inference

from hwsim.errors import InputError
from hwsim.ir.layer import Shape

Dim = int | str | None
FAULTS = (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, RuntimeError, ValueError)
"""What ONNX raises for operands of the wrong shape or type."""

BATCH_SYMBOLS = frozenset({"N", "n", "B", "b", "bs"})


@dataclass(frozen=True)
class Value:
    """The element type and dimensions of a value; a dimension is a size, a symbol, or None where unknown.

    `dims` is None where nothing is known, and for what is no tensor.
    """

    elem: int
    dims: tuple[Dim, ...] | None

    @property
    def shape(self) -> Shape | None:
        """The shape, where all of it is known."""
        if self.dims is None:
            return None
        shape = tuple(dim for dim in self.dims if isinstance(dim, int))
        return shape if len(shape) == len(self.dims) else None

    @property
    def elements(self) -> int | None:
        """Elements, where the shape is known."""
        return None if self.shape is None else prod(self.shape)

    def contradicts(self, shape: Shape) -> bool:
        """Whether `shape` differs in a dimension that is known here."""
        if self.dims is None:
            return False
        known = [(dim, size) for dim, size in zip(self.dims, shape, strict=False) if isinstance(dim, int)]
        return len(self.dims) != len(shape) or any(dim != size for dim, size in known)


def value_of(proto: Any) -> Value:
    """Return the value that a TypeProto describes."""
    tensor = proto.tensor_type
    if not proto.HasField("tensor_type") or not tensor.HasField("shape"):
        return Value(tensor.elem_type if proto.HasField("tensor_type") else 0, None)
    dims = (dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None for dim in tensor.shape.dim)
    return Value(tensor.elem_type, tuple(dims))


def batch_symbols(inputs: Mapping[str, Value]) -> frozenset[str]:
    """Return the symbols that stand for the batch: named so, or the first dimension of an input without such a name."""
    symbols: set[str] = set()
    for value in inputs.values():
        names = [dim for dim in value.dims or () if isinstance(dim, str)]
        batches = [name for name in names if "batch" in name.casefold() or name in BATCH_SYMBOLS]
        first = value.dims[0] if value.dims else None
        symbols.update(batches or ([first] if isinstance(first, str) else []))
    return frozenset(symbols)


def with_batch(value: Value, symbols: frozenset[str], batch: int) -> Value:
    """Return `value` with its batch dimension, whichever symbol it has, filled in."""
    if value.dims is None:
        return value
    return Value(value.elem, tuple(batch if dim in symbols else dim for dim in value.dims))


def input_shape(name: str, value: Value, batch: int) -> Shape:
    """Return the shape of a network input; raises `InputError` for a dimension without a size that is not the batch."""
    if value.dims is None:
        raise InputError(f"input '{name}' has no shape, or is not a tensor")
    # an unnamed first dimension is a batch that the exporter did not name
    sizes = (batch if axis == 0 and dim is None else dim for axis, dim in enumerate(value.dims))
    shape = []
    for axis, dim in enumerate(sizes):
        if not isinstance(dim, int):
            raise InputError(
                f"input '{name}' has no size for its dimension {axis}{f' ({dim})' if dim else ''}; "
                "only the batch may be open"
            )
        if dim < 1:
            raise InputError(f"input '{name}' has size {dim} in dimension {axis}; every size must be at least 1")
        shape.append(dim)
    return tuple(shape)


def inferred(
    node: Any,
    domain: str,
    opsets: Mapping[str, int],
    ir_version: int,
    known: Mapping[str, Value],
    data: Mapping[str, Any],
) -> dict[str, Value]:
    """Return what ONNX infers for the outputs of `node`; nothing for operators that it does not know.

    `data` holds small constants as TensorProto. Raises one of `FAULTS` where the operands contradict.
    """
    try:
        schema = onnx.defs.get_schema(node.op_type, opsets[domain], domain)
    except (KeyError, onnx.defs.SchemaError):
        return {}
    # onnx 1.16 looks up the type of an absent operand too
    types = {name: _type(known[name]) if name else onnx.TypeProto() for name in node.input if not name or name in known}
    imports = [onnx.helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    outputs = onnx.shape_inference.infer_node_outputs(
        schema,
        node,
        types,
        {name: data[name] for name in node.input if name in data},
        opset_imports=imports,
        ir_version=ir_version,
    )
    return {name: value_of(proto) for name, proto in outputs.items()}


def _type(value: Value) -> Any:
    return onnx.helper.make_tensor_type_proto(value.elem or onnx.TensorProto.FLOAT, value.dims)


def agreed(name: str, shape: Shape, values: Sequence[tuple[str, Value]]) -> None:
    """Raise `InputError` where somebody gives the tensor `name` another shape than its operator; `values` says who."""
    for who, value in values:
        if value.contradicts(shape):
            dims = ", ".join("?" if dim is None else str(dim) for dim in value.dims or ())
            raise InputError(f"tensor '{name}' has shape ({dims}) as {who}, but its operator gives {shape}")
