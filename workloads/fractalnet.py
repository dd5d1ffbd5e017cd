"""FractalNet: blocks that repeat one rule, of two copies of a block next to a convolution, joined by their mean.

Larsson, Maire & Shakhnarovich, "FractalNet: ultra-deep neural networks without residuals", ICLR 2017, Fig. 1 and
Sec. 4. A path is dropped only in training: at inference every join is the mean of all its columns.
"""

from __future__ import annotations

from hwsim.errors import InputError
from hwsim.ir import Network, NetworkBuilder

from ._blocks import at_least, conv_bn, images, named

SOURCE = "Larsson et al., ICLR 2017, Fig. 1 and Sec. 4"

CHANNELS = (64, 128, 256, 512, 512)
"""Channels of the blocks."""

MOST_COLUMNS = 8
"""A path of 640 convolutions; a column more doubles the network."""


def fractalnet(columns: int = 3, batch: int = 1, image: int = 32, classes: int = 10) -> Network:
    """Return FractalNet of five blocks of `columns` columns on `batch` images (N, 3, image, image).

    The deepest path has 5 x 2^(columns - 1) convolutions: 20 of three columns, 40 of four.
    Raises `InputError` for sizes below 1, more than 8 columns, and images below 32.
    """
    at_least("fractalnet", 1, columns=columns, batch=batch, classes=classes)
    at_least("fractalnet", 2 ** len(CHANNELS), image=image)
    if columns > MOST_COLUMNS:
        raise InputError(f"fractalnet: columns={columns} must be at most {MOST_COLUMNS}")
    depth = len(CHANNELS) << columns - 1
    net = NetworkBuilder(named(f"fractalnet{depth}", image=(image, 32), classes=(classes, 10)))
    x = images(net, batch, image)
    for index, channels in enumerate(CHANNELS, 1):
        block = f"block{index}"
        x = _join(net, f"{block}.join", _columns(net, block, x, channels, columns))
        x = net.pool(f"pool{index}", x, 2)
    net.softmax("softmax", net.linear("fc", net.flatten("flatten", x), classes))
    return net.build(source=SOURCE)


def _columns(net: NetworkBuilder, name: str, x: str, channels: int, columns: int) -> list[str]:
    """Add a fractal and return the ends of its columns, which its surroundings join with their own."""
    shortest = conv_bn(net, f"{name}.conv{columns}", x, channels, 3, padding=1, activation="relu")
    if columns == 1:
        return [shortest]
    half = _columns(net, f"{name}.0", x, channels, columns - 1)
    middle = _join(net, f"{name}.0.join", half)
    return [shortest, *_columns(net, f"{name}.1", middle, channels, columns - 1)]


def _join(net: NetworkBuilder, name: str, ends: list[str]) -> str:
    return net.elementwise(name, *ends, function="mean") if len(ends) > 1 else ends[0]
