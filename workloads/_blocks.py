"""What several network families share: parameter checks, names, and the blocks that recur between them."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from hwsim.errors import InputError
from hwsim.ir import NetworkBuilder

COLOURS = 3
"""Channels of an input image."""

DIVISOR = 8
"""Channels of the mobile networks are multiples of this."""

Pair = int | tuple[int, int]
"""Rows and columns of a filter or of padding, or one number for both."""


def at_least(family: str, minimum: int, **sizes: int) -> None:
    """Raise `InputError` for the first of `sizes` below `minimum`."""
    for name, size in sizes.items():
        if size < minimum:
            raise InputError(f"{family}: {name}={size} must be at least {minimum}")


def one_of(family: str, name: str, value: object, allowed: Sequence[object]) -> None:
    """Raise `InputError` where `value` is not among `allowed`."""
    if value not in allowed:
        raise InputError(f"{family}: {name}={value} must be one of {', '.join(map(str, allowed))}")


def width_multiplier(family: str, width: float) -> None:
    """Raise `InputError` where `width` is not a finite number above 0."""
    if not 0 < width < inf:
        raise InputError(f"{family}: width={width} must be a finite number above 0")


def named(base: str, **parameters: tuple[object, object]) -> str:
    """Return `base` and each parameter, given as (value, default), that is not its default: "resnet50_image160"."""
    changed = [f"{name}{value}" for name, (value, default) in parameters.items() if value != default]
    return "_".join([base, *changed])


def divisible(channels: float) -> int:
    """Return `channels` rounded to a multiple of 8, at most a tenth lower (`_make_divisible` in TensorFlow-Slim)."""
    rounded = max(DIVISOR, int(channels + DIVISOR / 2) // DIVISOR * DIVISOR)
    return rounded if rounded >= 0.9 * channels else rounded + DIVISOR


def images(net: NetworkBuilder, batch: int, image: int) -> str:
    """Declare the input, `batch` square colour images (N, 3, image, image)."""
    return net.input("images", (batch, COLOURS, image, image))


def conv_bn(
    net: NetworkBuilder,
    name: str,
    x: str,
    channels: int,
    kernel: Pair,
    *,
    activation: str = "",
    stride: int = 1,
    padding: Pair | str = 0,
    groups: int = 1,
) -> str:
    """Add a convolution without bias and its batch normalisation, and `activation` if one is given."""
    x = net.conv(name, x, channels, kernel, stride=stride, padding=padding, groups=groups, bias=False)
    x = net.normalisation(f"{name}_bn", x)
    return net.activation(f"{name}_{activation}", x, activation) if activation else x


def bn_conv(
    net: NetworkBuilder,
    name: str,
    x: str,
    channels: int,
    kernel: Pair,
    *,
    stride: int = 1,
    padding: Pair | str = 0,
) -> str:
    """Add batch normalisation, ReLU and a convolution without bias, in the order of pre-activation networks."""
    return net.conv(name, bn_relu(net, name, x), channels, kernel, stride=stride, padding=padding, bias=False)


def bn_relu(net: NetworkBuilder, name: str, x: str) -> str:
    """Add batch normalisation and ReLU, in front of layer `name`."""
    return net.activation(f"{name}_relu", net.normalisation(f"{name}_bn", x))


def conv_relu(
    net: NetworkBuilder,
    name: str,
    x: str,
    channels: int,
    kernel: int,
    *,
    stride: int = 1,
    padding: int = 0,
) -> str:
    """Add a convolution with bias and ReLU, as before batch normalisation."""
    return net.activation(f"{name}_relu", net.conv(name, x, channels, kernel, stride=stride, padding=padding))


def squeeze_excitation(
    net: NetworkBuilder, name: str, x: str, squeezed: int, *, activation: str = "relu", gate: str = "sigmoid"
) -> str:
    """Multiply each channel by a gate computed from all channels' means (Hu et al., CVPR 2018, Fig. 2)."""
    channels = net.shape_of(x)[1]
    gates = net.conv(f"{name}.squeeze", net.global_pool(f"{name}.pool", x), squeezed, 1)
    gates = net.conv(f"{name}.excite", net.activation(f"{name}.{activation}", gates, activation), channels, 1)
    return net.elementwise(f"{name}.scale", x, net.activation(f"{name}.gate", gates, gate), function="multiply")


def channel_shuffle(net: NetworkBuilder, name: str, x: str, groups: int) -> str:
    """Deal the channels of `groups` groups out in turn: (N, g n, H, W) as g x n matrices, transposed."""
    batch, channels, rows, cols = net.shape_of(x)
    x = net.reshape(f"{name}.groups", x, (batch, groups, channels // groups, rows * cols))
    return net.reshape(f"{name}.channels", net.transpose(f"{name}.dealt", x, (0, 2, 1, 3)), (batch, -1, rows, cols))


def pooled_classifier(net: NetworkBuilder, x: str, classes: int) -> str:
    """Add the head of the networks after 2014: a global average, one fully connected layer "fc", a softmax."""
    x = net.flatten("flatten", net.global_pool("pool", x))
    return net.softmax("softmax", net.linear("fc", x, classes))


def hidden_classifier(net: NetworkBuilder, x: str, classes: int) -> str:
    """Add the head of AlexNet and VGG: fc6 and fc7 of 4096 units, fc8, a softmax (no dropout at inference)."""
    x = net.flatten("flatten", x)
    for index in (6, 7):
        x = net.activation(f"relu{index}", net.linear(f"fc{index}", x, 4096))
    return net.softmax("softmax", net.linear("fc8", x, classes))
