"""What a matrix unit does with its cycles, beside what was measured: active, waiting for weights, or without work."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import matplotlib.pyplot as plt

from hwsim.errors import InputError
from hwsim.published import comparisons, table

from ._style import FILLS, WIDTH, Fill, folded, heading, title
from .breakdown import Bar, Part, draw_bars, inches

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class Share(NamedTuple):
    """A share of all cycles: what it is called in the legend and in a bar, and how it looks."""

    label: str
    short: str
    fill: Fill


PARTS = {
    "useful_macs_fraction": Share("useful MACs", "useful", FILLS[0]),
    "unused_macs_fraction": Share("MACs on padding", "padding", FILLS[4]),
    "weight_shift_fraction": Share("weights shift in", "shift", FILLS[2]),
    "weight_stall_fraction": Share("wait for weights", "wait for weights", FILLS[1]),
    "non_matrix_fraction": Share("no work", "no work", FILLS[3]),
}
"""Shares that add up to all cycles."""

NEEDS = (*PARTS, "total_cycles", "network", "chip", "dataflow", "batch", "format")
"""Columns without which there is nothing to draw."""

NAME_CHARS = 22
"""Of a line of a name."""


def matrix_unit(frame: pd.DataFrame) -> Figure:
    """Return a figure of the layer rows `frame`: a bar per run, and below it the published shares if there are any.

    Raises `InputError` where no run has a matrix unit that does anything.
    """
    bars: list[Bar] = []
    found: list[pd.DataFrame] = []
    for _, rows in frame.groupby(["network", "chip", "batch", "format"], sort=False):
        shares = _shares(rows)
        if shares:
            network, chip, fmt = (str(rows[name].iloc[0]) for name in ("network", "chip", "format"))
            batch = int(rows["batch"].iloc[0])
            bars.append(_bar(f"{network} on {chip}, batch {batch}, {fmt}, simulated", shares))
            bars += [_bar(label, published) for label, published in _published(network, chip, batch, fmt).items()]
            found.append(rows)
    if not found:
        raise InputError("report 'matrix_unit' has nothing to draw: no run of these layers kept a matrix unit busy")
    figure, axes = plt.subplots(figsize=(WIDTH, inches(bars) + 0.6), layout="constrained")
    draw_bars(axes, "share of cycles", bars, {part.label: part.fill for part in PARTS.values()})
    title(figure, heading(found))
    return figure


def _bar(label: str, shares: dict[str, float]) -> Bar:
    """Return the bar of a run, simulated or published."""
    parts = [Part(one.short, shares[name], one.fill, decimals=1) for name, one in PARTS.items() if shares[name]]
    return Bar(folded(label, NAME_CHARS), tuple(parts), "")


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
