"""Building a network: loop bounds, parameters and states of its layers, and what is refused with the layer's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hwsim.errors import InputError
from hwsim.ir import Kind, Layer, Network, NetworkBuilder, Tensor
from hwsim.ir.builder import MAX_SIZE
from hwsim.ir.recurrent import recurrent


def started() -> NetworkBuilder:
    """Return a builder with inputs of several ranks."""
    net = NetworkBuilder("net")
    for name, shape in (
        ("image", (2, 6, 11, 7)),
        ("matrix", (3, 5)),
        ("sequence", (2, 7, 5)),
        ("other", (4, 5)),
        ("scalar", ()),
    ):
        net.input(name, shape)
    return net


def test_a_grouped_convolution_has_its_channels_per_group_and_its_parameters_once() -> None:
    net = started()
    net.conv("conv", "image", 9, (3, 2), stride=2, groups=3)
    layer = net.build().layers[0]
    assert (layer.N, layer.G, layer.K, layer.C, layer.P, layer.Q, layer.R, layer.S) == (2, 3, 3, 2, 5, 3, 3, 2)
    assert layer.output_shape == (2, 9, 5, 3)
    assert layer.parameters == 9 * 2 * 3 * 2 + 9
    assert layer.macs == 2 * 9 * 2 * 5 * 3 * 3 * 2
    assert layer.weight_elements == 9 * 2 * 3 * 2


def test_a_product_of_activations_broadcasts_its_leading_dimensions() -> None:
    net = NetworkBuilder("net")
    net.matmul("scores", net.input("a", (2, 3, 7, 5)), net.input("b", (3, 5, 11)))
    layer = net.build().layers[0]
    assert layer.output_shape == (2, 3, 7, 11)
    assert (layer.G, layer.N, layer.C, layer.K, layer.parameters) == (6, 7, 5, 11, 0)


def test_a_fully_connected_layer_keeps_all_but_the_last_dimension() -> None:
    net = started()
    net.linear("fc", "sequence", 11)
    layer = net.build().layers[0]
    assert (layer.output_shape, layer.N, layer.C, layer.K, layer.macs) == ((2, 7, 11), 14, 5, 11, 14 * 5 * 11)


def test_joining_adds_one_dimension_and_flattening_multiplies_all_but_the_first() -> None:
    net = started()
    net.concatenation("join", "matrix", "other", axis=0)
    net.concatenation("join_last", "matrix", "matrix", axis=-1)
    net.flatten("flat", "image")
    assert [net.shape_of(name) for name in ("join", "join_last", "flat")] == [(7, 5), (3, 10), (2, 6 * 11 * 7)]


def test_a_global_pool_is_one_window_per_channel() -> None:
    net = started()
    net.global_pool("pool", "image")
    layer = net.build().layers[0]
    assert (layer.output_shape, layer.R, layer.S, layer.operations) == ((2, 6, 1, 1), 11, 7, 2 * 6 * 77)


@pytest.mark.parametrize(("channels", "groups", "is_one_each"), [(6, 6, True), (12, 6, False), (6, 3, False)])
def test_a_depthwise_convolution_has_one_filter_for_every_channel(
    channels: int, groups: int, is_one_each: bool
) -> None:
    net = NetworkBuilder("net")
    net.conv("conv", net.input("image", (1, 6, 11, 7)), channels, 3, groups=groups)
    assert net.build().layers[0].is_depthwise == is_one_each


@pytest.mark.parametrize(("cell", "gates"), [("lstm", 4), ("gru", 3), ("rnn", 1)])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_recurrent_layers_carry_states_of_batch_by_hidden_and_return_the_sequence(
    cell: str, gates: int, bidirectional: bool
) -> None:
    net = NetworkBuilder("net")
    output = recurrent(net, "rec", net.input("x", (2, 7, 5)), 11, cell=cell, bidirectional=bidirectional)
    network = net.build()
    assert net.shape_of(output) == (2, 7, 22 if bidirectional else 11)
    states = [tensor for tensor in network.inputs if tensor.carried_from]
    assert len(states) == (2 if cell == "lstm" else 1) * (2 if bidirectional else 1)
    produced = {layer.name: layer.output_shape for layer in network.layers}
    for state in states:
        assert state.shape == produced[state.carried_from or ""] == (2, 11)
    assert network.states == {state.name: state.carried_from for state in states}
    recurrences = [layer for layer in network.layers if layer.name.endswith("recurrent_gates")]
    assert [(layer.N, layer.C, layer.K, layer.steps) for layer in recurrences] == [(2, 11, gates * 11, 7)] * len(
        recurrences
    )
    inputs = [layer for layer in network.layers if layer.name.endswith("input_gates")]
    assert [(layer.N, layer.C, layer.K, layer.steps) for layer in inputs] == [(14, 5, gates * 11, 1)] * len(inputs)


@pytest.mark.parametrize(("biases", "bias_vectors"), [(0, 0), (1, 1), (2, 2)])
def test_recurrent_parameters_have_the_bias_vectors_asked_for(biases: int, bias_vectors: int) -> None:
    net = NetworkBuilder("net")
    recurrent(net, "rec", net.input("x", (2, 7, 5)), 11, biases=biases)
    assert net.build().parameters == 4 * (11 * 5 + 11 * 11) + bias_vectors * 4 * 11


Refused = tuple[Callable[[NetworkBuilder], object], str]

REFUSED: list[Refused] = [
    (
        lambda net: net.conv("odd", "image", 8, 3, groups=4),
        "layer 'odd': 6 input and 8 output channels do not divide into 4",
    ),
    (lambda net: net.conv("odd", "image", 8, 3, groups=0), "layer 'odd': .* do not divide into 0 groups"),
    (lambda net: net.conv("odd", "image", 8, 12), "layer 'odd': the filter reaches over 12 rows, more than its .* 11"),
    (
        lambda net: net.conv("odd", "image", 8, (3, 3), dilation=(1, 4)),
        "layer 'odd': the filter reaches over 9 columns",
    ),
    (lambda net: net.conv("odd", "image", 8, 0), "layer 'odd': kernel 0x0 must be at least 1"),
    (lambda net: net.conv("odd", "image", 8, 3, stride=0), "layer 'odd': stride 0x0 must be at least 1"),
    (
        lambda net: net.conv("odd", "image", 8, 3, stride=0, padding="same"),
        "layer 'odd': stride 0x0 must be at least 1",
    ),
    (lambda net: net.conv("odd", "image", 8, 3, dilation=0), "layer 'odd': dilation 0x0 must be at least 1"),
    (lambda net: net.conv("odd", "image", 8, 3, padding=-1), "layer 'odd': padding .* must not be negative"),
    (
        lambda net: net.conv("odd", "image", 8, 3, padding="valid"),
        "layer 'odd': padding 'valid' is neither numbers nor 'same'",
    ),
    (
        lambda net: net.conv("odd", "image", 8, 3, padding=(1, 2, 3)),
        "padding of layer 'odd' needs one, two or four numbers",
    ),
    (lambda net: net.conv("odd", "image", 8, (1, 2, 3)), "kernel of layer 'odd' needs one number or two, not 3"),
    (lambda net: net.pool("odd", "image", 2, stride=()), "stride of layer 'odd' needs one number or two, not 0"),
    (lambda net: net.pool("odd", "image", 2, dilation=(1,)), "dilation of layer 'odd' needs one number or two, not 1"),
    (lambda net: net.conv("odd", "image", 0, 3), "'odd' has shape"),
    (
        lambda net: net.conv("odd", "matrix", 8, 3),
        r"layer 'odd' needs an image \(N, C, H, W\), but 'matrix' has shape \(3, 5\)",
    ),
    (lambda net: net.conv("odd", "nothing", 8, 3), "'nothing' is read before anything computes it"),
    (lambda net: net.pool("odd", "image", 13), "layer 'odd': the filter reaches over 13 rows"),
    (lambda net: net.pool("odd", "image", 2, stride=0), "layer 'odd': stride 0x0 must be at least 1"),
    (lambda net: net.pool("odd", "matrix", 2), "layer 'odd' needs an image"),
    (lambda net: net.global_pool("odd", "matrix"), "layer 'odd' needs an image"),
    (lambda net: net.linear("odd", "matrix", 0), "'odd' has shape"),
    (lambda net: net.linear("odd", "matrix", 2**31), "'odd' has shape .* every size must lie between 1 and 2147483647"),
    (
        lambda net: net.matmul("odd", "matrix", "other"),
        r"layer 'odd': no matrix product of shapes \(3, 5\) and \(4, 5\)",
    ),
    (lambda net: net.matmul("odd", "sequence", "image"), "layer 'odd': no matrix product"),
    (
        lambda net: net.elementwise("odd", "matrix", "other"),
        r"layer 'odd': shapes \(3, 5\) and \(4, 5\) do not broadcast",
    ),
    (
        lambda net: net.concatenation("odd", "matrix", "sequence", axis=0),
        "layer 'odd': shapes .* do not join along axis 0",
    ),
    (lambda net: net.concatenation("odd", "matrix", "other"), "layer 'odd': shapes .* do not join along axis 1"),
    (lambda net: net.concatenation("odd", "matrix", axis=2), r"layer 'odd': axis 2 does not exist in shape \(3, 5\)"),
    (
        lambda net: net.reshape("odd", "matrix", (4, -1)),
        r"layer 'odd': 15 elements of shape \(3, 5\) do not fill \(4, -1\)",
    ),
    (lambda net: net.reshape("odd", "matrix", (-1, -1)), "layer 'odd': 15 elements"),
    (lambda net: net.reshape("odd", "matrix", (-3, -5)), "layer 'odd': 15 elements"),
    (lambda net: net.input("matrix", (2, 2)), "two layers or inputs are named 'matrix'"),
    (lambda net: net.input("empty", (2, 0)), r"'empty' has shape \(2, 0\)"),
    (lambda net: net.activation("matrix", "other"), "two layers or inputs are named 'matrix'"),
    (
        lambda net: recurrent(net, "odd", "matrix", 5),
        r"layer 'odd' needs a sequence \(N, steps, features\), but 'matrix'",
    ),
    (
        lambda net: recurrent(net, "odd", "sequence", 5, cell="elman"),
        "layer 'odd': no recurrent cell 'elman'; there are: lstm",
    ),
    (lambda net: recurrent(net, "odd", "sequence", 0), "'odd.input_gates' has shape"),
    (lambda net: net.linear("odd", "scalar", 5), "layer 'odd' needs at least one dimension, but 'scalar' is a scalar"),
    (lambda net: net.flatten("odd", "scalar"), "layer 'odd' needs at least one dimension"),
    (lambda net: net.normalisation("odd", "scalar", "layer"), "layer 'odd' needs at least one dimension"),
    (lambda net: net.carry("nowhere", "matrix"), "'nowhere' is read before anything computes it"),
]


@pytest.mark.parametrize(("build", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_what_cannot_be_is_refused_with_the_name_of_the_layer(
    build: Callable[[NetworkBuilder], object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        build(started())


def test_a_network_without_layers_is_refused() -> None:
    with pytest.raises(InputError, match="network 'net' has no layers"):
        started().build()


def test_the_largest_size_is_allowed() -> None:
    net = NetworkBuilder("net")
    net.linear("fc", net.input("x", (MAX_SIZE, 1)), 1)
    assert net.build().macs == MAX_SIZE


def layer(**changes: Any) -> Layer:
    fields: dict[str, Any] = {
        "name": "fc",
        "kind": Kind.MATMUL,
        "inputs": ("x",),
        "input_shapes": ((3, 5),),
        "output_shape": (3, 7),
        "N": 3,
        "C": 5,
        "K": 7,
    }
    return Layer(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": ("y",)}, "layer 'fc' reads 'y', which no earlier layer computes"),
        ({"input_shapes": ((3, 4),)}, r"layer 'fc' reads 'x' as \(3, 4\), but it has shape \(3, 5\)"),
        ({"inputs": ("x", "x")}, "layer 'fc' names 2 inputs and 1 shapes"),
        ({"name": "x"}, "two layers or inputs are named 'x'"),
        ({"K": 0}, "layer 'fc' has a size below 1"),
        ({"steps": 0}, "layer 'fc' has a size below 1"),
        ({"output_shape": (3, 0)}, "layer 'fc' has a size below 1"),
    ],
)
def test_a_network_of_contradicting_layers_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Network("net", (Tensor("x", (3, 5)),), (layer(**changes),))


@pytest.mark.parametrize(("source", "found"), [("fc", r"\(3, 7\)"), ("gone", "None")])
def test_a_state_is_carried_from_a_layer_of_its_own_shape(source: str, found: str) -> None:
    with pytest.raises(InputError, match=rf"state 'h' \(3, 5\) is carried from '{source}', which has shape {found}"):
        Network("net", (Tensor("x", (3, 5)), Tensor("h", (3, 5), source)), (layer(),))


def test_densities_are_set_on_matrix_products_only() -> None:
    net = started()
    net.activation("relu", net.linear("fc", "matrix", 7))
    sparse = net.build().with_density(0.5, 0.25)
    assert [(layer.weight_density, layer.input_density) for layer in sparse.layers] == [(0.5, 0.25), (1.0, 1.0)]
