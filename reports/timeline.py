"""Layers over time: which layer runs when on each chip, and how much of it is filling, computing, waiting, draining."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import matplotlib.pyplot as plt
from matplotlib.ticker import EngFormatter

from ._blocks import blocks, capped, fitting, percent, write
from ._style import (
    CAUSES,
    NORMAL,
    SMALL,
    WIDTH,
    Fill,
    caption,
    dress,
    heading,
    is_measured,
    names,
    runs,
    si,
    ticks,
    title,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEEDS = ("network", "layer", "chip", "dataflow", "format", "batch", "macs", "seconds", "total_cycles")

SHADES = {"with MACs": ("#8cb1d9", "#c6d8ec"), "other layers": ("#b8b8b8", "#dedede")}
"""Neighbouring blocks take turns between two shades."""

PLOT_INCH = 3.85
"""Room for the blocks, beside the labels."""

LAYER_INCH, PHASE_INCH, AROUND_INCH = 0.5, 0.2, 0.72
"""Heights of a row of layers, of a cause, and of title, ticks and label."""

EDGE_FROM_INCH = 0.03
"""Blocks narrower than this have no edge, which would hide them."""

ONE_AXIS = 3.0
"""Runs share a time axis where the longest takes at most this many times the shortest."""


class Lane(NamedTuple):
    """A row of a panel: its label, and the start and length [s], name and fill of each of its blocks."""

    label: str
    height_inch: float
    spans: list[tuple[float, float, str, Fill]]


def timeline(frame: pd.DataFrame) -> Figure:
    """Return a figure of the layer rows `frame`: a panel per run with rows of layers, then a row per cause.

    Layers stand one after the other; within a layer its cycles of one cause are drawn as their sum. What was measured
    has no causes. Labels give each row's share of the time.
    """
    found, left = capped(runs(frame), "timeline")
    panels = [_lanes(rows) for rows in found]
    totals = [float(rows["seconds"].sum()) for rows in found]
    heights = [max(LAYER_INCH, sum(lane.height_inch for lane in lanes)) for lanes in panels]
    size = (WIDTH, sum(heights) + AROUND_INCH * len(found) + 0.55)
    figure, axes = plt.subplots(len(found), 1, figsize=size, squeeze=False, layout="constrained", height_ratios=heights)
    together = max(totals) <= ONE_AXIS * min(totals)
    for panel, lanes, total, name, rows in zip(axes[:, 0], panels, totals, names(found), found, strict=True):
        _draw(panel, lanes, max(totals) if together else total)
        panel.set_title(name.replace("\n", ", "), loc="left", y=1.0, fontsize=NORMAL, parse_math=False)
        said = ", measured" if is_measured(rows) else ""
        panel.set_title(f"{si(total, 's')}{said}", loc="right", y=1.0, fontsize=NORMAL)
    title(figure, heading(found))
    own = "" if together else "Each run has a time axis of its own."
    summed = (
        "" if all(map(is_measured, found)) else "Within a layer each cause is drawn as its sum, one after the other."
    )
    caption(figure, " ".join(filter(None, (own, summed, left))))
    return figure


def _lanes(rows: pd.DataFrame) -> list[Lane]:
    """Return the rows of a run's panel that have anything to show."""
    found = blocks(rows, "total_cycles", *CAUSES)
    of_macs = found["macs"] > 0
    kinds = {"with MACs": found[of_macs], "other layers": found[~of_macs]}
    lanes = [_layers(label, kind) for label, kind in kinds.items() if len(kind)]
    if len(lanes) == 1:
        lanes = [lanes[0]._replace(label="layers")]
    whole = max(float(rows["seconds"].sum()), 1e-300)
    causes = [] if is_measured(rows) else _causes(found)
    return [
        lane._replace(label=f"{lane.label}  {percent(sum(span[1] for span in lane.spans) / whole)}")
        for lane in (*lanes, *causes)
    ]


def _layers(label: str, found: pd.DataFrame) -> Lane:
    """Return the row of the layers `found`."""
    shades = SHADES[label]
    spans = [
        (start, seconds, str(name), (shades[place % 2], ""))
        for place, (start, seconds, name) in enumerate(
            zip(found["start_s"], found["seconds"], found["layer"], strict=True)
        )
    ]
    return Lane(label, LAYER_INCH, spans)


def _causes(found: pd.DataFrame) -> list[Lane]:
    """Return a row for each cause that takes time, its blocks behind those of the causes before it."""
    lanes = []
    begins = found["start_s"]
    for column, (label, fill) in CAUSES.items():
        lasting = (found["seconds"] * found[column] / found["total_cycles"]).fillna(0.0)
        spans = [(start, long, "", fill) for start, long in zip(begins, lasting, strict=True) if long > 0]
        begins = begins + lasting
        lanes += [Lane(label, PHASE_INCH, spans)] if spans else []
    return lanes


def _draw(axes: Axes, lanes: list[Lane], lasting: float) -> None:
    """Draw the rows from the top down over a time axis of `lasting` [s]."""
    top, middles = 0.0, []
    inch_per_s = PLOT_INCH / lasting if lasting else 0.0
    for lane in lanes:
        height = 0.86 * lane.height_inch
        middle = top + lane.height_inch / 2
        _blocks(axes, lane, middle - height / 2, height, inch_per_s)
        for start, seconds, name, _ in lane.spans:
            rotation = fitting(name, seconds * inch_per_s, height)
            if rotation:
                write(axes, start + seconds / 2, middle, name, rotation)
        middles.append(middle)
        top += lane.height_inch
    axes.set_yticks(middles, [lane.label for lane in lanes])
    axes.set_ylim(max(top, LAYER_INCH), 0)
    axes.set_xlim(0, lasting or 1.0)
    ticks(axes.xaxis, 0.0, lasting or 1.0, 6)
    axes.xaxis.set_major_formatter(EngFormatter("s"))
    axes.set_xlabel("time", fontsize=NORMAL)
    dress(axes, "x", SMALL)
    axes.tick_params(axis="y", length=0)


def _blocks(axes: Axes, lane: Lane, bottom: float, height: float, inch_per_s: float) -> None:
    """Draw the blocks of a row, those of one look together."""
    looks: dict[tuple[Fill, bool], list[tuple[float, float]]] = {}
    for start, seconds, _, fill in lane.spans:
        looks.setdefault((fill, seconds * inch_per_s >= EDGE_FROM_INCH), []).append((start, seconds))
    for ((color, hatch), edged), spans in looks.items():
        edge, width = ("white", 0.5) if edged else (color, 0.3)
        axes.broken_barh(
            spans, (bottom, height), facecolor=color, edgecolor=edge, linewidth=width, hatch=hatch if edged else ""
        )
