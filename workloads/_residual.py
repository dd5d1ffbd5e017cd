"""What the residual families share: ResNet's depths, its stem, its blocks, and the addition behind each."""

from __future__ import annotations

from collections.abc import Iterator

from hwsim.ir import NetworkBuilder

from ._blocks import conv_bn

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Blocks of the stages conv2_x to conv5_x by depth (He et al., CVPR 2016, Table 1)."""

BASIC_DEPTHS = (18, 34)
"""Depths with blocks of two 3x3 convolutions; the others have bottlenecks."""


def stages(depth: int) -> Iterator[tuple[str, int, int]]:
    """Yield each block's name, its stage from 0, and its stride: 2 in the first block of all stages but the first."""
    for stage, blocks in enumerate(BLOCKS[depth]):
        for index in range(blocks):
            yield f"conv{stage + 2}_{index + 1}", stage, 2 if stage and not index else 1


def stem(net: NetworkBuilder, x: str, width: int) -> str:
    """Add the 7x7 convolution and the pool in front of the stages, each of stride 2."""
    x = conv_bn(net, "conv1", x, width, 7, stride=2, padding=3, activation="relu")
    return net.pool("pool1", x, 3, stride=2, padding=1)


def basic(net: NetworkBuilder, name: str, x: str, channels: int, stride: int) -> str:
    """Add two 3x3 convolutions."""
    x = conv_bn(net, f"{name}.a", x, channels, 3, stride=stride, padding=1, activation="relu")
    return conv_bn(net, f"{name}.b", x, channels, 3, padding=1)


def bottleneck(
    net: NetworkBuilder,
    name: str,
    x: str,
    inner: int,
    channels: int,
    stride: int,
    *,
    groups: int = 1,
    stride_in_3x3: bool = True,
) -> str:
    """Add a 1x1 and a 3x3 convolution of `inner` channels, the latter in `groups`, and a 1x1 to `channels`."""
    first, second = (1, stride) if stride_in_3x3 else (stride, 1)
    x = conv_bn(net, f"{name}.a", x, inner, 1, stride=first, activation="relu")
    x = conv_bn(net, f"{name}.b", x, inner, 3, stride=second, padding=1, groups=groups, activation="relu")
    return conv_bn(net, f"{name}.c", x, channels, 1)


def joined(net: NetworkBuilder, name: str, x: str, residual: str, stride: int, *, kernel: int = 1) -> str:
    """Add the block's input to its output, through a convolution where the shapes differ, and ReLU."""
    if net.shape_of(x) != net.shape_of(residual):
        channels = net.shape_of(residual)[1]
        x = conv_bn(net, f"{name}.projection", x, channels, kernel, stride=stride, padding=kernel // 2)
    return net.activation(f"{name}.relu", net.elementwise(f"{name}.add", residual, x))
