"""A network with its backward pass: gradients as layers that equal those of torch, on every chip."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from strategies import conv, convolutions, linear, network_of

import hwsim
from hwsim import catalog
from hwsim.errors import InputError, UsageError
from hwsim.functional.lowering import input_matrix, weight_matrix
from hwsim.ir import Kind, Layer, Network, NetworkBuilder
from hwsim.ir.training import training

torch: Any = pytest.importorskip("torch", reason="torch's autograd is the reference for gradients")


def layer_of(network: Network, name: str) -> Layer:
    (found,) = (layer for layer in network.layers if layer.name == name)
    return found


def pads_within_reach(layer: Layer) -> bool:
    """Whether no side is padded by more than the kernel reaches beyond its first tap."""
    reach = [dilation * (taps - 1) for dilation, taps in zip(layer.dilation, (layer.R, layer.S), strict=True)]
    return all(pad <= most for pad, most in zip(layer.padding, reach * 2, strict=True))


def convolved(layer: Layer, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return what the loop nest of a convolution computes, (N, G K, P, Q); weights are (G, K, C, R, S)."""
    groups = [input_matrix(layer, x, g) @ weight_matrix(layer, weights, g) for g in range(layer.G)]
    stacked = np.stack(groups).reshape(layer.G, layer.N, layer.P, layer.Q, layer.K)
    return stacked.transpose(1, 0, 4, 2, 3).reshape(layer.output_shape)


def spread(layer: Layer, dy: np.ndarray) -> np.ndarray:
    (down, across), (rows, cols) = layer.stride, dy.shape[2:]
    out = np.zeros((*dy.shape[:2], (rows - 1) * down + 1, (cols - 1) * across + 1))
    out[:, :, ::down, ::across] = dy
    return out


@settings(max_examples=60, deadline=None)
@given(convolutions())
def test_gradients_of_a_convolution_are_those_of_torch(layer: Layer) -> None:
    assume(pads_within_reach(layer))
    trained, generator = training(network_of(layer), of_inputs=True), np.random.default_rng(3)
    shape = (layer.G, layer.K, layer.C, layer.R, layer.S)
    x, w = generator.standard_normal(layer.input_shapes[0]), generator.standard_normal(shape)
    dy = generator.standard_normal(layer.output_shape)
    tx = torch.tensor(x, requires_grad=True)
    tw = torch.tensor(w.reshape(-1, *shape[2:]), requires_grad=True)
    top, left, bottom, right = layer.padding
    padded = torch.nn.functional.pad(tx, (left, right, top, bottom))
    y = torch.nn.functional.conv2d(padded, tw, stride=layer.stride, dilation=layer.dilation, groups=layer.G)
    y.backward(torch.tensor(dy))

    turned = w[:, :, :, ::-1, ::-1].swapaxes(1, 2)
    backward = layer_of(trained, "layer0.input_gradient")
    assert np.allclose(convolved(backward, spread(layer, dy), np.ascontiguousarray(turned)), tx.grad.numpy())

    N, G, K, C = layer.N, layer.G, layer.K, layer.C
    by_channel = x.reshape(N, G, C, *x.shape[2:]).transpose(2, 1, 0, 3, 4).reshape(C, G * N, *x.shape[2:])
    kernels = dy.reshape(N, G, K, layer.P, layer.Q).transpose(1, 2, 0, 3, 4)
    learned = convolved(layer_of(trained, "layer0.weight_gradient"), by_channel, np.ascontiguousarray(kernels))
    expected = tw.grad.numpy().reshape(G, K, C, layer.R, layer.S).transpose(2, 0, 1, 3, 4)
    assert np.allclose(learned.reshape(expected.shape), expected)


@settings(max_examples=60, deadline=None)
@given(convolutions())
def test_backward_products_have_the_macs_of_the_forward_one_but_for_zeros(layer: Layer) -> None:
    assume(pads_within_reach(layer))
    trained = training(network_of(layer), of_inputs=True)
    assert layer_of(trained, "layer0.weight_gradient").macs == layer.macs
    backward = layer_of(trained, "layer0.input_gradient")
    # every output meets every tap of every input once; borders and zeros between strides come on top
    assert backward.macs == layer.N * layer.G * layer.K * layer.C * layer.R * layer.S * prod_of(layer)
    assert backward.input_density == pytest.approx(
        layer.P * layer.Q / (((layer.P - 1) * layer.stride[0] + 1) * ((layer.Q - 1) * layer.stride[1] + 1))
    )


def prod_of(layer: Layer) -> int:
    height, width = layer.input_shapes[0][2:]
    return height * width


def test_a_fully_connected_layer_has_two_products_backward() -> None:
    trained = training(network_of(linear(3, 7, 11)), of_inputs=True)
    back, learn = (layer_of(trained, f"layer0.{what}_gradient") for what in ("input", "weight"))
    assert (back.N, back.C, back.K) == (3, 11, 7)  # (3, 11) by (11, 7)
    assert (learn.N, learn.C, learn.K) == (11, 3, 7)  # (11, 3) by (3, 7)
    assert layer_of(trained, "layer0.update").output_shape == (11, 7)


def chain() -> Network:
    net = NetworkBuilder("chain")
    x = net.activation("relu", net.conv("conv", net.input("x", (1, 3, 13, 13)), 5, 3))
    a = net.pool("pool", net.normalisation("norm", x, "local_response"), 2)
    b = net.conv("one", a, 5, 1)
    x = net.flatten("flat", net.elementwise("sum", a, b))
    net.softmax("softmax", net.linear("fc", x, 7))
    return net.build()


def test_every_layer_passes_back_once_and_what_learns_is_updated() -> None:
    trained = training(chain())
    names = [layer.name for layer in trained.layers]
    assert [name for name in names if name.endswith(".update")] == ["fc.update", "one.update", "conv.update"]
    assert "conv.input_gradient" not in names  # nothing before the first layer learns
    assert "pool.gradient_sum" in names  # read twice, by the sum and by the convolution beside it
    assert trained.parameters == chain().parameters


@pytest.mark.parametrize("chip", ["systolic", "dadiannao", "dadiannao:nodes=4", "tpu_v1"])
def test_other_chips_train_the_same_layers(chip: str) -> None:
    result = hwsim.simulate(training(chain()), on=chip)
    assert result.total["macs"] == training(chain()).macs
    assert result.total["total_cycles"] > hwsim.simulate(chain(), on=chip).total["total_cycles"]


def test_any_network_is_trained_by_a_parameter() -> None:
    named, built = catalog.network("alexnet:training=true"), training(catalog.network("alexnet"))
    assert named == built
    assert named.spec == "alexnet:training=true"
    assert catalog.network("alexnet:training=false") == catalog.network("alexnet")
    # three products per layer, two of the first one, whose zeros are the stride's
    forward = catalog.network("alexnet")
    assert named.macs == 3 * forward.macs - forward.layers[0].macs
    inside = catalog.network("alexnet:training=inputs")
    assert inside == training(forward, of_inputs=True)
    assert (inside.spec, catalog.network(inside.spec)) == ("alexnet:training=inputs", inside)
    assert inside.macs > named.macs
    with pytest.raises(UsageError, match="training=perhaps"):
        catalog.network("alexnet:training=perhaps")


def test_what_has_no_known_gradient_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="cannot be trained"):
        catalog.network("lstm:training=true")
    padded = network_of(conv((1, 3, 5, 5), 3, 1, padding=1))
    with pytest.raises(InputError, match="pads by more than its kernel reaches"):
        training(padded, of_inputs=True)


@pytest.mark.parametrize(("fmt", "said"), [("fixed16", 1), ("fixed32", 0)])
def test_training_in_16_bits_on_nodes_says_that_it_does_not_converge(fmt: str, said: int) -> None:
    result = hwsim.simulate(training(chain()), on="dadiannao", format=fmt)
    assert sum("does not converge" in note for note in result.notes) == said
    assert not any("converge" in note for note in hwsim.simulate(chain(), on="dadiannao", format=fmt).notes)


def test_updates_take_no_time_of_their_own_where_results_pass_the_lanes() -> None:
    result = hwsim.simulate(training(chain()), on="systolic")
    rows = {row["layer"]: row for row in result.rows}
    assert rows["fc.update"]["total_cycles"] == 0
    assert rows["fc.update"]["fused_into"] == "fc.weight_gradient"


def test_a_step_of_training_on_nodes_is_the_same_closed_and_as_processes() -> None:
    closed, stepped = (
        hwsim.simulate(training(chain()), on="dadiannao:nodes=6", format="fixed32", fidelity=one)
        for one in ("closed", "stepped")
    )
    assert closed.rows == stepped.rows
    assert {row["placed_by"] for row in closed.rows} == {"", "positions", "outputs", "reduction", "update"}
    assert all(layer.kind in Kind for layer in closed.network.layers)
