"""Random layers and random arrays for the tests: small enough to step, awkward enough to find mistakes."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from hypothesis import strategies as st

from hwsim import catalog
from hwsim.arch import Accelerator
from hwsim.chips.systolic import systolic
from hwsim.formats import NumberFormat
from hwsim.ir import Layer, Network, NetworkBuilder
from hwsim.mapping import ArrayMapping

DATAFLOWS = ("output_stationary", "weight_stationary", "input_stationary")
FORMATS = ("int8", "int16", "fp32")

SIDES = st.sampled_from([1, 2, 3, 4, 5, 7, 11])
"""Rows or columns of an array, one PE wide included."""

BUFFER_KIB = st.sampled_from([0.01, 0.05, 0.25, 1.0, 4.0, 64.0])
"""From 5 usable bytes to all of a small layer."""

BANDWIDTHS_GB_S = st.sampled_from([inf, 1000.0, 37.0, 5.0, 1 / 3, 0.07])
"""From no limit to half a bit per cycle, with rates that are no whole number of bits."""


def only(build: Callable[[NetworkBuilder], str]) -> Layer:
    """Return the last layer of a network that `build` makes."""
    net = NetworkBuilder("one")
    build(net)
    return net.build().layers[-1]


def conv(shape: tuple[int, int, int, int], channels: int, kernel: int | tuple[int, int], **parameters: Any) -> Layer:
    """Return a convolution of an image (N, C, H, W); parameters are those of `NetworkBuilder.conv`."""
    return only(lambda net: net.conv("conv", net.input("x", shape), channels, kernel, **parameters))


def linear(positions: int, reduction: int, features: int, steps: int = 1) -> Layer:
    """Return the product of (positions, reduction) by (reduction, features), `steps` times with the same weights."""
    return only(lambda net: net.linear("linear", net.input("x", (positions, reduction)), features, steps=steps))


def attention(groups: int, positions: int, reduction: int, features: int) -> Layer:
    """Return `groups` products of activations, (positions, reduction) by (reduction, features)."""
    return only(
        lambda net: net.matmul(
            "attention", net.input("a", (groups, positions, reduction)), net.input("b", (groups, reduction, features))
        )
    )


def network_of(*layers: Layer) -> Network:
    """Return a network of `layers`, each with inputs of its own."""
    net = NetworkBuilder("several")
    for index, layer in enumerate(layers):
        given = [net.input(f"x{index}.{i}", shape) for i, shape in enumerate(layer.input_shapes)]
        if layer.kind == "conv":
            net.conv(
                f"layer{index}",
                given[0],
                layer.G * layer.K,
                (layer.R, layer.S),
                stride=layer.stride,
                padding=layer.padding,
                dilation=layer.dilation,
                groups=layer.G,
            )
        elif len(given) == 2:
            net.matmul(f"layer{index}", *given)
        else:
            net.linear(f"layer{index}", given[0], layer.K, steps=layer.steps)
    return net.build()


@st.composite
def convolutions(draw: st.DrawFn, largest: int = 5) -> Layer:
    """Draw a convolution: grouped, strided, padded on four sides, dilated, with a filter that fits its padded input."""

    def upto(most: int) -> int:
        return draw(st.integers(1, most))

    groups, taps, spread = upto(3), (upto(4), upto(3)), (upto(2), upto(3))
    pad = tuple(draw(st.integers(0, 2)) for _ in range(4))
    reach = [d * (r - 1) + 1 for r, d in zip(taps, spread, strict=True)]
    height, width = (max(1, reach[i] - pad[i] - pad[i + 2]) + draw(st.integers(0, largest)) for i in (0, 1))
    return conv(
        (upto(2), groups * upto(largest), height, width),
        groups * upto(largest),
        taps,
        stride=(upto(3), upto(3)),
        padding=pad,
        dilation=spread,
        groups=groups,
    )


def products(largest: int = 29) -> st.SearchStrategy[Layer]:
    """Draw a matrix product: of weights, of a recurrent step, or of two activations."""
    size = st.integers(1, largest)
    return st.one_of(
        st.builds(linear, size, size, size),
        st.builds(linear, st.integers(1, 3), size, size, st.integers(2, 4)),
        st.builds(attention, st.integers(1, 3), size, size, size),
    )


def layers(largest: int = 29) -> st.SearchStrategy[Layer]:
    """Draw a convolution or a matrix product with sizes up to `largest`."""
    return st.one_of(convolutions(max(1, largest // 5)), products(largest))


def arrays() -> st.SearchStrategy[dict[str, Any]]:
    """Draw the parameters of a systolic array."""
    return st.fixed_dictionaries(
        {
            "rows": SIDES,
            "cols": SIDES,
            "ifmap_kib": BUFFER_KIB,
            "filter_kib": BUFFER_KIB,
            "ofmap_kib": BUFFER_KIB,
            "bandwidth_gb_s": BANDWIDTHS_GB_S,
            "drain": st.sampled_from(["array", "tile"]),
            "preload": st.sampled_from(["serial", "overlapped"]),
        }
    )


def placed(
    layer: Layer, dataflow: str, fmt: str = "int8", **parameters: Any
) -> tuple[ArrayMapping, Accelerator, NumberFormat]:
    """Return the mapping of `layer` on a systolic array of `parameters`, the array and the format."""
    chip, number_format = systolic(**parameters), catalog.number_format(fmt)
    mapping = catalog.dataflow(dataflow)(layer, chip, number_format)
    assert isinstance(mapping, ArrayMapping)
    return mapping, chip, number_format
