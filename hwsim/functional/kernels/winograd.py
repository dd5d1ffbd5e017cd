"""Convolutions of 3 x 3 filters by Winograd's minimal filters: tiles transformed, multiplied, and transformed back.

The products of all tiles at one place of the transform are one matrix product (Lavin & Gray, CVPR 2016, Algorithm 1).
Filters are transformed in float64 and rounded once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numba import njit, prange

from hwsim.errors import InputError
from hwsim.functional.kernels import gemm
from hwsim.functional.kernels.convolution import Array, channels_first, image, require
from hwsim.ir.layer import Layer
from hwsim.ir.minimal_filters import F2X2_3X3, F4X4_3X3, MinimalFilter


def f2x2_3x3(layer: Layer, x: Array, weights: Array) -> Array:
    """Return the convolution by F(2x2, 3x3), 2.25 times fewer multiplications; see `convolved`."""
    return convolved(layer, x, weights, F2X2_3X3)


def f4x4_3x3(layer: Layer, x: Array, weights: Array) -> Array:
    """Return the convolution by F(4x4, 3x3), four times fewer multiplications; see `convolved`."""
    return convolved(layer, x, weights, F4X4_3X3)


def convolved(layer: Layer, x: Array, weights: Array, by: MinimalFilter) -> Array:
    """Return the convolution (N, G K, P, Q) of x (N, G C, H, W) by weights (G, K, C, 3, 3), in float32.

    Raises `InputError` for other filters than 3 x 3, strides and dilations above 1, and other types.
    """
    require(layer, x, weights)
    if x.dtype != np.float32 or (layer.R, layer.S, layer.stride, layer.dilation) != (by.taps, by.taps, (1, 1), (1, 1)):
        raise InputError(
            f"layer '{layer.name}' has {layer.R} x {layer.S} filters of {x.dtype}, stride {layer.stride} and dilation "
            f"{layer.dilation}; minimal filtering is for 3 x 3 in float32, stride and dilation 1"
        )
    down, across = -(-layer.P // by.outputs), -(-layer.Q // by.outputs)
    whole = replace(layer, P=down * by.outputs, Q=across * by.outputs)
    y = np.empty((layer.N, layer.P, layer.Q, layer.G * layer.K), np.float32)
    for group in range(layer.G):
        tiles = transformed_image(image(whole, x, group, 0), down, across, by)
        products = multiplied(tiles, packed_filters(weights[group], by), layer.K)
        gather(products, np.array(by.output_matrix, np.float32), down, across, y, group * layer.K)
    return channels_first(layer, y)


def transformed_filters(weights: Array, by: MinimalFilter) -> Array:
    """Return G g G' of the filters (K, C, 3, 3) as (t t, C, K)."""
    matrix = np.array(by.filter_matrix)
    rows = np.tensordot(matrix, weights.astype(np.float64), (1, 2))
    moved: Array = np.tensordot(matrix, rows, (1, 3)).transpose(1, 0, 3, 2)
    return moved.astype(np.float32).reshape(by.tile**2, *moved.shape[2:])


def transformed_image(padded: Array, down: int, across: int, by: MinimalFilter) -> Array:
    """Return B' d B of all tiles of a padded image as (t t, tiles, C)."""
    tiles = np.empty((by.tile**2, len(padded) * down * across, padded.shape[3]), np.float32)
    scatter(padded, np.array(by.input_matrix, np.float32), by.outputs, down, across, tiles)
    return tiles


def packed_filters(weights: Array, by: MinimalFilter) -> list[Array]:
    """Return the transformed filters of one group (K, C, 3, 3), packed for the product at each place."""
    return [gemm.packed(one, 1) for one in transformed_filters(weights, by)]


def multiplied(tiles: Array, filters: list[Array], outputs: int) -> Array:
    """Return the products (t t, tiles, K) of (t t, tiles, C) by packed filters."""
    places, rows, depth = tiles.shape
    products, bias = np.empty((places, rows, outputs), np.float32), np.zeros(outputs, np.float32)
    base, run = np.arange(rows, dtype=np.int64) * depth, np.zeros(1, np.int64)
    for place, columns in enumerate(filters):
        y = products[place].reshape(-1)
        gemm.multiply(tiles[place].reshape(-1), base, run, depth, columns, bias, y, outputs, 0, outputs)
    return products


@njit(cache=True)  # type: ignore[untyped-decorator]
def add_times(out: Any, factor: Any, values: Any) -> None:
    """Add a multiple of `values` to `out`; nothing for zero."""
    if factor != 0:
        for c in range(out.shape[0]):
            out[c] += factor * values[c]


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def scatter(padded: Any, matrix: Any, step: int, down: int, across: int, tiles: Any) -> None:
    """Set tiles (t t, tile, C) to the transform of the tiles of padded (N, rows, columns, C), `step` apart."""
    size, channels = matrix.shape[0], padded.shape[3]
    for tile in prange(tiles.shape[1]):
        n, p, q = tile // (down * across), tile // across % down * step, tile % across * step
        half = np.zeros((size, size, channels), np.float32)
        for i in range(size):
            for b in range(size):
                for a in range(size):
                    add_times(half[i, b], matrix[i, a], padded[n, p + a, q + b])
        for i in range(size):
            for j in range(size):
                tiles[i * size + j, tile] = 0
                for b in range(size):
                    add_times(tiles[i * size + j, tile], matrix[j, b], half[i, b])


@njit(cache=True, parallel=True)  # type: ignore[untyped-decorator]
def gather(products: Any, matrix: Any, down: int, across: int, y: Any, first: int) -> None:
    """Set K channels of y (N, P, Q, channels), from `first` on, to the transform back of products (t t, tile, K).

    What lies beyond y is dropped.
    """
    (outputs, size), channels = matrix.shape, products.shape[2]
    for tile in prange(products.shape[1]):
        n, p, q = tile // (down * across), tile // across % down * outputs, tile % across * outputs
        half = np.zeros((outputs, size, channels), np.float32)
        for i in range(outputs):
            for b in range(size):
                for a in range(size):
                    add_times(half[i, b], matrix[i, a], products[a * size + b, tile])
        for i in range(min(outputs, y.shape[1] - p)):
            for j in range(min(outputs, y.shape[2] - q)):
                out = y[n, p + i, q + j, first : first + channels]
                out[:] = 0
                for b in range(size):
                    add_times(out, matrix[j, b], half[i, b])
