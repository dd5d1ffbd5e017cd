"""Convolutions by the fast Fourier transform: products of spectra, summed over channels.

Mathieu, Henaff & LeCun, "Fast training of convolutional networks through FFTs", ICLR 2014, Sec. 2. Sizes are powers of
two; NumPy 2 keeps float32, older ones compute in float64.
"""

from __future__ import annotations

import numpy as np

from hwsim.errors import InputError
from hwsim.functional.kernels.convolution import Array, image, require
from hwsim.ir.layer import Layer


def extents(layer: Layer) -> tuple[int, int]:
    """Return the rows and columns of the transforms: what windows cover, rounded up to powers of two.

    A correlation that is only read where filters lie within the image wraps round nowhere else.
    """
    rows = (layer.P - 1) * layer.stride[0] + (layer.R - 1) * layer.dilation[0] + 1
    cols = (layer.Q - 1) * layer.stride[1] + (layer.S - 1) * layer.dilation[1] + 1
    return 1 << (rows - 1).bit_length(), 1 << (cols - 1).bit_length()


def convolved(layer: Layer, x: Array, weights: Array) -> Array:
    """Return the convolution (N, G K, P, Q) of x (N, G C, H, W) by weights (G, K, C, R, S), in float32.

    Raises `InputError` for other types. Outputs that a stride leaves out are computed and dropped.
    """
    require(layer, x, weights)
    if x.dtype != np.float32:
        raise InputError(f"layer '{layer.name}': Fourier transforms are for float32, not {x.dtype}")
    size = extents(layer)
    y = np.empty((layer.N, layer.G * layer.K, layer.P, layer.Q), np.float32)
    for group in range(layer.G):
        images, filters = spectrum(image(layer, x, group, 0), size), filter_spectrum(layer, weights[group], size)
        whole = correlated(images, filters, size)
        part = whole[:, : (layer.P - 1) * layer.stride[0] + 1, : (layer.Q - 1) * layer.stride[1] + 1]
        part = part[:, :: layer.stride[0], :: layer.stride[1]]
        y[:, group * layer.K : (group + 1) * layer.K] = part.transpose(0, 3, 1, 2)
    return y


def spectrum(padded: Array, size: tuple[int, int]) -> Array:
    """Return the spectrum (rows, columns / 2 + 1, N, C) of images (N, rows, columns, C)."""
    return np.ascontiguousarray(np.fft.rfft2(padded, size, axes=(1, 2)).transpose(1, 2, 0, 3))


def filter_spectrum(layer: Layer, weights: Array, size: tuple[int, int]) -> Array:
    """Return the conjugate spectrum (rows, columns / 2 + 1, C, K) of filters (K, C, R, S), spread by the dilation."""
    spread = np.zeros((layer.K, layer.C, *size), np.float32)
    rows, cols = (layer.R - 1) * layer.dilation[0] + 1, (layer.S - 1) * layer.dilation[1] + 1
    spread[:, :, : rows : layer.dilation[0], : cols : layer.dilation[1]] = weights
    return np.ascontiguousarray(np.fft.rfft2(spread).conj().transpose(2, 3, 1, 0))


def correlated(images: Array, filters: Array, size: tuple[int, int]) -> Array:
    """Return the correlation (N, rows, columns, K) of two spectra."""
    products = np.matmul(images, filters).transpose(2, 0, 1, 3)
    correlation: Array = np.fft.irfft2(products, size, axes=(1, 2))
    return correlation
