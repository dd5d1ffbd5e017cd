"""Parameters, weights, names and unsupported operators of networks from ONNX files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import model, network, node, save, weights

from hwsim.ir.layer import Kind
from hwsim.ir.network import Network
from hwsim.ir.onnx.importer import onnx_network


def _linear(folder: Path, *nodes: Any, x: Any = ("batch", 5), batch: int = 1, **constants: Any) -> Network:
    return network(model(nodes, {"x": x}, {"y": None}, constants=constants), folder, batch=batch)


def test_bias_added_behind_a_matmul_is_counted_and_scalars_are_not(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "a", "product"), node("Add", "a b", "s", "bias"), node("Div", "s c", "y", "scale")]
    net = _linear(tmp_path, *nodes, w=weights(5, 7), b=weights(7), c=np.float32(3))
    assert {layer.name: layer.parameters for layer in net.layers} == {"product": 35, "bias": 7, "scale": 0}


def test_shared_matrix_is_counted_once_and_equal_vectors_in_each_layer(tmp_path: Path) -> None:
    nodes = [node("Gemm", "x w b", "a", "first"), node("Gemm", "a w b", "y", "second")]
    net = _linear(tmp_path, *nodes, w=weights(5, 5), b=weights(5))
    assert [layer.parameters for layer in net.layers] == [25 + 5, 5]
    assert "weight 'w' is shared by several layers and counted once" in net.notes


def test_weights_are_kept_and_named_as_weight_and_bias(tmp_path: Path) -> None:
    w, b, v = weights(5, 7), weights(7), weights(11, 7)
    nodes = [node("Gemm", "x w b", "a", "first"), node("Gemm", "a v", "y", "second", transB=1)]
    net = _linear(tmp_path, *nodes, w=w, b=b, v=v)
    first, second = net.layers
    assert (first.weights, second.weights) == (("w.T", "b"), ("v",))
    assert np.array_equal(net.tensors["w.T"], w.T)
    assert np.array_equal(net.tensors["b"], b)
    assert np.array_equal(net.tensors["v"], v)
    assert [net.tensors[layer.weights[0]].shape for layer in net.layers] == [(layer.K, layer.C) for layer in net.layers]


def test_batched_weights_are_the_groups_of_one_layer(tmp_path: Path) -> None:
    w = weights(3, 5, 7)
    net = _linear(tmp_path, node("MatMul", "x w", "y", "heads"), x=(2, 3, 11, 5), w=w)
    (layer,) = net.layers
    assert (layer.N, layer.G, layer.C, layer.K, layer.parameters) == (2 * 11, 3, 5, 7, 3 * 5 * 7)
    assert layer.macs == 2 * 3 * 11 * 5 * 7
    assert np.array_equal(net.tensors["w.T"], w.swapaxes(1, 2))


def test_transposed_initializer_is_folded_into_the_weight(tmp_path: Path) -> None:
    w = weights(7, 5)
    net = _linear(tmp_path, node("Transpose", "w", "t", perm=[1, 0]), node("MatMul", "x t", "y", "product"), w=w)
    assert len(net.layers) == 1
    assert net.layers[0].parameters == 35
    assert np.array_equal(net.tensors["t.T"], w)


def test_recurrent_weights_are_kept_in_the_order_of_the_gates_simulated(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is the oracle of values")
    w, r, b, x = weights(1, 44, 7), weights(1, 44, 11), weights(1, 88), weights(1, 2, 7)
    proto = model(
        [node("LSTM", "x w r b", "y h", "cell", hidden_size=11)],
        {"x": (1, 2, 7)},
        {"h": None},
        constants={"w": w, "r": r, "b": b},
    )
    net = network(proto, tmp_path)
    # the first step, from a state of zero: h = o tanh(i g), gates i f g o
    total = x[0] @ net.tensors["w[0]"].T + net.tensors["b[0].W"] + net.tensors["b[0].R"]
    i, _, g, o = np.split(total, 4, axis=1)
    hidden = np.tanh(np.tanh(g) / (1 + np.exp(-i))) / (1 + np.exp(-o))
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(hidden, session.run(["h"], {"x": x})[0][0], rtol=1e-5)
    assert net.macs == 2 * 44 * (7 + 11)
    assert net.parameters == 44 * 7 + 44 * 11 + 88


def test_last_cell_of_an_lstm_is_a_layers_result(tmp_path: Path) -> None:
    proto = model(
        [node("LSTM", "x w r", "- - c", "cell", hidden_size=11)],
        {"x": (3, 2, 7)},
        {"c": None},
        constants={"w": weights(1, 44, 7), "r": weights(1, 44, 11)},
    )
    net = network(proto, tmp_path)
    assert net.layers[-1].inputs == ("cell.cell",)
    assert net.layers[-1].output_shape == (1, 2, 11)


def test_shape_computed_from_an_open_batch_is_folded(tmp_path: Path) -> None:
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "n"),
        node("Unsqueeze", "n zeros", "u"),
        node("Concat", "u rest", "t", axis=0),
        node("Reshape", "x t", "y", "flat"),
    ]
    constants = {"zero": np.int64(0), "zeros": np.array([0]), "rest": np.array([-1])}
    net = _linear(tmp_path, *nodes, x=("batch", 3, 7), batch=5, **constants)
    assert [(layer.name, layer.output_shape) for layer in net.layers] == [("flat", (5, 21))]


def test_quantised_convolution_is_a_convolution_with_its_weight_and_bias(tmp_path: Path) -> None:
    constants = {
        "xs": np.float32(1),
        "xz": np.uint8(0),
        "w": np.ones((5, 3, 3, 3), np.int8),
        "ws": np.float32(1),
        "wz": np.int8(0),
        "ys": np.float32(1),
        "yz": np.uint8(0),
        "b": np.zeros(5, np.int32),
    }
    nodes = [
        node("QLinearConv", "x xs xz w ws wz ys yz b", "q", "conv"),
        node("DequantizeLinear", "q ys yz", "y", "real"),
    ]
    net = network(
        model(nodes, {"x": (1, 3, 11, 13)}, {"y": None}, constants=constants, elem={"x": TensorProto.UINT8}), tmp_path
    )
    assert [layer.kind for layer in net.layers] == [Kind.CONV, Kind.ELEMENTWISE]
    assert net.macs == 9 * 11 * 5 * 3 * 9
    assert net.parameters == 5 * 3 * 9 + 5


def test_dequantised_weight_is_the_weight_of_its_layer(tmp_path: Path) -> None:
    w = np.arange(35, dtype=np.int8).reshape(5, 7)
    nodes = [node("DequantizeLinear", "w s z", "d"), node("MatMul", "x d", "y", "product")]
    net = _linear(tmp_path, *nodes, w=w, s=np.float32(0.5), z=np.int8(3))
    assert np.array_equal(net.tensors["d.T"], (w.T.astype(np.float32) - 3) * 0.5)
    assert net.parameters == 35


def test_operators_that_are_not_simulated_are_listed_by_name(tmp_path: Path) -> None:
    branch = helper.make_graph([node("Relu", "a", "b")], "branch", [], [helper.make_tensor_value_info("b", 1, (2, 5))])
    nodes = [
        node("TopK", "x k", "v i", "top"),
        node("CumSum", "v zero", "a", "sum"),
        node("Cast", "i", "j", "indices", to=1),
        helper.make_node("If", ["flag"], ["c"], "choice", then_branch=branch, else_branch=branch),
        helper.make_node("Fancy", ["c", "j"], ["y"], "fancy", domain="com.example"),
    ]
    proto = model(
        nodes,
        {"x": (2, 7), "flag": ()},
        {"y": (2, 3)},
        constants={"k": np.array([5]), "zero": np.int64(0)},
        elem={"flag": TensorProto.BOOL},
        domains=["com.example"],
    )
    net = network(proto, tmp_path)
    assert net.unsupported == {"TopK": 1, "CumSum": 1, "If": 1, "com.example.Fancy": 1}
    assert {layer.name: layer.output_shape for layer in net.layers if layer.kind is Kind.UNSUPPORTED} == {
        "top": (2, 5),
        "sum": (2, 5),
        "choice": (2, 5),
        "fancy": (2, 3),
    }


def test_parameters_of_unsupported_operators_count_and_masks_do_not(tmp_path: Path) -> None:
    mask = np.triu(np.full((7, 7), -np.inf, np.float32), 1)
    nodes = [node("ConvTranspose", "x w b", "a", "up"), node("Add", "a m", "y", "mask")]
    net = _linear(tmp_path, *nodes, x=(1, 2, 5, 5), w=weights(2, 3, 3, 3), b=weights(3), m=mask)
    assert [layer.parameters for layer in net.layers] == [2 * 3 * 9 + 3, 0]
    assert net.unsupported == {"ConvTranspose": 1}


def test_dynamically_quantised_product_is_a_fully_connected_layer(tmp_path: Path) -> None:
    nodes = [
        node("DynamicQuantizeLinear", "x", "q s z", "quantise"),
        node("MatMulInteger", "q w z", "i", "product"),
        node("Cast", "i", "r", "real", to=TensorProto.FLOAT),
        node("Mul", "r s", "y", "scale"),
    ]
    net = _linear(tmp_path, *nodes, x=(3, 5), w=np.ones((5, 7), np.int8))
    assert net.unsupported == {}
    assert (net.macs, net.parameters) == (3 * 5 * 7, 35)
    assert net.layers[-1].inputs == ("real", "quantise.result1")


def test_convolution_over_three_dimensions_is_listed_as_unsupported(tmp_path: Path) -> None:
    net = _linear(tmp_path, node("Conv", "x w", "y", "volume"), x=(1, 2, 5, 7, 11), w=weights(3, 2, 3, 3, 3))
    assert net.unsupported == {"Conv": 1}
    assert net.layers[0].output_shape == (1, 3, 3, 5, 9)


def test_layers_without_names_are_called_after_operator_and_result_and_all_are_unique(tmp_path: Path) -> None:
    nodes = [
        node("Relu", "x", "a"),
        node("Relu", "a", "b", "x"),
        node("Relu", "b", "c", "same"),
        node("Relu", "c", "y", "same"),
    ]
    assert [layer.name for layer in _linear(tmp_path, *nodes).layers] == ["Relu_a", "x#2", "same", "same#2"]


def test_function_of_the_model_is_inlined(tmp_path: Path) -> None:
    body = [node("MatMul", "a b", "c", "product"), node("Relu", "c", "d")]
    function = helper.make_function("local", "dense", ["a", "b"], ["d"], body, [helper.make_opsetid("", 18)])
    calls = [
        helper.make_node("dense", ["x", "w"], ["h"], domain="local"),
        helper.make_node("dense", ["h", "v"], ["y"], domain="local"),
    ]
    proto = model(
        calls,
        {"x": (3, 5)},
        {"y": None},
        constants={"w": weights(5, 7), "v": weights(7, 11)},
        domains=["local"],
        functions=[function],
    )
    net = network(proto, tmp_path)
    assert net.macs == 3 * 5 * 7 + 3 * 7 * 11
    assert net.unsupported == {}


def test_operands_of_old_operator_sets_broadcast_along_their_axis(tmp_path: Path) -> None:
    nodes = [
        node("Add", "x b", "a", "bias", axis=1, broadcast=1),
        node("Mul", "a s", "y", "scale", axis=1, broadcast=1),
    ]
    proto = model(nodes, {"x": (2, 3, 5, 7), "s": (3, 5)}, {"y": None}, constants={"b": weights(3)}, opset=6)
    net = network(proto, tmp_path)
    assert [layer.output_shape for layer in net.layers] == [(2, 3, 5, 7), (1, 3, 5, 1), (2, 3, 5, 7)]
    assert net.parameters == 3


def test_external_weights_keep_their_shape_and_no_values(tmp_path: Path) -> None:
    proto = model([node("Gemm", "x w", "y", "dense")], {"x": (3, 5)}, {"y": None}, constants={"w": weights(5, 7)})
    tensor = proto.graph.initializer[0]
    tensor.CopyFrom(numpy_helper.from_array(weights(5, 7), "w"))
    (tmp_path / "values.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="values.bin")
    net = onnx_network(save(proto, tmp_path))
    assert (net.macs, net.parameters, net.layers[0].weights) == (105, 35, ("w.T",))
    assert dict(net.tensors) == {}
    assert any("1 weights are in other files" in note for note in net.notes)
