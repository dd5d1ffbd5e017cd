"""Winograd's minimal filters F(m, 3) in one dimension: matrices, what they cost, and how they enlarge rounding errors.

Y = A' [(G g) . (B' d)] in one dimension, nested in two (Lavin & Gray, "Fast algorithms for convolutional neural
networks", CVPR 2016, Eqs. 5 to 9 and Sec. 4.3).
"""

from __future__ import annotations

from dataclasses import dataclass

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class MinimalFilter:
    """F(m, r): `m` outputs of a filter of r taps from t = m + r - 1 products.

    `input_matrix` is B' (t, t), `filter_matrix` G (t, r), `output_matrix` A' (m, t).
    """

    input_matrix: Matrix
    filter_matrix: Matrix
    output_matrix: Matrix

    @property
    def outputs(self) -> int:
        """Outputs of a tile in one direction, m."""
        return len(self.output_matrix)

    @property
    def taps(self) -> int:
        """Taps of the filter in one direction, r."""
        return len(self.filter_matrix[0])

    @property
    def tile(self) -> int:
        """Inputs, and products, of a tile in one direction, t."""
        return len(self.input_matrix)

    @property
    def input_additions(self) -> int:
        """Additions of a 2-D tile's input transform, B' d B, without shared subexpressions."""
        return 2 * self.tile * additions(self.input_matrix)

    @property
    def output_additions(self) -> int:
        """Additions of a 2-D tile's output transform, A' m A."""
        return (self.tile + self.outputs) * additions(self.output_matrix)

    @property
    def growth(self) -> float:
        """How much larger than sum |g| max |d| the sum of all absolute values is that go into one output, in 2-D.

        Of outputs i and taps r the largest sum over p of |A'_ip| |G_pr| sum |B'_p|, squared.
        """
        reach = [sum(abs(value) for value in row) for row in self.input_matrix]
        sums = (
            sum(abs(a) * abs(g[tap]) * b for a, g, b in zip(row, self.filter_matrix, reach, strict=True))
            for row in self.output_matrix
            for tap in range(self.taps)
        )
        return max(sums) ** 2

    @property
    def roundings(self) -> int:
        """Roundings on the longest way through the transforms: both of two passes, and the filter's single one."""
        return 2 * (longest(self.input_matrix) + longest(self.output_matrix)) + 1


def additions(matrix: Matrix) -> int:
    """Return the additions of a product by `matrix`: terms of each row less one."""
    return sum(max(0, terms(row) - 1) for row in matrix)


def terms(row: tuple[float, ...]) -> int:
    """Return how many values are not zero."""
    return sum(value != 0 for value in row)


def longest(matrix: Matrix) -> int:
    """Return the roundings of the longest row: a product per term that is not +1 or -1 at most, and the additions."""
    return max(2 * terms(row) - 1 for row in matrix)


F2X2_3X3 = MinimalFilter(
    input_matrix=((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
    filter_matrix=((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1)),
    output_matrix=((1, 1, 1, 0), (0, 1, -1, -1)),
)
"""F(2x2, 3x3) (Lavin & Gray, Sec. 4.1)."""

F4X4_3X3 = MinimalFilter(
    input_matrix=(
        (4, 0, -5, 0, 1, 0),
        (0, -4, -4, 1, 1, 0),
        (0, 4, -4, -1, 1, 0),
        (0, -2, -1, 2, 1, 0),
        (0, 2, -1, -2, 1, 0),
        (0, 4, 0, -5, 0, 1),
    ),
    filter_matrix=(
        (1 / 4, 0, 0),
        (-1 / 6, -1 / 6, -1 / 6),
        (-1 / 6, 1 / 6, -1 / 6),
        (1 / 24, 1 / 12, 1 / 6),
        (1 / 24, -1 / 12, 1 / 6),
        (0, 0, 1),
    ),
    output_matrix=((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)),
)
"""F(4x4, 3x3) (Lavin & Gray, Sec. 4.3)."""
