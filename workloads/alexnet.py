"""AlexNet, the first convolutional network to win ImageNet.

Krizhevsky, Sutskever & Hinton, "ImageNet classification with deep convolutional neural networks", NIPS 2012, Sec. 3.5
and Fig. 2. The two columns of the figure, one per GPU, are the two groups of conv2, conv4 and conv5. The network of one
column is that of Krizhevsky, "One weird trick for parallelizing convolutional neural networks", arXiv:1404.5997 (2014),
as torchvision has it: fewer channels, no groups, no normalisation.
"""

from __future__ import annotations

from hwsim.ir import Network, NetworkBuilder

from ._blocks import at_least, hidden_classifier, images, named

SOURCE = "Krizhevsky et al., NIPS 2012, Sec. 3.5 and Fig. 2"
NOTES = ("the paper prints images of 224x224; its layer sizes need 227x227",)

SMALLEST_IMAGE = 67
"""pool5 reads 3 rows, so pool2 reads 2 x 3 + 1 = 7, pool1 2 x 7 + 1 = 15, and conv1 4 x (15 - 1) + 11 = 67."""


ONE_COLUMN = "Krizhevsky, arXiv:1404.5997 (2014), Sec. 5; torchvision"


def alexnet(
    batch: int = 1, image: int = 0, grouped: bool = True, one_column: bool = False, classes: int = 1000
) -> Network:
    """Return AlexNet on `batch` images (N, 3, image, image), by default of 227 rows, and of 224 for one column.

    `grouped=False` joins the two groups at the same widths; `one_column=True` is torchvision's network.
    Raises `InputError` for sizes below 1 and images below 67.
    """
    usual = 224 if one_column else 227
    image = image or usual
    at_least("alexnet", 1, batch=batch, classes=classes)
    at_least("alexnet", SMALLEST_IMAGE, image=image)
    base = "alexnet_one_column" if one_column else "alexnet" if grouped else "alexnet_ungrouped"
    net = NetworkBuilder(named(base, image=(image, usual), classes=(classes, 1000)))
    x = images(net, batch, image)
    features = _one_column(net, x) if one_column else _two_columns(net, x, 2 if grouped else 1)
    hidden_classifier(net, net.pool("pool5", features, 3, stride=2), classes)
    return net.build(source=ONE_COLUMN) if one_column else net.build(source=SOURCE, notes=NOTES)


def _two_columns(net: NetworkBuilder, x: str, groups: int) -> str:
    x = _conv(net, 1, x, 96, 11, stride=4)
    x = _normalise_and_pool(net, 1, x)
    x = _conv(net, 2, x, 256, 5, padding=2, groups=groups)
    x = _normalise_and_pool(net, 2, x)
    x = _conv(net, 3, x, 384, 3, padding=1)
    x = _conv(net, 4, x, 384, 3, padding=1, groups=groups)
    return _conv(net, 5, x, 256, 3, padding=1, groups=groups)


def _one_column(net: NetworkBuilder, x: str) -> str:
    x = net.pool("pool1", _conv(net, 1, x, 64, 11, stride=4, padding=2), 3, stride=2)
    x = net.pool("pool2", _conv(net, 2, x, 192, 5, padding=2), 3, stride=2)
    for index, channels in ((3, 384), (4, 256), (5, 256)):
        x = _conv(net, index, x, channels, 3, padding=1)
    return x


def _conv(
    net: NetworkBuilder,
    index: int,
    x: str,
    channels: int,
    kernel: int,
    *,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
) -> str:
    x = net.conv(f"conv{index}", x, channels, kernel, stride=stride, padding=padding, groups=groups)
    return net.activation(f"relu{index}", x)


def _normalise_and_pool(net: NetworkBuilder, index: int, x: str) -> str:
    """Normalise over 5 neighbouring channels (Sec. 3.3), then take the maximum of overlapping windows (Sec. 3.4)."""
    x = net.normalisation(f"norm{index}", x, "local_response")
    return net.pool(f"pool{index}", x, 3, stride=2)
