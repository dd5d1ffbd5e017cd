"""Shares of energy by component, and of cycles by cause, of each chip: where a network's joules and time go."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import matplotlib.pyplot as plt
from matplotlib.ticker import PercentFormatter

from hwsim.errors import InputError

from ._style import (
    CAUSES,
    FILLS,
    NORMAL,
    QUIET,
    SMALL,
    WIDTH,
    Fill,
    caption,
    component,
    components,
    folded,
    heading,
    is_measured,
    names,
    on_bar,
    patches,
    runs,
    si,
    title,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EDGE = "off_chip_level"

NEEDS = ("network", "layer", "chip", "dataflow", "format", "batch", "seconds", "energy_pj", EDGE, *CAUSES)
"""Columns without which there is nothing to draw."""

CLASSES = {
    "arithmetic": FILLS[0],
    "on-chip memory": FILLS[2],
    "off-chip memory": FILLS[1],
    "all else": FILLS[3],
}
"""Kinds of components, in the order of their parts of a bar."""

ARITHMETIC = ("mac", "vector")

MAX_RUNS = 16

BAR_INCH, LINE_INCH, FRAME_INCH = 0.27, 0.15, 0.75

NAME_CHARS = 24
"""Of a line of a name, if it can be broken there."""

CHARS = 50
"""Characters of a label that has all of a bar's width."""

LINE_CHARS = 54
"""Characters of the line below a bar at most."""

SHOWN = 0.01
"""The smallest share that is said below a bar."""


class Part(NamedTuple):
    """A part of a bar: what it is, its share, its fill, and to how many decimals of a percent it is said."""

    label: str
    share: float
    fill: Fill
    decimals: int = 0

    @property
    def said(self) -> str:
        """Its name and share."""
        return f"{self.label} {self.share:.{self.decimals}%}"

    @property
    def fits(self) -> bool:
        """Whether that has room in its part of the bar."""
        return len(self.said) + 1 <= self.share * CHARS


class Bar(NamedTuple):
    """A run's bar: its name, its parts from the left to the right, and what they add up to."""

    name: str
    parts: tuple[Part, ...]
    total: str

    def rest(self) -> str:
        """Return what is said of parts that have no room for it, the largest first, as far as a line holds it."""
        small = sorted((one for one in self.parts if not one.fits and one.share >= SHOWN), key=lambda one: -one.share)
        said = ""
        for one in small:
            longer = f"{said}, {one.said}" if said else one.said
            said = longer if len(longer) <= LINE_CHARS else said
        return said


def breakdown(frame: pd.DataFrame) -> Figure:
    """Return a figure of the layer rows `frame`: a bar per run of shares of energy, and one of shares of cycles.

    What has no room in its part of a bar is said below it. Measured runs, whose energy and cycles nobody knows the
    parts of, are left out; raises `InputError` where there is no other.
    """
    found = [rows for rows in runs(frame) if not is_measured(rows) and rows["seconds"].sum() > 0]
    if not found:
        raise InputError("report 'breakdown' has nothing to draw: the parts of what is measured are not known")
    labels = [folded(name, NAME_CHARS) for name in names(found)]
    drawn = list(zip(labels, found, strict=True))[:MAX_RUNS]
    energy = [_energy(name, rows) for name, rows in drawn if rows["energy_pj"].sum() > 0]
    cycles = [_cycles(name, rows) for name, rows in drawn]
    panels = [("energy", energy, CLASSES)] if energy else []
    panels += [("cycles", cycles, dict(CAUSES.values()))]
    heights = [inches(bars) for _, bars, _ in panels]
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(WIDTH, sum(heights) + 0.4), squeeze=False, layout="constrained", height_ratios=heights
    )
    for panel, (noun, bars, fills) in zip(axes.flat, panels, strict=True):
        draw_bars(panel, f"share of {noun}", bars, fills)
    title(figure, heading(found))
    left = len(found) - len(drawn)
    caption(figure, f"{len(drawn)} of {len(found)} runs are drawn" if left else "")
    return figure


def _energy(name: str, rows: pd.DataFrame) -> Bar:
    """Return the bar of a run's energy, its components by their kind, the largest first."""
    whole = float(rows["energy_pj"].sum())
    sums = {column: float(rows[column].sum()) / whole for column in components(rows)}
    kinds = {column: _kind(column, rows) for column in sums}
    parts = [
        Part(component(column), share, CLASSES[kind])
        for kind in CLASSES
        for column, share in sums.items()
        if kinds[column] == kind
    ]
    return Bar(name, tuple(parts), si(whole * 1e-12, "J"))


def _kind(column: str, rows: pd.DataFrame) -> str:
    """Return which of `CLASSES` an energy column belongs to."""
    name = column[len("energy_") : -len("_pj")]
    arithmetic, on_chip, off_chip, others = CLASSES
    if name in ARITHMETIC:
        return arithmetic
    if name == str(rows[EDGE].iloc[0]):
        return off_chip
    return on_chip if f"{name}_read_bytes" in rows or "register" in name else others


def _cycles(name: str, rows: pd.DataFrame) -> Bar:
    """Return the bar of a run's cycles."""
    sums = {column: float(rows[column].sum()) for column in CAUSES}
    whole = sum(sums.values())
    parts = [Part(CAUSES[column][0], value / whole, CAUSES[column][1]) for column, value in sums.items() if value]
    return Bar(name, tuple(parts), si(float(rows["seconds"].sum()), "s"))


def inches(bars: Sequence[Bar]) -> float:
    """Return the height of a panel."""
    return FRAME_INCH + len(bars) * (BAR_INCH + LINE_INCH)


def draw_bars(axes: Axes, label: str, bars: Sequence[Bar], fills: dict[str, Fill]) -> None:
    """Draw the bars of a panel downwards, with what they add up to on their right."""
    whole = BAR_INCH + LINE_INCH
    for place, bar in enumerate(bars):
        left = 0.0
        for part in bar.parts:
            color, hatch = part.fill
            axes.barh(
                place, part.share, BAR_INCH / whole, left, color=color, hatch=hatch, edgecolor="white", linewidth=0.7
            )
            if part.fits:
                axes.text(
                    left + part.share / 2, place, part.said, ha="center", va="center", fontsize=SMALL,
                    parse_math=False, **on_bar(part.fill),
                )  # fmt: skip
            left += part.share
        axes.annotate(bar.total, (1.0, place), (5, 0), textcoords="offset points", va="center", fontsize=SMALL)
        axes.text(
            0.003, place + (BAR_INCH + LINE_INCH) / whole / 2, bar.rest(), va="center", fontsize=SMALL, color=QUIET,
            parse_math=False,
        )  # fmt: skip
    axes.set_yticks(range(len(bars)), [bar.name for bar in bars], fontsize=SMALL, parse_math=False)
    axes.set_ylim(len(bars) - 0.28, -0.55)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel(label, fontsize=NORMAL)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(labelsize=SMALL)
    axes.tick_params(axis="y", length=0)
    used = {part.fill for bar in bars for part in bar.parts}
    handles = patches((label, fill) for label, fill in fills.items() if fill in used)
    axes.legend(
        handles=handles, ncols=4, fontsize=SMALL, frameon=False, loc="lower right", bbox_to_anchor=(1.1, 0.98),
        borderaxespad=0.1, handlelength=1.4, handletextpad=0.5, columnspacing=1.0,
    )  # fmt: skip
