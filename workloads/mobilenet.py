"""MobileNet v1, v2 and v3: depthwise 3x3 and pointwise 1x1 convolutions.

v1: Howard et al., "MobileNets", arXiv:1704.04861 (2017), Table 1. v2: Sandler et al., "MobileNetV2: inverted residuals
and linear bottlenecks", CVPR 2018, Table 2. v3: Howard et al., "Searching for MobileNetV3", ICCV 2019, Tables 1 and 2.
Widths round and paddings fall as in the authors' TensorFlow-Slim code.
"""

from __future__ import annotations

from hwsim.errors import InputError
from hwsim.ir import Network, NetworkBuilder

from ._blocks import (
    DIVISOR,
    at_least,
    conv_bn,
    divisible,
    images,
    named,
    one_of,
    pooled_classifier,
    squeeze_excitation,
    width_multiplier,
)

SOURCES = {
    1: "Howard et al., arXiv:1704.04861 (2017), Table 1",
    2: "Sandler et al., CVPR 2018, Table 2",
    3: "Howard et al., ICCV 2019, Tables 1 and 2",
}

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

V3_LARGE = (
    (3, 16, 16, False, "relu", 1),
    (3, 64, 24, False, "relu", 2),
    (3, 72, 24, False, "relu", 1),
    (5, 72, 40, True, "relu", 2),
    (5, 120, 40, True, "relu", 1),
    (5, 120, 40, True, "relu", 1),
    (3, 240, 80, False, "hard_swish", 2),
    (3, 200, 80, False, "hard_swish", 1),
    (3, 184, 80, False, "hard_swish", 1),
    (3, 184, 80, False, "hard_swish", 1),
    (3, 480, 112, True, "hard_swish", 1),
    (3, 672, 112, True, "hard_swish", 1),
    (5, 672, 160, True, "hard_swish", 2),
    (5, 960, 160, True, "hard_swish", 1),
    (5, 960, 160, True, "hard_swish", 1),
)
V3_SMALL = (
    (3, 16, 16, True, "relu", 2),
    (3, 72, 24, False, "relu", 2),
    (3, 88, 24, False, "relu", 1),
    (5, 96, 40, True, "hard_swish", 2),
    (5, 240, 40, True, "hard_swish", 1),
    (5, 240, 40, True, "hard_swish", 1),
    (5, 120, 48, True, "hard_swish", 1),
    (5, 144, 48, True, "hard_swish", 1),
    (5, 288, 96, True, "hard_swish", 2),
    (5, 576, 96, True, "hard_swish", 1),
    (5, 576, 96, True, "hard_swish", 1),
)
"""Filter, expanded channels, output channels, whether gates follow, activation and stride: Tables 1 and 2."""

SQUEEZE = 4
"""Expanded channels over those of v3's squeezed vector."""


def mobilenet(
    version: int = 2, width: float = 1.0, image: int = 224, batch: int = 1, small: bool = False, classes: int = 1000
) -> Network:
    """Return MobileNet v`version` on `batch` images (N, 3, image, image), all channels multiplied by `width`.

    `small=True` is MobileNetV3-Small; the version 3 is otherwise MobileNetV3-Large.
    Raises `InputError` for an unknown version, `small` of v1 or v2, a width that is not above 0, and sizes below 1.
    """
    one_of("mobilenet", "version", version, tuple(SOURCES))
    width_multiplier("mobilenet", width)
    at_least("mobilenet", 1, image=image, batch=batch, classes=classes)
    if small and version != 3:
        raise InputError(f"mobilenet: small=True is a network of version 3, not of version {version}")
    base = f"mobilenet_v{version}" + ({True: "_small", False: "_large"}[small] if version == 3 else "")
    net = NetworkBuilder(named(base, width=(width, 1.0), image=(image, 224), classes=(classes, 1000)))
    x = images(net, batch, image)
    if version == 3:
        _v3(net, x, width, small, classes)
    else:
        pooled_classifier(net, (_v1 if version == 1 else _v2)(net, x, width), classes)
    return net.build(source=SOURCES[version])


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


def _v3(net: NetworkBuilder, x: str, width: float, small: bool, classes: int) -> None:
    """Add v3 with its own head, whose hidden layer stands behind the pool and does not shrink with the network."""
    x = _conv(net, "conv0", x, divisible(16 * width), 3, stride=2, activation="hard_swish")
    unscaled = 16
    for index, (kernel, expanded, channels, gated, activation, stride) in enumerate(V3_SMALL if small else V3_LARGE, 1):
        # a block expands the channels it is given as many times as that of the table
        wide, narrow = divisible(net.shape_of(x)[1] * expanded / unscaled), divisible(channels * width)
        x = _v3_block(net, f"block{index}", x, kernel, wide, narrow, gated, activation, stride)
        unscaled = channels
    x = _conv(net, "conv_last", x, 6 * net.shape_of(x)[1], 1, activation="hard_swish")
    x = net.flatten("flatten", net.global_pool("pool", x))
    hidden = divisible((1024 if small else 1280) * max(1.0, width))
    x = net.activation("fc1_hard_swish", net.linear("fc1", x, hidden), "hard_swish")
    net.softmax("softmax", net.linear("fc2", x, classes))


def _v3_block(  # the columns of the table
    net: NetworkBuilder,
    name: str,
    x: str,
    kernel: int,
    wide: int,
    channels: int,
    gated: bool,
    activation: str,
    stride: int,
) -> str:
    given = net.shape_of(x)[1]
    y = _conv(net, f"{name}.expand", x, wide, 1, activation=activation) if wide != given else x
    y = _depthwise(net, f"{name}.depthwise", y, stride, kernel=kernel, activation=activation)
    if gated:
        y = squeeze_excitation(net, f"{name}.se", y, divisible(wide // SQUEEZE), gate="hard_sigmoid")
    y = conv_bn(net, f"{name}.project", y, channels, 1)
    return net.elementwise(f"{name}.add", y, x) if stride == 1 and channels == given else y


def _conv(
    net: NetworkBuilder, name: str, x: str, channels: int, kernel: int, *, stride: int = 1, activation: str = "relu6"
) -> str:
    return conv_bn(net, name, x, channels, kernel, stride=stride, padding="same", activation=activation)


def _depthwise(
    net: NetworkBuilder, name: str, x: str, stride: int, *, kernel: int = 3, activation: str = "relu6"
) -> str:
    channels = net.shape_of(x)[1]
    return conv_bn(
        net, name, x, channels, kernel, stride=stride, padding="same", groups=channels, activation=activation
    )
