"""Pre-activation ResNet: normalisation and ReLU stand in front of every convolution, and nothing behind the addition.

He, Zhang, Ren & Sun, "Identity mappings in deep residual networks", ECCV 2016, Fig. 1(b) and Sec. 4. Depths up to 200
are for ImageNet, with the stem of ResNet; the others are for CIFAR: three stages of 16, 32 and 64 channels (110, with
two convolutions a block) or of 64, 128 and 256 (164 and 1001, with bottlenecks). The first block reads what is
activated already and does not activate it again, as in the authors' code.
"""

from __future__ import annotations

from hwsim.ir import Network, NetworkBuilder

from ._blocks import at_least, bn_conv, bn_relu, images, named, one_of, pooled_classifier
from ._residual import BASIC_DEPTHS, BLOCKS, stem

SOURCE = "He et al., ECCV 2016, Fig. 1(b) and Sec. 4"

IMAGENET = {**BLOCKS, 200: (3, 24, 36, 3)}
"""Blocks of the four stages by depth."""

CIFAR = {20: 3, 56: 9, 110: 18, 164: 18, 1001: 111}
"""Blocks of each of the three stages by depth."""

CIFAR_BASIC_DEPTHS = (20, 56, 110)


def preresnet(
    depth: int = 50, batch: int = 1, image: int = 0, classes: int = 0, stride_in_3x3: bool = False
) -> Network:
    """Return pre-activation ResNet-`depth` on `batch` images (N, 3, image, image).

    `image` and `classes` are by default those of the depth's data set: 224 and 1000, or 32 and 10. `stride_in_3x3=True`
    moves a bottleneck's stride from its first 1x1 convolution to the 3x3, as in timm.
    Raises `InputError` for an unknown depth and sizes below 1.
    """
    one_of("preresnet", "depth", depth, (*IMAGENET, *CIFAR))
    usual_image, usual_classes = (32, 10) if depth in CIFAR else (224, 1000)
    image, classes = image or usual_image, classes or usual_classes
    at_least("preresnet", 1, batch=batch, image=image, classes=classes)
    base = f"preresnet{depth}_v1.5" if stride_in_3x3 else f"preresnet{depth}"
    net = NetworkBuilder(named(base, image=(image, usual_image), classes=(classes, usual_classes)))
    x = _features(net, images(net, batch, image), depth, stride_in_3x3)
    pooled_classifier(net, bn_relu(net, "final", x), classes)
    return net.build(source=SOURCE)


def _features(net: NetworkBuilder, x: str, depth: int, stride_in_3x3: bool) -> str:
    if depth in CIFAR:
        x, width = bn_relu(net, "stem", net.conv("conv1", x, 16, 3, padding=1, bias=False)), 16
    else:
        x, width = stem(net, x, 64), 64
    for stage, blocks in enumerate(IMAGENET.get(depth) or (CIFAR[depth],) * 3):
        for index in range(blocks):
            name, stride = f"stage{stage + 1}_{index + 1}", 2 if stage and not index else 1
            first = stage == index == 0
            if depth in (*BASIC_DEPTHS, *CIFAR_BASIC_DEPTHS):
                x = basic_block(net, name, x, width << stage, stride, activated=first)
            else:
                x = _bottleneck(net, name, x, width << stage, stride, first, stride_in_3x3)
    return x


def basic_block(net: NetworkBuilder, name: str, x: str, channels: int, stride: int, *, activated: bool = False) -> str:
    """Add two 3x3 convolutions, each behind its activation, and the block's input; `activated` input is used as it is.

    Where the shape changes, the shortcut is a convolution of the activated input.
    """
    active = x if activated else bn_relu(net, f"{name}.a", x)
    y = net.conv(f"{name}.a", active, channels, 3, stride=stride, padding=1, bias=False)
    return _added(net, name, x, active, bn_conv(net, f"{name}.b", y, channels, 3, padding=1), stride)


def _bottleneck(
    net: NetworkBuilder, name: str, x: str, channels: int, stride: int, activated: bool, stride_in_3x3: bool
) -> str:
    one, three = (1, stride) if stride_in_3x3 else (stride, 1)
    active = x if activated else bn_relu(net, f"{name}.a", x)
    y = net.conv(f"{name}.a", active, channels, 1, stride=one, bias=False)
    y = bn_conv(net, f"{name}.b", y, channels, 3, stride=three, padding=1)
    return _added(net, name, x, active, bn_conv(net, f"{name}.c", y, 4 * channels, 1), stride)


def _added(net: NetworkBuilder, name: str, x: str, active: str, y: str, stride: int) -> str:
    if net.shape_of(x) != net.shape_of(y):
        x = net.conv(f"{name}.projection", active, net.shape_of(y)[1], 1, stride=stride, bias=False)
    return net.elementwise(f"{name}.add", y, x)
