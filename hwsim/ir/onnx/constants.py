"""Values that do not depend on the network's inputs: weights, and the small integers that shapes are computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx.numpy_helper
import onnx.reference

from hwsim.errors import InputError
from hwsim.ir.layer import Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALL = 4096
"""Most elements of an operand or result of a shape computation."""

REARRANGING = frozenset(
    {
        "Cast",
        "DequantizeLinear",
        "Flatten",
        "Identity",
        "QuantizeLinear",
        "Reshape",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    }
)
"""Operators that give as many elements as they take, computed for weights of any size; the rest for small operands."""

FOLDED = REARRANGING | frozenset(
    {
        "Abs",
        "Add",
        "And",
        "CastLike",
        "Ceil",
        "Concat",
        "ConstantOfShape",
        "Div",
        "Equal",
        "Expand",
        "Floor",
        "Gather",
        "Greater",
        "GreaterOrEqual",
        "Less",
        "LessOrEqual",
        "Max",
        "Min",
        "Mod",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "Pow",
        "Range",
        "Reciprocal",
        "ReduceMax",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "Round",
        "Sign",
        "Slice",
        "Split",
        "Sqrt",
        "Sub",
        "Tile",
        "Trilu",
        "Where",
    }
)

FLOATING = frozenset(
    getattr(onnx.TensorProto, name)
    for name in (
        "FLOAT",
        "FLOAT16",
        "BFLOAT16",
        "DOUBLE",
        "FLOAT8E4M3FN",
        "FLOAT8E4M3FNUZ",
        "FLOAT8E5M2",
        "FLOAT8E5M2FNUZ",
        "FLOAT4E2M1",
    )
    if hasattr(onnx.TensorProto, name)
)


@dataclass(frozen=True)
class Constant:
    """A value known before the network runs; `array` is None where it is not in the file or too large to compute.

    `elem` is ONNX's element type, `origin` the initializer it was rearranged from: tied weights share it.
    """

    shape: Shape
    elem: int
    origin: str
    array: NDArray[Any] | None = field(default=None, compare=False, repr=False)

    @property
    def size(self) -> int:
        """Elements."""
        return prod(self.shape)

    @property
    def is_learned(self) -> bool:
        """Whether it looks learned: floating point, more than one number, and no infinity, which masks have."""
        if self.elem not in FLOATING or self.size < 2:
            return False
        return self.array is None or bool(np.isfinite(self.array.astype(np.float32)).all())


def from_tensor(tensor: Any) -> Constant:
    """Return the constant that a TensorProto holds; raises `InputError` where its data do not fill its shape."""
    shape = tuple(tensor.dims)
    if min(shape, default=0) < 0:
        raise InputError(f"tensor '{tensor.name}' has shape {shape}; no size may be negative")
    if tensor.data_type == onnx.TensorProto.STRING:
        return Constant(shape, tensor.data_type, tensor.name)
    try:
        array = onnx.numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise InputError(f"tensor '{tensor.name}' of shape {shape} cannot be read: {error}") from None
    return Constant(shape, tensor.data_type, tensor.name, array)


def from_array(name: str, array: NDArray[Any]) -> Constant:
    """Return the constant that an array is."""
    return Constant(array.shape, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), name, array)


def fold(node: Any, opsets: Mapping[str, int], operands: Sequence[Constant | None], elements: int | None) -> list[Any]:
    """Return the arrays that `node` computes from constants, or nothing where they are unknown or not worth computing.

    `elements` is the size of the result, None where unknown; a small file may ask for a result that fills the memory.
    """
    if node.op_type not in FOLDED or node.domain not in ("", "ai.onnx"):
        return []
    arrays = [None if operand is None else operand.array for operand in operands]
    if any(operand is not None and array is None for operand, array in zip(operands, arrays, strict=True)):
        return []
    if node.op_type not in REARRANGING:
        sizes = [elements, *(operand.size for operand in operands if operand is not None)]
        if any(size is None or size > SMALL for size in sizes):
            return []
    feeds = {name: array for name, array in zip(node.input, arrays, strict=True) if array is not None}
    try:
        with np.errstate(all="ignore"):
            results = onnx.reference.ReferenceEvaluator(node, opsets=dict(opsets)).run(None, feeds)
    except Exception:  # the evaluator fails in many ways on operands that contradict; then the value stays unknown
        return []
    return [result for result in results if isinstance(result, np.ndarray | np.generic)]
