"""Latency and energy of a study over the share of weights that are not zero: from where on a sparse chip is ahead."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FuncFormatter, NullFormatter

from hwsim.errors import InputError

from ._study import QUANTITIES, RING, left_out, legend, networks, series, solved, styles
from ._style import Mark, Quantity, caption, dress, scale

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

NEEDS = ("network", "chip", "weight_density", "seconds", "energy_pj", "edp_js")

MAX_ROWS, MAX_CROSSINGS = 3, 4

CROSS: dict[str, Any] = {"marker": "x", "markersize": 9, "markeredgewidth": 1.8, "linestyle": ""}
"""Where one chip overtakes another."""

FLAT = 1e-9
"""A chip gains nothing from zeros where its values differ by less than this share."""

LOGARITHMIC_FROM = 5.0
"""Densities are drawn on a logarithmic axis where the largest is this many times the smallest."""


class Crossing(NamedTuple):
    """Where two lines meet: below this density `below` is lower than `above`."""

    density: float
    value: float
    below: str
    above: str


def sparsity_sweep(frame: pd.DataFrame) -> Figure:
    """Return a figure of the points `frame`: latency and energy over the density of weights, a line per chip.

    Of points that differ in anything else the lowest is drawn. A ring is around the dense point, a cross where a chip
    that skips zeros overtakes one that does not; the densities of the crosses stand below their panel.
    """
    points = solved(frame, "sparsity_sweep")
    points = points[points["weight_density"].notna()]
    if points["weight_density"].nunique() < 2:
        raise InputError("report 'sparsity_sweep' needs a study of at least two weight densities; sweep --density")
    points = points.assign(drawn_as=series(points))
    groups, more = networks(points, MAX_ROWS)
    figure, axes = plt.subplots(
        len(groups), 2, figsize=(10, 3.7 * len(groups) + 0.6), squeeze=False, layout="constrained"
    )
    marks, crossed = styles(points["drawn_as"]), False
    for panels, rows in zip(axes, groups, strict=True):
        for panel, name in zip(panels, ("latency", "energy"), strict=True):
            crossed |= _panel(panel, rows, QUANTITIES[name], marks)
        panels[0].set_title(str(rows["network"].iloc[0]), loc="left", fontsize=10.5, parse_math=False)
    legend(figure, marks, 4, drawn=True, dense=RING, **({"overtakes": CROSS} if crossed else {}))
    several = points.groupby(["network", "drawn_as", "weight_density"]).size().max() > 1
    lowest = "of points that differ in other ways the lowest is drawn" if several else ""
    caption(figure, left_out(frame, lowest, more))
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, quantity: Quantity, marks: dict[str, Mark]) -> bool:
    """Draw one quantity of one network; return whether a chip overtakes another."""
    lowest = rows.groupby(["weight_density", "drawn_as"])[quantity.column].min().unstack() * quantity.scale
    for name in map(str, lowest.columns):
        marker, color, line = marks[name]
        values = lowest[name].dropna()
        axes.plot(
            values.index, values, marker=marker, color=color, linestyle=line, linewidth=1.3, markersize=5.5,
            markeredgecolor="white", markeredgewidth=0.5, markevery=max(1, len(values) // 16),
        )  # fmt: skip
        if 1.0 in values.index:
            axes.plot(1.0, values[1.0], color="black", clip_on=False, **RING)
    scale(axes, axes.yaxis, lowest, quantity)
    _densities(axes, lowest.index.to_numpy(float))
    dress(axes)
    found = crossings(lowest)
    for one in found:
        axes.plot(one.density, one.value, color="black", zorder=5, **CROSS)
    lines = [f"{one.below} below {one.above} from {100 * one.density:.2g} % down" for one in found[:MAX_CROSSINGS]]
    if len(found) > MAX_CROSSINGS:
        lines.append(f"and {len(found) - MAX_CROSSINGS} more")
    axes.annotate(
        "\n".join(lines), (0, 0), (-30, -36), "axes fraction", "offset points", fontsize=8.5, va="top",
        parse_math=False, annotation_clip=False,
    )  # fmt: skip
    return bool(found)


def _densities(axes: Axes, densities: NDArray[np.float64]) -> None:
    """Scale the axis of densities, in percent."""
    if densities.max() > LOGARITHMIC_FROM * densities.min():
        axes.set_xscale("log")
        ticks = [
            one for one in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1) if one >= densities.min() / 1.01
        ]
        axes.set_xticks(ticks)
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))
    axes.set_xlabel("weights that are not zero [%]")


def crossings(lowest: pd.DataFrame) -> list[Crossing]:
    """Return where a chip that skips zeros overtakes one that does not, from the densest on.

    `lowest` has a column per chip over ascending densities; lines are straight in the logarithms.
    """
    found = []
    names = [str(name) for name in lowest.columns]
    skips = {name: bool(lowest[name].max() > (1 + FLAT) * lowest[name].min()) for name in names}
    for one, other in combinations(names, 2):
        sparse, dense = (one, other) if skips[one] else (other, one)
        if skips[sparse] and not skips[dense]:
            found += _meetings(lowest[[sparse, dense]].dropna(), sparse, dense)
    return sorted(found, key=lambda one: -one.density)


def _meetings(both: pd.DataFrame, sparse: str, dense: str) -> list[Crossing]:
    """Return where the line of `sparse` comes below that of `dense` as density falls."""
    places, values = np.log(both.index.to_numpy(float)), np.log(both.to_numpy(float))
    gap = values[:, 0] - values[:, 1]
    found = []
    for left in np.flatnonzero((gap[:-1] < 0) & (gap[1:] >= 0)):
        share = -gap[left] / (gap[left + 1] - gap[left])
        place = places[left] + share * (places[left + 1] - places[left])
        height = values[left, 1] + share * (values[left + 1, 1] - values[left, 1])
        found.append(Crossing(float(np.exp(place)), float(np.exp(height)), sparse, dense))
    return found
