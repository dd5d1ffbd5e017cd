"""A small network trained on scikit-learn's digits (8 x 8 images of handwritten digits), with NumPy alone.

Two 3 x 3 convolutions, a maximum over 2 x 2 and a classifier: 1200 images to learn from, 597 others to be tested on.
With a number format it is trained in it: forward in the format, backward as if it rounded nothing (straight-through
estimator: Courbariaux, Hubara et al., "Binarized neural networks", arXiv 1602.02830, 2016, Sec. 1.3).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from hwsim import Network, NetworkBuilder
from hwsim.formats import NumberFormat
from hwsim.quantise import fitted, requantised

Array = NDArray[Any]
Tensors = dict[str, Array]

SIDE, CLASSES, CHANNELS = 8, 10, (8, 16)
TRAINING_IMAGES, BATCH = 1200, 48
RATE, DECAY, MOMENTUM, SQUARES, TINY = 4e-3, 0.9, 0.9, 0.99, 1e-8
"""Adam's first step size, what it is multiplied by in each epoch, and its constants (Kingma and Ba, 2015)."""

REACH = 2.0
"""Mean magnitudes within which a rounded activation passes on its gradient."""


class Digits(NamedTuple):
    """Images (N, 1, 8, 8) from -1 to 1 and their classes, to train on and to test with."""

    images: Array
    classes: Array
    test_images: Array
    test_classes: Array


def digits() -> Digits:
    """Return the images in an order drawn once, so that no writer is only among those tested."""
    from sklearn.datasets import load_digits

    pixels, classes = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(classes))
    images = (pixels[order].reshape(-1, 1, SIDE, SIDE) / 8 - 1).astype(np.float32)
    split = TRAINING_IMAGES
    return Digits(images[:split], classes[order[:split]], images[split:], classes[order[split:]])


def network(tensors: Tensors, batch: int = 1, relu: bool = True) -> Network:
    """Return the network with `tensors`; without ReLU the rounding to a format's levels is what is not linear."""
    net = NetworkBuilder("digits")
    x = net.input("image", (batch, 1, SIDE, SIDE))
    for index, channels in enumerate(CHANNELS, 1):
        x = net.conv(f"conv{index}", x, channels, 3, padding=1, bias=relu)
        x = net.activation(f"relu{index}", x) if relu else x
    x = net.flatten("flatten", net.pool("pool", x, 2))
    net.linear("fc", x, CLASSES)
    return net.build(tensors=tensors)


def trained(data: Digits, epochs: int, fmt: NumberFormat | None = None, images: int = TRAINING_IMAGES) -> Tensors:
    """Return the tensors after `epochs` over the first `images`, the same every time."""
    generator = np.random.default_rng(1)
    tensors = _drawn(generator, biases=fmt is None)
    moments = {name: (np.zeros_like(one), np.zeros_like(one)) for name, one in tensors.items()}
    step = 0
    for epoch in range(epochs):
        for chosen in _batches(generator, min(images, len(data.classes))):
            gradients = _gradients(tensors, data.images[chosen], data.classes[chosen], fmt)
            step += 1
            for name, gradient in gradients.items():
                _adam(tensors[name], gradient, moments[name], step, RATE * DECAY**epoch)
    return tensors


def _drawn(generator: np.random.Generator, biases: bool) -> Tensors:
    first, second = CHANNELS
    shapes = {"conv1": (first, 1, 3, 3), "conv2": (second, first, 3, 3), "fc": (CLASSES, second * (SIDE // 2) ** 2)}
    tensors: Tensors = {}
    for name, shape in shapes.items():
        scale = np.sqrt(2 / np.prod(shape[1:]))
        tensors[f"{name}.weight"] = (scale * generator.standard_normal(shape)).astype(np.float32)
        if biases or name == "fc":
            tensors[f"{name}.bias"] = np.zeros(shape[0], np.float32)
    return tensors


def _batches(generator: np.random.Generator, images: int) -> Iterator[Array]:
    order = generator.permutation(images)
    return (order[at : at + BATCH] for at in range(0, images - BATCH + 1, BATCH))


def _adam(tensor: Array, gradient: Array, moments: tuple[Array, Array], step: int, rate: float) -> None:
    """Take one step of Adam, in place."""
    mean, square = moments
    mean += (1 - MOMENTUM) * (gradient - mean)
    square += (1 - SQUARES) * (gradient * gradient - square)
    unbiased, spread = mean / (1 - MOMENTUM**step), square / (1 - SQUARES**step)
    tensor -= (rate * unbiased / (np.sqrt(spread) + TINY)).astype(np.float32)


def _gradients(tensors: Tensors, x: Array, classes: Array, fmt: NumberFormat | None) -> Tensors:
    """Return the gradient of the mean cross entropy for every tensor."""
    weights = {name: _rounded(one, fmt, 0) for name, one in tensors.items() if name.endswith("weight")}
    image = _rounded(x, fmt)
    columns1, z1 = _convolved(image, weights["conv1.weight"], tensors.get("conv1.bias"))
    a1, passes1 = _activated(z1, fmt)
    columns2, z2 = _convolved(a1, weights["conv2.weight"], tensors.get("conv2.bias"))
    a2, passes2 = _activated(z2, fmt)
    pooled, at = _pooled(a2)
    flat = pooled.reshape(len(x), -1)
    logits = flat @ weights["fc.weight"].T + tensors["fc.bias"]
    d = _softmax(logits)
    d[np.arange(len(x)), classes] -= 1
    d /= len(x)
    found = {"fc.weight": d.T @ flat, "fc.bias": d.sum(0)}
    d2 = _unpooled((d @ weights["fc.weight"]).reshape(pooled.shape), at) * passes2
    found["conv2.weight"], d1 = _back(d2, columns2, weights["conv2.weight"])
    d1 *= passes1
    found["conv1.weight"] = _back(d1, columns1, weights["conv1.weight"])[0]
    biases = {"conv1.bias": d1.sum((0, 2, 3)), "conv2.bias": d2.sum((0, 2, 3))}
    return found | {name: gradient for name, gradient in biases.items() if name in tensors}


def _rounded(values: Array, fmt: NumberFormat | None, axis: int | None = None) -> Array:
    return values if fmt is None else requantised(values, fitted(values, fmt, axis))


def _activated(z: Array, fmt: NumberFormat | None) -> tuple[Array, Array]:
    """Return ReLU of `z`, or `z` in its format, and where its gradient passes."""
    if fmt is None:
        return np.maximum(z, 0), z > 0
    return _rounded(z, fmt), np.abs(z) < REACH * np.abs(z).mean()


def _convolved(x: Array, weight: Array, bias: Array | None) -> tuple[Array, Array]:
    """Return the windows (N, H, W, C 9) of images (N, C, H, W) padded by 1, and their products (N, K, H, W)."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = sliding_window_view(padded, (3, 3), (2, 3)).transpose(0, 2, 3, 1, 4, 5)
    columns = windows.reshape(*windows.shape[:3], -1)
    z = columns @ weight.reshape(len(weight), -1).T
    return columns, np.moveaxis(z if bias is None else z + bias, -1, 1)


def _back(d: Array, columns: Array, weight: Array) -> tuple[Array, Array]:
    """Return the gradients of the weights and of the images from those of the products."""
    last = np.moveaxis(d, 1, -1)
    own = np.tensordot(last, columns, ((0, 1, 2), (0, 1, 2))).reshape(weight.shape)
    turned = np.ascontiguousarray(weight[:, :, ::-1, ::-1].swapaxes(0, 1))
    return own, _convolved(d, turned, None)[1]


def _pooled(x: Array) -> tuple[Array, Array]:
    """Return the maxima of 2 x 2 and where they were, with ties shared."""
    n, c, h, w = x.shape
    blocks = x.reshape(n, c, h // 2, 2, w // 2, 2)
    largest = blocks.max(axis=(3, 5), keepdims=True)
    at = (blocks == largest).astype(np.float32)
    return largest[:, :, :, 0, :, 0], at / at.sum(axis=(3, 5), keepdims=True)


def _unpooled(d: Array, at: Array) -> Array:
    n, c, h, w = d.shape
    return np.asarray(at * d[:, :, :, None, :, None]).reshape(n, c, 2 * h, 2 * w)


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
