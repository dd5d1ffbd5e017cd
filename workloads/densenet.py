"""DenseNet: every layer of a block reads what all layers before it computed, side by side.

Huang, Liu, van der Maaten & Weinberger, "Densely connected convolutional networks", CVPR 2017, Table 1 (DenseNet-BC):
a 1x1 convolution to 4 times the growth rate in front of every 3x3, and half the channels behind every block.
"""

from __future__ import annotations

from hwsim.ir import Network, NetworkBuilder

from ._blocks import at_least, bn_conv, bn_relu, conv_bn, images, named, one_of, pooled_classifier

SOURCE = "Huang et al., CVPR 2017, Table 1"

BLOCKS = {
    121: (6, 12, 24, 16),
    161: (6, 12, 36, 24),
    169: (6, 12, 32, 32),
    201: (6, 12, 48, 32),
}
"""Layers of the four blocks by depth."""

GROWTH = {121: 32, 161: 48, 169: 32, 201: 32}
"""Channels that each layer adds, k, by depth; the first convolution has twice as many."""


def densenet(depth: int = 121, batch: int = 1, image: int = 224, classes: int = 1000) -> Network:
    """Return DenseNet-`depth` on `batch` images (N, 3, image, image).

    Raises `InputError` for an unknown depth, sizes below 1 and images below 29.
    """
    one_of("densenet", "depth", depth, tuple(BLOCKS))
    at_least("densenet", 1, batch=batch, classes=classes)
    at_least("densenet", 29, image=image)
    growth = GROWTH[depth]
    net = NetworkBuilder(named(f"densenet{depth}", image=(image, 224), classes=(classes, 1000)))
    x = conv_bn(net, "conv1", images(net, batch, image), 2 * growth, 7, stride=2, padding=3, activation="relu")
    x = net.pool("pool1", x, 3, stride=2, padding=1)
    for block, layers in enumerate(BLOCKS[depth], 1):
        for index in range(1, layers + 1):
            x = _layer(net, f"block{block}_{index}", x, growth)
        if block < len(BLOCKS[depth]):
            x = bn_conv(net, f"transition{block}", x, net.shape_of(x)[1] // 2, 1)
            x = net.pool(f"transition{block}.pool", x, 2, function="average")
    pooled_classifier(net, bn_relu(net, "final", x), classes)
    return net.build(source=SOURCE)


def _layer(net: NetworkBuilder, name: str, x: str, growth: int) -> str:
    """Add a bottleneck of `growth` channels and put them behind those it read (Sec. 3)."""
    y = bn_conv(net, f"{name}.a", x, 4 * growth, 1)
    y = bn_conv(net, f"{name}.b", y, growth, 3, padding=1)
    return net.concatenation(f"{name}.output", x, y)
