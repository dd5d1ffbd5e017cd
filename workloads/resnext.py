"""ResNeXt: ResNet's bottlenecks with a 3x3 convolution in groups ("cardinality").

Xie, Girshick, Dollar, Tu & He, "Aggregated residual transformations for deep neural networks", CVPR 2017, Table 1 and
Fig. 3(c). The stride is in the 3x3 convolution, as in the authors' code and in torchvision.
"""

from __future__ import annotations

from hwsim.ir import Network, NetworkBuilder

from ._blocks import at_least, images, named, one_of, pooled_classifier
from ._residual import bottleneck, joined, stages, stem

SOURCE = "Xie et al., CVPR 2017, Table 1"

DEPTHS = (50, 101, 152)

STEM = 64
"""Channels of the first convolution."""


def resnext(
    depth: int = 50, groups: int = 32, group_width: int = 4, batch: int = 1, image: int = 224, classes: int = 1000
) -> Network:
    """Return ResNeXt-`depth` (`groups` x `group_width` d) on `batch` images (N, 3, image, image).

    `group_width` is the channels of each group of the first stage's 3x3 convolutions; they double from stage to stage.
    Raises `InputError` for an unknown depth and sizes below 1.
    """
    one_of("resnext", "depth", depth, DEPTHS)
    at_least("resnext", 1, groups=groups, group_width=group_width, batch=batch, image=image, classes=classes)
    base = f"resnext{depth}_{groups}x{group_width}d"
    net = NetworkBuilder(named(base, image=(image, 224), classes=(classes, 1000)))
    x = stem(net, images(net, batch, image), STEM)
    for name, stage, stride in stages(depth):
        inner, channels = groups * group_width << stage, 4 * STEM << stage
        x = joined(net, name, x, bottleneck(net, name, x, inner, channels, stride, groups=groups), stride)
    pooled_classifier(net, x, classes)
    return net.build(source=SOURCE)
