"""Bytes read and written at every level of memory by every layer: which level carries what."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D

from ._blocks import capped
from ._style import GRID, NORMAL, QUIET, SMALL, WIDTH, caption, heading, names, runs, short, si, title

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

NEEDS = ("off_chip_level",)

MAX_ROWS = 40
"""Layers drawn at most, those that move most."""

READ, WRITTEN = "_read_bytes", "_write_bytes"

MARKS = {READ: ("o", 12, "#08306b", "#08306b"), WRITTEN: ("o", 30, "none", "#b3541e")}
"""Marker, area [point²], face and edge: a ring stays seen around a dot."""

ROW_INCH, LEAST_INCH, AROUND_INCH = 0.16, 0.5, 1.35
"""Heights of a layer, of the smallest panel, and of what is around a panel."""

PLOT_INCH, LABEL_INCH = 4.2, 0.42
"""Room for all levels, and for the label of a tick."""

MARGIN = 0.09
"""Room on both sides of a level, as a share of it."""

LINE_POINTS = 10.0
"""The height of a line above a panel."""


class Panel(NamedTuple):
    """A run as it is drawn: its layers, its levels from the busiest to off-chip memory, and what is not drawn."""

    rows: pd.DataFrame
    levels: list[str]
    left_out: str

    def moved(self, action: str) -> NDArray[np.float64]:
        """Return the bytes of each layer at each level as (layers, levels)."""
        return self.rows[[f"{level}{action}" for level in self.levels]].fillna(0).to_numpy(float)


def traffic(frame: pd.DataFrame) -> Figure:
    """Return a figure of the layer rows `frame`: a panel per run, a row per layer, a logarithmic axis per level.

    Dots are bytes read, rings bytes written; above them stand the sums over all layers. All axes have one scale.
    """
    simulated = [rows for rows in runs(frame) if rows["off_chip_level"].notna().all()]
    found, left = capped(simulated, "traffic")
    panels = [_panel(rows) for rows in found]
    decades = _decades(panels)
    heights = [max(LEAST_INCH, ROW_INCH * len(panel.rows)) for panel in panels]
    figure, axes = plt.subplots(
        len(found), 1, figsize=(WIDTH, sum(heights) + AROUND_INCH * len(found) + 0.5), squeeze=False,
        layout="constrained", height_ratios=heights,
    )  # fmt: skip
    for place, panel, rows, name in zip(axes[:, 0], panels, found, names(found), strict=True):
        _draw(place, panel, decades)
        _head(place, panel, rows)
        pad = LINE_POINTS * (2.5 + max((_named(level).count("\n") + 1 for level in panel.levels), default=0))
        place.set_title(name.replace("\n", ", "), loc="left", y=1.0, fontsize=NORMAL, pad=pad, parse_math=False)
        place.set_title(panel.left_out, loc="right", y=1.0, fontsize=SMALL, pad=pad, color=QUIET)
    title(figure, heading(found), [_handle(action) for action in MARKS])
    caption(figure, f"Every level has the same logarithmic axis. {left}".strip())
    return figure


def _handle(action: str) -> Line2D:
    """Return what the legend shows of an action."""
    marker, area, face, edge = MARKS[action]
    name = "read" if action == READ else "written"
    return Line2D([], [], ls="", marker=marker, ms=area**0.5, mfc=face, mec=edge, label=name)


def _panel(rows: pd.DataFrame) -> Panel:
    """Return what is drawn of a run: levels and layers that move anything, of many layers those that move most."""
    off_chip = str(rows["off_chip_level"].iloc[0])
    columns = {str(name)[: -len(READ)] for name in rows if str(name).endswith(READ)}
    sums = {
        level: float(rows[[level + READ, level + WRITTEN]].fillna(0).to_numpy(float).sum())
        for level in sorted(columns)
        if level + WRITTEN in rows
    }
    levels = sorted((level for level in sums if sums[level] > 0), key=lambda level: (level == off_chip, -sums[level]))
    moved = sum((rows[level + action].fillna(0) for level in levels for action in (READ, WRITTEN)), 0 * rows["macs"])
    kept = moved.rank(method="first", ascending=False) <= MAX_ROWS
    drawn = rows[kept & (moved > 0)]
    count = int((moved > 0).sum()) - len(drawn)
    share = moved[drawn.index].sum() / max(1.0, moved.sum())
    return Panel(drawn, levels, f"{len(drawn)} of {len(drawn) + count} layers, {share:.1%} of bytes" if count else "")


def _decades(panels: list[Panel]) -> tuple[int, int]:
    """Return between which powers of ten [B] everything lies."""
    every = np.concatenate([panel.moved(action).ravel() for panel in panels for action in MARKS])
    moved = every[every > 0]
    if not moved.size:
        return 0, 3
    low, high = int(np.floor(np.log10(moved.min()))), int(np.ceil(np.log10(moved.max())))
    return low, max(high, low + 1)


def _places(moved: NDArray[np.float64], decades: tuple[int, int]) -> NDArray[np.float64]:
    """Return where bytes lie along the x axis, NaN for none; levels are 1 apart, as (layers, levels)."""
    low, high = decades
    logarithms = np.log10(np.where(moved > 0, moved, np.nan))
    return np.arange(moved.shape[-1]) + MARGIN + (1 - 2 * MARGIN) * (logarithms - low) / (high - low)


def _powers(decades: tuple[int, int], levels: int) -> NDArray[np.int64]:
    """Return the powers of ten that are labelled: each, each second or each third, as there is room."""
    low, high = decades
    decade_inch = PLOT_INCH * (1 - 2 * MARGIN) / max(1, levels) / (high - low)
    step = next((step for step in (1, 2) if step * decade_inch >= LABEL_INCH), 3)
    found = np.array([power for power in range(low, high + 1) if power % step == 0] or [low])
    # the label of the last would meet that of the next level's first
    return found[:-1] if len(found) > 1 and (found[0], found[-1]) == (low, high) else found


def _draw(axes: Axes, panel: Panel, decades: tuple[int, int]) -> None:
    """Draw dots, rings and the lines between them, and the axis of each level."""
    count, levels = len(panel.rows), len(panel.levels)
    down = np.repeat(np.arange(count)[:, None], levels, axis=1)
    read, written = (_places(panel.moved(action), decades) for action in MARKS)
    axes.hlines(down, read, written, color="#9a9a9a", linewidth=0.8)
    for places, (marker, area, face, edge) in zip((read, written), MARKS.values(), strict=True):
        axes.scatter(places, down, area, marker=marker, facecolors=face, edgecolors=edge, linewidths=1.0, zorder=3)
    powers = _powers(decades, levels)
    ticks = _places(np.repeat(10.0 ** powers[:, None], max(1, levels), axis=1), decades)
    axes.set_xticks(ticks.T.ravel(), [_power(power) for _ in range(max(1, levels)) for power in powers])
    axes.vlines(ticks.ravel(), -0.6, count - 0.4, color=GRID, linewidth=0.6, zorder=0)
    axes.hlines(np.arange(count), 0, max(1, levels), color=GRID, linewidth=0.4, zorder=0)
    axes.vlines(np.arange(1, levels), -0.6, count - 0.4, color="#9a9a9a", linewidth=0.6)
    axes.set_xlim(0, max(1, levels))
    axes.set_ylim(max(count, 1) - 0.4, -0.6)
    axes.set_yticks(range(count), [short(name) for name in panel.rows["layer"]], parse_math=False)
    axes.set_xlabel("read and written [B]", fontsize=NORMAL)
    axes.tick_params(labelsize=SMALL, length=2)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _head(axes: Axes, panel: Panel, rows: pd.DataFrame) -> None:
    """Write above each level its name and what all layers of the run read and write there."""
    for place, level in enumerate(panel.levels):
        sums = [float(rows[level + action].fillna(0).sum()) for action in MARKS]
        # what is written on a chip is read there, or a model does not count it
        unknown = not sums[0] and level != str(rows["off_chip_level"].iloc[0])
        read, written = ("not counted" if unknown else si(sums[0], "B")), si(sums[1], "B")
        axes.annotate(
            f"{_named(level)}\n● {read}\n○ {written}", (place + MARGIN / 2, 1), (0, 3), ("data", "axes fraction"),
            "offset points", fontsize=SMALL, va="bottom", linespacing=1.1,
        )  # fmt: skip


def _named(level: str) -> str:
    """Return what a level is called, a line per word."""
    return "DRAM" if level == "dram" else level.replace("_", "\n")


def _power(power: int) -> str:
    """Return a power of ten [B] in short."""
    return si(10.0**power).replace(" ", "")
