"""Latency, energy, throughput and their product, chip by chip, the best first, beside what is published or measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hwsim.errors import InputError

from ._style import (
    INK,
    NORMAL,
    SMALL,
    WIDTH,
    Quantity,
    caption,
    dress,
    folded,
    heading,
    is_measured,
    names,
    runs,
    scale,
    si,
    ticks,
    title,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEEDS = ("network", "layer", "chip", "dataflow", "format", "batch", "seconds", "energy_pj")
"""Columns without which there is nothing to draw."""

PANELS = (
    Quantity("seconds", "latency", "s"),
    Quantity("energy_pj", "energy per inference", "J"),
    Quantity("inferences_per_s", "inferences per second", "", better="highest"),
    Quantity("edp_js", "energy-delay product", "J s"),
)

MAX_BARS = 24
"""Bars of a panel at most, the best."""

NAME_CHARS, LINE_CHARS = 16, 28
"""Longest line of a name with which panels stand in pairs, and where longer ones are broken."""

BAR_INCH, FRAME_INCH = 0.29, 0.62

TICKS = {1: 4, 2: 2}
"""Labels of an axis at most, but for that of 0, by panels beside each other."""

ROOM = 0.62
"""Share of a panel's width that bars take; what is left is for their values."""

BAR, PART = ("#5d8fc4", ""), ("#c9dcf0", "//")
"""Fills of a network, and of those of its layers that values are published of."""

MARKS: dict[str, dict[str, Any]] = {
    "published": {"marker": "D", "markerfacecolor": "white", "markeredgecolor": "black", "markersize": 6},
    "measured": {"marker": "^", "markerfacecolor": "black", "markeredgecolor": "white", "markersize": 8},
}


class Bar(NamedTuple):
    """A bar, or nothing, and marks beside it: what each is, and its value."""

    name: str
    value: float | None
    marks: tuple[tuple[str, float], ...] = ()
    fill: tuple[str, str] = BAR

    @property
    def sought(self) -> float:
        """The value by which bars are sorted."""
        return self.marks[0][1] if self.value is None else self.value


class Run(NamedTuple):
    """A run: its name, its rows, whether it was measured, and what stands beside it."""

    name: str
    rows: pd.DataFrame
    measured: bool
    beside: pd.DataFrame | None

    def values(self) -> dict[str, float]:
        """Return seconds, joules, inferences per second and their product; without energy what does not need it."""
        batch, seconds = float(self.rows["batch"].iloc[0]), float(self.rows["seconds"].sum())
        joules = float(self.rows["energy_pj"].sum()) * 1e-12 / batch
        found = {"seconds": seconds, "inferences_per_s": batch / seconds if seconds else 0.0}
        return {**found, "energy_pj": joules, "edp_js": joules * seconds}

    def marks(self, column: str) -> tuple[tuple[str, float], ...]:
        """Return what is published or measured of the whole network."""
        if self.beside is None:
            return ()
        of_all = self.beside[(self.beside["layer"] == "") & (self.beside["quantity"] == column)]
        per = 1e-12 / float(self.rows["batch"].iloc[0]) if column == "energy_pj" else 1.0
        found = [(str(what), float(value) * per) for what, value in zip(of_all["what"], of_all["value"], strict=True)]
        whole = self.layers_published()
        if column == "seconds" and len(whole) == int((self.rows["seconds"] > 0).sum()):
            found.append(("published", sum(whole.values())))
        return tuple(found)

    def layers_published(self) -> dict[str, float]:
        """Return the published seconds of layers that take time, in their order."""
        if self.beside is None:
            return {}
        known = self.beside[(self.beside["quantity"] == "seconds") & (self.beside["layer"] != "")]
        found = dict(zip(known["layer"], known["value"], strict=True))
        taking = self.rows.loc[self.rows["seconds"] > 0, "layer"]
        return {str(layer): float(found[layer]) for layer in taking if layer in found}


def comparison(frame: pd.DataFrame, beside: pd.DataFrame | None = None) -> Figure:
    """Return a figure of the layer rows `frame`: a panel per quantity with a bar per run, and marks of `beside`.

    `beside` is as `hwsim.results.beside` makes it. Axes are logarithmic where bars differ by more than a decade. Where
    only layers have published times, a bar of these layers stands below that of the network.
    """
    found = runs(frame)
    labels = [folded(name, LINE_CHARS) for name in names(found)]
    drawn = [_run(name, rows, beside) for name, rows in zip(labels, found, strict=True)]
    kept = [run for run in drawn if not (run.measured and _is_mark(run, drawn))]
    bars = [(panel, _bars(kept, panel)) for panel in PANELS]
    bars = [(panel, several) for panel, several in bars if several]
    if not bars:
        raise InputError("report 'comparison' has nothing to draw: no run of these layers takes time or energy")
    across = _across([bar for _, several in bars for bar in several])
    figure, axes = _panels([several[:MAX_BARS] for _, several in bars], across)
    for panel, (quantity, several) in zip(axes, bars, strict=True):
        _draw(panel, quantity, several[:MAX_BARS], TICKS[across])
    title(figure, heading(found), _handles([bar for _, several in bars for bar in several]))
    most = max(len(several) for _, several in bars)
    left = f"the best {MAX_BARS} of {most} bars are drawn" if most > MAX_BARS else ""
    caption(figure, "; ".join(filter(None, [*_sources(beside), left])))
    return figure


def _run(name: str, rows: pd.DataFrame, beside: pd.DataFrame | None) -> Run:
    measured = is_measured(rows)
    if beside is None or measured:
        return Run(name, rows, measured, None)
    same = np.logical_and.reduce([beside[key] == rows[key].iloc[0] for key in ("network", "chip", "batch", "format")])
    return Run(name, rows, measured, beside[same])


def _is_mark(run: Run, drawn: Sequence[Run]) -> bool:
    """Whether a measured run is a mark beside a simulated one."""
    source = f"{run.rows['chip'].iloc[0]}, {run.rows['dataflow'].iloc[0]}"
    return any(one.beside is not None and (one.beside["source"] == source).any() for one in drawn)


def _bars(drawn: Sequence[Run], quantity: Quantity) -> list[Bar]:
    """Return the bars of a quantity, the best first, without runs that have none of it."""
    found = []
    for run in drawn:
        value = run.values()[quantity.column]
        if run.measured and value:
            found.append(Bar(run.name, None, (("measured", value),)))
        elif value:
            found.append(Bar(run.name, value, run.marks(quantity.column)))
            found += _parts(run) if quantity.column == "seconds" else []
    return sorted(found, key=lambda bar: bar.sought, reverse=quantity.better == "highest")


def _parts(run: Run) -> list[Bar]:
    """Return a bar of the layers whose times are published, where these are not all."""
    known = run.layers_published()
    if not known or len(known) == int((run.rows["seconds"] > 0).sum()):
        return []
    simulated = float(run.rows.loc[run.rows["layer"].isin(known), "seconds"].sum())
    taking = list(run.rows.loc[run.rows["seconds"] > 0, "layer"])
    first, *_, last = [*known, *known]
    together = taking.index(last) - taking.index(first) + 1 == len(known)
    of = f"{first} to {last} of it" if together and len(known) > 1 else f"{len(known)} of its layers"
    return [Bar(f"{run.name}\n{of}", simulated, (("published", sum(known.values())),), PART)]


def _across(bars: Sequence[Bar]) -> int:
    """Return how many panels stand beside each other: one where a name is long."""
    return 2 if max(len(line) for bar in bars for line in bar.name.split("\n")) <= NAME_CHARS else 1


def _panels(bars: Sequence[Sequence[Bar]], across: int) -> tuple[Figure, Sequence[Axes]]:
    """Return a figure with a panel for each of several `bars`."""
    inch = max(BAR_INCH, 0.08 + 0.13 * max(bar.name.count("\n") + 1 for several in bars for bar in several))
    counts = [max(map(len, bars[place : place + across])) for place in range(0, len(bars), across)]
    heights = [count * inch + FRAME_INCH for count in counts]
    figure, axes = plt.subplots(
        len(heights), across, figsize=(WIDTH, sum(heights) + 0.7), squeeze=False, layout="constrained",
        height_ratios=heights,
    )  # fmt: skip
    for spare in axes.flat[len(bars) :]:
        spare.remove()
    return figure, list(axes.flat[: len(bars)])


def _draw(axes: Axes, quantity: Quantity, bars: Sequence[Bar], count: int) -> None:
    """Draw the bars of a panel downwards, their marks, and their values behind them."""
    everything = [value for bar in bars for value in (bar.value, *(mark for _, mark in bar.marks)) if value]
    logarithmic = scale(axes, axes.xaxis, everything, quantity)
    left, right = _limits(min(everything), max(everything), logarithmic)
    axes.set_xlim(left, right)
    ticks(axes.xaxis, left, max(everything), count)
    for place, bar in enumerate(bars):
        if bar.value is not None:
            color, hatch = bar.fill
            axes.barh(place, bar.value - left, 0.62, left, color=color, hatch=hatch, edgecolor="white", linewidth=0.4)
        for what, value in bar.marks:
            axes.plot(value, place, linestyle="", markeredgewidth=0.9, zorder=4, **MARKS[what])
        end = max(filter(None, [bar.value, *(value for _, value in bar.marks)]))
        axes.annotate(
            si(bar.sought, quantity.unit), (end, place), (6 if bar.marks else 3, 0), textcoords="offset points",
            va="center", fontsize=SMALL, color=INK,
        )  # fmt: skip
    axes.set_yticks(range(len(bars)), [bar.name for bar in bars], parse_math=False)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    dress(axes, "x", SMALL)
    axes.xaxis.label.set_fontsize(NORMAL)
    axes.tick_params(axis="y", length=0)


def _limits(least: float, most: float, logarithmic: bool) -> tuple[float, float]:
    """Return an axis with room for values behind the bars; a logarithmic one starts a little below the shortest."""
    if not logarithmic:
        return 0.0, most / ROOM
    start = least / max(2.0, (most / least) ** 0.12)
    return start, start * (most / start) ** (1 / ROOM)


def _handles(bars: Sequence[Bar]) -> list[Any]:
    """Return what says which marks and hatched bars are which, where there are any."""
    kinds = [what for what in MARKS if any(what in dict(bar.marks) for bar in bars)]
    handles: list[Any] = [Line2D([], [], linestyle="", label=what, **MARKS[what]) for what in kinds]
    if any(bar.fill == PART for bar in bars):
        handles.append(Patch(facecolor=PART[0], hatch=PART[1], edgecolor="white", label="layers with published times"))
    return [Patch(facecolor=BAR[0], label="simulated"), *handles] if handles else []


def _sources(beside: pd.DataFrame | None) -> list[str]:
    """Return who published or measured the marks, and what must be known of them."""
    if beside is None:
        return []
    columns = [panel.column for panel in PANELS]
    shown = beside[beside["quantity"].isin(columns)].drop_duplicates(["what", "source", "remark"])
    said = zip(*(shown[column].astype(str) for column in ("what", "source", "remark")), strict=True)
    return [f"{what}: {source}{f' ({remark})' if remark else ''}" for what, source, remark in said]
