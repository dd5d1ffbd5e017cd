"""Mean and worst error of every machine and metric that was held against papers and measurements, on one scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ._style import GRID, INK, NORMAL, QUIET, SMALL, WIDTH, caption, dress, title

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEEDS = ("machine", "metric", "group", "error", "error_unit", "scored")

COLORS = {"published": "#08306b", "measured": "#8cb1d9", "tool": "#555555"}
GROUPS = {"published": "published value", "measured": "measurement", "tool": "another simulator"}

LEAST = 0.1
"""Errors below this [%] are drawn here, at the foot of the axis."""

LINE_INCH = 0.165


class Line(NamedTuple):
    """A line of the figure: a machine's name, or a metric with its errors [% or points], without sign."""

    label: str
    group: str = ""
    errors: tuple[float, ...] = ()
    in_points: bool = False


def validation_errors(frame: pd.DataFrame) -> Figure:
    """Return a figure of compared rows, those that are scored: a bar to the mean error, marks at median and worst."""
    lines = _lines(frame[frame["scored"] == "yes"])
    figure, axes = plt.subplots(figsize=(WIDTH, 1.5 + LINE_INCH * len(lines)), layout="constrained")
    top = max((max(one.errors) for one in lines if one.errors), default=1.0)
    for place, one in enumerate(lines):
        _draw(axes, place, one)
    axes.set(xscale="log", xlim=(LEAST, 3.5 * max(top, 1.0)), ylim=(len(lines) - 0.4, -0.8))
    axes.set_yticks(range(len(lines)), [one.label for one in lines])
    dress(axes, "x", SMALL)
    axes.tick_params(axis="y", length=0)
    for label, one in zip(axes.get_yticklabels(), lines, strict=True):
        label.set(fontweight="normal" if one.errors else "bold", color=INK, parse_math=False)
    axes.xaxis.set_major_locator(FixedLocator([place for place in (0.1, 1, 10, 100, 1000) if place < 3.5 * top]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    axes.set_xlabel("absolute error", fontsize=NORMAL)
    title(figure, "Errors against papers and measurements", _handles(frame), columns=3)
    caption(
        figure,
        "Of rows that no constant was fitted on, whose number is in brackets. Shares are off by percentage points. "
        f"Errors below {LEAST:g} % stand at the axis.",
    )
    return figure


def _lines(scored: pd.DataFrame) -> list[Line]:
    """Return machines by name, each with its metrics; not its variants, nor one machine over another."""
    own = scored[~scored["machine"].str.contains(",| over ", regex=True)]
    lines = []
    for machine, rows in own.groupby("machine", sort=True):
        lines.append(Line(str(machine)))
        for metric, group in rows.groupby("metric", sort=False):
            in_points = group["error_unit"].iloc[0] == "points"
            label = f"{metric} ({len(group):,}{', points' if in_points else ''})"
            errors = tuple(float(error) for error in group["error"].abs())
            lines.append(Line(label, str(group["group"].iloc[0]), errors, in_points))
    return lines


def _draw(axes: Axes, place: int, one: Line) -> None:
    if not one.errors:
        axes.axhline(place - 0.5, color=GRID, linewidth=0.8, zorder=0)
        return
    average, middle, most = (float(found(one.errors)) for found in (np.mean, np.median, np.max))
    color = COLORS.get(one.group, QUIET)
    if not most:
        axes.annotate("exact", (LEAST, place), xytext=(3, 0), textcoords="offset points", va="center", fontsize=SMALL)
        return
    axes.plot([max(average, LEAST), max(most, LEAST)], [place, place], color=QUIET, linewidth=0.8, zorder=2)
    axes.barh(
        place, max(average, LEAST), height=0.68, color=color, hatch="///" if one.in_points else "", edgecolor="white",
        linewidth=0, zorder=2,
    )  # fmt: skip
    axes.plot(max(middle, LEAST), place, marker="|", color="white", markersize=6, markeredgewidth=1.6, zorder=3)
    axes.plot(max(middle, LEAST), place, marker="|", color=INK, markersize=6, markeredgewidth=0.7, zorder=4)
    axes.plot(
        max(most, LEAST), place, marker="o", color="white", markeredgecolor=INK, markersize=4.2, zorder=4, clip_on=False
    )


def _handles(frame: pd.DataFrame) -> list[Patch | Line2D]:
    """Return what bars and marks are."""
    there = [group for group in GROUPS if (frame["group"] == group).any() and group != "tool"]
    bars = [Patch(facecolor=COLORS[group], label=f"mean, over a {GROUPS[group]}") for group in there]
    hatched = Patch(facecolor=COLORS["published"], hatch="///", edgecolor="white", linewidth=0, label="mean, points")
    median = Line2D([], [], color=INK, marker="|", linestyle="", markersize=7, label="median")
    worst = Line2D([], [], color="white", markeredgecolor=INK, marker="o", linestyle="", label="worst row")
    return [*bars, hatched, median, worst]
