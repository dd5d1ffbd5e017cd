"""Convolutions in transformed space: Winograd's minimal filtering and the fast Fourier transform, tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np

from hwsim.functional.lowering import Array
from hwsim.ir.layer import Layer
from hwsim.mapping.gpu.transforms import FFT_TILE
from hwsim.units import ceil_div

POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
"""Where polynomials are evaluated, infinity last: Lavin and Gray, CVPR 2016, Sec. 4."""


@cache
def matrices(size: int, taps: int) -> tuple[Any, Any, Any]:
    """Return the transforms A^T (outputs), G (filters) and B^T (inputs) of F(size, taps).

    A filter of `taps` applied at `size` places is the transpose of a product of polynomials, which Toom and Cook take
    by their values at points (Lavin and Gray, CVPR 2016, Sec. 4).
    """
    side = size + taps - 1

    def evaluation(degree: int) -> Any:
        rows = [[point**power for power in range(degree)] for point in POINTS[: side - 1]]
        return np.array([*rows, [0.0] * (degree - 1) + [1.0]])

    inverse = np.linalg.inv(evaluation(side))
    return evaluation(size).T.astype(np.float32), evaluation(taps).astype(np.float32), inverse.T.astype(np.float32)


def winograd(layer: Layer, x: Array, weights: Array, size: int) -> Iterator[tuple[Array, Array]]:
    """Yield, for each point of a tile, inputs (tiles, C) and filters (C, K), both transformed."""
    _, of_filters, of_inputs = matrices(size, layer.R)
    windows = _windows(layer, x, size, size + layer.R - 1)
    tiles = np.einsum("ia,ncpqab,jb->ijnpqc", of_inputs, windows, of_inputs, optimize=True)
    filters = np.einsum("ia,kcab,jb->ijck", of_filters, weights, of_filters, optimize=True)
    for i in range(tiles.shape[0]):
        for j in range(tiles.shape[1]):
            yield np.ascontiguousarray(tiles[i, j].reshape(-1, layer.C)), np.ascontiguousarray(filters[i, j])


def winograd_back(layer: Layer, sums: Array, size: int) -> Array:
    """Return the outputs (positions, K) of the sums (points, tiles, K)."""
    of_outputs, _, _ = matrices(size, layer.R)
    side, down, across = size + layer.R - 1, ceil_div(layer.P, size), ceil_div(layer.Q, size)
    points = sums.reshape(side, side, layer.N, down, across, layer.K)
    tiles = np.einsum("ia,abnpqk,jb->npiqjk", of_outputs, points, of_outputs, optimize=True)
    return _positions(layer, tiles.reshape(layer.N, down * size, across * size, layer.K))


def strips(layer: Layer) -> list[Array]:
    """Return the tiles of each block of 8 x 4, or 4 x 8, within an image, whichever are fewer."""
    down, across = ceil_div(layer.P, 2), ceil_div(layer.Q, 2)
    tiles = np.arange(layer.N * down * across).reshape(layer.N, down, across)
    high, wide = min(((8, 4), (4, 8)), key=lambda side: ceil_div(down, side[0]) * ceil_div(across, side[1]))
    return [
        tiles[image, i : i + high, j : j + wide].ravel()
        for image in range(layer.N)
        for i in range(0, down, high)
        for j in range(0, across, wide)
    ]


def fft(layer: Layer, x: Array, weights: Array) -> tuple[Iterator[tuple[Array, Array]], Callable[[Array], Array]]:
    """Return the four real products of every frequency, and what makes outputs (positions, K) of their results."""
    step = FFT_TILE + 1 - layer.R
    windows = np.fft.rfft2(_windows(layer, x, step, FFT_TILE))
    kernels = np.conj(np.fft.rfft2(weights, (FFT_TILE, FFT_TILE)))
    left = np.moveaxis(windows, (4, 5, 1), (0, 1, 5)).reshape(
        -1, windows.shape[2] * windows.shape[3] * layer.N, layer.C
    )
    right = np.moveaxis(kernels, (2, 3, 1), (0, 1, 2)).reshape(-1, layer.C, layer.K)

    def pairs() -> Iterator[tuple[Array, Array]]:
        for one, other in zip(left, right, strict=True):
            for first in (one.real, one.imag):
                for second in (other.real, other.imag):
                    yield np.ascontiguousarray(first, np.float32), np.ascontiguousarray(second, np.float32)

    def back(sums: Array) -> Array:
        parts = sums.reshape(FFT_TILE, FFT_TILE // 2 + 1, 4, -1, layer.K)
        whole = parts[:, :, 0] - parts[:, :, 3] + 1j * (parts[:, :, 1] + parts[:, :, 2])
        tiles = np.fft.irfft2(whole, (FFT_TILE, FFT_TILE), (0, 1))[:step, :step]
        down, across = ceil_div(layer.P, step), ceil_div(layer.Q, step)
        placed = tiles.reshape(step, step, layer.N, down, across, layer.K).transpose(2, 3, 0, 4, 1, 5)
        return _positions(layer, placed.reshape(layer.N, down * step, across * step, layer.K).astype(np.float32))

    return pairs(), back


def _windows(layer: Layer, x: Array, step: int, side: int) -> Array:
    """Return windows (N, C, down, across, side, side) of the zero-padded input, a `step` apart."""
    down, across = ceil_div(layer.P, step), ceil_div(layer.Q, step)
    top, left, _, _ = layer.padding
    padded = np.zeros((layer.N, layer.C, (down - 1) * step + side, (across - 1) * step + side), np.float32)
    rows, cols = min(x.shape[2], padded.shape[2] - top), min(x.shape[3], padded.shape[3] - left)
    padded[:, :, top : top + rows, left : left + cols] = x[:, :, :rows, :cols]
    views: Array = np.lib.stride_tricks.sliding_window_view(padded, (side, side), (2, 3))[:, :, ::step, ::step]
    return views


def _positions(layer: Layer, outputs: Array) -> Array:
    """Return (positions, K) of outputs that reach beyond the layer's."""
    kept: Array = outputs[:, : layer.P, : layer.Q].reshape(layer.positions, layer.K)
    return kept
