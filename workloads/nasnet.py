"""NASNet-A: two cells found by search, one that keeps and one that halves the extent, repeated.

Zoph, Vasudevan, Shlens & Le, "Learning transferable architectures for scalable image recognition", CVPR 2018, Fig. 4
and Appendix A; sizes, stem and the factorised reduction of a cell's other input are those of the authors'
TensorFlow-Slim code. A cell reads the two cells before it and joins sums of two branches each.
"""

from __future__ import annotations

from hwsim.ir import Network, NetworkBuilder

from ._blocks import at_least, conv_bn, images, named, one_of, pooled_classifier

SOURCE = "Zoph et al., CVPR 2018, Fig. 4; TensorFlow-Slim, nasnet.py"

SIZES = {"mobile": (4, 44, 32, 224), "large": (6, 168, 96, 331)}
"""Normal cells in a row N, filters of the first of them, channels of the stem, rows of the image.

The paper writes "N @ filters" with those of the last cell's output, 24 times those here: 4 @ 1056 and 6 @ 4032.
"""


def nasnet(size: str = "mobile", batch: int = 1, image: int = 0, classes: int = 1000) -> Network:
    """Return NASNet-A "mobile" (4 @ 1056) or "large" (6 @ 4032) on `batch` images (N, 3, image, image).

    `image` is by default 224 or 331.
    Raises `InputError` for an unknown size, sizes below 1 and images below 3.
    """
    one_of("nasnet", "size", size, tuple(SIZES))
    repeats, filters, stem, usual = SIZES[size]
    image = image or usual
    at_least("nasnet", 1, batch=batch, classes=classes)
    at_least("nasnet", 3, image=image)
    net = NetworkBuilder(named(f"nasnet_{size}", image=(image, usual), classes=(classes, 1000)))
    now = conv_bn(net, "stem", images(net, batch, image), stem, 3, stride=2)
    before, now = now, _reduction(net, "stem1", now, now, filters // 4)
    before, now = now, _reduction(net, "stem2", before, now, filters // 2)
    for stage in range(3):
        if stage:
            reduced = _reduction(net, f"reduction{stage}", before, now, filters << stage)
            # behind a reduction, the large network's other input stays the one that the reduction had
            before, now = (before if size == "large" else now), reduced
        for index in range(1, repeats + 1):
            before, now = now, _normal(net, f"cell{stage + 1}_{index}", before, now, filters << stage)
    pooled_classifier(net, net.activation("relu", now), classes)
    return net.build(source=SOURCE)


def _normal(net: NetworkBuilder, name: str, before: str, now: str, filters: int) -> str:
    """Add the cell that keeps the extent: five sums behind its other input."""
    left, right = _adjusted(net, name, before, now, filters), _squeezed(net, f"{name}.now", now, filters)

    def separable(place: str, x: str, kernel: int) -> str:
        return _separable(net, f"{name}.{place}", x, filters, kernel)

    def average(place: str, x: str) -> str:
        return net.pool(f"{name}.{place}", x, 3, stride=1, padding="same", function="average")

    sums = (
        net.elementwise(f"{name}.sum1", separable("1a", right, 5), separable("1b", left, 3)),
        net.elementwise(f"{name}.sum2", separable("2a", left, 5), separable("2b", left, 3)),
        net.elementwise(f"{name}.sum3", average("3a", right), left),
        net.elementwise(f"{name}.sum4", average("4a", left), average("4b", left)),
        net.elementwise(f"{name}.sum5", separable("5a", right, 3), right),
    )
    return net.concatenation(f"{name}.output", left, *sums)


def _reduction(net: NetworkBuilder, name: str, before: str, now: str, filters: int) -> str:
    """Add the cell that halves the extent: four sums, two of them of the first one's halved branches."""
    # the first cell has no other input: it reads the stem twice, once as it is
    left = before if before == now else _adjusted(net, name, before, now, filters)
    right = _squeezed(net, f"{name}.now", now, filters)

    def separable(place: str, x: str, kernel: int, stride: int = 2) -> str:
        return _separable(net, f"{name}.{place}", x, filters, kernel, stride)

    def pool(place: str, x: str, function: str, stride: int = 2) -> str:
        return net.pool(f"{name}.{place}", x, 3, stride=stride, padding="same", function=function)

    first = net.elementwise(f"{name}.sum1", separable("1a", right, 5), separable("1b", left, 7))
    second = net.elementwise(f"{name}.sum2", pool("2a", right, "max"), separable("2b", left, 7))
    third = net.elementwise(f"{name}.sum3", pool("3a", right, "average"), separable("3b", left, 5))
    fourth = net.elementwise(f"{name}.sum4", pool("4a", first, "average", 1), second)
    fifth = net.elementwise(f"{name}.sum5", separable("5a", first, 3, 1), pool("5b", right, "max"))
    return net.concatenation(f"{name}.output", second, third, fourth, fifth)


def _adjusted(net: NetworkBuilder, name: str, before: str, now: str, filters: int) -> str:
    """Return a cell's other input with `filters` channels, and the extent of `now`."""
    if net.shape_of(before)[2:] == net.shape_of(now)[2:]:
        return _squeezed(net, f"{name}.before", before, filters)
    x = net.activation(f"{name}.before_relu", before)
    halves = [
        net.conv(f"{name}.before_{index}", half, filters // 2, 1, bias=False)
        for index, half in enumerate(_subsampled(net, f"{name}.before", x), 1)
    ]
    return net.normalisation(f"{name}.before_bn", net.concatenation(f"{name}.before_halves", *halves))


def _subsampled(net: NetworkBuilder, name: str, x: str) -> tuple[str, str]:
    """Return every second position, and the ones between them, a zero where one is missing at the edge."""
    batch, channels, rows, cols = net.shape_of(x)
    between = net.layout(f"{name}_below", x, (batch, channels, rows - 1, cols), "from1")
    between = net.layout(f"{name}_between", between, (batch, channels, rows - 1, cols - 1), "from1")
    missing = (0, 0, rows % 2, cols % 2)
    return (
        net.pool(f"{name}_pool1", x, 1, stride=2),
        # a sum, because nothing but a sum of no elements is zero
        net.pool(f"{name}_pool2", between, 1, stride=2, padding=missing, function="sum"),
    )


def _squeezed(net: NetworkBuilder, name: str, x: str, filters: int) -> str:
    return conv_bn(net, name, net.activation(f"{name}_relu", x), filters, 1)


def _separable(net: NetworkBuilder, name: str, x: str, filters: int, kernel: int, stride: int = 1) -> str:
    """Add ReLU, a depthwise and a pointwise convolution and batch normalisation, twice, the stride in the first."""
    for half, steps in (("first", stride), ("second", 1)):
        channels = net.shape_of(x)[1]
        x = net.activation(f"{name}.{half}_relu", x)
        x = net.conv(
            f"{name}.{half}_depthwise", x, channels, kernel, stride=steps, padding="same", groups=channels, bias=False
        )
        x = conv_bn(net, f"{name}.{half}", x, filters, 1)
    return x
