"""Network in network: each convolution is followed by 1x1 convolutions, and a mean of each map replaces the classifier.

Lin, Chen & Yan, "Network in network", ICLR 2014, Fig. 2. Sizes are the authors' Caffe models `cifar10_nin` and
`nin_imagenet`.
"""

from __future__ import annotations

from hwsim.ir import Network, NetworkBuilder

from ._blocks import at_least, conv_relu, images, named, one_of

SOURCE = "Lin et al., ICLR 2014, Fig. 2; the authors' Caffe models cifar10_nin and nin_imagenet"

IMAGENET = (
    (11, 4, 0, (96, 96, 96)),
    (5, 1, 2, (256, 256, 256)),
    (3, 1, 1, (384, 384, 384)),
    (3, 1, 1, (1024, 1024)),
)
CIFAR10 = ((5, 1, 2, (192, 160, 96)), (5, 1, 2, (192, 192, 192)), (3, 1, 1, (192, 192)))
"""Filter, stride and padding of each stage's convolution; channels of it and of the 1x1 convolutions behind it.

One more 1x1 convolution, to the classes, ends the last stage.
"""

SMALLEST_IMAGE = {"imagenet": 39, "cifar10": 4}
"""The last pool reads 2 rows (pools round up), those before it 4 and 8; conv1 of "imagenet" 4 x 7 + 11 = 39."""


def nin(dataset: str = "imagenet", batch: int = 1, image: int = 0, classes: int = 0) -> Network:
    """Return the network for "imagenet" or "cifar10" on `batch` images (N, 3, image, image).

    `image` and `classes` are by default those of the data set: 224 and 1000, or 32 and 10.
    Raises `InputError` for another data set, sizes below 1, and images below 39 ("imagenet") or 4 ("cifar10").
    """
    one_of("nin", "dataset", dataset, ("imagenet", "cifar10"))
    stages, usual_image, usual_classes = (IMAGENET, 224, 1000) if dataset == "imagenet" else (CIFAR10, 32, 10)
    image, classes = image or usual_image, classes or usual_classes
    at_least("nin", 1, batch=batch, classes=classes)
    at_least("nin", SMALLEST_IMAGE[dataset], image=image)
    net = NetworkBuilder(named(f"nin_{dataset}", image=(image, usual_image), classes=(classes, usual_classes)))
    x, layer = images(net, batch, image), 0
    for index, (kernel, stride, padding, channels) in enumerate(stages, 1):
        x = conv_relu(net, f"conv{index}", x, channels[0], kernel, stride=stride, padding=padding)
        for outputs in (*channels[1:], *((classes,) if index == len(stages) else ())):
            layer += 1
            x = conv_relu(net, f"cccp{layer}", x, outputs, 1)
        if index < len(stages):
            x = _pool(net, index, x, dataset)
    net.softmax("softmax", net.flatten("flatten", net.global_pool("pool", x)))
    return net.build(source=SOURCE)


def _pool(net: NetworkBuilder, index: int, x: str, dataset: str) -> str:
    """Pool overlapping windows, rounding up; CIFAR's second pool is an average."""
    function = "average" if dataset == "cifar10" and index == 2 else "max"
    return net.pool(f"pool{index}", x, 3, stride=2, ceil_mode=True, function=function)
