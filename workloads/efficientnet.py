"""EfficientNet: inverted residuals with gates, scaled in width, depth and image size at once.

Tan & Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML 2019, Table 1 (B0) and
Sec. 3.3; the coefficients of B1 to B7 are those of the authors' code.
"""

from __future__ import annotations

from math import ceil

from hwsim.ir import Network, NetworkBuilder

from ._blocks import at_least, conv_bn, divisible, images, named, one_of, pooled_classifier, squeeze_excitation

SOURCE = "Tan & Le, ICML 2019, Table 1 and Sec. 3.3"

SCALES = {
    "b0": (1.0, 1.0, 224),
    "b1": (1.0, 1.1, 240),
    "b2": (1.1, 1.2, 260),
    "b3": (1.2, 1.4, 300),
    "b4": (1.4, 1.8, 380),
    "b5": (1.6, 2.2, 456),
    "b6": (1.8, 2.6, 528),
    "b7": (2.0, 3.1, 600),
}
"""Factors of the channels and of the blocks, and rows of the image, by variant."""

STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
"""Expansion, filter, stride of the first block, output channels and blocks of each stage of B0."""

SQUEEZE = 4
"""A block's input channels over those of its squeezed vector."""


def efficientnet(variant: str = "b0", batch: int = 1, image: int = 0, classes: int = 1000) -> Network:
    """Return EfficientNet `variant`, "b0" to "b7", on `batch` images (N, 3, image, image) of the variant's size.

    Raises `InputError` for an unknown variant and sizes below 1.
    """
    one_of("efficientnet", "variant", variant, tuple(SCALES))
    width, depth, usual = SCALES[variant]
    image = image or usual
    at_least("efficientnet", 1, batch=batch, image=image, classes=classes)
    net = NetworkBuilder(named(f"efficientnet_{variant}", image=(image, usual), classes=(classes, 1000)))
    x = _conv(net, "conv1", images(net, batch, image), divisible(32 * width), 3, stride=2)
    for stage, (expansion, kernel, first_stride, channels, blocks) in enumerate(STAGES, 2):
        for index in range(ceil(blocks * depth)):
            name, stride = f"stage{stage}_{index + 1}", 1 if index else first_stride
            x = _block(net, name, x, expansion, kernel, divisible(channels * width), stride)
    x = _conv(net, "conv_last", x, 4 * net.shape_of(x)[1], 1)
    pooled_classifier(net, x, classes)
    return net.build(source=SOURCE)


def _block(net: NetworkBuilder, name: str, x: str, expansion: int, kernel: int, channels: int, stride: int) -> str:
    """Expand, filter each channel, weigh the channels, project; add the input where its shape is kept ("MBConv")."""
    given = net.shape_of(x)[1]
    wide = _conv(net, f"{name}.expand", x, given * expansion, 1) if expansion > 1 else x
    wide = _conv(net, f"{name}.depthwise", wide, given * expansion, kernel, stride=stride, groups=given * expansion)
    wide = squeeze_excitation(net, f"{name}.se", wide, max(1, given // SQUEEZE), activation="silu")
    narrow = conv_bn(net, f"{name}.project", wide, channels, 1)
    return net.elementwise(f"{name}.add", narrow, x) if stride == 1 and channels == given else narrow


def _conv(
    net: NetworkBuilder, name: str, x: str, channels: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> str:
    return conv_bn(net, name, x, channels, kernel, stride=stride, padding="same", groups=groups, activation="silu")
