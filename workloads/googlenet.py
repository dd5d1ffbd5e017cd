"""GoogLeNet (Inception v1): blocks of four branches, of 1x1, 3x3 and 5x5 filters and a pool, side by side.

Szegedy et al., "Going deeper with convolutions", CVPR 2015, Table 1 and Sec. 5; biases, rounding up in pools and
normalisation across channels as in the Caffe model `bvlc_googlenet`. torchvision's GoogLeNet has batch normalisation in
place of biases and 3x3 filters where the paper has 5x5.
"""

from __future__ import annotations

from hwsim.ir import Network, NetworkBuilder

from ._blocks import at_least, conv_bn, conv_relu, images, named, one_of, pooled_classifier

SOURCES = {
    "paper": "Szegedy et al., CVPR 2015, Table 1; bvlc_googlenet",
    "torchvision": "torchvision, GoogLeNet_Weights.IMAGENET1K_V1; Szegedy et al., CVPR 2015, Table 1",
}

BLOCKS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
"""Channels of each block in the columns of Table 1: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj."""

SMALLEST_IMAGE = 31
"""pool4 reads 2 rows (pools round up), so pool3 reads 4, pool2 8, pool1 16, and conv1 2 x 15 + 7 - 2 x 3 = 31."""

POOLS_BEHIND = {"3b": 3, "4e": 4}
HEADS_BEHIND = {"4a": 1, "4d": 2}


def googlenet(
    variant: str = "paper", heads: bool = False, batch: int = 1, image: int = 224, classes: int = 1000
) -> Network:
    """Return GoogLeNet on `batch` images (N, 3, image, image), as in the "paper" or in "torchvision".

    `heads=True` adds the two auxiliary classifiers of training, each with an output of its own.
    Raises `InputError` for an unknown variant, sizes below 1, images below 31, and one too small for a head's pool.
    """
    one_of("googlenet", "variant", variant, tuple(SOURCES))
    at_least("googlenet", 1, batch=batch, classes=classes)
    at_least("googlenet", SMALLEST_IMAGE, image=image)
    base = "_".join(["googlenet", *(["torchvision"] if variant != "paper" else []), *(["heads"] if heads else [])])
    net = NetworkBuilder(named(base, image=(image, 224), classes=(classes, 1000)))
    x = _stem(net, images(net, batch, image), variant)
    for block, channels in BLOCKS.items():
        x = _inception(net, f"inception{block}", x, channels, variant)
        if heads and block in HEADS_BEHIND:
            _head(net, f"head{HEADS_BEHIND[block]}", x, classes, variant)
        if block in POOLS_BEHIND:
            kernel = 2 if (variant, block) == ("torchvision", "4e") else 3
            x = net.pool(f"pool{POOLS_BEHIND[block]}", x, kernel, stride=2, ceil_mode=True)
    pooled_classifier(net, x, classes)
    return net.build(source=SOURCES[variant])


def _stem(net: NetworkBuilder, x: str, variant: str) -> str:
    x = _conv(net, "conv1", x, 64, 7, variant, stride=2, padding=3)
    x = net.pool("pool1", x, 3, stride=2, ceil_mode=True)
    x = net.normalisation("norm1", x, "local_response") if variant == "paper" else x
    x = _conv(net, "conv2", _conv(net, "conv2_reduce", x, 64, 1, variant), 192, 3, variant, padding=1)
    x = net.normalisation("norm2", x, "local_response") if variant == "paper" else x
    return net.pool("pool2", x, 3, stride=2, ceil_mode=True)


def _inception(net: NetworkBuilder, name: str, x: str, channels: tuple[int, ...], variant: str) -> str:
    one, reduce3, three, reduce5, five, projected = channels
    large = 5 if variant == "paper" else 3
    branches = (
        _conv(net, f"{name}.1x1", x, one, 1, variant),
        _conv(
            net, f"{name}.3x3", _conv(net, f"{name}.3x3_reduce", x, reduce3, 1, variant), three, 3, variant, padding=1
        ),
        _conv(
            net,
            f"{name}.5x5",
            _conv(net, f"{name}.5x5_reduce", x, reduce5, 1, variant),
            five,
            large,
            variant,
            padding=large // 2,
        ),
        _conv(net, f"{name}.pool_proj", net.pool(f"{name}.pool", x, 3, stride=1, padding=1), projected, 1, variant),
    )
    return net.concatenation(f"{name}.output", *branches)


def _head(net: NetworkBuilder, name: str, x: str, classes: int, variant: str) -> None:
    """Add an auxiliary classifier: an average over 5x5 with stride 3, a 1x1 convolution, two layers, a softmax."""
    x = _conv(net, f"{name}.conv", net.pool(f"{name}.pool", x, 5, stride=3, function="average"), 128, 1, variant)
    x = net.activation(f"{name}.relu", net.linear(f"{name}.fc1", net.flatten(f"{name}.flatten", x), 1024))
    net.softmax(f"{name}.softmax", net.linear(f"{name}.fc2", x, classes))


def _conv(
    net: NetworkBuilder,
    name: str,
    x: str,
    channels: int,
    kernel: int,
    variant: str,
    *,
    stride: int = 1,
    padding: int = 0,
) -> str:
    if variant == "paper":
        return conv_relu(net, name, x, channels, kernel, stride=stride, padding=padding)
    return conv_bn(net, name, x, channels, kernel, stride=stride, padding=padding, activation="relu")
