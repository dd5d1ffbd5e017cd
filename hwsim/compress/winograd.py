"""Winograd's minimal filtering F(2x2, 3x3): 16 products per channel give 2x2 outputs of a 3x3 filter.

Lavin and Gray, Fast algorithms for convolutional neural networks, CVPR 2016, Sec. 4.1: Y = A' [(G g G') . (B' d B)] A.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

FILTER = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
INPUT = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], float)
OUTPUT = np.array([[1, 1, 1, 0], [0, 1, -1, -1]], float)


FILTER_TERMS = tuple(int(rows * cols) for rows in (1, 3, 3, 1) for cols in (1, 3, 3, 1))
"""Weights that each of the 16 transformed ones is a sum of: 1, 3 or 9."""

INPUT_TERMS = 4
"""Inputs that each of the 16 transformed ones is a sum of: two in either direction."""


def density_of_sums(density: float, terms: int) -> float:
    """Return the share of sums of `terms` values that are not zero, zeros among the values being independent."""
    return density if terms == 1 else 1 - (1 - density) ** terms


def transformed(weights: Array) -> Array:
    """Return the matrices (16 G, K, C) of filters (G, K, C, 3, 3): for each place of the 4x4 transform, one."""
    groups, rows, cols = weights.shape[:3]
    moved: Array = np.einsum("ir,gkcrs,js->gijkc", FILTER, weights, FILTER)
    return moved.reshape(groups * 16, rows, cols)
