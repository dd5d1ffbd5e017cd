"""ShuffleNet v1 and v2: grouped or split 1x1 convolutions, whose channels are dealt out anew behind them.

v1: Zhang, Zhou, Lin & Sun, "ShuffleNet", CVPR 2018, Table 1 and Fig. 2. v2: Ma, Zhang, Zheng & Sun, "ShuffleNet V2:
practical guidelines for efficient CNN architecture design", ECCV 2018, Table 5 and Fig. 3.
"""

from __future__ import annotations

from hwsim.errors import InputError
from hwsim.ir import Network, NetworkBuilder

from ._blocks import at_least, channel_shuffle, conv_bn, images, named, one_of, pooled_classifier, width_multiplier

SOURCES = {1: "Zhang et al., CVPR 2018, Table 1", 2: "Ma et al., ECCV 2018, Table 5"}

UNITS = (4, 8, 4)
"""Units of the stages 2 to 4; the first of each halves the extent."""

V1_CHANNELS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
"""Output channels of v1's stage 2 by groups; they double from stage to stage."""

V2_CHANNELS = {0.5: (48, 1024), 1.0: (116, 1024), 1.5: (176, 1024), 2.0: (244, 2048)}
"""Output channels of v2's stage 2 and of its last convolution by width; the stages double."""

STEM = 24
"""Channels of the first convolution."""


def shufflenet(
    version: int = 2, width: float = 1.0, groups: int = 0, batch: int = 1, image: int = 224, classes: int = 1000
) -> Network:
    """Return ShuffleNet v`version` on `batch` images (N, 3, image, image).

    `groups` is that of v1's 1x1 convolutions, 3 by default; v2 has none, and the widths of its table.
    Raises `InputError` for an unknown version, groups or width, groups of v2, and sizes below 1.
    """
    one_of("shufflenet", "version", version, tuple(SOURCES))
    width_multiplier("shufflenet", width)
    at_least("shufflenet", 1, batch=batch, image=image, classes=classes)
    groups = _checked_groups(version, groups)
    base = f"shufflenet_v1_g{groups}" if version == 1 else "shufflenet_v2"
    net = NetworkBuilder(named(base, width=(width, 1.0), image=(image, 224), classes=(classes, 1000)))
    x = images(net, batch, image)
    x = _v1(net, x, width, groups) if version == 1 else _v2(net, x, width)
    pooled_classifier(net, x, classes)
    return net.build(source=SOURCES[version])


def _checked_groups(version: int, groups: int) -> int:
    """Return v1's groups; raises `InputError` for those it is not defined for, and for any of v2."""
    if version == 2:
        if groups:
            raise InputError(f"shufflenet: groups={groups} are of version 1; version 2 splits channels in two")
        return 0
    groups = groups or 3
    one_of("shufflenet", "groups", groups, tuple(V1_CHANNELS))
    return groups


def _stem(net: NetworkBuilder, x: str, channels: int) -> str:
    x = conv_bn(net, "conv1", x, channels, 3, stride=2, padding=1, activation="relu")
    return net.pool("pool1", x, 3, stride=2, padding=1)


def _v1(net: NetworkBuilder, x: str, width: float, groups: int) -> str:
    x = _stem(net, x, int(STEM * width))
    for stage, units in enumerate(UNITS, 2):
        channels = int((V1_CHANNELS[groups] << stage - 2) * width)
        if channels % (4 * groups):
            raise InputError(
                f"shufflenet: width={width} gives {channels} channels, which do not divide into 4 x {groups}"
            )
        for unit in range(units):
            # the first unit's 1x1 convolution reads too few channels to be grouped (Sec. 3.2)
            first = groups if stage > 2 or unit else 1
            x = _v1_unit(net, f"stage{stage}_{unit + 1}", x, channels, groups, first, unit == 0)
    return x


def _v1_unit(
    net: NetworkBuilder, name: str, x: str, channels: int, groups: int, first_groups: int, halves: bool
) -> str:
    """Add a unit of Fig. 2(b), or of 2(c) that halves the extent and stands its output beside its averaged input."""
    outputs = channels - net.shape_of(x)[1] if halves else channels
    y = conv_bn(net, f"{name}.compress", x, channels // 4, 1, groups=first_groups, activation="relu")
    y = channel_shuffle(net, f"{name}.shuffle", y, groups)
    y = _depthwise(net, f"{name}.depthwise", y, 2 if halves else 1)
    y = conv_bn(net, f"{name}.expand", y, outputs, 1, groups=groups)
    if halves:
        x = net.pool(f"{name}.average", x, 3, stride=2, padding=1, function="average")
        return net.activation(f"{name}.relu", net.concatenation(f"{name}.output", y, x))
    return net.activation(f"{name}.relu", net.elementwise(f"{name}.add", y, x))


def _v2(net: NetworkBuilder, x: str, width: float) -> str:
    one_of("shufflenet", "width", width, tuple(V2_CHANNELS))
    channels, last = V2_CHANNELS[width]
    x = _stem(net, x, STEM)
    for stage, units in enumerate(UNITS, 2):
        for unit in range(units):
            x = _v2_unit(net, f"stage{stage}_{unit + 1}", x, channels << stage - 2, unit == 0)
    return conv_bn(net, "conv5", x, last, 1, activation="relu")


def _v2_unit(net: NetworkBuilder, name: str, x: str, channels: int, halves: bool) -> str:
    """Add a unit of Fig. 3(c), half of whose channels pass, or of 3(d), in which both branches halve the extent."""
    half = channels // 2
    if halves:
        kept = _depthwise(net, f"{name}.left_depthwise", x, 2)
        kept = conv_bn(net, f"{name}.left", kept, half, 1, activation="relu")
    else:
        batch, _, rows, cols = net.shape_of(x)
        kept, x = (net.layout(f"{name}.split{i}", x, (batch, half, rows, cols), f"slice{i}") for i in (0, 1))
    y = conv_bn(net, f"{name}.a", x, half, 1, activation="relu")
    y = _depthwise(net, f"{name}.depthwise", y, 2 if halves else 1)
    y = conv_bn(net, f"{name}.b", y, half, 1, activation="relu")
    return channel_shuffle(net, f"{name}.shuffle", net.concatenation(f"{name}.output", kept, y), 2)


def _depthwise(net: NetworkBuilder, name: str, x: str, stride: int) -> str:
    channels = net.shape_of(x)[1]
    return conv_bn(net, name, x, channels, 3, stride=stride, padding=1, groups=channels)
