"""Predicted beside measured seconds of every layer, on equal logarithmic axes: how far a model is from a machine."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import EngFormatter

from ._style import LARGE, MARKS, NORMAL, SMALL, WIDTH, dress

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MEASURED = "measured_seconds"
PANELS = {
    "datasheet_seconds": "datasheet only",
    "calibrated_seconds": "calibrated on other shapes",
    "repeated_seconds": "measured again",
}
"""Columns drawn over what was measured, and what they are; one that is not there is left out."""

NEEDS = (MEASURED, "calibrated_seconds", "operator")

MARGIN = 1.6

ACROSS, ROW_INCH, TITLE_INCH = 2, 3.05, 0.35
"""Panels side by side, the height of a row of them, and that of the title."""


def predicted(frame: pd.DataFrame) -> Figure:
    """Return a figure of the rows whose layers were measured: a panel per prediction, the 1:1 line, factors of two.

    A panel's title gives the mean and median absolute error over the rows that were not calibrated on.
    """
    rows = frame[frame[MEASURED] > 0]
    panels = [column for column in PANELS if column in rows and rows[column].gt(0).any()]
    drawn = rows[[MEASURED, *panels]].to_numpy(float)
    limits = (float(drawn[drawn > 0].min()) / MARGIN, float(np.nanmax(drawn)) * MARGIN)
    down = -(-(len(panels) + 1) // ACROSS)
    figure, axes = plt.subplots(
        down, ACROSS, figsize=(WIDTH, ROW_INCH * down + TITLE_INCH), squeeze=False, layout="constrained"
    )
    for panel, column in zip(axes.flat, panels, strict=False):
        _scatter(panel, rows, column, limits)
    for panel in axes.flat[len(panels) :]:
        panel.set_axis_off()
    _legend(axes.flat[len(panels)], list(axes.flat[: len(panels)]))
    machine, network = (", ".join(rows[name].astype(str).unique()[:4]) for name in ("chip", "network"))
    figure.suptitle(f"{network} on {machine}", x=0.01, ha="left", fontsize=LARGE, parse_math=False)
    return figure


def _legend(place: Axes, panels: Sequence[Axes]) -> None:
    """Write which marks are which operators where no panel is."""
    known = {name: handle for one in panels for handle, name in zip(*one.get_legend_handles_labels(), strict=True)}
    names = sorted(known)
    place.legend(
        [known[name] for name in names], names, loc="upper left", frameon=False, fontsize=SMALL, handletextpad=0.2
    )


def _scatter(axes: Axes, rows: pd.DataFrame, column: str, limits: tuple[float, float]) -> None:
    """Draw one prediction over the measured seconds; what is predicted to take none has no place on the axes."""
    styles = dict(zip(sorted(rows["operator"].unique()), cycle(MARKS), strict=False))
    for operator, group in rows[rows[column] > 0].groupby("operator", sort=True):
        marker, color, _ = styles[operator]
        axes.scatter(
            group[MEASURED],
            group[column],
            s=22,
            c=color,
            marker=marker,
            label=str(operator),
            edgecolors="white",
            linewidths=0.5,
        )
    axes.plot(limits, limits, color="black", linewidth=1, zorder=0)
    for factor in (0.5, 2):
        axes.plot(limits, [factor * end for end in limits], color="#888888", linewidth=0.8, linestyle=":", zorder=0)
    axes.set(xscale="log", yscale="log", xlim=limits, ylim=limits, box_aspect=1)
    axes.set_xlabel("measured", fontsize=NORMAL)
    axes.set_ylabel("predicted", fontsize=NORMAL)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(EngFormatter("s", sep=" "))
    dress(axes, size=SMALL)
    axes.set_title(f"{PANELS[column]}\n{_errors(rows, column)}", fontsize=SMALL, loc="left")


def _errors(rows: pd.DataFrame, column: str) -> str:
    """Return the mean and the median absolute error over the rows that nothing was fitted on."""
    scored = rows[~rows["fitted_on"].astype(bool)] if "fitted_on" in rows else rows
    if scored.empty:
        return "all rows were calibrated on"
    errors = 100 * (scored[column] / scored[MEASURED] - 1).abs()
    undrawn = int((rows[column] <= 0).sum())
    left_out = f", {undrawn} of no time not drawn" if undrawn else ""
    return f"mean error {errors.mean():.1f} %, median {errors.median():.1f} %\n{len(scored)} layers{left_out}"
