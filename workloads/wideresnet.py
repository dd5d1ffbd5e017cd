"""Wide ResNet: fewer and wider residual blocks.

Zagoruyko & Komodakis, "Wide residual networks", BMVC 2016, Table 1 (WRN-depth-widen for CIFAR: pre-activation blocks
of two 3x3 convolutions, three stages of 16, 32 and 64 times `widen` channels) and Sec. 3 (WRN-50-2 for ImageNet:
ResNet's bottlenecks with `widen` times the channels in their 3x3 convolutions).
"""

from __future__ import annotations

from hwsim.ir import Network, NetworkBuilder

from ._blocks import at_least, bn_relu, images, named, one_of, pooled_classifier
from ._residual import bottleneck, joined, stages, stem
from .preresnet import basic_block

SOURCE = "Zagoruyko & Komodakis, BMVC 2016, Table 1 and Sec. 3"

CIFAR_DEPTHS = (10, 16, 22, 28, 34, 40)
"""6 n + 4 layers: n blocks of two convolutions in each of three stages, one in front, and the shortcuts of three."""

IMAGENET_DEPTHS = (50, 101)


def wideresnet(depth: int = 28, widen: int = 10, batch: int = 1, image: int = 0, classes: int = 0) -> Network:
    """Return WRN-`depth`-`widen` on `batch` images (N, 3, image, image).

    `image` and `classes` are by default those of the depth's data set: 32 and 10, or 224 and 1000 of depths 50 and 101.
    Raises `InputError` for an unknown depth and sizes below 1.
    """
    one_of("wideresnet", "depth", depth, (*CIFAR_DEPTHS, *IMAGENET_DEPTHS))
    usual_image, usual_classes = (32, 10) if depth in CIFAR_DEPTHS else (224, 1000)
    image, classes = image or usual_image, classes or usual_classes
    at_least("wideresnet", 1, widen=widen, batch=batch, image=image, classes=classes)
    base = f"wideresnet{depth}_{widen}"
    net = NetworkBuilder(named(base, image=(image, usual_image), classes=(classes, usual_classes)))
    x = images(net, batch, image)
    features = _cifar if depth in CIFAR_DEPTHS else _imagenet
    pooled_classifier(net, features(net, x, depth, widen), classes)
    return net.build(source=SOURCE)


def _cifar(net: NetworkBuilder, x: str, depth: int, widen: int) -> str:
    x = net.conv("conv1", x, 16, 3, padding=1, bias=False)
    for stage in range(3):
        for index in range((depth - 4) // 6):
            stride = 2 if stage and not index else 1
            x = basic_block(net, f"conv{stage + 2}_{index + 1}", x, 16 * widen << stage, stride)
    return bn_relu(net, "final", x)


def _imagenet(net: NetworkBuilder, x: str, depth: int, widen: int) -> str:
    x = stem(net, x, 64)
    for name, stage, stride in stages(depth):
        x = joined(net, name, x, bottleneck(net, name, x, 64 * widen << stage, 256 << stage, stride), stride)
    return x
