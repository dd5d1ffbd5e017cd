"""Winograd's minimal filters F(m, 3) in one dimension: matrices, what they cost, and how they enlarge rounding errors.

Y = A' [(G g) . (B' d)] in one dimension, nested in two (Lavin & Gray, "Fast algorithms for convolutional neural
networks", CVPR 2016, Eqs. 5 to 9 and Sec. 4.3).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import prod

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

POINTS = (Fraction(0), *(sign * Fraction(point) for point in ("1", "2", "1/2") for sign in (1, -1)))
"""Where polynomials are evaluated, infinity behind them (Lavin & Gray, Sec. 4)."""


@cache
def minimal_filter(outputs: int, taps: int) -> MinimalFilter:
    """Return F(outputs, taps) of up to 8 products, by Toom and Cook; of 3 taps those above but for signs.

    With M(x) the product of all x - p, a point p has the coefficients of M_p(x) = M(x) / (x - p) in B', its own powers
    over M_p(p) in G, and its powers in A'; infinity has those of M, and the last coefficient (Blahut, Fast Algorithms
    for Signal Processing, 2010, Sec. 5.2).
    """
    points = POINTS[: outputs + taps - 2]
    others = [[one for one in points if one != point] for point in points]
    last = [0.0] * (taps - 1) + [1.0]
    return MinimalFilter(
        input_matrix=(*((*_coefficients(rest), 0.0) for rest in others), _coefficients(points)),
        filter_matrix=(
            *(
                tuple(float(point**power / prod(point - one for one in rest)) for power in range(taps))
                for point, rest in zip(points, others, strict=True)
            ),
            tuple(last),
        ),
        output_matrix=tuple(
            (*(float(point**power) for point in points), float(power == outputs - 1)) for power in range(outputs)
        ),
    )


def _coefficients(roots: Iterable[Fraction]) -> tuple[float, ...]:
    """Return the coefficients of the product of all x - root, the constant first."""
    found = [Fraction(1)]
    for root in roots:
        found = [higher - root * own for higher, own in zip([Fraction(0), *found], [*found, Fraction(0)], strict=True)]
    return tuple(map(float, found))
