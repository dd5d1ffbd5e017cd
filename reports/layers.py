"""Cycles and energy of every layer, by component: where the time and the joules go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import EngFormatter

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CYCLES = {"fill_cycles": "fill", "compute_cycles": "compute", "stall_cycles": "wait for data", "drain_cycles": "drain"}
TITLE_PAD_POINTS = 36

MAX_ROWS = 40
"""Layers drawn at most, the longest."""

STYLES = (
    ("#08306b", ""),
    ("#f4a259", "//"),
    ("#5b8e7d", ""),
    ("#c8d5b9", ".."),
    ("#8cb1d9", "\\\\"),
    ("#f2e394", ""),
    ("#a63d40", "xx"),
    ("#6b6b6b", ""),
)
"""Colours that differ in lightness as in hue, and hatches, so that parts stay apart in greyscale."""

OTHERS = "energy_others_pj"

LABELS = {"energy_dram_pj": "DRAM", "energy_mac_pj": "MACs", "energy_pe_register_pj": "PE registers"}
"""What the legend says where the column's own words would not do."""


def layers(frame: pd.DataFrame) -> Figure:
    """Return a figure of the layer rows `frame`: cycles by phase and energy by component.

    Each chip has a row of panels; all rows share their scales, so that bars compare: in cycles, or in time where the
    chips' clocks differ. Of more components than there are
    colours, the smallest are drawn together.
    """
    frame = _with_others(frame)
    runs = [(rows, _longest(rows)) for rows in _runs(frame)]
    energy, one_clock = _energy_parts(frame), len({f"{_cycle_s(rows):.9g}" for rows, _ in runs}) == 1
    heights = [max(3.0, 0.27 * len(drawn) + 1.7) for _, drawn in runs]
    figure, axes = plt.subplots(
        len(runs),
        2,
        figsize=(11, sum(heights)),
        squeeze=False,
        layout="constrained",
        height_ratios=heights,
        sharex="col",
    )
    for (rows, drawn), (left, right) in zip(runs, axes, strict=True):
        network, chip, dataflow, fmt = (str(rows[name].iloc[0]) for name in ("network", "chip", "dataflow", "format"))
        seconds, joules = rows["seconds"].sum(), rows["energy_pj"].sum() * 1e-12
        _stack(left, drawn, CYCLES, *(("cycles", "") if one_clock else ("time", "s", _cycle_s(rows))))
        _stack(right, drawn, energy, "energy", "J", 1e-12)
        right.tick_params(labelleft=False)
        left.annotate(_left_out(rows, drawn), (0, 0), (0, -38), "axes fraction", "offset points", fontsize=8.5)
        title = f"{network} on {chip}, {dataflow.replace('_', ' ')}, {fmt}"
        left.set_title(title, loc="left", fontsize=11, pad=TITLE_PAD_POINTS, parse_math=False)
        total = f"{EngFormatter('s', 2)(seconds)}, {EngFormatter('J', 2)(joules)}"
        right.set_title(total, loc="right", fontsize=11, pad=TITLE_PAD_POINTS)
    for shared in axes[0]:
        shared.set_xlim(left=0)
    return figure


def _runs(frame: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the rows of each run, in order: a run starts where the first layer's name comes again."""
    started = frame["layer"].eq(frame["layer"].iloc[0]).cumsum()
    return [rows for _, rows in frame.groupby(started, sort=False)]


def _cycle_s(rows: pd.DataFrame) -> float:
    """Return the seconds of a cycle."""
    return float(rows["seconds"].sum() / max(1, rows["total_cycles"].sum()))


def _longest(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the layers that take time; of very many, the longest in their order."""
    longest = rows["total_cycles"].rank(method="first", ascending=False) <= MAX_ROWS
    return rows[longest & (rows["total_cycles"] > 0)]


def _left_out(rows: pd.DataFrame, drawn: pd.DataFrame) -> str:
    """Return what share of cycles and energy the layers have that are not drawn."""
    cycles, energy = (1 - drawn[name].sum() / rows[name].sum() for name in ("total_cycles", "energy_pj"))
    count = len(rows) - len(drawn)
    return f"not drawn: {count} shorter layers, {cycles:.1%} of cycles and {energy:.1%} of energy" if count else ""


def _with_others(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with the smallest components joined in one, if there are more than colours."""
    used = _components(rows)
    joined = used[len(STYLES) - 1 :]
    if len(joined) < 2:
        return rows
    return rows.drop(columns=joined).assign(**{OTHERS: rows[joined].fillna(0).sum(axis=1)})


def _components(rows: pd.DataFrame) -> list[str]:
    """Return the energy columns that are not all zero, largest first."""
    columns = [str(name) for name in rows.columns]
    parts = [name for name in columns if name.startswith("energy_") and name.endswith("_pj") and name != "energy_pj"]
    sums = {name: float(rows[name].fillna(0).sum()) for name in parts}
    return sorted((name for name in parts if sums[name] > 0), key=lambda name: -sums[name])


def _energy_parts(rows: pd.DataFrame) -> dict[str, str]:
    """Return the energy columns that are not all zero, largest first, with their labels; what is joined comes last."""
    used = sorted(_components(rows), key=lambda name: name == OTHERS)
    return {name: LABELS.get(name, name[len("energy_") : -len("_pj")].replace("_", " ")) for name in used}


def _stack(axes: Axes, rows: pd.DataFrame, parts: dict[str, str], quantity: str, unit: str, scale: float = 1.0) -> None:
    """Draw horizontal bars of `parts` (column to label) for each row, the first layer on top."""
    places, left = np.arange(len(rows)), np.zeros(len(rows))
    for index, (column, label) in enumerate(parts.items()):
        values = rows[column].fillna(0).to_numpy(float) * scale
        color, hatch = STYLES[index % len(STYLES)]
        axes.barh(places, values, 0.78, left, label=label, color=color, hatch=hatch, edgecolor="white", linewidth=0.4)
        left = left + values
    axes.set_yticks(places, list(rows["layer"]), fontsize=8.5, parse_math=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.xaxis.set_major_formatter(EngFormatter(unit))
    axes.set_xlabel(quantity)
    axes.tick_params(labelbottom=True)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
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
