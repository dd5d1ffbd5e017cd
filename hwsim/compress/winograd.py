"""Zeros under Winograd's minimal filtering F(2x2, 3x3): what its transforms leave of those of weights and inputs.

Lavin and Gray, Fast algorithms for convolutional neural networks, CVPR 2016, Sec. 4.1: Y = A' [(G g G') . (B' d B)] A.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.ir.minimal_filters import F2X2_3X3, terms

Array = NDArray[Any]

FILTER, INPUT, OUTPUT = (
    np.array(matrix, float) for matrix in (F2X2_3X3.filter_matrix, F2X2_3X3.input_matrix, F2X2_3X3.output_matrix)
)

FILTER_TERMS = tuple(terms(rows) * terms(cols) for rows in F2X2_3X3.filter_matrix for cols in F2X2_3X3.filter_matrix)
"""Weights that each of the 16 transformed ones is a sum of: 1, 3 or 9."""

INPUT_TERMS = terms(F2X2_3X3.input_matrix[0]) ** 2
"""Inputs that each of the 16 transformed ones is a sum of: two in either direction."""


def density_of_sums(density: float, terms: int) -> float:
    """Return the share of sums of `terms` values that are not zero, zeros among the values being independent."""
    return density if terms == 1 else 1 - (1 - density) ** terms


def transformed(weights: Array) -> Array:
    """Return the matrices (16 G, K, C) of filters (G, K, C, 3, 3): for each place of the 4x4 transform, one."""
    groups, rows, cols = weights.shape[:3]
    moved: Array = np.einsum("ir,gkcrs,js->gijkc", FILTER, weights, FILTER)
    return moved.reshape(groups * 16, rows, cols)
