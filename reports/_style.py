"""What figures share: colours that stay apart in greyscale, axes with units, and which rows are one run.

A figure is `WIDTH` wide, half a page, so that its text is printed at the size it has here.
"""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, FixedLocator, LogLocator, MaxNLocator, NullFormatter, NullLocator

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

WIDTH = 5.5
"""Half a page [inch]."""

SMALL, NORMAL, LARGE = 8.0, 9.0, 10.5
"""Sizes of text [point]: ticks and labels of marks, axes, titles."""

Fill = tuple[str, str]
"""The colour and the hatch of a part of a bar."""

FILLS: tuple[Fill, ...] = (
    ("#08306b", ""),
    ("#f4a259", "//"),
    ("#5b8e7d", ""),
    ("#c8d5b9", ".."),
    ("#8cb1d9", "\\\\"),
    ("#f2e394", ""),
    ("#a63d40", "xx"),
    ("#6b6b6b", ""),
)
"""Fills that differ in lightness as in hue, and hatches, so that parts stay apart in greyscale."""

CAUSES: dict[str, tuple[str, Fill]] = {
    "fill_cycles": ("fill", ("#5b8e7d", "")),
    "compute_cycles": ("compute", ("#08306b", "")),
    "stall_cycles": ("wait for data", ("#f4a259", "//")),
    "drain_cycles": ("drain", ("#a63d40", "....")),
}
"""Causes of cycles in the order in which a layer's are drawn, with what they are called and how they look."""

NAME_CHARS = 20
"""Of a layer's name beside a panel."""

Mark = tuple[str, str, Any]
"""The marker, the colour and the line of a series."""

MARKS: tuple[Mark, ...] = (
    ("o", "#08306b", "-"),
    ("s", "#d9822b", "--"),
    ("^", "#3f7a66", "-."),
    ("D", "#a63d40", ":"),
    ("v", "#5d8fc4", "-"),
    ("P", "#555555", "--"),
    ("X", "#a98a00", "-."),
    ("<", "#7b5ea7", ":"),
    (">", "#b56576", "-"),
)
"""Markers, colours and lines of series: markers and lines tell them apart in greyscale."""

INK, QUIET, GRID = "#222222", "#555555", "#e2e2e2"
"""Colours of text, of what is said beside, and of the grid."""

CHARS_PER_INCH = 16
"""Of captions."""

DECADE = 10.0
"""Axes are logarithmic where the largest value is this many times the smallest."""

MEASURED = "seconds_first_half"
"""A column that measurements have, and simulations have not."""

LABELS = {
    "energy_dram_pj": "DRAM",
    "energy_mac_pj": "MACs",
    "energy_pe_register_pj": "PE registers",
    "energy_pe_control_pj": "PE control",
    "energy_pe_fifo_pj": "PE FIFOs",
    "energy_rf_pj": "register files",
    "energy_noc_pj": "NoC",
    "energy_glb_pj": "global buffer",
}
"""What energy is called where the column's own words would not do."""


class Quantity(NamedTuple):
    """A column as it is drawn: its label, and the SI unit of the column times `scale`; "" has no unit."""

    column: str
    label: str
    unit: str
    scale: float = 1.0
    better: str = "lowest"

    def text(self, value: float) -> str:
        """Return `value` [unit] to three digits."""
        return si(value, self.unit)


def si(value: float, unit: str = "") -> str:
    """Return `value` to three digits with its prefix and unit, such as "1.23 ms"."""
    return EngFormatter(unit)(float(f"{value:.3g}")).strip()


def runs(frame: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the rows of each run, in order: it starts where network or chip change, or its first layer comes again."""
    started, first, before = list[int](), "", ()
    for layer, *what in zip(*(frame[name] for name in ("layer", "network", "chip", "dataflow")), strict=True):
        begins = layer == first or tuple(what) != before
        started.append((started[-1] if started else 0) + begins)
        first, before = layer if begins else first, tuple(what)
    return [rows for _, rows in frame.groupby(started, sort=False)]


def is_measured(rows: pd.DataFrame) -> bool:
    """Whether the rows of a run were measured."""
    return MEASURED in rows and bool(rows[MEASURED].notna().all())


def named(rows: pd.DataFrame) -> str:
    """Return what ran: network, chip, dataflow and format."""
    network, chip, dataflow = (str(rows[name].iloc[0]) for name in ("network", "chip", "dataflow"))
    said = f"{network} on {chip}, {dataflow.replace('_', ' ')}, {format_of(rows)}"
    return f"{said}, measured" if is_measured(rows) else said


def format_of(rows: pd.DataFrame) -> str:
    """Return the format of a run's layers, that of most of its MACs first where there are several."""
    if rows["format"].nunique() == 1:
        return str(rows["format"].iloc[0])
    macs = rows.groupby("format", sort=False)["macs"].sum().sort_values(ascending=False, kind="stable")
    return " and ".join(map(str, macs.index))


def names(found: Sequence[pd.DataFrame]) -> list[str]:
    """Return of each run its chip and whatever else tells them apart, a line each; all of one run have one chip."""
    columns = {
        "network": [str(rows["network"].iloc[0]) for rows in found],
        "chip": [str(rows["chip"].iloc[0]) for rows in found],
        "dataflow": [str(rows["dataflow"].iloc[0]).replace("_", " ") for rows in found],
        "format": [format_of(rows) for rows in found],
        "batch": [f"batch {int(rows['batch'].iloc[0])}" for rows in found],
        "measured": ["measured" if is_measured(rows) else "" for rows in found],
    }
    shown = [columns["chip"]]
    if len(set(columns["network"])) > 1:
        shown.append(columns["network"])
    for name in ("measured", "format", "batch", "dataflow"):
        if len(set(zip(*shown, columns[name], strict=True))) > len(set(zip(*shown, strict=True))):
            shown.append(columns[name])
    labels = ["\n".join(filter(None, parts)) for parts in zip(*shown, strict=True)]
    count = {label: labels.count(label) for label in labels}
    seen = dict.fromkeys(labels, 0)
    for place, label in enumerate(labels):
        seen[label] += 1
        labels[place] = f"{label}\nrun {seen[label]}" if count[label] > 1 else label
    return labels


def folded(name: str, chars: int) -> str:
    """Return a name in lines of at most `chars` characters, as far as it can be broken behind ":", "," and blanks."""
    lines = [""]
    for piece in re.split(r"(?<=[:, ])", name.replace("\n", " \n")):
        if piece.startswith("\n") or len(lines[-1]) + len(piece.rstrip()) > chars:
            lines.append("")
        lines[-1] += piece.removeprefix("\n")
    return "\n".join(line.rstrip() for line in lines if line)


def short(name: str) -> str:
    """Return a layer's name that leaves room for the figure."""
    return name if len(name) <= NAME_CHARS else f"{name[: NAME_CHARS // 2 - 1]}…{name[-NAME_CHARS // 2 :]}"


def names_with_formats(found: Sequence[pd.DataFrame]) -> list[str]:
    """Return of each run its name in one line, with its format where not all have one."""
    formats = [format_of(rows) for rows in found]
    shown = [name.replace("\n", ", ") for name in names(found)]
    if len(set(formats)) == 1:
        return shown
    return [name if fmt in name.split(", ") else f"{name}, {fmt}" for name, fmt in zip(shown, formats, strict=True)]


def heading(found: Sequence[pd.DataFrame]) -> str:
    """Return what all runs share: the network, the batch and the format, as far as each is one."""
    networks = dict.fromkeys(str(rows["network"].iloc[0]) for rows in found)
    formats = {format_of(rows) for rows in found}
    batches = {int(rows["batch"].iloc[0]) for rows in found}
    parts = [next(iter(networks)) if len(networks) == 1 else f"{len(networks)} networks"]
    parts += [f"batch {batches.pop()}"] if len(batches) == 1 else []
    parts += [formats.pop()] if len(formats) == 1 else []
    return ", ".join(parts)


def components(rows: pd.DataFrame) -> list[str]:
    """Return the energy columns that are not all zero, largest first."""
    columns = [str(name) for name in rows.columns]
    parts = [name for name in columns if name.startswith("energy_") and name.endswith("_pj") and name != "energy_pj"]
    sums = {name: float(rows[name].fillna(0).sum()) for name in parts}
    return sorted((name for name in parts if sums[name] > 0), key=lambda name: -sums[name])


def component(column: str) -> str:
    """Return what the component of an energy column is called."""
    return LABELS.get(column, column[len("energy_") : -len("_pj")].replace("_", " "))


def scale(axes: Axes, axis: Axis, values: Any, quantity: Quantity) -> bool:
    """Give an axis its label and unit, logarithmic where `values` span more than a decade; return whether it is."""
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    spread = bool(known.size and known.min() > 0 and known.max() > DECADE * known.min())
    set_scale = axes.set_xscale if axis is axes.xaxis else axes.set_yscale
    if spread:
        set_scale("log")
        axis.set_major_locator(LogLocator(numticks=8))
        axis.set_minor_locator(NullLocator() if known.max() > 1e4 * known.min() else LogLocator(subs=(2, 5)))
        axis.set_minor_formatter(NullFormatter() if known.max() > 50 * known.min() else EngFormatter(quantity.unit))
    axis.set_major_formatter(EngFormatter(quantity.unit, sep=" " if quantity.unit else ""))
    axis.set_label_text(quantity.label)
    return spread


def dress(axes: Axes, grid: str = "both", size: float = NORMAL) -> None:
    """Draw the grid behind everything, that of "x", "y" or "both", and leave out the frame's upper and right side."""
    axes.grid(visible=True, axis=grid, color=GRID, linewidth=0.6)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(which="both", labelsize=size)


def caption(figure: Figure, text: str) -> None:
    """Write `text` below everything, on the left, in lines that the figure has room for."""
    chars = int(figure.get_figwidth() * CHARS_PER_INCH)
    if text:
        said = "\n".join(textwrap.wrap(text, chars, break_on_hyphens=False))
        figure.supxlabel(said, x=0.01, ha="left", fontsize=8.5, color=QUIET, parse_math=False)


def title(figure: Figure, text: str, handles: Sequence[Any] = (), columns: int = 4) -> None:
    """Write `text` above everything, on the left, as it stands, and below it what `handles` are."""
    if not handles:
        figure.suptitle(text, x=0.01, ha="left", fontsize=LARGE, parse_math=False)
        return
    found = figure.legend(
        handles=list(handles), loc="outside upper left", ncols=columns, frameon=False, fontsize=SMALL, title=text,
        title_fontsize=LARGE, alignment="left", handletextpad=0.5, columnspacing=1.2, borderaxespad=0.1, borderpad=0.2,
    )  # fmt: skip
    found.get_title().set_parse_math(False)


def ticks(axis: Axis, least: float, most: float, count: int) -> None:
    """Label an axis at `count` places at most, none of them beyond the values from `least` to `most`."""
    if axis.get_scale() == "log":
        decades = np.arange(np.ceil(np.log10(least)), np.floor(np.log10(most)) + 1)
        places = 10.0 ** decades[:: max(1, -(-len(decades) // count))]
    else:
        places = np.asarray(MaxNLocator(count).tick_values(min(0.0, least), most))
    axis.set_major_locator(FixedLocator([place for place in places if place <= most * 1.001]))
    axis.set_minor_locator(NullLocator())


def lines(marks: dict[str, Mark], drawn: bool) -> list[Line2D]:
    """Return a handle for each mark, by its name, with its line where that is `drawn`."""
    return [
        Line2D([], [], color=color, marker=marker, linestyle=line if drawn else "", markersize=6.5, label=name)
        for name, (marker, color, line) in marks.items()
    ]


def patches(looks: Iterable[tuple[str, Fill]]) -> list[Patch]:
    """Return a handle for each part of a bar, by its name."""
    return [Patch(facecolor=color, hatch=hatch, edgecolor="white", label=name) for name, (color, hatch) in looks]


def on_bar(fill: Fill) -> dict[str, Any]:
    """Return how text is written on a bar: white on dark colours, in a box on hatches."""
    color, hatch = fill
    red, green, blue = (int(color[place : place + 2], 16) for place in (1, 3, 5))
    dark = 0.299 * red + 0.587 * green + 0.114 * blue < 140
    box = {"facecolor": color, "edgecolor": "none", "pad": 1.0} if hatch else None
    return {"color": "white" if dark else "black", "bbox": box}
