"""Simulated over published or measured value, a dot per row and a line per machine: which way models are off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ._style import INK, NORMAL, SMALL, WIDTH, caption, dress, title

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

NEEDS = ("machine", "group", "simulated", "reference", "error_unit", "scored")

COLORS = {"published": "#08306b", "measured": "#5d8fc4", "tool": "#555555"}
MARKERS = {"published": "D", "measured": "o", "tool": "s"}

LIMITS = (1 / 16, 16.0)
"""Ratios beyond are drawn at the edge, as triangles."""

MANY, SPREAD = 30, 0.34
"""More different ratios than these are spread over so much of their line, with a bar at their median."""

LINE_INCH = 0.3


def validation_scatter(frame: pd.DataFrame) -> Figure:
    """Return a figure of compared rows, those that are scored and not exact by count; shares in points are left out."""
    rows = frame[(frame["scored"] == "yes") & (frame["error_unit"] == "%") & (frame["reference"] > 0)]
    rows = rows[~rows["machine"].str.contains(",| over ", regex=True)]
    machines = sorted(rows["machine"].unique())
    figure, axes = plt.subplots(figsize=(WIDTH, 1.5 + LINE_INCH * len(machines)), layout="constrained")
    axes.axvspan(0.9, 1.1, color="#e8e8e8", zorder=0)
    axes.axvline(1, color=INK, linewidth=0.8, zorder=1)
    for factor in (0.5, 2):
        axes.axvline(factor, color="#999999", linewidth=0.8, linestyle=":", zorder=1)
    random = np.random.default_rng(0)
    for place, machine in enumerate(machines):
        for group, found in rows[rows["machine"] == machine].groupby("group", sort=True):
            ratios = (found["simulated"] / found["reference"]).to_numpy(float)
            _dots(axes, ratios, place, str(group), random)
    axes.set(xscale="log", xlim=(LIMITS[0] / 1.1, LIMITS[1] * 1.1), ylim=(len(machines) - 0.4, -0.6))
    counts = rows.groupby("machine").size()
    axes.set_yticks(range(len(machines)), [f"{name} ({counts[name]:,})" for name in machines], parse_math=False)
    dress(axes, "x", SMALL)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(FixedLocator([1 / 16, 1 / 4, 1 / 2, 1, 2, 4, 16]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x" if value >= 1 else f"1/{1 / value:g}"))
    axes.set_xlabel("simulated over published or measured value", fontsize=NORMAL)
    title(figure, "Simulated over published or measured, row by row")
    caption(
        figure,
        "Diamonds: published values; dots: measurements; square: another simulator. Bars: medians. Grey: within "
        "10 %; dotted: a factor of two. Triangles stand for rows beyond the axis. Number of rows in brackets.",
    )
    return figure


def _dots(axes: Axes, ratios: NDArray[np.float64], place: int, group: str, random: np.random.Generator) -> None:
    """Draw the rows of one machine from one kind of reference, spread over its line where they are many."""
    many = len(np.unique(ratios.round(6))) > MANY
    heights = place + (random.uniform(-SPREAD, SPREAD, len(ratios)) if many else np.zeros(len(ratios)))
    inside = (ratios >= LIMITS[0]) & (ratios <= LIMITS[1])
    looks: dict[str, Any] = {"color": COLORS[group], "linestyle": "", "rasterized": True, "zorder": 2}
    size, alpha = (1.6, 0.35) if many else (4.0, 0.8)
    axes.plot(
        ratios[inside], heights[inside], marker=MARKERS[group], markersize=size, alpha=alpha, markeredgewidth=0, **looks
    )
    for beyond, edge, marker in ((ratios < LIMITS[0], LIMITS[0], "<"), (ratios > LIMITS[1], LIMITS[1], ">")):
        axes.plot(np.full(beyond.sum(), edge), heights[beyond], marker=marker, markersize=4, **looks)
    middle = float(np.median(ratios))
    if many:
        axes.plot([middle] * 2, [place - SPREAD, place + SPREAD], color="white", linewidth=3.2, zorder=3)
        axes.plot([middle] * 2, [place - SPREAD, place + SPREAD], color=INK, linewidth=1.2, zorder=4)
