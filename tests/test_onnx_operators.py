"""Every operator's result has the shape that onnxruntime computes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_models import model, network, node, weights

from hwsim.ir.layer import Kind

X4 = (2, 6, 11, 13)
X3 = (2, 6, 13)


@dataclass(frozen=True)
class Case:
    """One node, the shapes of its inputs and its constants; `kind` is what its last layer but layout must be."""

    op: str
    kind: Kind
    inputs: dict[str, tuple[int, ...]] = field(default_factory=lambda: {"x": X4})
    constants: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    operands: str = ""
    outputs: str = "y"
    opset: int = 18
    types: dict[str, int] = field(default_factory=dict)


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def conv(x: tuple[int, ...], w: tuple[int, ...], bias: bool = False, **attributes: Any) -> Case:
    constants = {"w": weights(*w), **({"b": weights(w[0])} if bias else {})}
    return Case("Conv", Kind.CONV, {"x": x}, constants, attributes)


def pool(op: str, x: tuple[int, ...] = X4, **attributes: Any) -> Case:
    return Case(op, Kind.POOL, {"x": x}, {}, attributes)


def unary(op: str, kind: Kind, opset: int = 20, **attributes: Any) -> Case:
    return Case(op, kind, attributes=attributes, opset=opset)


def binary(op: str, a: tuple[int, ...], b: tuple[int, ...]) -> Case:
    return Case(op, Kind.ELEMENTWISE, {"a": a, "b": b})


def moved(
    op: str, x: tuple[int, ...] = X4, opset: int = 18, /, outputs: str = "y", attributes: Any = None, **constants: Any
) -> Case:
    return Case(op, Kind.RESHAPE, {"x": x}, constants, attributes or {}, opset=opset, outputs=outputs)


def attention(q: tuple[int, ...], k: tuple[int, ...], v: tuple[int, ...], **attributes: Any) -> Case:
    return Case("Attention", Kind.MATMUL, {"q": q, "k": k, "v": v}, {}, attributes, opset=23)


def recurrent(op: str, gates: int, outputs: str, directions: int = 1, **attributes: Any) -> Case:
    shapes = {"w": (directions, gates * 5, 6), "r": (directions, gates * 5, 5), "b": (directions, 2 * gates * 5)}
    direction = {"direction": "bidirectional"} if directions == 2 else {}
    return Case(
        op,
        Kind.RESHAPE,
        {"x": (7, 2, 6)},
        {k: weights(*s) for k, s in shapes.items()},
        {"hidden_size": 5, **direction, **attributes},
        outputs=outputs,
    )


CASES = {
    "conv": conv(X4, (9, 6, 3, 5)),
    "conv-bias-stride": conv(X4, (9, 6, 3, 5), True, strides=[2, 3], pads=[1, 2, 0, 1]),
    "conv-grouped-dilated": conv(X4, (9, 2, 3, 3), group=3, dilations=[2, 3]),
    "conv-depthwise": conv(X4, (6, 1, 3, 3), group=6, auto_pad="SAME_UPPER", strides=[2, 2]),
    "conv-same-lower": conv(X4, (7, 6, 4, 2), auto_pad="SAME_LOWER", strides=[3, 2]),
    "conv-valid": conv(X4, (7, 6, 4, 2), auto_pad="VALID", strides=[3, 2]),
    "conv-1d": conv(X3, (9, 6, 5), True, strides=[2], pads=[3, 1], dilations=[2]),
    "conv-1d-same": conv(X3, (9, 2, 4), group=3, auto_pad="SAME_LOWER", strides=[3]),
    "gemm": Case("Gemm", Kind.MATMUL, {"x": (3, 5)}, {"w": weights(5, 7), "c": weights(7)}),
    "gemm-trans-b": Case("Gemm", Kind.MATMUL, {"x": (3, 5)}, {"w": weights(7, 5), "c": weights(1, 7)}, {"transB": 1}),
    "gemm-trans-a": Case("Gemm", Kind.MATMUL, {"x": (5, 3)}, {"w": weights(5, 7)}, {"transA": 1, "alpha": 0.5}),
    "gemm-activations": Case("Gemm", Kind.MATMUL, {"a": (5, 3), "b": (7, 5)}, {}, {"transA": 1, "transB": 1}),
    "gemm-matrix-c": Case("Gemm", Kind.ELEMENTWISE, {"x": (3, 5)}, {"w": weights(5, 7), "c": weights(3, 7)}),
    "matmul-constant": Case("MatMul", Kind.MATMUL, {"x": (2, 3, 5)}, {"w": weights(5, 7)}),
    "matmul-vector": Case("MatMul", Kind.MATMUL, {"x": (2, 3, 5)}, {"w": weights(5)}),
    "matmul-batched-constant": Case("MatMul", Kind.MATMUL, {"x": (2, 3, 11, 5)}, {"w": weights(3, 5, 7)}),
    "matmul-constant-first": Case("MatMul", Kind.MATMUL, {"x": (2, 5, 3)}, {"w": weights(7, 5)}, operands="w x"),
    "matmul-activations": Case("MatMul", Kind.MATMUL, {"a": (2, 3, 5, 7), "b": (3, 7, 11)}),
    "matmul-row": Case("MatMul", Kind.MATMUL, {"a": (7,), "b": (3, 7, 11)}),
    "matmul-column": Case("MatMul", Kind.MATMUL, {"a": (2, 5, 7), "b": (7,)}),
    "matmul-dot": Case("MatMul", Kind.MATMUL, {"a": (7,), "b": (7,)}),
    "max-pool": pool("MaxPool", kernel_shape=[3, 2], strides=[2, 3], pads=[1, 0, 0, 1]),
    "max-pool-ceil": pool("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "max-pool-dilated": pool("MaxPool", kernel_shape=[3, 2], dilations=[2, 3]),
    "max-pool-same": pool("MaxPool", kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_UPPER"),
    "max-pool-1d": pool("MaxPool", X3, kernel_shape=[3], strides=[2]),
    "average-pool": pool("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1),
    "average-pool-ceil": pool("AveragePool", kernel_shape=[2, 4], strides=[2, 3], ceil_mode=1),
    "global-average-pool": pool("GlobalAveragePool"),
    "global-max-pool-1d": pool("GlobalMaxPool", X3),
    "reduce-mean-image": Case("ReduceMean", Kind.POOL, constants={"axes": ints(2, 3)}, attributes={"keepdims": 0}),
    "reduce-mean-last": Case("ReduceMean", Kind.POOL, constants={"axes": ints(-1)}),
    "reduce-mean-attribute": Case("ReduceMean", Kind.POOL, attributes={"axes": [1], "keepdims": 0}, opset=13),
    "reduce-sum-all": Case("ReduceSum", Kind.POOL, attributes={"keepdims": 0}),
    "reduce-max": Case("ReduceMax", Kind.POOL, constants={"axes": ints(0, 2)}),
    "argmax": Case("ArgMax", Kind.POOL, attributes={"axis": 1, "keepdims": 0}, types={"y": TensorProto.INT64}),
    "add-broadcast": binary("Add", (2, 1, 5), (3, 1)),
    "sub": binary("Sub", (2, 3), (2, 3)),
    "pow": binary("Pow", (2, 3), (3,)),
    "max-of-two": binary("Max", (2, 3), (3,)),
    "mul-by-larger-constant": Case("Mul", Kind.ELEMENTWISE, {"x": (1, 5)}, {"c": weights(3, 5)}),
    "div-by-scalar": Case("Div", Kind.ELEMENTWISE, constants={"c": np.float32(2.5)}),
    **{op: unary(op, Kind.ELEMENTWISE) for op in ("Sqrt", "Exp", "Erf", "Neg", "Abs", "Log", "Reciprocal", "Floor")},
    **{
        op: unary(op, Kind.ACTIVATION)
        for op in (
            "Relu",
            "LeakyRelu",
            "Sigmoid",
            "HardSigmoid",
            "HardSwish",
            "Tanh",
            "Gelu",
            "Elu",
            "Selu",
            "Softplus",
            "Clip",
            "Softsign",
            "Celu",
            "Mish",
        )
    },
    "prelu": Case("PRelu", Kind.ACTIVATION, constants={"s": weights(6, 1, 1)}),
    "softmax": unary("Softmax", Kind.SOFTMAX, axis=1),
    "log-softmax": unary("LogSoftmax", Kind.SOFTMAX),
    "batch-norm": Case(
        "BatchNormalization", Kind.NORMALISATION, constants={name: np.abs(weights(6)) + 1 for name in "sbmv"}
    ),
    "instance-norm": Case("InstanceNormalization", Kind.NORMALISATION, constants={name: weights(6) for name in "sb"}),
    "layer-norm": Case("LayerNormalization", Kind.NORMALISATION, constants={name: weights(13) for name in "sb"}),
    "group-norm": Case(
        "GroupNormalization",
        Kind.NORMALISATION,
        constants={name: weights(6) for name in "sb"},
        attributes={"num_groups": 3},
        opset=21,
    ),
    "lrn": unary("LRN", Kind.NORMALISATION, size=5),
    "concat": Case("Concat", Kind.CONCATENATION, {"a": (2, 3, 5), "b": (2, 4, 5)}, attributes={"axis": -2}),
    "concat-class-token": Case("Concat", Kind.RESHAPE, {"x": (2, 3, 5)}, {"c": weights(2, 1, 5)}, {"axis": 1}, "c x"),
    "reshape": moved("Reshape", shape=ints(0, -1, 26)),
    "flatten": moved("Flatten", attributes={"axis": 2}),
    "transpose": moved("Transpose", attributes={"perm": [3, 0, 2, 1]}),
    "squeeze": moved("Squeeze", (2, 1, 5, 1), axes=ints(1)),
    "unsqueeze": moved("Unsqueeze", axes=ints(0, -1)),
    "slice": moved("Slice", starts=ints(1, -5), ends=ints(9, 99), axes=ints(2, 3), steps=ints(3, 2)),
    "split": moved("Split", outputs="y z", split=ints(2, 4), attributes={"axis": 1}),
    "split-three": moved("Split", outputs="y z v", attributes={"axis": 1, "num_outputs": 3}),
    "pad": moved("Pad", pads=ints(0, 0, 1, 2, 0, 0, 3, 4)),
    "expand": moved("Expand", (6, 1), shape=ints(3, 1, 5)),
    "tile": moved("Tile", (2, 3), repeats=ints(2, 5)),
    "gather-one": moved("Gather", indices=np.int64(3), attributes={"axis": 3}),
    "gather-some": moved("Gather", indices=ints(3, 1, 4), attributes={"axis": 3}),
    "cast": Case("Cast", Kind.RESHAPE, attributes={"to": TensorProto.INT32}, types={"y": TensorProto.INT32}),
    "depth-to-space": moved("DepthToSpace", (2, 12, 5, 7), attributes={"blocksize": 2}),
    "space-to-depth": moved("SpaceToDepth", (2, 3, 4, 6), attributes={"blocksize": 2}),
    "resize": Case("Resize", Kind.RESHAPE, constants={"s": np.array([1, 1, 2, 3], np.float32)}, operands="x - s"),
    "upsample": moved("Upsample", X4, 9, s=np.array([1, 1, 2, 3], np.float32)),
    "embedding": Case(
        "Gather", Kind.RESHAPE, {"i": (2, 7)}, {"t": weights(31, 5)}, operands="t i", types={"i": TensorProto.INT64}
    ),
    "einsum": Case("Einsum", Kind.MATMUL, {"a": (2, 3, 5, 7), "b": (2, 11, 5, 7)}, {}, {"equation": "bqhd,bkhd->bhqk"}),
    "einsum-constant": Case(
        "Einsum", Kind.MATMUL, {"x": (2, 3, 5)}, {"w": weights(5, 7, 11)}, {"equation": "abc,chd->ahbd"}
    ),
    "attention": attention((2, 3, 5, 7), (2, 3, 11, 7), (2, 3, 11, 13)),
    "attention-shared-heads": attention((2, 6, 5, 7), (2, 3, 11, 7), (2, 3, 11, 13)),
    "attention-flat": attention((2, 5, 42), (2, 11, 21), (2, 11, 39), q_num_heads=6, kv_num_heads=3),
    "lstm": recurrent("LSTM", 4, "y h c"),
    "lstm-bidirectional": recurrent("LSTM", 4, "y h c", 2),
    "lstm-last-state": recurrent("LSTM", 4, "- h"),
    "gru": recurrent("GRU", 3, "y h", linear_before_reset=1),
    "gru-bidirectional": recurrent("GRU", 3, "y h", 2),
    "rnn-reverse": recurrent("RNN", 1, "y h", direction="reverse"),
}


def _model(case: Case) -> Any:
    operands = case.operands or " ".join([*case.inputs, *case.constants])
    outputs = [name for name in case.outputs.split() if name != "-"]
    made = node(case.op, operands, case.outputs, "n", **case.attributes)
    # an identity behind each result shows which layer computes it
    shown = [helper.make_node("Identity", [name], [f"{name}.out"], f"show.{name}") for name in outputs]
    types = {**case.types, **{f"{name}.out": case.types.get(name, TensorProto.FLOAT) for name in outputs}}
    return model(
        [made, *shown],
        case.inputs,
        dict.fromkeys(f"{name}.out" for name in outputs),
        constants=case.constants,
        opset=case.opset,
        elem=types,
    )


def _arrays(case: Case) -> dict[str, np.ndarray]:
    integer = {name for name, elem in case.types.items() if elem == TensorProto.INT64}
    return {name: np.ones(shape, np.int64 if name in integer else np.float32) for name, shape in case.inputs.items()}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_operator_gives_the_shape_that_onnxruntime_computes(case: Case, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is the oracle of shapes")
    proto = _model(case)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = {
        output.name: value.shape
        for output, value in zip(session.get_outputs(), session.run(None, _arrays(case)), strict=True)
    }
    net = network(proto, tmp_path)
    shown = {
        layer.name.removeprefix("show.") + ".out": layer.output_shape
        for layer in net.layers
        if layer.name.startswith("show.")
    }
    assert shown == expected
    assert net.unsupported == {}
    kinds = [layer.kind for layer in net.layers if not layer.name.startswith("show.")]
    assert case.kind in kinds
    if case.kind is not Kind.RESHAPE:
        assert [kind for kind in kinds if kind is not Kind.RESHAPE][-1] == case.kind
