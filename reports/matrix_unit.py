"""What a matrix unit does with its cycles, beside what was measured: active, waiting for weights, or without work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from hwsim.published import comparisons, table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PARTS = {
    "useful_macs_fraction": ("useful MACs", "#08306b", ""),
    "unused_macs_fraction": ("MACs on padding", "#8cb1d9", "\\\\"),
    "weight_shift_fraction": ("weights shift in", "#5b8e7d", ""),
    "weight_stall_fraction": ("wait for weights", "#f4a259", "//"),
    "non_matrix_fraction": ("nothing to multiply", "#d9d9d9", ".."),
}
"""Shares that add up to all cycles, with label, colour and hatch."""

NEEDS = (*PARTS, "total_cycles", "network", "chip", "batch", "format")
"""Columns without which there is nothing to draw."""

LABEL_FROM = 0.045
"""The smallest share that is written into its part of the bar."""


def matrix_unit(frame: pd.DataFrame) -> Figure:
    """Return a figure of the layer rows `frame`: a bar per run, and below it the published shares if there are any."""
    bars: list[tuple[str, dict[str, float]]] = []
    for _, rows in frame.groupby(["network", "chip", "batch", "format"], sort=False):
        network, chip, fmt = (str(rows[name].iloc[0]) for name in ("network", "chip", "format"))
        batch = int(rows["batch"].iloc[0])
        shares = _shares(rows)
        if not shares:
            continue
        bars.append((f"{network} on {chip},\nbatch {batch}, {fmt}, simulated", shares))
        bars += [(label, found) for label, found in _published(network, chip, batch, fmt).items()]
    figure, axes = plt.subplots(figsize=(9.5, 1.9 + 0.62 * len(bars)), layout="constrained")
    for place, (_, shares) in enumerate(bars):
        _bar(axes, place, shares)
    axes.set_yticks(range(len(bars)), [label for label, _ in bars], fontsize=8.5, parse_math=False)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("share of cycles")
    axes.spines[["top", "right"]].set_visible(False)
    handles = [Rectangle((0, 0), 1, 1, facecolor=c, hatch=h, edgecolor="white") for _, c, h in PARTS.values()]
    labels = [label for label, _, _ in PARTS.values()]
    axes.legend(handles, labels, ncols=5, fontsize=8.5, frameon=False, loc="lower left", bbox_to_anchor=(-0.02, 1.0))
    return figure


def _shares(rows: pd.DataFrame) -> dict[str, float]:
    """Return the shares of all cycles of a run; none for a machine that does not have them."""
    cycles = rows["total_cycles"]
    if rows[list(PARTS)].isna().to_numpy().any() or not cycles.sum():
        return {}
    return {name: float((rows[name] * cycles).sum() / cycles.sum()) for name in PARTS}


def _published(network: str, chip: str, batch: int, fmt: str) -> dict[str, dict[str, float]]:
    """Return the shares that papers print for this run, by where they do."""
    found: dict[str, dict[str, float]] = {}
    for name in comparisons():
        for row in table(f"comparisons/{name}"):
            same = (row["network"], row["chip"], row["layer"]) == (network, chip, "")
            if same and row["batch"] in ("", str(batch)) and row["format"] in ("", fmt) and row["quantity"] in PARTS:
                author = row["work"].split(",")[0]
                found.setdefault(f"measured, {author} {row['year']}", {})[row["quantity"]] = float(row["published"])
    return {label: shares for label, shares in found.items() if len(shares) == len(PARTS)}


def _bar(axes: Axes, place: int, shares: dict[str, float]) -> None:
    left = 0.0
    for name, (_, color, hatch) in PARTS.items():
        share = shares[name]
        axes.barh(place, share, 0.7, left, color=color, hatch=hatch, edgecolor="white", linewidth=0.6)
        if share >= LABEL_FROM:
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1.2, "alpha": 0.85}
            axes.text(left + share / 2, place, f"{share:.1%}", ha="center", va="center", fontsize=8.5, bbox=box)
        left += share
