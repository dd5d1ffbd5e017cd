"""MobileNet v1 and v2: depthwise 3x3 and pointwise 1x1 convolutions.

v1: Howard et al., "MobileNets", arXiv:1704.04861 (2017), Table 1. v2: Sandler et al., "MobileNetV2: inverted residuals
and linear bottlenecks", CVPR 2018, Table 2. Widths round and paddings fall as in the authors' TensorFlow-Slim code.
"""

from __future__ import annotations

from hwsim.ir import Network, NetworkBuilder

from ._blocks import at_least, conv_bn, images, named, one_of, pooled_classifier, width_multiplier

SOURCES = {1: "Howard et al., arXiv:1704.04861 (2017), Table 1", 2: "Sandler et al., CVPR 2018, Table 2"}

DIVISOR = 8
"""v2's channels are multiples of this; v1's are at least this."""

V1_BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
)
"""Output channels and stride of each depthwise separable block."""

V2_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion t, output channels c, blocks n and stride s of the first block, in the letters of Table 2."""


def mobilenet(version: int = 2, width: float = 1.0, image: int = 224, batch: int = 1, classes: int = 1000) -> Network:
    """Return MobileNet v`version` on `batch` images (N, 3, image, image), all channels multiplied by `width`.

    Raises `InputError` for an unknown version, a width that is not above 0, and sizes below 1.
    """
    one_of("mobilenet", "version", version, tuple(SOURCES))
    width_multiplier("mobilenet", width)
    at_least("mobilenet", 1, image=image, batch=batch, classes=classes)
    parameters = {"width": (width, 1.0), "image": (image, 224), "classes": (classes, 1000)}
    net = NetworkBuilder(named(f"mobilenet_v{version}", **parameters))
    features = _v1 if version == 1 else _v2
    pooled_classifier(net, features(net, images(net, batch, image), width), classes)
    return net.build(source=SOURCES[version])


def divisible(channels: float) -> int:
    """Return `channels` rounded to a multiple of 8, at most a tenth lower (the authors' `_make_divisible`)."""
    rounded = max(DIVISOR, int(channels + DIVISOR / 2) // DIVISOR * DIVISOR)
    return rounded if rounded >= 0.9 * channels else rounded + DIVISOR


def _v1(net: NetworkBuilder, x: str, width: float) -> str:
    x = _conv(net, "conv0", x, max(DIVISOR, int(32 * width)), 3, stride=2)
    for index, (channels, stride) in enumerate(V1_BLOCKS, 1):
        x = _depthwise(net, f"conv{index}.depthwise", x, stride)
        x = _conv(net, f"conv{index}.pointwise", x, max(DIVISOR, int(channels * width)), 1)
    return x


def _v2(net: NetworkBuilder, x: str, width: float) -> str:
    x = _conv(net, "conv0", x, divisible(32 * width), 3, stride=2)
    index = 0
    for expansion, channels, blocks, first_stride in V2_STAGES:
        for block in range(blocks):
            index += 1
            stride = 1 if block else first_stride
            x = _inverted_residual(net, f"block{index}", x, expansion, divisible(channels * width), stride)
    # the last convolution does not shrink with the network (Sec. 6.1)
    return _conv(net, "conv18", x, divisible(1280 * max(1.0, width)), 1)


def _inverted_residual(net: NetworkBuilder, name: str, x: str, expansion: int, channels: int, stride: int) -> str:
    """Expand, filter each channel, project without activation; add the input where its shape is kept (Fig. 4d)."""
    given = net.shape_of(x)[1]
    wide = _conv(net, f"{name}.expand", x, given * expansion, 1) if expansion > 1 else x
    narrow = conv_bn(net, f"{name}.project", _depthwise(net, f"{name}.depthwise", wide, stride), channels, 1)
    return net.elementwise(f"{name}.add", narrow, x) if stride == 1 and channels == given else narrow


def _conv(net: NetworkBuilder, name: str, x: str, channels: int, kernel: int, *, stride: int = 1) -> str:
    return conv_bn(net, name, x, channels, kernel, stride=stride, padding="same", activation="relu6")


def _depthwise(net: NetworkBuilder, name: str, x: str, stride: int) -> str:
    channels = net.shape_of(x)[1]
    return conv_bn(net, name, x, channels, 3, stride=stride, padding="same", groups=channels, activation="relu6")
