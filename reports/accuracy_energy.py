"""Energy of an inference over the accuracy of its network: what a number format costs, and what it saves, by chip."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import EngFormatter

from ._style import NORMAL, QUIET, SMALL, WIDTH, dress

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACCURACY, ENERGY = "accuracy", "energy_per_inference_j"

NEEDS = (ACCURACY, ENERGY, "format", "chip", "training")
"""Columns without which there is nothing to draw: one row per format, way of training and chip."""

REFERENCE, WITHIN = "fp32", "trained in the format"

STYLES = (
    ("o", "#08306b"),
    ("s", "#c8702a"),
    ("^", "#3f7a66"),
    ("D", "#a63d40"),
    ("v", "#5d8fc4"),
    ("P", "#555555"),
    ("X", "#a98a00"),
    ("<", "#3c6e71"),
)
"""Markers and colours of chips: the markers tell them apart in greyscale."""

TICKS = (0.1, 0.5, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995)

LEAST_ERROR, CHANCE = 1e-3, 0.1
"""The smallest error that has a place on the axis, and the share of ten classes that is right by chance."""

SIZE, LINE_POINTS, GAP_POINTS = (WIDTH, 5.6), 9.6, 18
"""Figure [inch], height of a line of labels, and the distance of labels from their points."""

SAME_COLUMN, SAME_POINT, NEAR_LAST, APART = 0.012, 0.03, 0.2, 0.15
"""Shares of the width, and of the energy, within which labels stand in one column, and formats share a label.

Columns that near the last one are labelled on the left; those less than the last share apart may not lie on each other.
"""


def accuracy_energy(frame: pd.DataFrame) -> Figure:
    """Return a figure of the rows `frame`: a point per format and chip, error and energy on logarithmic axes."""
    figure, axes = plt.subplots(figsize=SIZE, layout="constrained")
    styles = dict(zip(sorted(frame["chip"].unique()), cycle(STYLES), strict=False))
    for chip, rows in frame.groupby("chip", sort=True):
        marker, color = styles[chip]
        for within in (False, True):
            chosen = rows[(rows["training"] == WITHIN) == within]
            face = "white" if within else color
            label = None if within else str(chip)
            axes.scatter(
                _error(chosen), chosen[ENERGY], s=26, c=face, marker=marker, edgecolors=color, label=label, zorder=3
            )
    _axes(axes, frame)
    figure.draw_without_rendering()
    _labels(axes, frame, {chip: color for chip, (_, color) in styles.items()})
    axes.scatter([], [], s=26, c="white", marker="o", edgecolors="black", label=WITHIN)
    axes.legend(loc="upper left", bbox_to_anchor=(0.06, 1.0), frameon=False, ncols=2, fontsize=SMALL)
    return figure


def _error(rows: pd.DataFrame) -> pd.Series[float]:
    return (1 - rows[ACCURACY]).clip(lower=LEAST_ERROR)


def _axes(axes: Axes, frame: pd.DataFrame) -> None:
    """Scale and name the axes, errors growing to the left; mark fp32's accuracy and that of guessing."""
    error = _error(frame)
    axes.set(xscale="log", yscale="log", xlim=(1.15, float(error.min()) / 2.2))
    axes.set_ylim(float(frame[ENERGY].min()) / 2, float(frame[ENERGY].max()) * 12)
    shown = [tick for tick in TICKS if 1 - tick > float(error.min()) / 2.2]
    axes.set_xticks([1 - tick for tick in shown], [f"{100 * tick:g} %" for tick in shown])
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter(EngFormatter("J", sep=" "))
    axes.set_xlabel("accuracy on test images (error on a logarithmic scale)", fontsize=NORMAL)
    axes.set_ylabel("energy per inference", fontsize=NORMAL)
    dress(axes, size=SMALL)
    exact = frame[frame["format"] == REFERENCE]
    marks = [("guessing", 1 - CHANCE), *([(REFERENCE, float(_error(exact).iloc[0]))] if len(exact) else [])]
    for name, place in marks:
        axes.axvline(place, color="#777777", linewidth=0.9, linestyle="--", zorder=1)
        axes.annotate(
            name, (place, 0.42), xycoords=("data", "axes fraction"), xytext=(-3, 0), textcoords="offset points",
            rotation=90, ha="right", va="bottom", fontsize=SMALL, color=QUIET,
        )  # fmt: skip


def _labels(axes: Axes, frame: pd.DataFrame, colors: dict[str, str]) -> None:
    """Write the formats beside their points, in columns that are spread so that no line lies on another."""
    places = axes.transAxes.inverted().transform(
        axes.transData.transform(np.column_stack([_error(frame), frame[ENERGY]]))
    )
    marked = frame.assign(x=places[:, 0], y=places[:, 1]).sort_values("x")
    last = marked["x"].max()
    height = axes.get_window_extent().height / axes.figure.dpi * 72
    sides = (last - marked["x"]).between(SAME_COLUMN, NEAR_LAST, inclusive="neither").map({True: -1, False: 1})
    for side, rows in marked.groupby(sides):
        for _, beside in rows.groupby((rows["x"].diff().fillna(0) > APART).cumsum()):
            _written(axes, beside, int(side), height, colors)


def _written(axes: Axes, rows: pd.DataFrame, side: int, height: float, colors: dict[str, str]) -> None:
    """Write the labels of rows on one side of them, apart from each other."""
    column = (rows["x"].diff().fillna(0) > SAME_COLUMN).cumsum()
    groups = [group for _, one in rows.groupby(column) for group in _sharing_a_label(one.sort_values("y"))]
    groups.sort(key=lambda group: float(group["y"].mean()))
    spread = _spread([float(one["y"].mean()) for one in groups], LINE_POINTS / height)
    for group, y in zip(groups, spread, strict=True):
        first, color = group.iloc[0], colors[str(group["chip"].iloc[0])]
        axes.annotate(
            ", ".join(group["format"]),
            (float(first["x"]), float(group["y"].mean())),
            xycoords="axes fraction",
            xytext=(side * GAP_POINTS, (y - float(group["y"].mean())) * height),
            textcoords="offset points",
            va="center",
            ha="left" if side > 0 else "right",
            fontsize=SMALL,
            color=color,
            arrowprops={
                "arrowstyle": "-",
                "color": color,
                "linewidth": 0.5,
                "shrinkA": 0,
                "shrinkB": 3,
                "relpos": (0 if side > 0 else 1, 0.5),
            },
        )


def _sharing_a_label(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the rows of a column, upwards, those of one chip and nearly one energy together."""
    groups: dict[tuple[str, int], list[int]] = {}
    for index, (chip, energy) in enumerate(zip(rows["chip"], rows[ENERGY], strict=True)):
        near = [key for key in groups if key[0] == chip and energy <= rows[ENERGY].iloc[key[1]] * (1 + SAME_POINT)]
        groups.setdefault(near[0] if near else (chip, index), []).append(index)
    return [rows.iloc[found] for found in groups.values()]


def _spread(places: list[float], least: float) -> list[float]:
    """Return ascending `places` moved apart to `least` between neighbours, each run of moved ones about its mean."""
    runs: list[list[float]] = []
    for place in places:
        runs.append([place])
        while len(runs) > 1 and _start(runs[-1], least) < _start(runs[-2], least) + len(runs[-2]) * least:
            last = runs.pop()
            runs[-1] += last
    return [_start(run, least) + index * least for run in runs for index in range(len(run))]


def _start(run: list[float], least: float) -> float:
    return sum(run) / len(run) - (len(run) - 1) / 2 * least
