"""Densities that are measured, what is drawn where nothing is given, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import hwsim as command
from onnx_models import model, node, weights
from onnx_models import network as imported

import hwsim
from hwsim import catalog
from hwsim.errors import InputError, UsageError
from hwsim.functional.forward import densities, forward, zeros
from hwsim.functional.inputs import inputs_of, measured, read_array
from hwsim.ir import Network, NetworkBuilder

MLP = "mlp:hidden=13,inputs=7,classes=5"


def one(build: Callable[[NetworkBuilder, str], str], *shape: int) -> Network:
    net = NetworkBuilder("one")
    build(net, net.input("x", shape))
    return net.build()


def relu_between() -> Network:
    net = NetworkBuilder("relu_between")
    net.linear("second", net.activation("relu", net.linear("first", net.input("x", (1, 2)), 4)), 1)
    return net.build()


def test_densities_are_the_non_zeros_of_what_products_read() -> None:
    network = relu_between()
    # first gives 1, -2, -3 and 0 of x = (1, 2); behind the ReLU one of four is left
    tensors = {"first.weight": np.array([[1, 0], [0, -1], [-1, -1], [2, -1]])}
    values = forward(network, {"x": [[1.0, 2.0]]}, {"first.weight": tensors["first.weight"].astype(np.float32)})
    assert values["first"].tolist() == [[1, -2, -3, 0]]
    found = {layer.name: layer.input_density for layer in densities(network, values).layers}
    assert found == {"first": 1.0, "relu": 1.0, "second": 0.25}


def test_a_product_of_activations_has_the_density_of_both() -> None:
    net = NetworkBuilder("two")
    net.matmul("product", net.input("a", (2, 2)), net.input("b", (2, 5)))
    network = net.build()
    b = np.zeros((2, 5))
    b[1, 3] = 7
    (layer,) = densities(network, forward(network, {"a": [[1, 0], [2, 3]], "b": b})).layers
    assert (layer.input_density, layer.weight_density) == (0.75, 0.1)


def test_runs_of_zeros_are_counted_row_by_row() -> None:
    # 0 0 5 | 7 | 0 0 0 9 | 0
    found = zeros(np.array([[0, 0, 5, 7], [0, 0, 0, 9], [0, 1, 0, 0]], np.float32))
    assert found[:3] == (12, 8, 3)
    # four values, each with the zeros before it, and the two zeros left
    assert found.pairs == 5
    # 70 zeros and a value: 32 + 32 zeros as pairs whose level is a zero, and 6 before the value
    assert zeros(np.array([0] * 70 + [1], np.float32)) == (71, 70, 70, 3)
    assert zeros(np.zeros(64, np.float32)).pairs == 2
    assert zeros(np.zeros(65, np.float32)).pairs == 3
    assert zeros(np.array([0, 0, 0, 1], np.float32), longest_run=1).pairs == 2


def test_drawn_weights_keep_the_scale_of_activations_and_follow_the_seed() -> None:
    network = one(lambda net, x: net.linear("fc", x, 997), 1, 1009)
    x = {"x": np.ones((1, 1009))}
    first, again, other = (forward(network, x, seed=seed)["fc"] for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    # variance 2 / fan-in times 1009 ones
    assert first.var() == pytest.approx(2, rel=0.15)


def test_layers_that_share_the_name_of_a_weight_share_what_is_drawn() -> None:
    net = NetworkBuilder("tied")
    x = net.input("x", (1, 5))
    for name, tied in (("a", "w"), ("b", "w"), ("c", "v")):
        net.linear(name, x, 5, weights=(tied,))
    found = forward(net.build(), {"x": np.ones((1, 5))})
    np.testing.assert_array_equal(found["a"], found["b"])
    assert (found["a"] != found["c"]).any()


QUICK = {"alexnet", "resnet", "mobilenet", "densenet", "shufflenet", "squeezenet", "mlp", "lstm", "attention", "gpt2"}
"""Families that between them have every operator; the others take long."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in catalog.names("network")]
)
def test_every_operator_of_every_family_is_computed(name: str) -> None:
    small = {"alexnet": "image=67", "vgg": "image=32", "resnet": "image=32", "mobilenet": "image=32"}
    smaller = {
        "lstm": "hidden=13,inputs=7,steps=5",
        "tpu_apps": "app=MLP0,batch=1",
        "rnn": "hidden=13,inputs=7,steps=5",
    }
    smaller |= {"bert": "length=3", "vqa": "image=32", "vit": "image=32"}
    network = catalog.network(f"{name}:{(small | smaller).get(name, 'batch=1')}")
    if max((layer.weight_elements for layer in network.layers), default=0) > 2**25:
        pytest.skip("large weights are drawn in other tests")
    products = [layer for layer in measured(network, "random").layers if layer.is_mac]
    assert all(0 < layer.input_density <= 1 for layer in products)
    assert products[0].input_density == 1


def test_behind_a_relu_about_half_of_random_values_are_left() -> None:
    network = measured(catalog.network("alexnet:image=67"), "random")
    density = {layer.name: layer.input_density for layer in network.layers}
    assert density["conv4"] == pytest.approx(0.5, abs=0.1)
    # a maximum of nine is rarely zero
    assert density["conv2"] > 0.9


REFUSED: dict[str, tuple[Callable[[NetworkBuilder, str], str], str]] = {
    "transpose": (
        lambda net, x: net.layout("t", x, (4, 4, 3), "transpose"),
        r"layer 't': the network does not say which of its dimensions \(4, 3, 4\) become \(4, 4, 3\)",
    ),
    "gather": (lambda net, x: net.layout("g", x, (4, 2, 4), "gather"), "layer 'g': .* how 'gather' moves its elements"),
    "slice": (lambda net, x: net.layout("s", x, (4, 1, 4), "slice1"), "layer 's': .* say where its slice begins"),
    "slice of two": (lambda net, x: net.layout("s", x, (2, 1, 4), "slice0"), "layer 's': .* along which dimension"),
    "expand": (lambda net, x: net.layout("e", x, (4, 7, 4), "expand"), "layer 'e': .* is repeated to"),
    "embedding": (lambda net, x: net.layout("e", x, (4, 3, 4, 7), "embedding"), "layer 'e': .* table of its embedding"),
    "clip": (lambda net, x: net.activation("a", x, "clip"), "layer 'a': the values of activation 'clip' are not comp"),
    "group": (lambda net, x: net.normalisation("n", x, "group"), "layer 'n': the values of normalisation 'group'"),
    "constant": (lambda net, x: net.elementwise("e", x), r"layer 'e' \(add\) has a constant operand whose value"),
    "unknown": (lambda net, x: net.unsupported("u", [x], (4,), "Loop"), "layer 'u': operator Loop is not simulated"),
    "three": (lambda net, x: net.elementwise("e", x, x, x, function="pow"), "layer 'e': pow takes two operands, not 3"),
    "element": (lambda net, x: net.elementwise("e", x, x, function="bitshift"), "layer 'e': the values of elementwise"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_network_does_not_say_is_refused_with_the_layer_s_name(name: str) -> None:
    build, sentence = REFUSED[name]
    with pytest.raises(InputError, match=sentence):
        forward(one(build, 4, 3, 4), {"x": np.ones((4, 3, 4))})


def test_a_pooling_that_is_not_known_is_refused() -> None:
    with pytest.raises(InputError, match="layer 'p': the values of pooling 'lp' are not computed"):
        forward(one(lambda net, x: net.pool("p", x, 2, function="lp"), 1, 1, 4, 4), {"x": np.ones((1, 1, 4, 4))})


def test_a_reduction_over_other_than_the_last_dimensions_is_refused(tmp_path: Path) -> None:
    nodes = [node("ReduceMean", "x", "y", axes=[1], keepdims=0)]
    network = imported(model(nodes, {"x": (3, 5, 7)}, {"y": (3, 7)}, opset=13), tmp_path)
    with pytest.raises(InputError, match="does not say how 'gathered_rows' moves its elements"):
        forward(network, {"x": np.ones((3, 5, 7))})


def test_constants_on_an_unknown_side_and_integers_without_scale_are_refused(tmp_path: Path) -> None:
    proto = model([node("Sub", "c x", "y")], {"x": (2, 5)}, {"y": (2, 5)}, constants={"c": weights(5)})
    with pytest.raises(InputError, match="it is not known on which side"):
        forward(imported(proto, tmp_path), {"x": np.ones((2, 5))})
    network = one(lambda net, x: net.linear("fc", x, 3), 2, 5)
    with pytest.raises(InputError, match=r"tensor 'fc.weight' holds int8, whose scale is not known"):
        forward(network, {"x": np.ones((2, 5))}, {"fc.weight": np.ones((3, 5), np.int8)})
    with pytest.raises(InputError, match=r"tensor 'fc.weight' has shape \(5, 3\), but \(3, 5\) is needed"):
        forward(network, {"x": np.ones((2, 5))}, {"fc.weight": np.ones((5, 3))})


def test_embeddings_give_the_rows_of_their_table() -> None:
    net = NetworkBuilder("embedding")
    net.layout("table", net.input("words", (1, 3)), (1, 3, 2), "embedding")
    network, table = net.build(), np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    found = forward(network, {"words": [[2, 0, -2]]}, {"table.weight": table})
    assert found["table"].tolist() == [[[5, 6], [1, 2], [3, 4]]]
    with pytest.raises(InputError, match="indices 0 to 3 exceed 3 rows"):
        forward(network, {"words": [[0, 1, 3]]}, {"table.weight": table})


def test_inputs_must_be_those_of_the_network() -> None:
    network = relu_between()
    for inputs, sentence in (
        ({}, r"network 'relu_between' needs a value of shape \(1, 2\) for its input 'x'"),
        ({"x": np.ones((2, 1))}, r"input 'x' has shape \(2, 1\), but the network needs \(1, 2\)"),
        ({"x": np.ones((1, 2)), "z": 1}, "network 'relu_between' has no input 'z'; it has x"),
    ):
        with pytest.raises(InputError, match=sentence):
            forward(network, inputs)
    with pytest.raises(InputError, match="layer 'first' reads values that are not finite"):
        densities(network, forward(network, {"x": [[np.nan, 1]]}))


def test_files_are_read_for_a_batch_or_one_of_it(tmp_path: Path) -> None:
    path, image = tmp_path / "image.npy", np.arange(6, dtype=np.uint8).reshape(2, 3)
    for stored, shape in ((image, (2, 3)), (image, (5, 2, 3)), (image[None], (5, 2, 3))):
        np.save(path, stored)
        found = read_array(path, shape)
        assert found.shape == shape
        assert found.dtype == np.float32
        assert (found == image).all()


@pytest.mark.parametrize(
    ("stored", "sentence"),
    [
        (np.ones((3, 2)), r"has shape \(3, 2\), but the network needs \(2, 3\)"),
        (np.array([[1, None, 2]] * 2), "is no .npy file of real numbers"),
        (np.ones((2, 3), complex), "is no .npy file of real numbers"),
        (np.array([["a", "b", "c"]] * 2), "is no .npy file of real numbers"),
        (np.full((2, 3), np.inf), "holds values that are not finite"),
        (np.full((2, 3), 1e300), "holds values that are not finite"),
        (np.ones((100, 1000)), r"is larger than the 65632 bytes that are read"),
    ],
)
def test_files_of_anything_else_are_refused(tmp_path: Path, stored: Any, sentence: str) -> None:
    np.save(tmp_path / "x.npy", stored, allow_pickle=True)
    with pytest.raises(InputError, match=sentence):
        read_array(tmp_path / "x.npy", (2, 3))


def test_an_archive_and_a_text_are_no_npy_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", np.ones((2, 3)))
    (tmp_path / "x.txt").write_text("1 2 3", encoding="utf-8")
    for name in ("x.npz", "x.txt"):
        with pytest.raises(InputError, match=r"is no \.npy file of real numbers"):
            read_array(tmp_path / name, (2, 3))
    with pytest.raises(UsageError, match="no input at"):
        read_array(tmp_path / "absent.npy", (2, 3))


def test_a_file_holds_one_input() -> None:
    net = NetworkBuilder("two")
    net.elementwise("sum", net.input("a", (3,)), net.input("b", (3,)))
    with pytest.raises(InputError, match=r"has 2 inputs \(a, b\), but 'x.npy' holds one"):
        inputs_of(net.build(), "x.npy")


def test_a_run_measures_densities_first_and_says_on_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    vector = np.array([[1, 0, 2, 0, 0, 3, 0]], np.float32)
    np.save("x.npy", vector)
    ran = command("run", MLP, "--input", "x.npy", "--json")
    found = json.loads(ran.out)
    assert found["layers"][0]["input_density"] == pytest.approx(3 / 7)
    assert 0 < found["layers"][2]["input_density"] < 1
    assert any(
        note.startswith("densities of inputs are measured on 'x.npy'; the weights of 2") for note in found["notes"]
    )
    assert hwsim.simulate(MLP, inputs="x.npy").rows == found["layers"]
    assert command("run", MLP, "--input", "absent.npy").code == 2
    np.save("x.npy", vector.T)
    assert command("run", MLP, "--input", "x.npy").code == 3
    said = "densities of inputs are measured on random inputs (seed 5); the weights"
    assert any(note.startswith(said) for note in hwsim.simulate(MLP, inputs="random", seed=5).notes)


def with_header(text: str) -> bytes:
    """Return the bytes of an .npy file of that header and three numbers."""
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(12)


def test_a_header_that_python_2_wrote_is_read(tmp_path: Path) -> None:
    (tmp_path / "old.npy").write_bytes(with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1L, 3L)}"))
    assert read_array(tmp_path / "old.npy", (1, 3)).tolist() == [[0, 0, 0]]


NO_NPY = {
    "archive": b"PK\x03\x04" + bytes(9),
    "pickle": b"\x80\x04K\x01.",
    "cut": b"\x93NUMPY\x01\x00v\x00{",
    "deep": with_header("1+" * 3000 + "1"),
    "deeper": with_header("-" * 9000 + "1"),
    "no type": with_header("{'descr': (), 'fortran_order': False, 'shape': (1, 3)}"),
    "endless": with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 30 + ",)}"),
}


@pytest.mark.parametrize("content", NO_NPY.values(), ids=NO_NPY)
def test_a_file_that_is_no_npy_is_refused_in_a_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "input.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"is no \.npy file of real numbers"):
        read_array(tmp_path / "input.npy", (1, 3))
