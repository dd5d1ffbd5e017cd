"""What compressing a network saved and cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.ir.network import Network

Array = NDArray[Any]

FLOAT_BITS = 32
"""Width of a weight before compression."""


@dataclass(frozen=True, slots=True)
class LayerReport:
    """One layer: its weights, those that are not zero, bits before and after, relative error ||W' - W|| / ||W||."""

    layer: str
    elements: int
    nonzeros: int
    bits_before: int
    bits_after: int
    error: float

    @property
    def density(self) -> float:
        """The share of weights that are not zero."""
        return self.nonzeros / self.elements

    @property
    def ratio(self) -> float:
        """How many times smaller the layer is."""
        return self.bits_before / max(1, self.bits_after)


@dataclass(frozen=True)
class Compressed:
    """A compressed network, with a report for every layer that was changed."""

    network: Network
    layers: tuple[LayerReport, ...]

    @property
    def density(self) -> float:
        """The share of the reported layers' weights that are not zero."""
        return sum(one.nonzeros for one in self.layers) / max(1, sum(one.elements for one in self.layers))

    @property
    def ratio(self) -> float:
        """How many times smaller the reported layers are together."""
        return sum(one.bits_before for one in self.layers) / max(1, sum(one.bits_after for one in self.layers))


def relative_error(before: Array, after: Array) -> float:
    """Return ||after - before|| / ||before||, 0 where both are zero."""
    norm = float(np.linalg.norm(before))
    return float(np.linalg.norm(after - before)) / norm if norm else 0.0


def sparse_bits(matrix: Array, weight_bits: int, index_bits: int) -> int:
    """Return the bits of the non-zeros of a flattened matrix with relative indices, padding zeros included.

    A run of more than 2^b - 1 zeros is broken by a padding zero (Han et al., Deep Compression, ICLR 2016, Sec. 2).
    """
    gaps = relative_gaps(matrix)
    return int(len(gaps) + (gaps >> index_bits).sum()) * (weight_bits + index_bits)


def relative_gaps(matrix: Array) -> Array:
    """Return the zeros before each non-zero of a flattened matrix."""
    at = np.flatnonzero(matrix)
    return np.diff(at, prepend=-1) - 1
