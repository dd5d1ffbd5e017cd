"""What the reports of a study share: which points are drawn, by which chip and network."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Any

from matplotlib.lines import Line2D

from hwsim.errors import InputError

from ._style import MARKS, Mark, Quantity, lines

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

RING: dict[str, Any] = {
    "marker": "o",
    "markersize": 10.5,
    "markerfacecolor": "none",
    "markeredgewidth": 0.8,
    "linestyle": "",
}
"""A ring around a marker."""


QUANTITIES = {
    "latency": Quantity("seconds", "latency", "s"),
    "energy": Quantity("energy_pj", "energy", "J", 1e-12),
    "edp": Quantity("edp_js", "energy-delay product", "J s"),
    "area": Quantity("area_mm2", "area [mm²]", ""),
    "power": Quantity("average_power_w", "power", "W"),
    "throughput": Quantity("inferences_per_s", "inferences per second", "", 1.0, "highest"),
    "efficiency": Quantity("inferences_per_j", "inferences per joule", "", 1.0, "highest"),
    "utilisation": Quantity("utilisation", "utilisation of the MACs", "", 1.0, "highest"),
}
"""Objectives of a sweep, by name."""


def solved(frame: pd.DataFrame, report: str, least: int = 1) -> pd.DataFrame:
    """Return the points that did not fail; raises `InputError` where they are fewer than `least`."""
    found = frame[frame["seconds"].notna() & frame["energy_pj"].notna()]
    if len(found) < least:
        raise InputError(f"report '{report}' has nothing to draw: of {len(frame)} points {len(found)} can be drawn")
    return found


def networks(frame: pd.DataFrame, most: int) -> tuple[list[pd.DataFrame], str]:
    """Return the points of each of the first `most` networks, and which are left out."""
    names = list(frame["network"].unique())
    groups = dict(list(frame.groupby("network", sort=False)))
    left = f"{most} of {len(names)} networks are drawn" if len(names) > most else ""
    return [groups[name] for name in names[:most]], left


def series(frame: pd.DataFrame) -> pd.Series[Any]:
    """Return what each point is drawn as: its chip, without parameters that are numbers where there are too many."""
    specs = [str(one) for one in frame["chip"].unique()]
    for shorten in (_whole, _machine, _name):
        names = {spec: shorten(spec) for spec in specs}
        if len(set(names.values())) <= len(MARKS):
            break
    return frame["chip"].astype(str).map(names)


def _whole(spec: str) -> str:
    return spec


def _machine(spec: str) -> str:
    """Return a spec with those parameters that are texts: which machine, which library."""
    name, _, rest = spec.partition(":")
    kept = [pair for pair in rest.split(",") if pair and not _is_number(pair.partition("=")[2])]
    return ":".join([name, *filter(None, [",".join(kept)])])


def _name(spec: str) -> str:
    return spec.partition(":")[0]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def styles(names: pd.Series[Any]) -> dict[str, Mark]:
    """Return marker, colour and line of each name, in the order of the alphabet."""
    return dict(zip(sorted(map(str, names.unique())), cycle(MARKS), strict=False))


def left_out(frame: pd.DataFrame, *more: str) -> str:
    """Return the caption: how many points failed, and what else is not drawn."""
    failed = int(frame["seconds"].isna().sum())
    parts = [f"{failed} of {len(frame)} points failed and are not drawn" if failed else "", *more]
    return "; ".join(filter(None, parts))


def legend(figure: Figure, marks: dict[str, Mark], columns: int, drawn: bool, **others: dict[str, Any]) -> None:
    """Write above all panels what the markers of chips are, and the `others`, by label with what their lines have."""
    rest = [Line2D([], [], **{"color": "black", **how}, label=name.replace("_", " ")) for name, how in others.items()]
    figure.legend(
        handles=[*lines(marks, drawn), *rest], loc="outside upper left", ncols=columns, frameon=False, fontsize=9
    )
