"""Which PE does what under row stationary: sets of PEs on the array, with the filter row and ofmap row of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle

from hwsim.mapping import row_stationary_sets

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PARTS = ["pe_rows", "pe_cols", "set_rows", "e", "r", "t"]
NEEDS = (*PARTS, "layer", "network", "chip", "batch")
"""Columns without which there is nothing to draw."""

ACROSS = 3
NAMED = 3
"""Layers named above a panel."""

PANELS = 12
"""Different sets drawn at most, those of the first layers."""

COLOURS = ("#8cb1d9", "#f4a259", "#5b8e7d", "#f2e394", "#d98880", "#c8d5b9", "#b39ddb", "#d9a5b3")
"""One per set of filters, used again from the ninth on."""

HATCHES = ("", "//", "..", "\\\\", "xx", "--")
"""One per set of channels, used again from the seventh on."""

LABELLED = 200
"""PEs of an array up to which each is labelled."""


def pe_sets(frame: pd.DataFrame) -> Figure:
    """Return a figure of the layer rows `frame`: a panel for each way in which PE sets lie on an array.

    Colours tell sets of filters apart, hatches those of channels; labels are filter row, ofmap row. White PEs are idle.
    """
    runs = frame.dropna(subset=PARTS).groupby(["network", "chip", "batch", *PARTS], sort=False)
    drawn = [rows for _, rows in runs][:PANELS]
    down = -(-len(drawn) // ACROSS)
    figure, axes = plt.subplots(down, ACROSS, figsize=(4.3 * ACROSS, 4.1 * down), squeeze=False, layout="constrained")
    for panel, rows in zip(axes.flat, drawn, strict=False):
        _draw(panel, *(int(rows[name].iloc[0]) for name in PARTS))
        network, chip, batch = (rows[name].iloc[0] for name in ("network", "chip", "batch"))
        layers = list(rows["layer"])
        more = f" and {len(layers) - NAMED} more" if len(layers) > NAMED else ""
        title = f"{network} on {chip}, batch {batch}\n{', '.join(layers[:NAMED])}{more}"
        panel.set_title(title, fontsize=8.5, loc="left", parse_math=False)
    for panel in axes.flat[len(drawn) :]:
        panel.remove()
    return figure


def _draw(axes: Axes, rows: int, cols: int, set_rows: int, e: int, r: int, t: int) -> None:
    """Draw the array: its active PEs in the colour and hatch of their set."""
    axes.add_patch(Rectangle((-0.5, -0.5), cols, rows, facecolor="white", edgecolor="#6b6b6b"))
    active = list(row_stationary_sets.pe_sets(rows, cols, set_rows, e, r, t))
    for pe in active:
        colour, hatch = COLOURS[pe.filter_set % len(COLOURS)], HATCHES[pe.channel_set % len(HATCHES)]
        place = (pe.col - 0.5, pe.row - 0.5)
        axes.add_patch(Rectangle(place, 1, 1, facecolor=colour, hatch=hatch, edgecolor="white", linewidth=0.5))
        if rows * cols <= LABELLED:
            axes.text(pe.col, pe.row, f"{pe.filter_row},{pe.ofmap_row}", fontsize=5.5, ha="center", va="center")
    axes.set_xlim(-0.6, cols - 0.4)
    axes.set_ylim(rows - 0.4, -0.6)
    axes.set_aspect("equal")
    sets = f"{r} x {t} sets of {set_rows} x {e}"
    axes.set_xlabel(f"columns; {len(active)} of {rows * cols} PEs in {sets} (channels x filters)", fontsize=8)
    axes.set_ylabel("rows", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.spines[:].set_visible(False)
