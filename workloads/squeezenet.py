"""SqueezeNet: "fire" modules of a few 1x1 filters in front of 1x1 and 3x3 ones, and no fully connected layer.

Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size", arXiv:1602.07360
(2016), Table 1 (version 1.0), and the authors' repository DeepScale/SqueezeNet (version 1.1, with earlier pools).
"""

from __future__ import annotations

from hwsim.ir import Network, NetworkBuilder

from ._blocks import at_least, conv_relu, images, named, one_of

SOURCES = {"1.0": "Iandola et al., arXiv:1602.07360, Table 1", "1.1": "DeepScale/SqueezeNet, SqueezeNet_v1.1"}

FIRST = {"1.0": (96, 7), "1.1": (64, 3)}
"""Channels and filter of the first convolution."""

FIRE = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
"""Channels of the squeezing convolution of fire2 to fire9, and of each of the two that expand."""

POOLS_BEHIND = {"1.0": (4, 8), "1.1": (3, 5)}
"""Fire modules behind which a pool stands, besides the one behind the first convolution."""


def squeezenet(version: str = "1.0", batch: int = 1, image: int = 224, classes: int = 1000) -> Network:
    """Return SqueezeNet `version`, "1.0" or "1.1", on `batch` images (N, 3, image, image).

    Raises `InputError` for an unknown version, sizes below 1, and images below 21 (1.0) or 17 (1.1).
    """
    one_of("squeezenet", "version", version, tuple(SOURCES))
    at_least("squeezenet", 1, batch=batch, classes=classes)
    at_least("squeezenet", {"1.0": 21, "1.1": 17}[version], image=image)
    net = NetworkBuilder(named(f"squeezenet{version}", image=(image, 224), classes=(classes, 1000)))
    channels, kernel = FIRST[version]
    x = _pool(net, 1, conv_relu(net, "conv1", images(net, batch, image), channels, kernel, stride=2))
    for index, (squeezed, expanded) in enumerate(FIRE, 2):
        x = _fire(net, f"fire{index}", x, squeezed, expanded)
        if index in POOLS_BEHIND[version]:
            x = _pool(net, index, x)
    x = net.global_pool("pool10", conv_relu(net, "conv10", x, classes, 1))
    net.softmax("softmax", net.flatten("flatten", x))
    return net.build(source=SOURCES[version])


def _fire(net: NetworkBuilder, name: str, x: str, squeezed: int, expanded: int) -> str:
    x = conv_relu(net, f"{name}.squeeze", x, squeezed, 1)
    branches = (
        conv_relu(net, f"{name}.expand{kernel}x{kernel}", x, expanded, kernel, padding=kernel // 2) for kernel in (1, 3)
    )
    return net.concatenation(f"{name}.output", *branches)


def _pool(net: NetworkBuilder, index: int, x: str) -> str:
    """Add a pool of overlapping windows that rounds up, as in Caffe."""
    return net.pool(f"pool{index}", x, 3, stride=2, ceil_mode=True)
