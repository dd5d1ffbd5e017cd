"""Latency and energy of a study by number format, for each chip: what narrower numbers save."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np

from hwsim.errors import InputError
from hwsim.formats import NumberFormat

from ._study import QUANTITIES, RING, left_out, legend, networks, series, solved, styles
from ._style import Mark, Quantity, caption, dress, scale

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEEDS = ("network", "chip", "format", "seconds", "energy_pj", "edp_js")

MAX_ROWS = 3

OWN = "chip's\nown"
"""The format of a point that names none."""

WIDTH_SHIFT = 0.7
"""Share of a format's place over which the chips' markers are spread, so that equal ones stay apart."""


def precision_sweep(frame: pd.DataFrame) -> Figure:
    """Return a figure of the points `frame`: latency and energy over the formats, the widest first, a line per chip.

    Of points that differ in anything else the lowest is drawn. The widest format of each chip has a ring around it.
    """
    points = solved(frame, "precision_sweep")
    points = points.assign(drawn_as=series(points), shown=points["format"].fillna("").replace("", OWN))
    formats = sorted(points["shown"].unique(), key=lambda name: (-_bits(name), name))
    if len(formats) < 2:
        raise InputError("report 'precision_sweep' needs a study of at least two formats; sweep them with --format")
    groups, more = networks(points, MAX_ROWS)
    figure, axes = plt.subplots(
        len(groups), 2, figsize=(10, 3.3 * len(groups) + 0.6), squeeze=False, layout="constrained"
    )
    marks = styles(points["drawn_as"])
    for panels, rows in zip(axes, groups, strict=True):
        for panel, name in zip(panels, ("latency", "energy"), strict=True):
            _panel(panel, rows, QUANTITIES[name], formats, marks)
        panels[0].set_title(str(rows["network"].iloc[0]), loc="left", fontsize=10.5, parse_math=False)
    legend(figure, marks, 4, drawn=True, widest_format_of_the_chip=RING)
    several = points.groupby(["network", "drawn_as", "shown"]).size().max() > 1
    lowest = "of points that differ in other ways the lowest is drawn" if several else ""
    caption(figure, left_out(frame, lowest, more))
    return figure


def _bits(name: str) -> float:
    """Return the bits of a format, of a mix those of most layers; what has no known width comes last."""
    first = name.partition(",")[0].rpartition("=")[2]
    try:
        found = getattr(import_module(f"hwsim.formats.{first}"), first, None)
    except (ImportError, ValueError):
        found = None
    return found.bits + found.operand_bits("weight") / 100 if isinstance(found, NumberFormat) else 0.0


def _panel(axes: Axes, rows: pd.DataFrame, quantity: Quantity, formats: list[str], marks: dict[str, Mark]) -> None:
    """Draw one quantity of one network."""
    lowest = rows.groupby(["drawn_as", "shown"])[quantity.column].min() * quantity.scale
    names = sorted(map(str, rows["drawn_as"].unique()))
    for index, name in enumerate(names):
        values = lowest[name].reindex(formats)
        places = np.arange(len(formats)) + WIDTH_SHIFT * ((index + 0.5) / len(names) - 0.5)
        marker, color, line = marks[name]
        known = values.notna().to_numpy()
        axes.plot(
            places[known], values[known], marker=marker, color=color, linestyle=line, linewidth=0.9, markersize=6.5,
            markeredgecolor="white", markeredgewidth=0.6,
        )  # fmt: skip
        _ring(axes, places[known], values[known])
    scale(axes, axes.yaxis, lowest, quantity)
    axes.set_xticks(range(len(formats)), [_broken(one) for one in formats], fontsize=8.5)
    axes.set_xlim(-0.6, len(formats) - 0.4)
    for edge in range(1, len(formats)):
        axes.axvline(edge - 0.5, color="#eeeeee", linewidth=0.8, zorder=0)
    dress(axes)
    axes.grid(visible=False, axis="x")


def _ring(axes: Axes, places: Any, values: pd.Series[float]) -> None:
    """Mark the first of a chip's formats, the widest it has."""
    if len(values) and values.index[0] != OWN:
        axes.plot(places[:1], values.iloc[:1], color="black", **RING)


def _broken(name: str) -> str:
    """Return a mix of formats on a line for each layer."""
    return name.replace(",", "\n")
