"""SENet: ResNet and ResNeXt whose blocks weigh their channels by gates computed from the channels' means.

Hu, Shen & Sun, "Squeeze-and-excitation networks", CVPR 2018, Table 1 (SE-ResNet-50, SE-ResNeXt-50) and the appendix
(SENet-154). As in the authors' Caffe models, SE-ResNet has its stride in the first 1x1 convolution, SE-ResNeXt in the
3x3, and the first pool rounds up.
"""

from __future__ import annotations

from hwsim.ir import Network, NetworkBuilder

from ._blocks import at_least, conv_bn, images, named, one_of, pooled_classifier, squeeze_excitation
from ._residual import BASIC_DEPTHS, basic, bottleneck, joined, stages

SOURCE = "Hu et al., CVPR 2018, Table 1"

REDUCTION = 16
"""Channels over those of the squeezed vector (Sec. 6.4)."""

SMALLEST_IMAGE = 3
"""pool1 reads 2 rows (it rounds up), and the convolution in front of it has stride 2."""

DEPTHS = {
    "resnet": (18, 34, 50, 101, 152),
    "resnext": (50, 101),
    "senet": (154,),
}
"""Depths by kind of block; SENet-154 has the blocks of depth 152 and three convolutions in place of the first."""


def senet(block: str = "resnet", depth: int = 0, batch: int = 1, image: int = 224, classes: int = 1000) -> Network:
    """Return SE-ResNet, SE-ResNeXt (32x4d) or SENet-154 on `batch` images (N, 3, image, image).

    `depth` is by default 50, and 154 of the block "senet".
    Raises `InputError` for an unknown block or depth, sizes below 1 and images below 3.
    """
    one_of("senet", "block", block, tuple(DEPTHS))
    depth = depth or (154 if block == "senet" else 50)
    one_of(f"senet: block={block}", "depth", depth, DEPTHS[block])
    at_least("senet", 1, batch=batch, classes=classes)
    at_least("senet", SMALLEST_IMAGE, image=image)
    base = {"senet": "senet154", "resnet": f"senet_resnet{depth}", "resnext": f"senet_resnext{depth}_32x4d"}[block]
    net = NetworkBuilder(named(base, image=(image, 224), classes=(classes, 1000)))
    x = _stem(net, images(net, batch, image), block)
    for name, stage, stride in stages(152 if depth == 154 else depth):
        residual = _residual(net, name, x, block, 64 << stage, stride, depth)
        residual = squeeze_excitation(net, f"{name}.se", residual, net.shape_of(residual)[1] // REDUCTION)
        x = joined(net, name, x, residual, stride, kernel=3 if block == "senet" and stride > 1 else 1)
    pooled_classifier(net, x, classes)
    return net.build(source=SOURCE)


def _stem(net: NetworkBuilder, x: str, block: str) -> str:
    if block == "senet":
        x = conv_bn(net, "conv1_1", x, 64, 3, stride=2, padding=1, activation="relu")
        x = conv_bn(net, "conv1_2", x, 64, 3, padding=1, activation="relu")
        x = conv_bn(net, "conv1_3", x, 128, 3, padding=1, activation="relu")
    else:
        x = conv_bn(net, "conv1", x, 64, 7, stride=2, padding=3, activation="relu")
    return net.pool("pool1", x, 3, stride=2, ceil_mode=True)


def _residual(net: NetworkBuilder, name: str, x: str, block: str, channels: int, stride: int, depth: int) -> str:
    if block == "senet":
        return _senet(net, name, x, channels, stride)
    if block == "resnext":
        return bottleneck(net, name, x, 2 * channels, 4 * channels, stride, groups=32)
    if depth in BASIC_DEPTHS:
        return basic(net, name, x, channels, stride)
    return bottleneck(net, name, x, channels, 4 * channels, stride, stride_in_3x3=False)


def _senet(net: NetworkBuilder, name: str, x: str, channels: int, stride: int) -> str:
    """Add SENet-154's bottleneck: 64 groups, and half the channels in front of the 3x3 convolution."""
    x = conv_bn(net, f"{name}.a", x, 2 * channels, 1, activation="relu")
    x = conv_bn(net, f"{name}.b", x, 4 * channels, 3, stride=stride, padding=1, groups=64, activation="relu")
    return conv_bn(net, f"{name}.c", x, 4 * channels, 1)
