"""How much of its MAC units a chip uses over time: a block per layer, as wide as its time and as high as its share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from ._blocks import CHAR_INCH, LINE_INCH, blocks, capped, fitting, percent, write
from ._style import INK, NORMAL, QUIET, SMALL, WIDTH, Fill, caption, dress, heading, names, runs, si, title

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEEDS = ("peak_macs_per_s", "utilisation", "compute_cycles", "total_cycles", "seconds")

USEFUL: Fill = ("#08306b", "")
WAITING: Fill = ("#c6d8ec", "////")
NEVER: Fill = ("#ffffff", "")
LABELS = {
    "useful MACs": USEFUL,
    "the same units, while it fills, waits or drains": WAITING,
    "units without work": NEVER,
}

TOPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Where the axis may end, which all runs share."""

ROUNDING = 1e-9

PLOT_INCH, PANEL_INCH, AROUND_INCH = 4.75, 1.15, 0.36
"""Room for the blocks, and the heights of a panel and of what is around it."""

GAP_INCH, LINE_FROM_INCH, MOST_ON_BLOCK = 0.04, 0.1, 0.6
"""Between a block and its name; the narrowest blocks with a line between them; how much of a block a name may hide."""

EDGE = "#7f9cc0"
"""Of hatches."""

PE_COLUMNS = ("active_pes", "pe_rows", "pe_cols")


def occupancy(frame: pd.DataFrame) -> Figure:
    """Return a figure of the layer rows `frame`: a panel per run, layers in order over the share of time.

    Dark is the utilisation; hatched what it would be were there only compute cycles, which is the part of the array
    that has work, or that part itself where rows have `PE_COLUMNS`. All panels share the scale of their heights.
    """
    simulated = [rows for rows in runs(frame) if rows["utilisation"].notna().all()]
    found, left = capped(simulated, "occupancy")
    drawn = [_shares(rows) for rows in found]
    highest = max((min(1.0, one["filled"].max()) for one in drawn if len(one)), default=1.0)
    top = min(top for top in TOPS if top >= highest * (1 - ROUNDING))
    size = (WIDTH, (PANEL_INCH + AROUND_INCH) * len(found) + 1.15)
    figure, axes = plt.subplots(
        len(found), 1, figsize=size, squeeze=False, layout="constrained", sharex=True, sharey=True
    )
    for panel, rows, shares, name in zip(axes[:, 0], found, drawn, names(found), strict=True):
        _panel(panel, shares, top)
        panel.set_title(name.replace("\n", ", "), loc="left", y=1.0, fontsize=NORMAL, parse_math=False)
        said = f"{percent(_mean(rows))} useful over {si(rows['seconds'].sum(), 's')}"
        panel.set_title(said, loc="right", y=1.0, fontsize=NORMAL)
    axes[-1, 0].set_xlabel("share of time", fontsize=NORMAL)
    patches = [Patch(facecolor=c, hatch=h, edgecolor=QUIET, linewidth=0.5, label=n) for n, (c, h) in LABELS.items()]
    title(figure, heading(found), patches, 3)
    enlarged = f"Heights end at {percent(top)} of the MAC units." if top < 1 else ""
    caption(figure, " ".join(filter(None, (enlarged, left))))
    return figure


def _mean(rows: pd.DataFrame) -> float:
    """Return the utilisation of a run: MACs done over those possible in its time."""
    possible = rows["peak_macs_per_s"] * rows["seconds"]
    return float((rows["utilisation"] * possible).sum() / max(possible.sum(), 1.0))


def _shares(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the blocks of a run with `start` and `width` as shares of its time, `useful` and `filled` of its MACs."""
    seconds, useful = rows["seconds"], rows["utilisation"].clip(upper=1)
    weighted = {"useful": useful * seconds, "filled": _filled(rows, useful) * seconds}
    found = blocks(rows[["layer", "macs", "seconds"]].assign(**weighted), *weighted)
    whole = found["seconds"].sum()
    return found.assign(
        start=found["start_s"] / whole,
        width=found["seconds"] / whole,
        useful=found["useful"] / found["seconds"],
        filled=found["filled"] / found["seconds"],
    )


def _filled(rows: pd.DataFrame, useful: pd.Series[float]) -> pd.Series[float]:
    """Return of each layer the share of the MAC units that has work while it computes, at least `useful`."""
    cycles = rows["compute_cycles"]
    found = (useful * rows["total_cycles"] / cycles).where(cycles > 0, 0.0)
    if set(PE_COLUMNS) <= set(rows):
        found = (rows["active_pes"] / (rows["pe_rows"] * rows["pe_cols"])).fillna(found)
    return found.clip(upper=1).clip(lower=useful)


def _panel(axes: Axes, shares: pd.DataFrame, top: float) -> None:
    """Draw the blocks of a run, and their names and utilisation where they fit."""
    for column, (color, hatch) in (("filled", WAITING), ("useful", USEFUL)):
        axes.bar(
            shares["start"], shares[column], shares["width"], align="edge", color=color, hatch=hatch,
            edgecolor=EDGE if hatch else color, linewidth=0.4,
        )  # fmt: skip
    wide = shares["width"].rolling(2).min() * PLOT_INCH > LINE_FROM_INCH
    axes.vlines(shares["start"][wide], 0, top, color="#b5b5b5", linewidth=0.4)
    for _, block in shares.iterrows():
        _label(axes, block, top)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, top)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0 if top > 0.05 else None))
    axes.set_ylabel("MAC units", fontsize=NORMAL)
    dress(axes, "y", SMALL)


def _label(axes: Axes, block: pd.Series[float], top: float) -> None:
    """Write what a block is and its utilisation: above it, or on it where the panel ends, if they fit there."""
    name, share, width = str(block["layer"]), percent(block["useful"]), block["width"] * PLOT_INCH
    rotation = fitting(name, width, PANEL_INCH)
    if rotation is None:
        return
    if rotation == "horizontal" and block["macs"] > 0 and len(share) * CHAR_INCH <= width:
        name = f"{name}\n{share}"
    long = LINE_INCH * (name.count("\n") + 1) if rotation == "horizontal" else len(name) * CHAR_INCH
    above = block["filled"] / top * PANEL_INCH + GAP_INCH
    how: dict[str, Any] = {"va": "bottom", "color": INK if block["macs"] > 0 else QUIET}
    if above + long > PANEL_INCH:
        if long > MOST_ON_BLOCK * PANEL_INCH:
            return
        above = PANEL_INCH - GAP_INCH
        how |= {"va": "top", "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 0.6}}
    write(axes, block["start"] + block["width"] / 2, above / PANEL_INCH * top, name, rotation, **how)
