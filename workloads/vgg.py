"""VGG: stacks of 3x3 convolutions, halved in extent and doubled in channels five times.

Simonyan & Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015, Table 1, columns
A, B, D and E. Batch normalisation is torchvision's later addition (`vgg16_bn`), which keeps the convolutions' biases.
"""

from __future__ import annotations

from hwsim.ir import Network, NetworkBuilder

from ._blocks import at_least, hidden_classifier, images, named, one_of

SOURCE = "Simonyan & Zisserman, ICLR 2015, Table 1"

CHANNELS = (64, 128, 256, 512, 512)
"""Channels of the five stacks."""

CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Convolutions of the five stacks by depth: columns A, B, D and E of Table 1."""


def vgg(depth: int = 16, batch: int = 1, image: int = 224, batch_norm: bool = False, classes: int = 1000) -> Network:
    """Return VGG-`depth` on `batch` images (N, 3, image, image).

    fc6 reads all positions that five halvings leave, so its weights grow with the image: 7 x 7 positions at 224.
    Raises `InputError` for an unknown depth, sizes below 1, and images below 32.
    """
    one_of("vgg", "depth", depth, tuple(CONVOLUTIONS))
    at_least("vgg", 1, batch=batch, classes=classes)
    at_least("vgg", 2 ** len(CHANNELS), image=image)
    base = f"vgg{depth}_bn" if batch_norm else f"vgg{depth}"
    net = NetworkBuilder(named(base, image=(image, 224), classes=(classes, 1000)))
    x = images(net, batch, image)
    for stack, (channels, convolutions) in enumerate(zip(CHANNELS, CONVOLUTIONS[depth], strict=True), 1):
        for index in range(1, convolutions + 1):
            x = _conv(net, f"{stack}_{index}", x, channels, batch_norm)
        x = net.pool(f"pool{stack}", x, 2)
    hidden_classifier(net, x, classes)
    return net.build(source=SOURCE)


def _conv(net: NetworkBuilder, place: str, x: str, channels: int, batch_norm: bool) -> str:
    x = net.conv(f"conv{place}", x, channels, 3, padding=1)
    if batch_norm:
        x = net.normalisation(f"bn{place}", x)
    return net.activation(f"relu{place}", x)
