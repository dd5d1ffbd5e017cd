"""Forty shapes that a CPU's constants are fitted on: small networks of layers that no workload has.

Layers whose names begin with "source" or "sink", and some of the recurrent cell's, are there so that the others read
and write what inner layers do; they are not fitted on.
"""

from __future__ import annotations

from hwsim.ir import Network, NetworkBuilder
from hwsim.ir.layer import Layer
from hwsim.ir.recurrent import recurrent

BESIDE = ("source", "sink")
"""How names of layers begin that are not fitted on."""

OF_CELL = frozenset(
    f"lstm.{name}"
    for name in (
        "recurrent_gates", "gates", "g.sum", "i", "f", "o", "g", "cell_tanh", "keep", "write", "hidden", "sequence",
    )
)  # fmt: skip
"""The layers of the recurrent cell that are: eight of them are of three shapes."""


def calibration_networks() -> tuple[Network, ...]:
    """Return the networks."""
    return images(), mobile(), vectors(), batches(), cell()


def is_fitted_on(layer: Layer) -> bool:
    """Return whether constants are fitted on a layer of the networks."""
    if layer.name.startswith("lstm."):
        return layer.name in OF_CELL
    return not layer.name.startswith(BESIDE)


def call() -> Network:
    """Return a product that takes next to no time: what a run of it takes beyond its layer is what calling takes."""
    net = NetworkBuilder("calibration_call")
    net.linear("sink", net.input("x", (1, 16)), 16)
    return net.build()


def images() -> Network:
    """Return convolutions of one image, 3x3 and 1x1, with strides, a sum of two, and a classifier."""
    net = NetworkBuilder("calibration_images")
    x = _conv(net, "c1", net.input("x", (1, 3, 176, 176)), 48, 7, stride=2)
    x = _conv(net, "c3", net.pool("p1", x, 3, stride=2, padding=1), 80, 3)
    wide = _conv(net, "w4", x, 288, 1)
    x = _conv(net, "c5", wide, 112, 3, stride=2)
    both = _conv(net, "sink6", x, 416, 1, ""), _conv(net, "sink7", wide, 416, 1, "", stride=2)
    x = net.activation("r8", net.elementwise("a8", *both))
    x = _conv(net, "c11", _conv(net, "c9", x, 192, 3), 320, 3, stride=2)
    x = _conv(net, "c14", _conv(net, "w12", x, 1152, 1), 448, 3, stride=2)
    x = net.flatten("sink8", net.global_pool("g16", _conv(net, "w15", x, 1920, 1)))
    net.softmax("s18", net.linear("fc17", x, 720))
    return net.build()


def mobile() -> Network:
    """Return depthwise and narrow 1x1 convolutions."""
    net = NetworkBuilder("calibration_mobile")
    x = _conv(net, "c19", net.input("x", (1, 3, 144, 144)), 48, 3, "relu6", stride=2)
    x = net.elementwise("a22", _depthwise(net, "d20", x, 1), x)
    x = _depthwise(net, "d23", _conv(net, "w21", x, 160, 1, "relu6"), 2)
    x = _conv(net, "sink26", _conv(net, "w24", x, 48, 1, ""), 272, 1, "relu6")
    x = _conv(net, "w27", _depthwise(net, "d25", x, 2), 88, 1, "relu6")
    net.global_pool("sink1", x)
    return net.build()


def vectors() -> Network:
    """Return products of a vector, of eight and of many, by matrices."""
    net = NetworkBuilder("calibration_vectors")
    net.activation("r32", net.linear("fc32", net.input("x", (1, 9000)), 5000))
    net.activation("r34", net.linear("fc34", net.input("y", (8, 1800)), 2600))
    net.linear("fc35", net.input("z", (192, 640)), 1100)
    return net.build()


def batches() -> Network:
    """Return grouped 5x5 filters with local response normalisation behind, and six images to a classifier."""
    net = NetworkBuilder("calibration_batches")
    x = _conv(net, "source1", net.input("x", (1, 3, 30, 30)), 64, 1)
    x = net.normalisation("lrn", _conv(net, "g37", x, 160, 5, groups=2), "local_response")
    net.global_pool("sink2", _conv(net, "sink3", net.pool("p2", x, 2), 32, 1))
    y = _conv(net, "c31", _conv(net, "source2", net.input("y", (6, 3, 40, 40)), 56, 1), 72, 3)
    y = net.global_pool("g40", _depthwise(net, "d33", _conv(net, "w32", y, 208, 1), 2, "relu"))
    net.softmax("s41", net.linear("sink5", net.flatten("sink9", y), 880))
    return net.build()


def cell() -> Network:
    """Return a small LSTM."""
    net = NetworkBuilder("calibration_cell")
    recurrent(net, "lstm", net.input("x", (1, 20, 300)), 720)
    return net.build()


def _conv(
    net: NetworkBuilder,
    name: str,
    x: str,
    channels: int,
    kernel: int,
    activation: str = "relu",
    *,
    stride: int = 1,
    groups: int = 1,
) -> str:
    x = net.conv(name, x, channels, kernel, stride=stride, padding=kernel // 2, groups=groups)
    return net.activation(f"{name}_{activation}", x, activation) if activation else x


def _depthwise(net: NetworkBuilder, name: str, x: str, stride: int, activation: str = "relu6") -> str:
    channels = net.shape_of(x)[1]
    return _conv(net, name, x, channels, 3, activation, stride=stride, groups=channels)
