"""Tensors of the numba backend: buffers made once, and images with their channels last in memory.

A tensor has the shape that the network gives it, (N, channels, rows, columns) for images; how it lies in memory its
strides say. `flat` is its memory as one row, whatever the order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hwsim.functional.layouts import rearranged
from hwsim.ir.layer import Layer, Shape
from hwsim.ir.network import Network
from hwsim.measure.moves import move
from hwsim.measure.operands import Prepared

Array = Any

LAST, FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
"""From (N, channels, rows, columns) to channels last, and back."""


class Buffer:
    """The memory of a layer's results, one per step: written again in every run, so that no page is new to it."""

    def __init__(self, shape: Shape, dtype: Any) -> None:
        self.shape, self.dtype = shape, dtype
        self.by_step: dict[int, Array] = {}

    def plain(self, step: int) -> Array:
        """Return the tensor of a step, its last dimension the fastest."""
        if step not in self.by_step:
            self.by_step[step] = np.zeros(self.shape, self.dtype)
        return self.by_step[step]

    def image(self, step: int) -> Array:
        """Return the tensor of a step, an image's channels the fastest; other tensors as they are."""
        if len(self.shape) != 4:
            return self.plain(step)
        if step not in self.by_step:
            n, c, h, w = self.shape
            self.by_step[step] = np.zeros((n, h, w, c), self.dtype).transpose(FIRST)
        return self.by_step[step]

    def like(self, x: Array, step: int) -> Array:
        """Return the tensor of a step in the order of `x`."""
        return self.image(step) if is_channels_last(x) else self.plain(step)


def is_channels_last(x: Array) -> bool:
    """Whether `x` is an image whose channels are the fastest, and not its columns."""
    return x.ndim == 4 and not x.flags.c_contiguous and bool(x.transpose(LAST).flags.c_contiguous)


def channels_last(x: Array) -> Array:
    """Return an image as (N, rows, columns, channels), copied if it does not lie so."""
    return np.ascontiguousarray(x.transpose(LAST))


def dense(x: Array) -> Array:
    """Return `x`, copied where its elements do not follow one another in either order."""
    return x if is_channels_last(x) else np.ascontiguousarray(x)


def flat(x: Array) -> Array:
    """Return the memory of a dense tensor."""
    return x.transpose(LAST).reshape(-1) if is_channels_last(x) else x.reshape(-1)


def by_channel(x: Array) -> Array:
    """Return a tensor (N, channels, ...) as (positions, channels), copied if it does not lie so."""
    if x.ndim == 4:
        return channels_last(x).reshape(-1, x.shape[1])
    if x.ndim == 2:
        return np.ascontiguousarray(x)
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)).reshape(-1, x.shape[1])


def view(layer: Layer, network: Network, parameters: Prepared) -> Callable[[Array], Array]:
    """Return the change of layout of a layer, with what the network says of it looked up once."""
    found = move(layer, network, parameters)
    if found is None:
        return lambda x: rearranged(layer, x, network, parameters)
    return lambda x: found.of(x, np.transpose)
