"""Values of networks against torch and onnxruntime, which computed them from the same weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_models import model, node, save, weights

from hwsim.functional.elements import ACTIVATIONS
from hwsim.functional.forward import forward
from hwsim.functional.parameters import Array
from hwsim.ir import NetworkBuilder
from hwsim.ir.onnx.importer import onnx_network
from hwsim.ir.recurrent import recurrent

torch: Any = pytest.importorskip("torch", reason="torch is the oracle of these values")
F: Any = torch.nn.functional

Build = Callable[[NetworkBuilder, str], str]


def values(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def computed(build: Build, x: Array, **tensors: Array) -> Array:
    """Return what the last layer of a network makes of `x`; keywords are tensors, "__" standing for a dot."""
    net = NetworkBuilder("one")
    last = build(net, net.input("x", x.shape))
    named = {name.replace("__", "."): tensor for name, tensor in tensors.items()}
    return forward(net.build(), {"x": x}, named)[last]


def assert_close(found: Array, expected: Any) -> None:
    np.testing.assert_allclose(found, np.asarray(expected), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
    ("channels", "kernel", "options"),
    [
        (7, (3, 3), {}),
        (6, (5, 2), {"stride": (2, 3), "padding": (2, 1)}),
        (8, (3, 3), {"dilation": (2, 3), "padding": 3, "groups": 2}),
        (12, (3, 1), {"groups": 4, "stride": 2}),
    ],
)
def test_convolutions_are_torch_s(channels: int, kernel: tuple[int, int], options: dict[str, Any]) -> None:
    x, groups = values(1, 3, 4, 13, 11), options.get("groups", 1)
    weight, bias = values(2, channels, 4 // groups, *kernel), values(3, channels)

    def build(net: NetworkBuilder, given: str) -> str:
        return net.conv("conv", given, channels, kernel, **options)

    expected = F.conv2d(torch.tensor(x), torch.tensor(weight), torch.tensor(bias), **options)
    assert_close(computed(build, x, conv__weight=weight, conv__bias=bias), expected)


def test_padding_may_differ_on_every_side() -> None:
    x, weight = values(1, 1, 2, 7, 5), values(2, 3, 2, 3, 3)
    padded = F.pad(torch.tensor(x), (2, 0, 1, 3))  # left, right, top, bottom
    found = computed(lambda net, given: net.conv("conv", given, 3, 3, padding=(1, 2, 3, 0)), x, conv__weight=weight)
    assert_close(found, F.conv2d(padded, torch.tensor(weight)))


def test_fully_connected_layers_and_products_of_activations_are_torch_s() -> None:
    x, weight, bias = values(1, 3, 5, 7), values(2, 11, 7), values(3, 11)
    found = computed(lambda net, given: net.linear("fc", given, 11), x, fc__weight=weight, fc__bias=bias)
    assert_close(found, F.linear(torch.tensor(x), torch.tensor(weight), torch.tensor(bias)))
    net, b = NetworkBuilder("two"), values(2, 3, 7, 2)
    net.matmul("product", net.input("a", x.shape), net.input("b", b.shape))
    assert_close(forward(net.build(), {"a": x, "b": b})["product"], torch.tensor(x) @ torch.tensor(b))


@pytest.mark.parametrize(
    "options",
    [
        {"kernel": 3, "stride": 2},
        {"kernel": (3, 2), "stride": (1, 2), "padding": 1},
        {"kernel": 3, "stride": 2, "padding": 1, "ceil_mode": True},
        {"kernel": 2, "stride": 3, "dilation": (3, 2)},
    ],
)
def test_maximum_and_average_pooling_are_torch_s(options: dict[str, Any]) -> None:
    x, sizes = -np.abs(values(1, 2, 3, 11, 13)), dict(options)
    kernel = sizes.pop("kernel")
    found = computed(lambda net, given: net.pool("pool", given, **options), x)
    assert_close(found, F.max_pool2d(torch.tensor(x), kernel, **sizes))
    if "dilation" not in options:
        average = computed(lambda net, given: net.pool("pool", given, function="average", **options), x)
        assert_close(average, F.avg_pool2d(torch.tensor(x), kernel, count_include_pad=False, **sizes))


def test_global_pooling_leaves_one_value_per_channel() -> None:
    x = values(1, 2, 3, 5, 7)
    assert_close(computed(lambda net, given: net.global_pool("pool", given), x), x.mean((2, 3), keepdims=True))
    largest = computed(lambda net, given: net.global_pool("pool", given, function="max"), x)
    assert_close(largest, x.max((2, 3), keepdims=True))


TORCH_NAMES = {"swish": "silu", "hard_swish": "hardswish", "hard_sigmoid": "hardsigmoid"}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_functions_of_elements_are_torch_s(name: str) -> None:
    x = np.concatenate([values(1, 97) * 3, [0.0, 200.0, -200.0]]).astype(np.float32)
    function = getattr(F, TORCH_NAMES.get(name, name), None) or getattr(torch, name)
    assert_close(computed(lambda net, given: net.activation("act", given, name), x), function(torch.tensor(x)))


def test_normalisations_are_torch_s() -> None:
    x, scale, shift = values(1, 3, 5, 7, 2), values(2, 5), values(3, 5)
    mean, variance = values(4, 5), np.abs(values(5, 5))
    given = [torch.tensor(one) for one in (x, mean, variance, scale, shift)]
    found = computed(
        lambda net, x: net.normalisation("n", x),
        x,
        n__weight=scale,
        n__bias=shift,
        n__running_mean=mean,
        n__running_var=variance,
    )
    assert_close(found, F.batch_norm(*given))
    found = computed(lambda net, x: net.normalisation("n", x, "instance"), x, n__weight=scale, n__bias=shift)
    assert_close(found, F.instance_norm(given[0], weight=given[3], bias=given[4]))
    rows, by_feature = values(6, 3, 11, 5), {"n__weight": scale, "n__bias": shift}
    found = computed(lambda net, x: net.normalisation("n", x, "layer"), rows, **by_feature)
    assert_close(found, F.layer_norm(torch.tensor(rows), (5,), given[3], given[4]))
    found = computed(lambda net, x: net.normalisation("n", x, "rms"), rows, n__weight=scale)
    assert_close(found, F.rms_norm(torch.tensor(rows), (5,), given[3], eps=1e-5))
    # AlexNet's alpha is not divided by the window of 5, as torch's is
    found = computed(lambda net, x: net.normalisation("n", x, "local_response"), 20 * x)
    assert_close(found, F.local_response_norm(20 * given[0], 5, alpha=5e-4, beta=0.75, k=2))


def test_batch_normalisation_without_statistics_changes_nothing() -> None:
    x = values(1, 3, 5, 7, 2)
    assert_close(computed(lambda net, given: net.normalisation("n", given), x), x)


def test_softmax_is_torch_s() -> None:
    x = 50 * values(1, 3, 5, 7)
    assert_close(computed(lambda net, given: net.softmax("s", given), x), F.softmax(torch.tensor(x), -1))
    assert_close(computed(lambda net, given: net.softmax("s", given, "log"), x), F.log_softmax(torch.tensor(x), -1))


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_recurrent_layers_are_torch_s(cell: str, bidirectional: bool) -> None:
    torch.manual_seed(3)
    oracle = getattr(torch.nn, cell.upper())(5, 7, batch_first=True, bidirectional=bidirectional)
    x, net = values(1, 3, 11, 5), NetworkBuilder("recurrent")
    last = recurrent(net, "r", net.input("x", x.shape), 7, cell=cell, bidirectional=bidirectional)
    tensors = {}
    for direction, part in (("", "r.forward"), ("_reverse", "r.reverse")) if bidirectional else (("", "r"),):
        for letter, product in (("ih", "input_gates"), ("hh", "recurrent_gates")):
            for kind in ("weight", "bias"):
                tensor = getattr(oracle, f"{kind}_{letter}_l0{direction}")
                tensors[f"{part}.{product}.{kind}"] = tensor.detach().numpy()
    found = forward(net.build(), {"x": x}, tensors)
    assert_close(found[last], oracle(torch.tensor(x))[0].detach())
    # what runs in steps has the values of all of them, states from zero on
    hidden = found["r.forward.hidden" if bidirectional else "r.hidden"]
    assert hidden.shape == (11, 3, 7)
    state = found["r.forward.state" if bidirectional else "r.state"]
    assert not state[0].any()
    np.testing.assert_array_equal(state[1:], hidden[:-1])


def in_onnxruntime(path: Path, x: Array) -> list[Array]:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is the oracle of ONNX files")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found: list[Array] = session.run(None, {session.get_inputs()[0].name: x})
    return found


def test_an_imported_network_computes_what_onnxruntime_does() -> None:
    path = Path(__file__).parent / "data" / "torch_cnn.onnx"
    network = onnx_network(path, batch=2)
    x = values(1, *network.inputs[0].shape)
    found = forward(network, {network.inputs[0].name: x})
    assert_close(found[network.layers[-1].name], in_onnxruntime(path, x)[0])


def test_layouts_whose_shapes_leave_one_reading_are_onnxruntime_s(tmp_path: Path) -> None:
    nodes = [
        node("Transpose", "x", "t", perm=[2, 0, 1]),  # 3 x 5 x 7 to 7 x 3 x 5
        node("Split", "t parts", "a b c", axis=0),
        node("Concat", "c a b", "joined", axis=0),
        node("ReduceMean", "joined", "mean", axes=[2], keepdims=1),
        node("Sub", "joined mean", "centred"),
        node("MatMul", "centred w", "product"),
        node("Add", "product bias", "biased"),
        node("Flatten", "biased", "flat", axis=1),
        node("Gemm", "flat g gb", "y", transB=1),
    ]
    constants = {
        "parts": np.array([2, 1, 4]),
        "w": weights(5, 11),
        "bias": weights(11),
        "g": weights(13, 33),
        "gb": weights(13),
    }
    path = save(model(nodes, {"x": (3, 5, 7)}, {"y": (7, 13)}, constants=constants, opset=13), tmp_path)
    x, network = values(1, 3, 5, 7), onnx_network(path)
    assert_close(forward(network, {"x": x})[network.layers[-1].name], in_onnxruntime(path, x)[0])
