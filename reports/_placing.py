"""Where labels have room beside marks on logarithmic axes: boxes in points from a panel's lower left corner."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NEAR = 0.2
"""Decades within which layers share a label."""

CHAR, LINE = 4.5, 10.0
"""Width of a character and height of a line of a label [point]."""

ABOVE = 2.5
"""Between a slope and what is written along it [point]."""

ALONG = (4.0, 16.0, 28.0, 40.0, 52.0, 64.0, 76.0)
"""How far below the ridge the rate of memory may stand, along its slope [point]."""

Box = tuple[float, float, float, float]
"""Left, lower, right and upper end [point]."""


class Scale(NamedTuple):
    """The ends of a panel's axes, and the width and height of its inside [point]."""

    left: float
    right: float
    low: float
    top: float
    width: float
    height: float

    @property
    def decade(self) -> tuple[float, float]:
        """Points of a decade to the right, and upwards."""
        return self.width / np.log10(self.right / self.left), self.height / np.log10(self.top / self.low)

    def points(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Return places in points from the lower left corner."""
        return np.log10(x / self.left) * self.decade[0], np.log10(y / self.low) * self.decade[1]

    def holds(self, box: Box) -> bool:
        """Whether a box is inside."""
        return box[0] > 0 and box[1] > 0 and box[2] < self.width and box[3] < self.height


def box(x: float, y: float, width: float, side: str) -> Box:
    """Return the box of a line whose `side` ("left", "center" or "right") is at `x`, its middle at height `y`."""
    left = x - {"left": 0.0, "center": width / 2, "right": width}[side]
    return left, y - LINE / 2, left + width, y + LINE / 2


def free(boxes: Sequence[Box], taken: Sequence[Box], scale: Scale) -> bool:
    """Whether boxes are inside the panel, and none has a place in common with what is taken."""
    return all(scale.holds(one) for one in boxes) and not any(_overlap(*both) for both in product(boxes, taken))


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def sides(radius: float) -> list[tuple[float, float, str]]:
    """Return where a name may stand beside a mark, and which of its ends is there."""
    found = []
    for away in (radius + 3, radius + 10):
        found += [(away, 0.0, "left"), (-away, 0.0, "right"), (0.0, -away - 4, "center"), (0.0, away + 4, "center")]
        found += [(away, -away, "left"), (-away, away, "right"), (away, away, "left"), (-away, -away, "right")]
    return found


def on_slope(
    said: str, corner: tuple[float, float], taken: Sequence[Box], scale: Scale
) -> tuple[tuple[float, float], float, list[Box]]:
    """Return how far from the upper end of a slope its label ends, its angle [degree] and what it covers.

    The slope is that of a rate, and goes as many decades up as to the right. Where it has no room the label is level.
    """
    angle = float(np.arctan2(*scale.decade[::-1]))
    tried = {back: _sloped(corner, angle, back, said) for back in ALONG}
    back = next((back for back, covered in tried.items() if free(covered, taken, scale)), None)
    if back is not None:
        shift = ABOVE * np.array([-np.sin(angle), np.cos(angle)]) - back * np.array([np.cos(angle), np.sin(angle)])
        return (float(shift[0]), float(shift[1])), float(np.degrees(angle)), tried[back]
    level = {left: box(corner[0] - left, corner[1] + 2 + LINE / 2, len(said) * CHAR, "right") for left in ALONG}
    left = next((left for left, covered in level.items() if free([covered], taken, scale)), ALONG[0])
    return (-left, 2.0), 0.0, [level[left]]


def _sloped(corner: tuple[Any, Any], angle: float, back: float, said: str) -> list[Box]:
    """Return a box for each character of what is written above a slope, `back` points below its upper end."""
    away = back + CHAR * (np.arange(len(said)) + 0.5)
    x = corner[0] - away * np.cos(angle) - LINE / 2 * np.sin(angle)
    y = corner[1] - away * np.sin(angle) + LINE / 2 * np.cos(angle)
    return list(zip(x - CHAR / 2, y - LINE / 2, x + CHAR / 2, y + LINE / 2, strict=True))


def groups(x: NDArray[np.float64], y: NDArray[np.float64], share: NDArray[np.float64]) -> list[list[int]]:
    """Return the places of layers that stand close to one that takes longer, the longest first."""
    found: list[list[int]] = []
    for place in np.argsort(-share, kind="stable"):
        near = [one for one in found if max(abs(x[one[0]] - x[place]), abs(y[one[0]] - y[place])) < NEAR]
        if near:
            near[0].append(int(place))
        else:
            found.append([int(place)])
    return found
