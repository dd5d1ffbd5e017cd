"""Cycles or measured time of every layer, and energy by component: where the time and the joules go."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import EngFormatter

from ._style import FILLS, component, components, dress, is_measured, named, runs

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEEDS = ("layer", "total_cycles", "seconds")

CYCLES = {"fill_cycles": "fill", "compute_cycles": "compute", "stall_cycles": "wait for data", "drain_cycles": "drain"}
TITLE_PAD_POINTS = 36

TINY = 1e-300

MAX_ROWS = 40
"""Layers drawn at most, the longest."""

OTHERS = "energy_others_pj"


def layers(frame: pd.DataFrame) -> Figure:
    """Return a figure of the layer rows `frame`: cycles by phase and energy by component.

    Each chip has a row of panels; all rows share their scales, so that bars compare: in cycles, or in time where the
    chips' clocks differ or a run was measured. Of more components than there are colours, the smallest are drawn
    together. Where no run has energy, or one has none, its panel is left out.
    """
    joined = _with_others(frame)
    found = [_run(rows, _energy_parts(joined)) for rows in runs(joined)]
    in_cycles = len({run.cycle_s for run in found}) == 1 and not any(run.measured for run in found)
    heights = [max(3.0, 0.27 * len(run.drawn) + 1.7) for run in found]
    columns = 2 if any(run.energy for run in found) else 1
    figure, axes = plt.subplots(
        len(found),
        columns,
        figsize=(6 + 2.5 * columns, sum(heights)),
        squeeze=False,
        layout="constrained",
        height_ratios=heights,
        sharex="col",
    )
    for run, panels in zip(found, axes, strict=True):
        _stack(panels[0], run.drawn, run.phases, *(("cycles", "") if in_cycles else ("time", "s", run.scale_s)))
        panels[0].annotate(run.left_out(), (0, 0), (0, -38), "axes fraction", "offset points", fontsize=8.5)
        panels[0].set_title(run.title(), loc="left", fontsize=11, pad=TITLE_PAD_POINTS, parse_math=False)
        panels[-1].set_title(run.total(), loc="right", fontsize=11, pad=TITLE_PAD_POINTS)
        if run.energy:
            _stack(panels[1], run.drawn, run.energy, "energy", "J", 1e-12)
            panels[1].tick_params(labelleft=False)
        elif columns == 2:
            panels[1].set_axis_off()
    for shared in axes[0]:
        shared.set_xlim(left=0)
    return figure


class Run(NamedTuple):
    """The rows of one run, those drawn of them, and the parts that its bars have, as columns with labels.

    `time` is the column by which layers are long, `scale_s` the seconds that one of it is.
    """

    rows: pd.DataFrame
    drawn: pd.DataFrame
    phases: dict[str, str]
    energy: dict[str, str]
    time: str
    scale_s: float
    measured: bool

    @property
    def cycle_s(self) -> str:
        """The seconds of a cycle, as far as they tell clocks apart."""
        return f"{self.scale_s:.9g}"

    def title(self) -> str:
        """Return what ran."""
        return named(self.rows)

    def total(self) -> str:
        """Return the time of all layers, and their energy where it is known."""
        seconds, joules = self.rows["seconds"].sum(), self.rows["energy_pj"].sum() * 1e-12
        told = EngFormatter("s", 2)(seconds)
        return f"{told}, {EngFormatter('J', 2)(joules)}" if self.energy else told

    def left_out(self) -> str:
        """Return what share of time and energy the layers have that are not drawn."""
        count = len(self.rows) - len(self.drawn)
        nouns = {self.time: "time" if self.measured else "cycles", **({"energy_pj": "energy"} if self.energy else {})}
        shares = [
            f"{1 - self.drawn[name].sum() / max(self.rows[name].sum(), TINY):.1%} of {noun}"
            for name, noun in nouns.items()
        ]
        layers = "layer" if count == 1 else "layers"
        return f"not drawn: {count} shorter {layers}, {' and '.join(shares)}" if count else ""


def _run(rows: pd.DataFrame, components: dict[str, str]) -> Run:
    """Return a run; one that was measured has no phases, and its energy no components."""
    measured = is_measured(rows)
    time = "seconds" if measured else "total_cycles"
    energy = {"energy_pj": "measured"} if measured else components
    return Run(
        rows,
        _longest(rows, time),
        {time: "measured"} if measured else CYCLES,
        energy if rows["energy_pj"].sum() > 0 else {},
        time,
        1.0 if measured else float(rows["seconds"].sum() / max(1, rows["total_cycles"].sum())),
        measured,
    )


def _longest(rows: pd.DataFrame, time: str) -> pd.DataFrame:
    """Return the layers that take time; of very many, the longest in their order."""
    longest = rows[time].rank(method="first", ascending=False) <= MAX_ROWS
    return rows[longest & (rows[time] > 0)]


def _with_others(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with the smallest components joined in one, if there are more than colours."""
    used = components(rows)
    joined = used[len(FILLS) - 1 :]
    if len(joined) < 2:
        return rows
    return rows.drop(columns=joined).assign(**{OTHERS: rows[joined].fillna(0).sum(axis=1)})


def _energy_parts(rows: pd.DataFrame) -> dict[str, str]:
    """Return the energy columns that are not all zero, largest first, with their labels; what is joined comes last."""
    used = sorted(components(rows), key=lambda name: name == OTHERS)
    return {name: component(name) for name in used}


def _stack(axes: Axes, rows: pd.DataFrame, parts: dict[str, str], quantity: str, unit: str, scale: float = 1.0) -> None:
    """Draw horizontal bars of `parts` (column to label) for each row, the first layer on top."""
    places, left = np.arange(len(rows)), np.zeros(len(rows))
    for index, (column, label) in enumerate(parts.items()):
        values = rows[column].fillna(0).to_numpy(float) * scale
        there = values > 0
        if not there.any():
            continue
        color, hatch = FILLS[index % len(FILLS)]
        axes.barh(
            places[there],
            values[there],
            0.78,
            left[there],
            label=label,
            color=color,
            hatch=hatch,
            edgecolor="white",
            linewidth=0.4,
        )
        left = left + values
    dress(axes, "x")
    axes.set_yticks(places, list(rows["layer"]), fontsize=8.5, parse_math=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.xaxis.set_major_formatter(EngFormatter(unit))
    axes.set_xlabel(quantity)
    axes.tick_params(labelbottom=True)
    if not axes.containers:
        return
    axes.legend(
        fontsize=8.5,
        frameon=False,
        ncols=4,
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        borderaxespad=0.1,
        handlelength=1.6,
        columnspacing=1.3,
    )
