"""What algorithms of products cost and how far they may err, as functions of a layer."""

from __future__ import annotations

from math import log2, sqrt

from hwsim.ir.layer import Layer
from hwsim.ir.minimal_filters import MinimalFilter
from hwsim.units import ceil_div

UNIT_ROUNDOFF = 2.0**-24
"""Of float32, round to nearest."""

STRASSEN_CUT_OVER = 1024
"""Smallest side of a blocked product within `products.strassen`: below, sums of quarters take longer than they save."""


def none(layer: Layer) -> int:
    """Return 0."""
    return 0


def plain(layer: Layer) -> int:
    """Return a multiplication per multiply-accumulate."""
    return layer.macs


def weights(layer: Layer) -> int:
    """Return the words of the weights as they are."""
    return layer.weight_elements


def summed(layer: Layer) -> float:
    """Return n / (1 - n u) of n products summed one by one (Higham, Accuracy and Stability, 2002, Eq. 3.3)."""
    return gamma(layer.reduction)


def gamma(roundings: float) -> float:
    """Return the bound of relative errors of so many roundings in a row, in units of u (Higham, Lemma 3.1)."""
    return roundings / (1 - roundings * UNIT_ROUNDOFF)


def unrolled_words(layer: Layer) -> int:
    """Return the words of the matrix of windows, written and read."""
    return 2 * layer.G * layer.positions * layer.reduction


def tiles(layer: Layer, by: MinimalFilter) -> int:
    """Return the tiles that cover all images."""
    return layer.N * ceil_div(layer.P, by.outputs) * ceil_div(layer.Q, by.outputs)


def minimal_growth(layer: Layer, by: MinimalFilter) -> float:
    """Return the bound of minimal filtering: roundings on the longest way times the sum of all absolute values.

    These go into an output; it bounds any bilinear algorithm (Higham, Sec. 23.2.1, in components). Seen errors are far
    below.
    """
    return gamma(by.roundings + layer.C) * by.growth


def points(layer: Layer) -> int:
    """Return the points of a transform: rows and columns that windows cover, rounded up to powers of two."""
    rows = (layer.P - 1) * layer.stride[0] + (layer.R - 1) * layer.dilation[0] + 1
    cols = (layer.Q - 1) * layer.stride[1] + (layer.S - 1) * layer.dilation[1] + 1
    return int(2 ** ((rows - 1).bit_length() + (cols - 1).bit_length()))


def spectrum_words(layer: Layer) -> int:
    """Return the words of one spectrum of a real image: half the points and a column, complex."""
    return points(layer) + 2 * points(layer) // _columns(layer)


def _columns(layer: Layer) -> int:
    return int(2 ** ((layer.Q - 1) * layer.stride[1] + (layer.S - 1) * layer.dilation[1]).bit_length())


def transforms(layer: Layer) -> int:
    """Return the transforms of all channels, there and back; those of filters are made once, before."""
    return layer.N * layer.G * (layer.C + layer.K)


def fourier_multiplications(layer: Layer) -> int:
    """Return four per complex product, and n log2 n per real transform of n points (radix 2)."""
    products = 2 * spectrum_words(layer) * layer.N * layer.G * layer.C * layer.K
    return products + transforms(layer) * round(points(layer) * log2(points(layer)))


def fourier_additions(layer: Layer) -> int:
    """Return 1.5 n log2 n per real transform of n points (radix 2)."""
    return transforms(layer) * round(1.5 * points(layer) * log2(points(layer)))


def fourier_growth(layer: Layer) -> float:
    """Return the bound where one transform holds the image."""
    return spectral_growth(points(layer), layer.C)


def spectral_growth(count: int, channels: int) -> float:
    """Return the bound from that of a radix-2 transform of `count` points in the 2-norm (Higham, Theorem 24.2).

    With e its relative error and F points: the filter's error meets the largest element of the image's spectrum,
    F max |x|; the image's, the sum's and the inverse's meet its 2-norm, sqrt(F) max |x| in each point.
    """
    one = gamma(4) * sqrt(2) + 1
    transform = log2(max(2, count)) * one
    return count * transform + sqrt(count) * (2 * transform + sqrt(2) * gamma(channels + 2))


def separable_multiplications(layer: Layer) -> int:
    """Return R per element between the two passes, which is as wide as the padded image, and S per output."""
    width = layer.input_shapes[0][3] + layer.padding[1] + layer.padding[3]
    return layer.N * layer.G * layer.P * (width * layer.R + layer.Q * layer.S)


def separable_words(layer: Layer) -> int:
    """Return what the first pass writes and the second reads."""
    return 2 * layer.N * layer.G * layer.P * (layer.input_shapes[0][3] + layer.padding[1] + layer.padding[3])


def levels(layer: Layer) -> int:
    """Return how often Strassen's recursion halves the sides before one is below twice the cut-over."""
    smallest = min(layer.N, layer.C, layer.K)
    return max(0, (smallest // STRASSEN_CUT_OVER).bit_length() - 1)


def halved(layer: Layer) -> list[tuple[int, int, int]]:
    """Return the halves of the sides N, C and K after each level, rounded up."""
    parts = [2**level for level in range(1, levels(layer) + 1)]
    return [(ceil_div(layer.N, part), ceil_div(layer.C, part), ceil_div(layer.K, part)) for part in parts]


def products_at(level: int) -> int:
    """Return the products that a level of the recursion asks for."""
    return int(7**level)


def strassen_multiplications(layer: Layer) -> int:
    """Return those of the blocked products."""
    rows, depth, cols = halved(layer)[-1] if levels(layer) else (layer.N, layer.C, layer.K)
    return layer.steps * products_at(levels(layer)) * rows * depth * cols


def strassen_additions(layer: Layer) -> int:
    """Return five sums of quarters of either operand and eight of the result, at each level."""
    return layer.steps * sum(
        products_at(level) * (5 * rows * depth + 5 * depth * cols + 8 * rows * cols)
        for level, (rows, depth, cols) in enumerate(halved(layer))
    )


def strassen_words(layer: Layer) -> int:
    """Return ten sums of operands and seven products, written and read, at each level."""
    return layer.steps * sum(
        2 * products_at(level) * (5 * rows * depth + 5 * depth * cols + 7 * rows * cols)
        for level, (rows, depth, cols) in enumerate(halved(layer))
    )


def strassen_growth(layer: Layer) -> float:
    """Return the bound of Strassen's method in the largest element (Higham, Theorem 23.2, for its levels).

    (n / n0)^(log2 12) (n0^2 + 5 n0) - 5 n, where n0 is the reduction of a blocked product.
    """
    depth = halved(layer)[-1][1] if levels(layer) else layer.C
    if not levels(layer):
        return summed(layer)
    return 12.0 ** levels(layer) * (depth**2 + 5 * depth) - 5 * layer.C


def nonzero(layer: Layer) -> int:
    """Return an addition per weight that is not zero and row."""
    return round(layer.weight_density * layer.macs)
