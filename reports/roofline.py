"""Each layer under its chip's roofs: operations per second over operations per byte that crosses the chip's edge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from hwsim.errors import InputError

from ._placing import CHAR, LINE, Box, Scale, box, free, groups, on_slope, sides
from ._style import (
    INK,
    MARKS,
    QUIET,
    SMALL,
    WIDTH,
    caption,
    component,
    dress,
    folded,
    heading,
    names_with_formats,
    runs,
    si,
    title,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

PEAK, EDGE, RATE = "peak_macs_per_s", "off_chip_level", "off_chip_bytes_per_s"

NEEDS = ("network", "layer", "kind", "chip", "dataflow", "format", "batch", "macs", "seconds", PEAK, EDGE, RATE)
"""Columns without which there is nothing to draw."""

OPERATIONS = 2
"""Of a multiply-accumulate."""

MAX_PANELS = 12

PANEL_INCH = {1: 3.6, 2: 2.25}
"""Height of a panel, by panels beside each other."""

TITLE_CHARS = {1: 60, 2: 28}
"""Characters of a line of a panel's title, by panels beside each other."""

INSIDE = {1: (325.0, 220.0), 2: (150.0, 134.0)}
"""Width and height of a panel's inside [point], about, by panels beside each other: labels are placed by them."""

SMALLEST, LARGEST = 12.0, 260.0
"""Area of a mark [square point] of no time, and what all time adds."""

LABELS = 5
"""Labels of layers in a panel at most, those that take longest."""

SIZE = "a mark's area grows with its share of the time"
MORE = "+ 2 is with two others close by"

SLOPE = 8.0
"""How far a slope is drawn at least: from where operations per byte are this part of those at its ridge."""

ABOVE_ROOF, OVER = "above a roof, zeros or an algorithm save operations", 1.01
BEYOND = "what moves nothing off-chip stands at the right end"

KINDS = ("conv", "matmul")
"""Kinds of layers that have marks of their own; all others share one."""


class Run(NamedTuple):
    """A run's layers with `x` [operations per byte], `y` [operations per second] and share of time, and its roofs.

    `roofs` are operations per second by format, `rate` bytes per second, infinite where nothing limits it.
    """

    name: str
    layers: pd.DataFrame
    roofs: dict[str, float]
    rate: float
    edge: str

    def under(self, roof: float, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what is attainable at `x` below a roof [operations per second]."""
        return np.minimum(roof, self.rate * x)


def roofline(frame: pd.DataFrame) -> Figure:
    """Return a figure of the layer rows `frame`: a panel per run with its roofs, and those of all others in grey.

    Layers are marks as large as their share of the time; those that are no products have no place. What moves nothing
    over the chip's edge stands at the right end. Raises `InputError` where no layer has a place.
    """
    known = [rows for rows in runs(frame) if rows[PEAK].notna().any()]
    found = [_run(name, rows) for name, rows in zip(names_with_formats(known), known, strict=True)]
    found = [run for run in found if len(run.layers)]
    if not found:
        raise InputError("report 'roofline' has nothing to draw: no layer of a simulated run has multiply-accumulates")
    drawn = found[:MAX_PANELS]
    across, limits = min(2, len(drawn)), _limits(drawn)
    down = -(-len(drawn) // across)
    height = PANEL_INCH[across] * down + 1.0
    figure, axes = plt.subplots(
        down, across, figsize=(WIDTH, height), squeeze=False, layout="constrained", sharex=True, sharey=True
    )
    for panel, run in zip(axes.flat, drawn, strict=False):
        _panel(panel, run, drawn, Scale(*limits, *INSIDE[across]))
        panel.set_title(folded(run.name, TITLE_CHARS[across]), loc="left", fontsize=9, parse_math=False)
    for spare in axes.flat[len(drawn) :]:
        spare.set_axis_off()
    _label(axes, len(drawn))
    title(figure, heading(known), _handles(drawn))
    left = f"{MAX_PANELS} of {len(found)} runs are drawn" if len(found) > MAX_PANELS else ""
    caption(figure, "; ".join(filter(None, [*_notes(axes, drawn), left])))
    return figure


def _notes(axes: NDArray[Any], drawn: Sequence[Run]) -> list[str]:
    """Return what must be known of the marks."""
    together = any(" + " in said.get_text() for panel in axes.flat for said in panel.texts)
    beyond = any(np.isinf(run.layers["x"]).any() for run in drawn)
    above = any((run.layers["y"] > OVER * max(run.roofs.values())).any() for run in drawn)
    return [SIZE, *[note for note, holds in ((MORE, together), (BEYOND, beyond), (ABOVE_ROOF, above)) if holds]]


def _run(name: str, rows: pd.DataFrame) -> Run:
    """Return the layers of a run that have products, where they stand."""
    edge = str(rows[EDGE].fillna("").iloc[0])
    crossing = sum(
        (rows[column].fillna(0) for column in (f"{edge}_read_bytes", f"{edge}_write_bytes") if column in rows),
        pd.Series(0.0, rows.index),
    )
    operations, share = OPERATIONS * rows["macs"], rows["seconds"] / max(rows["seconds"].sum(), 1e-300)
    with np.errstate(divide="ignore", invalid="ignore"):
        placed = rows.assign(x=operations / crossing, y=operations / rows["seconds"], share=share)
    drawn = placed[(rows["macs"] > 0) & (rows["seconds"] > 0)]
    roofs = {
        str(fmt): OPERATIONS * float(peak) for fmt, peak in drawn.groupby("format", sort=False)[PEAK].max().items()
    }
    rate = pd.to_numeric(rows[RATE], errors="coerce").max()
    return Run(name, drawn, roofs, float("inf") if np.isnan(rate) else float(rate), edge)


def _limits(drawn: Sequence[Run]) -> tuple[float, float, float, float]:
    """Return the ends of both axes: all layers, and the ridges of all roofs."""
    x = np.concatenate([run.layers["x"].to_numpy(float) for run in drawn])
    ridges = [roof / run.rate for run in drawn for roof in run.roofs.values() if np.isfinite(run.rate)]
    x = np.concatenate([x[np.isfinite(x)], ridges, np.divide(ridges, SLOPE)])
    x = x if x.size else np.array([1.0])
    y = np.concatenate([run.layers["y"].to_numpy(float) for run in drawn])
    y = np.append(y, [roof for run in drawn for roof in run.roofs.values()])
    return float(min(x)) / 4, float(max(x)) * 4, float(min(y)) / 5, float(max(y)) * 6


def _panel(axes: Axes, run: Run, drawn: Sequence[Run], scale: Scale) -> None:
    """Draw the roofs of all runs, those of `run` in ink, and its layers."""
    axes.set(xscale="log", yscale="log", xlim=(scale.left, scale.right), ylim=(scale.low, scale.top))
    for other in drawn:
        _roofs(axes, other, scale, "#d4d4d4", 0.8)
    _roofs(axes, run, scale, INK, 1.3)
    layers = run.layers.assign(x=np.minimum(run.layers["x"], scale.right / 1.4))
    for kind, rows in layers.groupby(_kinds(layers), sort=True):
        marker, color, _ = _marks()[str(kind)]
        axes.scatter(
            rows["x"], rows["y"], s=_area(rows["share"]), c=color, marker=marker, alpha=0.75, edgecolors="white",
            linewidths=0.6, zorder=3,
        )  # fmt: skip
    taken = _covered(layers, scale)
    taken += _say_peaks(axes, run, scale, taken)
    taken += [*_say_rate(axes, run, scale, taken), *_along(run, scale)]
    _say_layers(axes, layers, scale, taken)
    dress(axes, size=SMALL)


def _area(share: pd.Series[float]) -> pd.Series[float]:
    return SMALLEST + LARGEST * share


def _roofs(axes: Axes, run: Run, scale: Scale, color: str, width: float) -> None:
    """Draw each format's roof, and the slope of memory up to it."""
    for roof in run.roofs.values():
        places = np.array([scale.left, min(max(roof / run.rate, scale.left), scale.right), scale.right])
        axes.plot(places, run.under(roof, places), color=color, linewidth=width, zorder=2 if color == INK else 1)


def _say_peaks(axes: Axes, run: Run, scale: Scale, taken: Sequence[Box]) -> list[Box]:
    """Write the peak rates above the flat roofs, on the right, as far as marks leave room; return where."""
    boxes = []
    for fmt, roof in run.roofs.items():
        said = f"{si(roof, 'op/s')}{f' {fmt}' if len(run.roofs) > 1 else ''}"
        x, y = scale.points(scale.right, roof)
        tried = {back: box(x - back, y + 2 + LINE / 2, len(said) * CHAR, "right") for back in (2.0, 30.0, 60.0)}
        back = next((back for back, covered in tried.items() if free([covered], taken, scale)), 2.0)
        axes.annotate(
            said, (scale.right, roof), (-back, 2), textcoords="offset points", ha="right", va="bottom",
            fontsize=SMALL, parse_math=False,
        )  # fmt: skip
        boxes.append(tried[back])
    return boxes


def _say_rate(axes: Axes, run: Run, scale: Scale, taken: Sequence[Box]) -> list[Box]:
    """Write the rate of memory along its slope, from the ridge down, or beside the ridge; return where."""
    if not np.isfinite(run.rate) or not run.roofs:
        return []
    said = f"{component(f'energy_{run.edge}_pj')} {si(run.rate, 'B/s')}"
    ridge = min(max(run.roofs.values()) / run.rate, scale.right)
    shift, degrees, covered = on_slope(said, scale.points(ridge, ridge * run.rate), taken, scale)
    axes.annotate(
        said, (ridge, ridge * run.rate), shift, textcoords="offset points", rotation_mode="anchor", rotation=degrees,
        ha="right", va="bottom", fontsize=SMALL, color=QUIET, parse_math=False,
    )  # fmt: skip
    return covered


def _along(run: Run, scale: Scale) -> list[Box]:
    """Return boxes along the roofs, on which no name is to lie."""
    places = np.geomspace(scale.left, scale.right, 60)
    lines = [scale.points(places, run.under(roof, places)) for roof in run.roofs.values()]
    return [(x - 1, y - 1, x + 1, y + 1) for line in lines for x, y in zip(*line, strict=True)]


def _covered(layers: pd.DataFrame, scale: Scale) -> list[Box]:
    """Return the boxes of the marks."""
    x, y = scale.points(layers["x"].to_numpy(float), layers["y"].to_numpy(float))
    radius = _radius(layers)
    return list(zip(x - radius, y - radius, x + radius, y + radius, strict=True))


def _radius(layers: pd.DataFrame) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(_area(layers["share"])) / 2)


def _kinds(layers: pd.DataFrame) -> pd.Series[str]:
    return layers["kind"].where(layers["kind"].isin(KINDS), "others")


def _marks() -> dict[str, tuple[str, str, object]]:
    return dict(zip((*KINDS, "others"), MARKS, strict=False))


def _handles(drawn: Sequence[Run]) -> list[Line2D]:
    """Return what says which kind of layer a mark is."""
    used = {str(kind) for run in drawn for kind in _kinds(run.layers)}
    words = {"conv": "convolution", "matmul": "matrix product", "others": "other products"}
    return [
        Line2D([], [], color=color, marker=marker, linestyle="", markersize=6, label=words[kind])
        for kind, (marker, color, _) in _marks().items()
        if kind in used
    ]


def _say_layers(axes: Axes, layers: pd.DataFrame, scale: Scale, taken: list[Box]) -> None:
    """Name the layers that take longest, those close to each other together, where no name lies on anything else."""
    x, y = scale.points(layers["x"].to_numpy(float), layers["y"].to_numpy(float))
    radius = _radius(layers)
    names = layers["layer"].astype(str)
    for first, *rest in groups(x / scale.decade[0], y / scale.decade[1], layers["share"].to_numpy(float))[:LABELS]:
        said = f"{names.iloc[first]} + {len(rest)}" if rest else names.iloc[first]
        for dx, dy, side in sides(radius[first]):
            covered = box(x[first] + dx, y[first] + dy, len(said) * CHAR, side)
            if free([covered], taken, scale):
                taken.append(covered)
                axes.annotate(
                    said, (layers["x"].iloc[first], layers["y"].iloc[first]), (dx, dy), textcoords="offset points",
                    ha=side, va="center", fontsize=SMALL, parse_math=False, zorder=4,
                )  # fmt: skip
                break


def _label(axes: NDArray[Any], count: int) -> None:
    """Say what the axes are, below and on the left of all panels."""
    down, across = axes.shape
    for row in axes:
        row[0].set_ylabel("operations per second", fontsize=9)
        row[0].yaxis.set_major_formatter(EngFormatter("op/s", sep=" "))
    for place in range(max(0, count - across), count):
        last = axes[place // across][place % across]
        last.tick_params(labelbottom=True)
        last.xaxis.set_major_formatter(EngFormatter("", sep=""))
        if place // across == down - 1:
            last.set_xlabel("operations per off-chip byte", fontsize=9)
    for panel in axes.flat:
        panel.xaxis.set_major_locator(LogLocator(numticks=6))
        panel.yaxis.set_major_locator(LogLocator(numticks=6))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.yaxis.set_minor_locator(NullLocator())
