"""Which PE does what under row stationary: sets of PEs on the array, with their filter rows and ofmap rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from hwsim.mapping import row_stationary_sets

from ._style import NORMAL, SMALL, WIDTH, caption, folded, title

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PARTS = ["pe_rows", "pe_cols", "set_rows", "e", "r", "t"]
NEEDS = (*PARTS, "layer", "network", "chip", "batch")
"""Columns without which there is nothing to draw."""

ACROSS = 2
NAMED = 3
"""Layers named above a panel."""

PANELS = 12
"""Different sets drawn at most, those of the first layers."""

PANEL_INCH, AROUND_INCH = 2.75, 0.75
"""The height of a row of panels, and of the title and what is said below."""

TITLE_CHARS = 38
"""Of a line above a panel."""

COLOURS = ("#6d9dd1", "#f2e394", "#4f8a77", "#f7b878", "#c06c64", "#d9e4cf", "#8f7bc0", "#e6b8c4")
"""One per set of filters, neighbours apart in lightness, too; used again from the ninth on."""

HATCHES = ("", "//", "..", "\\\\", "xx", "--")
"""One per set of channels, used again from the seventh on."""

LABELLED = 16
"""Columns of an array up to which a PE has room for a number."""

WIDE = 10
"""Numbers of two digits, of which each second one has room."""

SAID = (
    "Colours are sets of other filters, hatches of other channels, white PEs are idle. In each set filter rows are "
    "numbered downwards, ofmap rows to the right."
)


def pe_sets(frame: pd.DataFrame) -> Figure:
    """Return a figure of the layer rows `frame`: a panel for each way in which PE sets lie on an array.

    Colours tell sets of filters apart, hatches those of channels; numbers down the left of a set are filter rows, those
    along its top ofmap rows. White PEs are idle.
    """
    found = frame.dropna(subset=PARTS)
    runs = found.groupby(["network", "chip", "batch", *PARTS], sort=False)
    drawn = [rows for _, rows in runs][:PANELS]
    down = -(-len(drawn) // ACROSS)
    size = (WIDTH, PANEL_INCH * down + AROUND_INCH)
    figure, axes = plt.subplots(down, ACROSS, figsize=size, squeeze=False, layout="constrained")
    heads = [f"{one['network'].iloc[0]} on {one['chip'].iloc[0]}, batch {one['batch'].iloc[0]}" for one in drawn]
    alike = len(set(heads)) == 1
    for panel, rows, head in zip(axes.flat, drawn, heads, strict=False):
        _draw(panel, *(int(rows[name].iloc[0]) for name in PARTS))
        said = _layers(list(rows["layer"]))
        named = said if alike else f"{head}: {said}"
        panel.set_title(folded(named, TITLE_CHARS), fontsize=SMALL, loc="left", parse_math=False)
    for panel in axes.flat[len(drawn) :]:
        panel.remove()
    title(figure, heads[0] if alike else f"{len(set(heads))} runs")
    caption(figure, SAID)
    return figure


def _layers(names: Sequence[str]) -> str:
    """Return the layers of a panel, the first of many."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def _draw(axes: Axes, rows: int, cols: int, set_rows: int, e: int, r: int, t: int) -> None:
    """Draw the array: its active PEs in the colour and hatch of their set."""
    axes.add_patch(Rectangle((-0.5, -0.5), cols, rows, facecolor="white", edgecolor="#6b6b6b"))
    active = list(row_stationary_sets.pe_sets(rows, cols, set_rows, e, r, t))
    for pe in active:
        colour, hatch = COLOURS[pe.filter_set % len(COLOURS)], HATCHES[pe.channel_set % len(HATCHES)]
        place = (pe.col - 0.5, pe.row - 0.5)
        axes.add_patch(Rectangle(place, 1, 1, facecolor=colour, hatch=hatch, edgecolor="white", linewidth=0.5))
        number = pe.filter_row or pe.ofmap_row
        labelled = 0 in (pe.filter_row, pe.ofmap_row) and (number < WIDE or number % 2 == 0)
        if cols <= LABELLED and labelled:
            box = {"facecolor": colour, "edgecolor": "none", "pad": 0.4} if hatch else None
            axes.text(pe.col, pe.row, f"{number}", fontsize=SMALL, ha="center", va="center", bbox=box)
    axes.set_xlim(-0.6, cols - 0.4)
    axes.set_ylim(rows - 0.4, -0.6)
    axes.set_aspect("equal")
    sets = f"{r} x {t} sets (channels x filters) of {set_rows} x {e}"
    axes.set_xlabel(f"column of PEs\n{sets}\n{len(active)} of {rows * cols} PEs work", fontsize=SMALL)
    axes.set_ylabel("row of PEs", fontsize=NORMAL)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.tick_params(labelsize=SMALL)
    axes.spines[:].set_visible(False)
