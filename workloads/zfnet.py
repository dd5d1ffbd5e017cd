"""ZFNet: AlexNet on one GPU with smaller and denser first filters, found by looking at what the filters see.

Zeiler & Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, Fig. 3: filters of 7x7 with stride 2
and of 5x5 with stride 2, no groups. Extents are those of the figure: 110, 55, 26, 13 and 6 rows.
"""

from __future__ import annotations

from hwsim.ir import Network, NetworkBuilder

from ._blocks import at_least, conv_relu, hidden_classifier, images, named

SOURCE = "Zeiler & Fergus, ECCV 2014, Fig. 3"

SMALLEST_IMAGE = 63
"""pool5 reads 3 rows, so pool2 reads 6 (rounding up), conv2 2 x 5 + 5 = 15, pool1 30, and conv1 2 x 29 + 7 - 2 = 63."""


def zfnet(batch: int = 1, image: int = 224, classes: int = 1000) -> Network:
    """Return ZFNet on `batch` images (N, 3, image, image).

    Raises `InputError` for sizes below 1 and images below 63.
    """
    at_least("zfnet", 1, batch=batch, classes=classes)
    at_least("zfnet", SMALLEST_IMAGE, image=image)
    net = NetworkBuilder(named("zfnet", image=(image, 224), classes=(classes, 1000)))
    x = conv_relu(net, "conv1", images(net, batch, image), 96, 7, stride=2, padding=1)
    x = _pool_and_normalise(net, 1, x)
    x = _pool_and_normalise(net, 2, conv_relu(net, "conv2", x, 256, 5, stride=2))
    for index, channels in ((3, 384), (4, 384), (5, 256)):
        x = conv_relu(net, f"conv{index}", x, channels, 3, padding=1)
    hidden_classifier(net, net.pool("pool5", x, 3, stride=2), classes)
    return net.build(source=SOURCE)


def _pool_and_normalise(net: NetworkBuilder, index: int, x: str) -> str:
    """Take the maximum of overlapping windows, the last one cut off at the edge, then normalise across channels."""
    x = net.pool(f"pool{index}", x, 3, stride=2, ceil_mode=True)
    return net.normalisation(f"norm{index}", x, "local_response")
