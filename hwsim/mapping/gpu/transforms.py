"""What convolutions in transformed space do: multiply-accumulates of their tiles, additions of their transforms."""

from __future__ import annotations

from hwsim.ir.layer import Layer
from hwsim.units import ceil_div

FFT_TILE = 32
FFT_POINTS = FFT_TILE * (FFT_TILE // 2 + 1)
"""Frequencies of a tile of real values: half of them, and the axis."""

FFT_ADDITIONS = FFT_TILE**2 * 5
"""Operations of a real transform of N = 32 x 32 values, N/2 log2(N) multiply-accumulates."""

ALGORITHMS = {"winograd": 4, "winograd_fused": 2, "fft": 0}
"""Those that multiply less often than the loop nest, with the side of the outputs of a tile; 0 follows the filter."""


def macs(layer: Layer, algorithm: str) -> int:
    """Return the multiply-accumulates of one step: by tile, channel and filter where a transform saves some.

    Winograd's F(m x m, r x r) takes (m + r - 1)^2 (Lavin and Gray, CVPR 2016, Sec. 4), a product of frequencies four
    real ones.
    """
    if algorithm not in ALGORITHMS:
        return layer.macs // layer.steps
    points = 4 * FFT_POINTS if algorithm == "fft" else (ALGORITHMS[algorithm] + layer.R - 1) ** 2
    return points * tiles(layer, algorithm) * layer.C * layer.K


def tiles(layer: Layer, algorithm: str) -> int:
    """Return the tiles that cover the outputs of all images."""
    side = ALGORITHMS[algorithm] or FFT_TILE + 1 - layer.R
    return layer.N * ceil_div(layer.P, side) * ceil_div(layer.Q, side)


def words(layer: Layer, algorithm: str) -> tuple[int, int, int]:
    """Return the words of inputs, filters and products that one pass writes and the next reads.

    In one kernel, as F(2x2, 3x3) is, those are the filters alone. A frequency is two words.
    """
    side = 0 if algorithm == "fft" else ALGORITHMS[algorithm] + layer.R - 1
    points, count = side**2 or 2 * FFT_POINTS, tiles(layer, algorithm)
    filters = points * layer.C * layer.K
    if algorithm == "winograd_fused":
        return 0, filters, 0
    return points * count * layer.C, filters, points * count * layer.K


def additions(layer: Layer, algorithm: str) -> int:
    """Return the operations of all transforms, of inputs, filters and outputs.

    One of Winograd's is a multiply-accumulate per entry of its matrix that is not zero, for all rows of a tile and then
    for all columns. At every point but 0 and infinity those are as many as a polynomial has coefficients, of inputs two
    less than a tile's side; at these two they are 1, of inputs half the side.
    """
    inputs, filters = tiles(layer, algorithm) * layer.C, layer.C * layer.K
    outputs = tiles(layer, algorithm) * layer.K
    if algorithm == "fft":
        return FFT_ADDITIONS * (inputs + filters + outputs)
    size, taps = ALGORITHMS[algorithm], layer.R
    side = size + taps - 1
    of_inputs, of_filters, of_outputs = (side - 2) ** 2 + side, (side - 2) * taps + 2, (side - 2) * size + 2
    return 2 * side * of_inputs * inputs + (taps + side) * of_filters * filters + (size + side) * of_outputs * outputs
