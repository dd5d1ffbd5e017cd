"""Inception v3: GoogLeNet's blocks with their large filters factored into 3x3, 1x7, 7x1, 1x3 and 3x1 ones.

Szegedy, Vanhoucke, Ioffe, Shlens & Wojna, "Rethinking the Inception architecture for computer vision", CVPR 2016,
Table 1 and Fig. 5 to 7, with the channels of the authors' TensorFlow-Slim code and of torchvision.
"""

from __future__ import annotations

from hwsim.ir import Network, NetworkBuilder

from ._blocks import Pair, at_least, conv_bn, images, named, pooled_classifier

SOURCE = "Szegedy et al., CVPR 2016, Table 1"

Conv = tuple[int, Pair, int, Pair]
"""Channels, filter, stride and padding."""

SEVEN_WIDE: Pair = (1, 7)
SEVEN_HIGH: Pair = (7, 1)


def inception(heads: bool = False, batch: int = 1, image: int = 299, classes: int = 1000) -> Network:
    """Return Inception v3 on `batch` images (N, 3, image, image).

    `heads=True` adds the auxiliary classifier of training, with an output of its own.
    Raises `InputError` for sizes below 1 and images below 75.
    """
    at_least("inception", 1, batch=batch, classes=classes)
    at_least("inception", 75, image=image)
    base = "inception_v3_heads" if heads else "inception_v3"
    net = NetworkBuilder(named(base, image=(image, 299), classes=(classes, 1000)))
    x = _stem(net, images(net, batch, image))
    for letter, pooled in (("b", 32), ("c", 64), ("d", 64)):
        x = _mixed_35(net, f"mixed5{letter}", x, pooled)
    x = _reduction_35(net, "mixed6a", x)
    for letter, inner in (("b", 128), ("c", 160), ("d", 160), ("e", 192)):
        x = _mixed_17(net, f"mixed6{letter}", x, inner)
    if heads:
        _head(net, x, classes)
    x = _reduction_17(net, "mixed7a", x)
    for letter in ("b", "c"):
        x = _mixed_8(net, f"mixed7{letter}", x)
    pooled_classifier(net, x, classes)
    return net.build(source=SOURCE)


def _stem(net: NetworkBuilder, x: str) -> str:
    x = _chain(net, "conv1", x, (32, 3, 2, 0), (32, 3, 1, 0), (64, 3, 1, 1))
    x = _chain(net, "conv2", net.pool("pool1", x, 3, stride=2), (80, 1, 1, 0), (192, 3, 1, 0))
    return net.pool("pool2", x, 3, stride=2)


def _mixed_35(net: NetworkBuilder, name: str, x: str, pooled: int) -> str:
    """Add a block at 35 x 35 positions (Fig. 5; its first 5x5 filter stays)."""
    return net.concatenation(
        f"{name}.output",
        _chain(net, f"{name}.1x1", x, (64, 1, 1, 0)),
        _chain(net, f"{name}.5x5", x, (48, 1, 1, 0), (64, 5, 1, 2)),
        _chain(net, f"{name}.3x3", x, (64, 1, 1, 0), (96, 3, 1, 1), (96, 3, 1, 1)),
        _projected(net, name, x, pooled),
    )


def _reduction_35(net: NetworkBuilder, name: str, x: str) -> str:
    return net.concatenation(
        f"{name}.output",
        _chain(net, f"{name}.3x3", x, (384, 3, 2, 0)),
        _chain(net, f"{name}.double", x, (64, 1, 1, 0), (96, 3, 1, 1), (96, 3, 2, 0)),
        net.pool(f"{name}.pool", x, 3, stride=2),
    )


def _mixed_17(net: NetworkBuilder, name: str, x: str, inner: int) -> str:
    """Add a block at 17 x 17 positions (Fig. 6)."""
    wide, high = (inner, SEVEN_WIDE, 1, (0, 3)), (inner, SEVEN_HIGH, 1, (3, 0))
    return net.concatenation(
        f"{name}.output",
        _chain(net, f"{name}.1x1", x, (192, 1, 1, 0)),
        _chain(net, f"{name}.7x7", x, (inner, 1, 1, 0), wide, (192, SEVEN_HIGH, 1, (3, 0))),
        _chain(net, f"{name}.double", x, (inner, 1, 1, 0), high, wide, high, (192, SEVEN_WIDE, 1, (0, 3))),
        _projected(net, name, x, 192),
    )


def _reduction_17(net: NetworkBuilder, name: str, x: str) -> str:
    seven: tuple[Conv, Conv] = ((192, SEVEN_WIDE, 1, (0, 3)), (192, SEVEN_HIGH, 1, (3, 0)))
    return net.concatenation(
        f"{name}.output",
        _chain(net, f"{name}.3x3", x, (192, 1, 1, 0), (320, 3, 2, 0)),
        _chain(net, f"{name}.7x7", x, (192, 1, 1, 0), *seven, (192, 3, 2, 0)),
        net.pool(f"{name}.pool", x, 3, stride=2),
    )


def _mixed_8(net: NetworkBuilder, name: str, x: str) -> str:
    """Add a block at 8 x 8 positions, whose branches widen at their ends (Fig. 7)."""
    three = _chain(net, f"{name}.3x3", x, (384, 1, 1, 0))
    double = _chain(net, f"{name}.double", x, (448, 1, 1, 0), (384, 3, 1, 1))
    ends = (
        _chain(net, f"{branch}_{kind}", y, (384, kernel, 1, padding))
        for branch, y in ((f"{name}.3x3", three), (f"{name}.double", double))
        for kind, kernel, padding in (("wide", (1, 3), (0, 1)), ("high", (3, 1), (1, 0)))
    )
    one = _chain(net, f"{name}.1x1", x, (320, 1, 1, 0))
    return net.concatenation(f"{name}.output", one, *ends, _projected(net, name, x, 192))


def _projected(net: NetworkBuilder, name: str, x: str, channels: int) -> str:
    average = net.pool(f"{name}.pool", x, 3, stride=1, padding=1, function="average")
    return _chain(net, f"{name}.pool_proj", average, (channels, 1, 1, 0))


def _head(net: NetworkBuilder, x: str, classes: int) -> None:
    """Add the auxiliary classifier at 17 x 17 positions: a 5x5 convolution of what an average leaves, a layer."""
    x = net.pool("head.pool", x, 5, stride=3, function="average")
    x = net.global_pool("head.global", _chain(net, "head.conv", x, (128, 1, 1, 0), (768, 5, 1, 0)))
    net.softmax("head.softmax", net.linear("head.fc", net.flatten("head.flatten", x), classes))


def _chain(net: NetworkBuilder, name: str, x: str, *convolutions: Conv) -> str:
    """Add convolutions one behind the other, each with batch normalisation and ReLU: name_1, name_2 ..."""
    for index, (channels, kernel, stride, padding) in enumerate(convolutions, 1):
        place = f"{name}_{index}" if len(convolutions) > 1 else name
        x = conv_bn(net, place, x, channels, kernel, stride=stride, padding=padding, activation="relu")
    return x
