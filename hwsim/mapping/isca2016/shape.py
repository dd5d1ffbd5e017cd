"""A layer in the terms of the dataflows: planes with their padding, filters, and what strips of them read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.ir.layer import Layer, extent_used

Ints = NDArray[np.int64]
"""A number of each candidate."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One group of one step of a layer; a matrix product is a convolution of 1 x 1 planes, its rows the batch."""

    N: int
    K: int
    C: int
    P: int
    Q: int
    R: int
    S: int
    stride: tuple[int, int]
    dilation: tuple[int, int]

    @property
    def macs(self) -> int:
        """Multiply-accumulates, those with padding included."""
        return self.outputs * self.reduction

    @property
    def outputs(self) -> int:
        """Words of the output."""
        return self.N * self.K * self.P * self.Q

    @property
    def weights(self) -> int:
        """Words of the filters."""
        return self.K * self.reduction

    @property
    def reduction(self) -> int:
        """Products summed into an output."""
        return self.C * self.R * self.S

    @property
    def windows(self) -> int:
        """Words of all windows of the input, each by itself."""
        return self.N * self.P * self.Q * self.reduction

    def height(self, rows: Any) -> Any:
        """Return the input rows under `rows` neighbouring output rows, from the first to the last."""
        return (rows - 1) * self.stride[0] + (self.R - 1) * self.dilation[0] + 1

    def width(self, cols: Any) -> Any:
        """Return the input columns under `cols` neighbouring output columns, from the first to the last."""
        return (cols - 1) * self.stride[1] + (self.S - 1) * self.dilation[1] + 1

    def rows_read(self, strip: Any) -> Ints:
        """Return the input rows read by all strips of `strip` output rows, those that two strips share twice."""
        table: Ints = _read_table(self.P, self.R, self.stride[0], self.dilation[0])
        return np.asarray(table[strip])

    def cols_read(self, strip: Any) -> Ints:
        """Return the input columns read by all strips of `strip` output columns."""
        table: Ints = _read_table(self.Q, self.S, self.stride[1], self.dilation[1])
        return np.asarray(table[strip])


def shape_of(layer: Layer) -> Shape:
    """Return one group of one step of `layer`."""
    return Shape(layer.N, layer.K, layer.C, layer.P, layer.Q, layer.R, layer.S, layer.stride, layer.dilation)


@lru_cache(maxsize=4096)
def chunks(extent: int) -> Ints:
    """Return the chunk sizes worth trying: for each number of chunks the smallest that needs no more."""
    return np.array(sorted({-(-extent // count) for count in range(1, extent + 1)}), np.int64)


def ceil(dividend: Any, divisor: Any) -> Any:
    """Return the quotient rounded up, of numbers or arrays."""
    return -(-dividend // divisor)


@lru_cache(maxsize=4096)
def _read_table(outputs: int, taps: int, stride: int, dilation: int) -> Ints:
    """Return, at each strip length, the rows that all strips over `outputs` read."""

    def under(strip: int) -> int:
        reach = (strip - 1) * stride + (taps - 1) * dilation + 1
        return extent_used(reach, strip, taps, stride, dilation, 0) if strip else 0

    read = [0, *(outputs // strip * under(strip) + under(outputs % strip) for strip in range(1, outputs + 1))]
    return np.array(read, np.int64)
