"""ResNet: blocks of two or three convolutions whose input is added to their output.

He, Zhang, Ren & Sun, "Deep residual learning for image recognition", CVPR 2016, Table 1, with projection shortcuts
where the shape changes (option B). A bottleneck halves the extent in its first 1x1 convolution in the paper and in
its 3x3 convolution in torchvision and later work ("v1.5"), which costs more MACs at the same parameters.
"""

from __future__ import annotations

from hwsim.ir import Network, NetworkBuilder

from ._blocks import at_least, images, named, one_of, pooled_classifier
from ._residual import BASIC_DEPTHS, BLOCKS, basic, bottleneck, joined, stages, stem

SOURCE = "He et al., CVPR 2016, Table 1"


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
    x = stem(net, images(net, batch, image), width)
    for name, stage, stride in stages(depth):
        channels = width << stage
        if depth in BASIC_DEPTHS:
            residual = basic(net, name, x, channels, stride)
        else:
            residual = bottleneck(net, name, x, channels, 4 * channels, stride, stride_in_3x3=stride_in_3x3)
        x = joined(net, name, x, residual, stride)
    pooled_classifier(net, x, classes)
    return net.build(source=SOURCE, notes=_notes(depth, stride_in_3x3))


def _notes(depth: int, stride_in_3x3: bool) -> tuple[str, ...]:
    if depth in BASIC_DEPTHS:
        return ()
    if stride_in_3x3:
        return ("bottlenecks have stride 2 in the 3x3 convolution (v1.5, torchvision), not the first 1x1 (the paper)",)
    return ("bottlenecks have stride 2 in the first 1x1 convolution (the paper), not the 3x3 (v1.5, torchvision)",)
