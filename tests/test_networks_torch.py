"""Shapes and parameters of the network families, and the shape inference beneath them, against PyTorch's."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.errors import InputError
from hwsim.ir import Kind, Layer, Network, NetworkBuilder

torch = pytest.importorskip("torch", reason="PyTorch is the oracle")
functional = torch.nn.functional

PACKAGE = "hwsim.workloads" if importlib.util.find_spec("hwsim.workloads") else "workloads"


def family(name: str) -> Callable[..., Network]:
    function: Callable[..., Network] = getattr(importlib.import_module(f"{PACKAGE}.{name}"), name)
    return function


@pytest.mark.parametrize(("cell", "module"), [("lstm", "LSTM"), ("gru", "GRU"), ("rnn", "RNN")])
@pytest.mark.parametrize(("layers", "inputs", "hidden"), [(1, 7, 11), (2, 13, 5), (3, 3, 3), (2, 650, 650)])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("biases", [0, 2])
def test_recurrent_parameters_are_those_of_torch(
    cell: str, module: str, layers: int, inputs: int, hidden: int, bidirectional: bool, biases: int
) -> None:
    theirs = getattr(torch.nn, module)(
        inputs, hidden, layers, bias=biases == 2, bidirectional=bidirectional, device="meta"
    )
    ours = family(cell)(layers, hidden, inputs, 2, bidirectional=bidirectional, biases=biases)
    assert ours.parameters == sum(parameter.numel() for parameter in theirs.parameters())


def torch_output(layer: Layer) -> tuple[int, ...]:
    """Return the shape that PyTorch gives the output of a convolution or pool with the record's own numbers."""
    top, left, bottom, right = layer.padding
    x = functional.pad(torch.empty(layer.input_shapes[0], device="meta"), (left, right, top, bottom))
    if layer.kind is Kind.POOL:
        return tuple(functional.max_pool2d(x, (layer.R, layer.S), layer.stride, dilation=layer.dilation).shape)
    weights = torch.empty((layer.G * layer.K, layer.C, layer.R, layer.S), device="meta")
    assert weights.numel() == layer.weight_elements
    return tuple(functional.conv2d(x, weights, None, layer.stride, 0, layer.dilation, layer.G).shape)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("alexnet", {}),
        ("alexnet", {"image": 199, "grouped": False}),
        ("vgg", {"depth": 19, "image": 97}),
        ("resnet", {"depth": 18}),
        ("resnet", {"depth": 50, "image": 113}),
        ("mobilenet", {"version": 1, "image": 101}),
        ("mobilenet", {"version": 2, "width": 0.35}),
    ],
)
def test_every_convolution_and_pool_has_the_output_shape_of_torch(name: str, parameters: dict[str, Any]) -> None:
    for layer in family(name)(**parameters).layers:
        if layer.kind in (Kind.CONV, Kind.POOL):
            assert torch_output(layer) == layer.output_shape, layer.name


def test_alexnet_rebuilt_in_torch_has_the_same_parameters_and_shapes() -> None:
    nn = torch.nn
    with torch.device("meta"):
        stages = [
            nn.Conv2d(3, 96, 11, 4),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(96, 256, 5, padding=2, groups=2),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(256, 384, 3, padding=1),
            nn.Conv2d(384, 384, 3, padding=1, groups=2),
            nn.Conv2d(384, 256, 3, padding=1, groups=2),
            nn.MaxPool2d(3, 2),
            nn.Flatten(),
            nn.Linear(9216, 4096),
            nn.Linear(4096, 4096),
            nn.Linear(4096, 1000),
        ]
        x = torch.empty(2, 3, 227, 227)
    kinds = (Kind.CONV, Kind.POOL, Kind.RESHAPE, Kind.MATMUL)
    layers = [layer for layer in family("alexnet")(batch=2).layers if layer.kind in kinds]
    for stage, layer in zip(stages, layers, strict=True):
        x = stage(x)
        assert tuple(x.shape) == layer.output_shape, layer.name
        assert sum(parameter.numel() for parameter in stage.parameters()) == layer.parameters, layer.name


PAIR = st.tuples(st.integers(1, 5), st.integers(1, 5))
EXTENT = st.tuples(st.integers(1, 23), st.integers(1, 23))


def both(theirs: Callable[[], Any], ours: Callable[[NetworkBuilder], str]) -> None:
    """Assert that PyTorch and the builder give one shape, or both refuse."""
    net = NetworkBuilder("one layer")
    try:
        shape = tuple(theirs().shape)
    except RuntimeError:
        with pytest.raises(InputError):
            ours(net)
    else:
        assert net.shape_of(ours(net)) == shape


@given(
    extent=EXTENT,
    kernel=PAIR,
    stride=PAIR,
    dilation=PAIR,
    padding=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    groups=st.integers(1, 3),
    depth=st.integers(1, 6),
    channels=st.integers(1, 6),
)
@settings(max_examples=100, deadline=None)
def test_convolution_shapes_are_those_of_torch(
    extent: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: tuple[int, int],
    groups: int,
    depth: int,
    channels: int,
) -> None:
    inputs, outputs = depth * groups, channels * groups
    x, weights = torch.zeros(2, inputs, *extent), torch.zeros(outputs, depth, *kernel)
    both(
        lambda: functional.conv2d(x, weights, None, stride, padding, dilation, groups),
        lambda net: net.conv(
            "conv",
            net.input("x", (2, inputs, *extent)),
            outputs,
            kernel,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
        ),
    )


@given(extent=EXTENT, kernel=PAIR, stride=PAIR, dilation=PAIR, ceil_mode=st.booleans(), data=st.data())
@settings(max_examples=150, deadline=None)
def test_pool_shapes_are_those_of_torch(
    extent: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    ceil_mode: bool,
    data: st.DataObject,
) -> None:
    # PyTorch pads a pool by at most half its window
    padding = tuple(data.draw(st.integers(0, size // 2)) for size in kernel)
    x = torch.zeros(1, 2, *extent)
    both(
        lambda: functional.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode),
        lambda net: net.pool(
            "pool",
            net.input("x", (1, 2, *extent)),
            kernel,
            stride=stride,
            padding=padding,
            dilation=dilation,
            ceil_mode=ceil_mode,
        ),
    )


def test_ceil_mode_pools_an_image_smaller_than_its_window() -> None:
    # ceil((2 - 3) / 2) + 1 = 1
    net = NetworkBuilder("one layer")
    net.pool("pool", net.input("x", (1, 1, 2, 2)), 3, stride=2, ceil_mode=True)
    assert net.shape_of("pool") == tuple(functional.max_pool2d(torch.zeros(1, 1, 2, 2), 3, 2, ceil_mode=True).shape)


@given(extent=EXTENT, kernel=PAIR, stride=st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_padding_same_gives_ceil_of_input_over_stride(
    extent: tuple[int, int], kernel: tuple[int, int], stride: int
) -> None:
    net = NetworkBuilder("one layer")
    net.conv("conv", net.input("x", (1, 1, *extent)), 1, kernel, stride=stride, padding="same")
    assert net.shape_of("conv") == (1, 1, *[-(-size // stride) for size in extent])
