"""ResNet: blocks of two or three convolutions whose input is added to their output.

He, Zhang, Ren & Sun, "Deep residual learning for image recognition", CVPR 2016, Table 1, with projection shortcuts
where the shape changes (option B). A bottleneck halves the extent in its first 1x1 convolution in the paper and in
its 3x3 convolution in torchvision and later work ("v1.5"), which costs more MACs at the same parameters.
"""

from __future__ import annotations

from hwsim.ir import Network, NetworkBuilder

from ._blocks import at_least, conv_bn, images, named, one_of, pooled_classifier

SOURCE = "He et al., CVPR 2016, Table 1"

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Blocks of the stages conv2_x to conv5_x by depth."""

BASIC_DEPTHS = (18, 34)
"""Depths with blocks of two 3x3 convolutions; the others have bottlenecks."""

BOTTLENECK_EXPANSION = 4
"""Output channels of a bottleneck over those of its 3x3 convolution."""


def resnet(
    depth: int = 50, batch: int = 1, image: int = 224, width: int = 64, classes: int = 1000, stride_in_3x3: bool = True
) -> Network:
    """Return ResNet-`depth` on `batch` images (N, 3, image, image).

    `width` is the channels of the first convolution; the stages have 1, 2, 4 and 8 times as many (4 times that after a
    bottleneck). `stride_in_3x3=False` is the paper's bottleneck, True the one of torchvision.
    Raises `InputError` for an unknown depth and sizes below 1.
    """
    one_of("resnet", "depth", depth, tuple(BLOCKS))
    at_least("resnet", 1, batch=batch, image=image, width=width, classes=classes)
    base = f"resnet{depth}" if stride_in_3x3 or depth in BASIC_DEPTHS else f"resnet{depth}_v1"
    net = NetworkBuilder(named(base, image=(image, 224), width=(width, 64), classes=(classes, 1000)))
    x = conv_bn(net, "conv1", images(net, batch, image), width, 7, stride=2, padding=3, activation="relu")
    x = net.pool("pool1", x, 3, stride=2, padding=1)
    for stage, blocks in enumerate(BLOCKS[depth]):
        for index in range(blocks):
            stride = 2 if stage and not index else 1
            x = _block(net, f"conv{stage + 2}_{index + 1}", x, width << stage, stride, depth, stride_in_3x3)
    pooled_classifier(net, x, classes)
    return net.build(source=SOURCE, notes=_notes(depth, stride_in_3x3))


def _block(net: NetworkBuilder, name: str, x: str, channels: int, stride: int, depth: int, stride_in_3x3: bool) -> str:
    if depth in BASIC_DEPTHS:
        residual = _basic(net, name, x, channels, stride)
    else:
        residual = _bottleneck(net, name, x, channels, stride, stride_in_3x3)
    if net.shape_of(x) != net.shape_of(residual):
        x = conv_bn(net, f"{name}.projection", x, net.shape_of(residual)[1], 1, stride=stride)
    return net.activation(f"{name}.relu", net.elementwise(f"{name}.add", residual, x))


def _basic(net: NetworkBuilder, name: str, x: str, channels: int, stride: int) -> str:
    x = conv_bn(net, f"{name}.a", x, channels, 3, stride=stride, padding=1, activation="relu")
    return conv_bn(net, f"{name}.b", x, channels, 3, padding=1)


def _bottleneck(net: NetworkBuilder, name: str, x: str, channels: int, stride: int, stride_in_3x3: bool) -> str:
    first, second = (1, stride) if stride_in_3x3 else (stride, 1)
    x = conv_bn(net, f"{name}.a", x, channels, 1, stride=first, activation="relu")
    x = conv_bn(net, f"{name}.b", x, channels, 3, stride=second, padding=1, activation="relu")
    return conv_bn(net, f"{name}.c", x, channels * BOTTLENECK_EXPANSION, 1)


def _notes(depth: int, stride_in_3x3: bool) -> tuple[str, ...]:
    if depth in BASIC_DEPTHS:
        return ()
    if stride_in_3x3:
        return ("bottlenecks have stride 2 in the 3x3 convolution (v1.5, torchvision), not the first 1x1 (the paper)",)
    return ("bottlenecks have stride 2 in the first 1x1 convolution (the paper), not the 3x3 (v1.5, torchvision)",)
