"""Cycles or measured time of every layer, and energy by component: where the time and the joules go."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import EngFormatter, MaxNLocator

from ._blocks import capped
from ._style import (
    CAUSES,
    DECADE,
    FILLS,
    NORMAL,
    SMALL,
    WIDTH,
    Fill,
    caption,
    component,
    components,
    dress,
    folded,
    heading,
    is_measured,
    names,
    patches,
    runs,
    short,
    si,
    title,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

NEEDS = ("network", "layer", "chip", "dataflow", "format", "batch", "macs", "seconds", "energy_pj", "total_cycles")

MAX_ROWS = 40
"""Layers drawn at most, the longest."""

OTHERS = "energy_others_pj"

OWN_FILLS = {"energy_mac_pj": FILLS[0], "energy_dram_pj": FILLS[1], OTHERS: FILLS[7]}
"""What looks the same in every figure; the other components take the fills that are left."""

FREE_FILLS = tuple(fill for fill in FILLS if fill not in OWN_FILLS.values())

MEASURED_FILL = FILLS[4]

ROW_INCH, LEAST_INCH, AROUND_INCH, LINE_INCH = 0.16, 0.35, 0.72, 0.17
"""Heights of a layer, of the smallest panel, of what is around a panel, and of a line of text."""

TITLE_CHARS = 40
"""Of a line of a panel's title, beside which the totals stand."""

LEGEND_LINE_POINTS = 12.5

ACROSS = 2
"""Entries of a legend side by side."""

LEAST = 5e-4
"""The smallest share of what is not drawn that is said."""

OWN_AXES = "Runs have axes of their own where their scales differ by more than a decade."

Parts = dict[str, tuple[str, Fill]]
"""Columns that bars are made of, with labels and fills."""


class Run(NamedTuple):
    """The rows of one run, those drawn of them, and the parts that its bars have.

    `time` is the column by which layers are long, `scale_s` the seconds that one of it is.
    """

    rows: pd.DataFrame
    drawn: pd.DataFrame
    phases: Parts
    energy: Parts
    time: str
    scale_s: float

    @property
    def cycle_s(self) -> str:
        """The seconds of a cycle, as far as they tell clocks apart; nothing for what was measured."""
        return "" if self.time == "seconds" else f"{self.scale_s:.9g}"

    def total(self) -> str:
        """Return the time of all layers, and their energy where it is known."""
        told = si(float(self.rows["seconds"].sum()), "s")
        return f"{told}, {si(float(self.rows['energy_pj'].sum()) * 1e-12, 'J')}" if self.energy else told

    def left_out(self) -> str:
        """Return how many layers are not drawn and their shares of time and energy, nothing if these are none."""
        nouns = {self.time: "time" if self.time == "seconds" else "cycles"}
        nouns |= {"energy_pj": "energy"} if self.energy else {}
        rest = self.rows.drop(self.drawn.index)
        count = int((rest[[*nouns]].fillna(0) > 0).any(axis=1).sum())
        shares = {noun: rest[name].sum() / (self.rows[name].sum() or 1.0) for name, noun in nouns.items()}
        said = " and ".join(f"{share:.1%} of {noun}" for noun, share in shares.items())
        return f"{count} shorter layer{'' if count == 1 else 's'}, {said}" if max(shares.values()) >= LEAST else ""


class Column(NamedTuple):
    """One quantity of all runs: its label and unit, and of each run the parts of its bars and their scale."""

    label: str
    unit: str
    parts: list[Parts]
    scales: list[float]

    def legend(self) -> list[Patch]:
        """Return a handle for each part that any run has, what is joined last."""
        found = dict(look for parts in self.parts for look in parts.values())
        looks = dict(sorted(found.items(), key=lambda look: look[1] == OWN_FILLS[OTHERS]))
        return patches(looks.items())


def layers(frame: pd.DataFrame) -> Figure:
    """Return a figure of the layer rows `frame`: cycles by phase and energy by component, a row of panels per run.

    Runs share their scales unless these differ by more than a decade; in cycles, or in time where the chips' clocks
    differ or a run was measured. Of more components than there are fills, the smallest are drawn together. Where no
    run has energy, or one has none, its panel is left out.
    """
    joined = _with_others(frame)
    parts = _energy_parts(joined)
    rows, left = capped(runs(joined), "layers")
    found = [_run(one, parts) for one in rows]
    columns = _columns(found)
    labels = [folded(name.replace("\n", ", "), TITLE_CHARS) for name in names(rows)]
    legend_lines = max(-(-len(column.legend()) // ACROSS) for column in columns)
    heights = [max(LEAST_INCH, ROW_INCH * len(run.drawn)) for run in found]
    lines = legend_lines + sum(label.count("\n") for label in labels)
    figure, axes = plt.subplots(
        len(found), len(columns), figsize=(WIDTH, sum(heights) + AROUND_INCH * len(found) + LINE_INCH * lines + 0.55),
        squeeze=False, layout="constrained", height_ratios=heights,
    )  # fmt: skip
    shared = [_draw(panels, found, column) for panels, column in zip(axes.T, columns, strict=True)]
    for place, (panels, run, label) in enumerate(zip(axes, found, labels, strict=True)):
        _head(panels, run, label, 0 if place else LEGEND_LINE_POINTS * legend_lines)
    title(figure, heading(rows))
    caption(figure, " ".join(filter(None, (OWN_AXES if not all(shared) else "", left, _not_drawn(found, names(rows))))))
    return figure


def _not_drawn(found: Sequence[Run], labels: Sequence[str]) -> str:
    """Return what is not drawn of each run."""
    told = {label.replace("\n", ", "): run.left_out() for label, run in zip(labels, found, strict=True)}
    said = [f"of {label} {rest}" if len(found) > 1 else rest for label, rest in told.items() if rest]
    return f"Not drawn: {'; '.join(said)}." if said else ""


def _columns(found: Sequence[Run]) -> list[Column]:
    """Return cycles or time, and energy if any run has it."""
    clocks = {run.cycle_s for run in found}
    phases, energy = [run.phases for run in found], [run.energy for run in found]
    in_cycles = len(clocks) == 1 and "" not in clocks
    time = Column("cycles", "", phases, [1.0] * len(found))
    columns = [time if in_cycles else Column("time", "s", phases, [run.scale_s for run in found])]
    return columns + ([Column("energy", "J", energy, [1e-12] * len(found))] if any(energy) else [])


def _run(rows: pd.DataFrame, energy: Parts) -> Run:
    """Return a run; one that was measured has no phases, and its energy no components."""
    measured = is_measured(rows)
    time = "seconds" if measured else "total_cycles"
    energy = {"energy_pj": ("measured", MEASURED_FILL)} if measured else _there(rows, energy)
    phases = {time: ("measured", MEASURED_FILL)} if measured else _there(rows, CAUSES)
    cycle_s = float(rows["seconds"].sum() / max(1, rows["total_cycles"].sum()))
    has_energy = bool(rows["energy_pj"].sum() > 0)
    return Run(rows, _longest(rows, time), phases, energy if has_energy else {}, time, 1.0 if measured else cycle_s)


def _there(rows: pd.DataFrame, parts: Parts) -> Parts:
    """Return the parts that any of the rows has."""
    return {column: look for column, look in parts.items() if rows[column].fillna(0).sum() > 0}


def _longest(rows: pd.DataFrame, time: str) -> pd.DataFrame:
    """Return the layers that take time; of very many, the longest in their order."""
    longest = rows[time].rank(method="first", ascending=False) <= MAX_ROWS
    return rows[longest & (rows[time] > 0)]


def _with_others(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with those components joined whose share is small in every run, if there are more than fills."""
    joined = [name for name in _ranked(rows) if name not in OWN_FILLS][len(FREE_FILLS) :]
    if len(joined) < 2:
        return rows
    return rows.drop(columns=joined).assign(**{OTHERS: rows[joined].fillna(0).sum(axis=1)})


def _ranked(rows: pd.DataFrame) -> list[str]:
    """Return the energy columns by the largest share that they have of the energy of any run."""
    used = components(rows)
    shares = [one[used].fillna(0).sum() / max(float(one["energy_pj"].sum()), 1e-300) for one in runs(rows)]
    most = {name: max(float(share[name]) for share in shares) for name in used}
    return sorted(used, key=lambda name: -most[name])


def _energy_parts(rows: pd.DataFrame) -> Parts:
    """Return the energy columns that are not all zero, that of the largest share first; what is joined comes last."""
    used = sorted(_ranked(rows), key=lambda name: name == OTHERS)
    free = iter(FREE_FILLS)
    return {name: (component(name), OWN_FILLS.get(name) or next(free, OWN_FILLS[OTHERS])) for name in used}


def _draw(panels: Sequence[Axes], found: Sequence[Run], column: Column) -> bool:
    """Draw the panels of a quantity, the first with what its fills mean; return whether all have one scale."""
    ends = [
        _stack(panel, run.drawn, parts, scale)
        for panel, run, parts, scale in zip(panels, found, column.parts, column.scales, strict=True)
    ]
    known = [end for end in ends if end > 0]
    shared = not known or max(known) <= DECADE * min(known)
    for panel, parts, end in zip(panels, column.parts, ends, strict=True):
        if parts:
            _scale(panel, column, max(known, default=1.0) if shared else end or 1.0)
        else:
            panel.set_axis_off()
    legend = panels[0].legend(
        handles=column.legend(), fontsize=SMALL, frameon=False, ncols=ACROSS, loc="lower left",
        bbox_to_anchor=(-0.02, 1.0), borderaxespad=0.1, borderpad=0.1, handlelength=1.5, columnspacing=1.0,
        labelspacing=0.35,
    )  # fmt: skip
    legend.set_in_layout(False)  # the title above it keeps its place, and a wide one would narrow the panels
    return shared


def _stack(axes: Axes, rows: pd.DataFrame, parts: Parts, scale: float) -> float:
    """Draw horizontal bars of `parts` for each row, the first layer on top; return where the longest ends."""
    places, left = np.arange(len(rows)), np.zeros(len(rows))
    for column, (_, (color, hatch)) in parts.items():
        values = rows[column].fillna(0).to_numpy(float) * scale
        there = values > 0
        axes.barh(
            places[there], values[there], 0.78, left[there], color=color, hatch=hatch, edgecolor="white", linewidth=0.4
        )
        left = left + values
    axes.set_yticks(places, [short(name) for name in rows["layer"]], parse_math=False)
    axes.set_ylim(max(len(rows), 1) - 0.4, -0.6)
    return float(left.max(initial=0.0))


def _scale(axes: Axes, column: Column, end: float) -> None:
    """Give a panel the axis of its quantity, up to `end`."""
    dress(axes, "x", SMALL)
    axes.set_xlim(0, 1.05 * end)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(EngFormatter(column.unit, sep=" " if column.unit else ""))
    axes.set_xlabel(column.label, fontsize=NORMAL)
    axes.tick_params(axis="y", length=0)


def _head(panels: Iterable[Axes], run: Run, label: str, pad_points: float) -> None:
    """Write a run's name and totals above its panels, and the names of layers on their left alone."""
    first, *others = panels
    for panel in others:
        panel.tick_params(labelleft=False)
    first.set_title(label, loc="left", y=1.0, fontsize=NORMAL, pad=pad_points + 4, parse_math=False)
    (others or [first])[-1].set_title(run.total(), loc="right", y=1.0, fontsize=NORMAL, pad=pad_points + 4)
