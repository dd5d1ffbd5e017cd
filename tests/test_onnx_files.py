"""Malformed, contradicting and hostile ONNX files end in one sentence, never in a traceback."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_exports
import pytest
from onnx import TensorProto, helper
from onnx_models import Dims, model, network, node, save, weights

import hwsim.ir.onnx.model
from hwsim.errors import HwsimError, InputError, UsageError
from hwsim.ir.network import Network
from hwsim.ir.onnx.importer import onnx_network


def _fault(proto: Any, folder: Path, **options: Any) -> str:
    """Return the sentence that importing a model ends with."""
    with pytest.raises(InputError) as caught:
        network(proto, folder, **options)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def _relu(x: Dims = (2, 5), y: Dims = (2, 5), nodes: Sequence[Any] = (), **options: Any) -> Any:
    return model(nodes or [node("Relu", "x", "y", "relu")], {"x": x}, {"y": y}, **options)


def test_file_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no ONNX file at '.*absent\.onnx'"):
        onnx_network(tmp_path / "absent.onnx")


def test_directory_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a file"):
        onnx_network(tmp_path)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "is empty"),
        (b"not a model at all, but a line of text\n", "does not decode"),
        (bytes(range(256)), "does not decode|not a valid model"),
        (b"\x08\x08", "not a valid model"),
    ],
)
def test_file_that_is_no_model_is_refused(data: bytes, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(data)
    with pytest.raises(InputError, match=fault):
        onnx_network(path)


def test_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hwsim.ir.onnx.model, "MAX_BYTES", 50)
    assert "larger than the 50 bytes" in _fault(_relu(), tmp_path)


def test_nodes_out_of_order_are_refused(tmp_path: Path) -> None:
    nodes = [node("Relu", "a", "y", "late"), node("Relu", "x", "a", "early")]
    assert "node 'late' reads 'a', which a later node computes" in _fault(_relu(nodes=nodes), tmp_path)


def test_cycle_is_refused(tmp_path: Path) -> None:
    nodes = [node("Add", "x b", "a", "one"), node("Relu", "a", "b", "two"), node("Relu", "b", "y", "three")]
    assert "not sorted, or form a cycle" in _fault(_relu(nodes=nodes), tmp_path)


def test_node_that_reads_nothing_known_is_refused(tmp_path: Path) -> None:
    assert "node 'n' reads 'ghost', which nothing computes" in _fault(
        _relu(nodes=[node("Add", "x ghost", "y", "n")]), tmp_path
    )


def test_output_that_nothing_computes_is_refused(tmp_path: Path) -> None:
    assert "nothing computes the output 'y'" in _fault(_relu(nodes=[node("Relu", "x", "a")]), tmp_path)


@pytest.mark.parametrize("size", [0, -3])
def test_size_below_one_is_refused(size: int, tmp_path: Path) -> None:
    assert f"input 'x' has size {size} in dimension 1" in _fault(_relu((2, size), None), tmp_path)


def test_open_dimension_that_is_not_the_batch_is_named(tmp_path: Path) -> None:
    assert "input 'x' has no size for its dimension 1 (length)" in _fault(_relu(("batch", "length"), None), tmp_path)
    assert "input 'x' has no size for its dimension 1;" in _fault(_relu(("batch", None), None), tmp_path)


def test_batch_may_be_any_dimension_that_is_called_so(tmp_path: Path) -> None:
    assert network(_relu((7, "batch_size", 3), None), tmp_path, batch=5).layers[0].output_shape == (7, 5, 3)
    assert network(_relu((None, 3), None), tmp_path, batch=5).layers[0].output_shape == (5, 3)


def test_other_batch_than_a_fixed_one_is_refused(tmp_path: Path) -> None:
    assert "batch 3 is not possible" in _fault(_relu(), tmp_path, batch=3)
    assert network(_relu(), tmp_path, batch=2).batch == 2
    assert "batch 0 must be at least 1" in _fault(_relu(), tmp_path, batch=0)


@pytest.mark.parametrize(("value_info", "y"), [({"a": (2, 7)}, (2, 5)), ({}, (2, 7)), ({}, (2, 5, 1))])
def test_declared_shape_that_contradicts_is_named_with_both_shapes(
    value_info: Mapping[str, Dims], y: Dims, tmp_path: Path
) -> None:
    nodes = [node("Relu", "x", "a", "one"), node("Relu", "a", "y", "two")]
    fault = _fault(_relu(nodes=nodes, y=y, value_info=value_info), tmp_path)
    wrong = next(iter(value_info.values()), y)
    assert f"tensor '{'a' if value_info else 'y'}' has shape {wrong} as declared in the file" in fault
    assert "(2, 5)" in fault


def test_declared_shape_with_a_symbol_agrees_with_any_size(tmp_path: Path) -> None:
    assert network(_relu(y=(2, "features")), tmp_path).layers[0].output_shape == (2, 5)


def test_initializer_declared_with_another_shape_is_refused(tmp_path: Path) -> None:
    proto = model(
        [node("MatMul", "x w", "y")], {"x": (3, 5), "w": (5, 11)}, {"y": None}, constants={"w": weights(5, 7)}
    )
    assert "tensor 'w' has shape (5, 11) as declared" in _fault(proto, tmp_path)


@pytest.mark.parametrize(
    ("made", "x", "constants", "fault"),
    [
        (
            node("Conv", "x w", "y", "c"),
            (1, 5, 7, 7),
            {"w": (3, 4, 3, 3)},
            r"weight 'w' of shape \(3, 4, 3, 3\) does not convolve",
        ),
        (
            node("Conv", "x w b", "y", "c"),
            (1, 5, 7, 7),
            {"w": (3, 5, 3, 3), "b": (5,)},
            r"weight 'b' has shape \(5,\), but \(3,\)",
        ),
        (node("Conv", "x w", "y", "c", group=2), (1, 6, 7, 7), {"w": (3, 3, 3, 3)}, "do not divide into 2 groups"),
        (node("Conv", "x w", "y", "c"), (1, 5, 2, 7), {"w": (3, 5, 3, 3)}, "the filter reaches over 3 rows"),
        (
            node("Conv", "x w", "y", "c", strides=[1]),
            (1, 5, 7, 7),
            {"w": (3, 5, 3, 3)},
            r"strides \(1,\) needs 2 numbers",
        ),
        (
            node("Conv", "x w", "y", "c", strides=[0, 1]),
            (1, 5, 7, 7),
            {"w": (3, 5, 3, 3)},
            r"strides \[0, 1\] must be at least 1",
        ),
        (node("Gemm", "x w", "y", "c"), (3, 5), {"w": (7, 11)}, r"weight 'w' \(7, 11\) does not multiply \(3, 5\)"),
        (node("MatMul", "x w", "y", "c"), (3, 5), {"w": (7, 11)}, r"weight 'w' \(7, 11\) does not multiply \(3, 5\)"),
        (node("Add", "x w", "y", "c"), (3, 5), {"w": (7,)}, r"shapes \(3, 5\) and \(7,\) do not broadcast"),
        (node("Concat", "x x w", "y", "c", axis=0), (3, 5), {"w": (1, 7)}, "do not join along axis 0"),
        (
            node("LSTM", "x w r", "y", "c", hidden_size=3),
            (7, 2, 5),
            {"w": (1, 12, 4), "r": (1, 12, 3)},
            r"\(1, 12, 5\) is needed",
        ),
    ],
)
def test_weight_that_does_not_fit_is_named(
    made: Any, x: tuple[int, ...], constants: Mapping[str, tuple[int, ...]], fault: str, tmp_path: Path
) -> None:
    proto = model([made], {"x": x}, {"y": None}, constants={name: weights(*shape) for name, shape in constants.items()})
    with pytest.raises(InputError, match=fault):
        network(proto, tmp_path)


def test_reshape_to_another_number_of_elements_is_refused(tmp_path: Path) -> None:
    proto = model([node("Reshape", "x s", "y", "r")], {"x": (3, 5)}, {"y": None}, constants={"s": np.array([4, 4])})
    assert "layer 'r': 15 elements of shape (3, 5) do not fill (4, 4)" in _fault(proto, tmp_path)


def test_operator_whose_shape_is_unknown_is_named(tmp_path: Path) -> None:
    proto = model([node("NonZero", "x", "y", "find")], {"x": (3, 5)}, {"y": None}, elem={"y": TensorProto.INT64})
    assert "the shape of 'y', which the NonZero operator 'find' computes, is unknown" in _fault(proto, tmp_path)


def test_function_that_calls_itself_is_refused(tmp_path: Path) -> None:
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("local", 1)]
    functions = [
        helper.make_function(
            "local", name, ["a"], ["b"], [helper.make_node(called, ["a"], ["b"], domain="local")], imports
        )
        for name, called in (("f", "g"), ("g", "f"))
    ]
    call = helper.make_node("f", ["x"], ["y"], domain="local")
    assert "a function 'f' that calls itself" in _fault(
        _relu(nodes=[call], domains=["local"], functions=functions), tmp_path
    )


def test_functions_that_multiply_without_end_are_refused(tmp_path: Path) -> None:
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("local", 1)]
    functions = []
    for level in range(9):
        calls = [
            helper.make_node(
                f"f{level + 1}" if level < 8 else "Relu", [f"v{i}"], [f"v{i + 1}"], domain="local" if level < 8 else ""
            )
            for i in range(10)
        ]
        functions.append(helper.make_function("local", f"f{level}", ["v0"], ["v10"], calls, imports))
    call = helper.make_node("f0", ["x"], ["y"], domain="local")
    assert "more than 1000000 nodes" in _fault(_relu(nodes=[call], domains=["local"], functions=functions), tmp_path)


def test_constant_that_would_fill_the_memory_is_not_computed(tmp_path: Path) -> None:
    nodes = [node("ConstantOfShape", "s", "w"), node("MatMul", "x w", "y", "product")]
    proto = model(nodes, {"x": (3, 2**20)}, {"y": None}, constants={"s": np.array([2**20, 2**20])})
    net = network(proto, tmp_path)
    assert net.macs == 3 * 2**40
    assert dict(net.tensors) == {}


def test_split_into_another_number_of_results_does_not_end_the_process(tmp_path: Path) -> None:
    nodes = [node("Split", "x", "a b c", "s", axis=1, num_outputs=2), node("Relu", "a", "y")]
    assert "splits into 2 and has 3 results" in _fault(_relu((2, 6), None, nodes=nodes), tmp_path)


@pytest.mark.parametrize(
    ("made", "constants", "fault"),
    [
        (node("Conv", "x w", "y", "c"), {"w": weights(2, 6)}, "weight 'w' has 2 dimensions, its input 4"),
        (node("ConvTranspose", "x w", "y", "c"), {"w": weights(6)}, "weight 'w' has 1 dimensions, its input 4"),
        (node("MaxPool", "x", "y", "c", kernel_shape=[2]), {}, "kernel_shape (2,) needs 2 numbers"),
        (node("DepthToSpace", "x", "y", "c", blocksize=2**40), {}, "blocksize 1099511627776 must be at least 1 and at"),
    ],
)
def test_node_on_which_onnx_ends_the_process_is_refused(
    made: Any, constants: Mapping[str, Any], fault: str, tmp_path: Path
) -> None:
    assert fault in _fault(model([made], {"x": (2, 12, 5, 7)}, {"y": None}, constants=constants), tmp_path)


def test_tensor_inside_a_node_in_another_file_is_refused(tmp_path: Path) -> None:
    tensor = TensorProto(name="w", data_type=1, dims=[2, 5], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../values.bin")
    nodes = [helper.make_node("Constant", [], ["w"], value=tensor), node("Add", "x w", "y")]
    assert "in another file" in _fault(_relu(nodes=nodes), tmp_path)


def test_name_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = save(_relu(), tmp_path)
    path.write_bytes(path.read_bytes().replace(b"relu", b"re\xff\xfe"))
    with pytest.raises(InputError, match="is not printable text"):
        onnx_network(path)


def _import(path: Path, data: bytes) -> Network | HwsimError:
    path.write_bytes(data)
    try:
        return onnx_network(path)
    except InputError as error:
        return error


@pytest.mark.parametrize("name", onnx_exports.NAMES)
def test_truncated_file_is_never_a_network_or_a_traceback(name: str, tmp_path: Path) -> None:
    data = (onnx_exports.DATA / f"torch_{name}.onnx").read_bytes()
    draw = random.Random(31)
    for end in draw.sample(range(1, len(data)), 50):
        assert isinstance(_import(tmp_path / "net.onnx", data[:end]), InputError | Network)


@pytest.mark.parametrize("name", onnx_exports.NAMES)
def test_flipped_bytes_give_a_network_or_one_sentence(name: str, tmp_path: Path) -> None:
    data = (onnx_exports.DATA / f"torch_{name}.onnx").read_bytes()
    draw, networks = random.Random(37), 0
    for _ in range(60):
        broken = bytearray(data)
        broken[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        outcome = _import(tmp_path / "net.onnx", bytes(broken))
        networks += isinstance(outcome, Network)
        assert isinstance(outcome, Network) or "\n" not in str(outcome)
    assert networks > 0
