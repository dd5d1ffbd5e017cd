"""Energy over latency of a study's points, with the front that no point beats: what a faster chip costs."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import EngFormatter

from ._study import QUANTITIES, left_out, legend, networks, series, solved, styles
from ._style import Mark, Quantity, caption, dress, scale

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

NEEDS = ("network", "chip", "dataflow", "format", "weight_density", "input_density", "seconds", "energy_pj", "edp_js")

MAX_PANELS, COLUMNS = 4, 2

MAX_DRAWN = 3000
"""Points behind the fronts that are drawn at most, in all panels."""

FRONT = "Pareto_front"

OBJECTIVES = "objectives"
"""The attribute of a frame that names what its study sought."""

LINE_CHARS = {1: 88, 2: 58}
"""Characters of a line below a panel, by panels beside each other."""

BADGE_POINTS, POINTS_PER_INCH = 16, 72
"""Numbers whose points lie closer than this stand beside each other."""


def pareto(frame: pd.DataFrame) -> Figure:
    """Return a figure of the points `frame`: a panel for each network, a marker for each chip, the front as a line.

    The axes are the study's first two objectives, latency and energy without any. The ends of the front and its point
    of the least product are numbered and described below their panel.
    """
    points, (x, y) = solved(frame, "pareto"), _axes(frame)
    points = points[points[x.column].notna() & points[y.column].notna()]
    points = points.assign(drawn_as=series(points))
    groups, more = networks(points, MAX_PANELS)
    across = min(COLUMNS, len(groups))
    down = -(-len(groups) // across)
    width = 7.2 if across == 1 else 10
    figure, axes = plt.subplots(down, across, figsize=(width, 4.9 * down + 0.5), squeeze=False, layout="constrained")
    marks, thinned = styles(points["drawn_as"]), 0
    for panel, rows in zip(axes.flat, groups, strict=False):
        thinned += _panel(panel, rows, x, y, marks, MAX_DRAWN // len(groups), LINE_CHARS[across])
    for panel in axes.flat[len(groups) :]:
        panel.set_axis_off()
    legend(figure, marks, 3 if across == 1 else 4, drawn=False, **{FRONT: {"linewidth": 1.1}})
    few = f"of the points behind the fronts {thinned} are not drawn" if thinned else ""
    caption(figure, left_out(frame, more, few))
    return figure


def _axes(frame: pd.DataFrame) -> tuple[Quantity, Quantity]:
    """Return the study's first two objectives that it has values of."""
    asked = [*frame.attrs.get(OBJECTIVES, ()), "latency", "energy"]
    known = (QUANTITIES[name] for name in dict.fromkeys(asked) if name in QUANTITIES)
    first, second, *_ = [one for one in known if one.column in frame and frame[one.column].notna().any()]
    return first, second


def _panel(
    axes: Axes, rows: pd.DataFrame, x: Quantity, y: Quantity, marks: dict[str, Mark], room: int, chars: int
) -> int:
    """Draw one network's points, at most `room` of those behind the front; return how many are left out."""
    rows = rows.assign(x=rows[x.column] * x.scale, y=rows[y.column] * y.scale)
    best = front(rows["x"] * _sign(x), rows["y"] * _sign(y))
    behind = rows[~best]
    drawn = behind.iloc[:: max(1, -(-len(behind) // room))]
    for chosen, alpha, size, edge in ((drawn, 0.35, 16, "none"), (rows[best], 1.0, 46, "white")):
        for name, group in chosen.groupby("drawn_as", sort=True):
            marker, color, _ = marks[str(name)]
            axes.scatter(
                group["x"], group["y"], s=size, c=color, marker=marker, alpha=alpha, edgecolors=edge, linewidths=0.6,
                zorder=3 if alpha == 1 else 1,
            )  # fmt: skip
    scale(axes, axes.xaxis, rows["x"], x)
    scale(axes, axes.yaxis, rows["y"], y)
    ordered, steps = _ordered(rows[best]), "steps-post" if x.better == y.better == "lowest" else "default"
    axes.plot(ordered["x"], ordered["y"], color="black", linewidth=1.1, zorder=2, drawstyle=steps)
    dress(axes)
    axes.set_title(str(rows["network"].iloc[0]), loc="left", fontsize=10.5, parse_math=False)
    _describe(axes, ordered, x, y, chars)
    return len(behind) - len(drawn)


def front(x: pd.Series[float], y: pd.Series[float]) -> NDArray[np.bool_]:
    """Return which points no other beats: none is as low in both and lower in one; equal points stay together."""
    rows, which = np.unique(np.column_stack([x, y]), axis=0, return_inverse=True)
    before = np.concatenate([[np.inf], np.minimum.accumulate(rows[:, 1])[:-1]])
    return np.asarray((rows[:, 1] < before)[which.reshape(-1)])


def _ordered(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the front from the left to the right; of equal points that with the fewest zeros comes first."""
    return rows.sort_values(["x", "y", "weight_density", "input_density"], ascending=[True, True, False, False])


def _sign(quantity: Quantity) -> int:
    return 1 if quantity.better == "lowest" else -1


def _describe(axes: Axes, ordered: pd.DataFrame, x: Quantity, y: Quantity, chars: int) -> None:
    """Number the ends of the front and its middle, and say below the panel what they are."""
    ends = {f"{x.better} {x.label}": 0 if x.better == "lowest" else -1}
    ends[f"{y.better} {y.label}"] = int(np.argmin(ordered["y"] * _sign(y)))
    middle = np.log(ordered["x"].clip(lower=1e-300)) * _sign(x) + np.log(ordered["y"].clip(lower=1e-300)) * _sign(y)
    ends["between"] = int(np.argmin(middle))
    names: dict[int, list[str]] = {}
    for name, place in ends.items():
        names.setdefault(place % len(ordered), []).append(name)
    said, before, shift = [], np.full(2, -np.inf), 0.0
    for number, (place, what) in enumerate(sorted(names.items()), 1):
        row = ordered.iloc[place]
        at = axes.transData.transform((row["x"], row["y"])) / axes.figure.dpi * POINTS_PER_INCH
        shift, before = (shift + BADGE_POINTS if np.hypot(*(at - before)) < BADGE_POINTS else 0.0), at
        axes.annotate(
            str(number), (row["x"], row["y"]), (9 + shift, 9), textcoords="offset points", fontsize=9, ha="center",
            va="center", bbox={"boxstyle": "circle,pad=0.15", "facecolor": "white", "linewidth": 0.7}, zorder=5,
        )  # fmt: skip
        shown = [name for name in what if name != "between" or len(what) == 1]
        said.append(f"{number}  {', '.join(shown)}: {_named(row)}; {_value(row, x)}, {_value(row, y)}")
    wrapper = textwrap.TextWrapper(chars, subsequent_indent="    ", break_on_hyphens=False)
    lines = [line for one in said for line in wrapper.wrap(one)]
    axes.annotate(
        "\n".join(lines), (0, 0), (-34, -44), "axes fraction", "offset points", fontsize=8.5, va="top",
        parse_math=False, annotation_clip=False,
    )  # fmt: skip


def _named(row: pd.Series[Any]) -> str:
    """Return what a point is besides its network."""
    densities = {"weights": row["weight_density"], "inputs": row["input_density"]}
    known = {name: share for name, share in densities.items() if share is not None and share == share}
    shares = [f"{name} {100 * share:.3g}\N{NO-BREAK SPACE}%" for name, share in known.items()]
    parts = [row["chip"], row["dataflow"], row["format"], *shares]
    return ", ".join(str(one) for one in parts if one)


def _value(row: pd.Series[Any], quantity: Quantity) -> str:
    text = EngFormatter(quantity.unit, 2)(float(row[quantity.column]) * quantity.scale)
    return text.strip().replace(" ", "\N{NO-BREAK SPACE}")
