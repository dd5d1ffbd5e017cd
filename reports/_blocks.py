"""What pictures over time share: a run's layers one after the other as blocks, and names where they fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hwsim.errors import InputError

from ._style import INK, SMALL

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes

HAIRLINES = 1000
"""Layers shorter than this part of the time cannot be seen alone; neighbours are joined."""

CHAR_INCH, LINE_INCH = 0.076, 0.135
"""The width of a character and the height of a line at `SMALL`, rather too large than too small."""

LEAST = 1e-4
"""The smallest share that is written."""

MAX_RUNS = 12
"""Runs drawn at most, the first."""


def blocks(rows: pd.DataFrame, *parts: str) -> pd.DataFrame:
    """Return `layer`, `start_s`, `seconds`, `macs` and the sums of `parts` of each block of a run, in order.

    A block is a layer that takes time, or neighbours that are too short to be seen, which have no name together.
    """
    taking = rows.loc[rows["seconds"] > 0, ["layer", "seconds", "macs", *parts]]
    seconds = taking["seconds"].to_numpy(float)
    starts, hairline = np.cumsum(seconds) - seconds, seconds.sum() / HAIRLINES
    slot = np.where(seconds < hairline, starts // max(hairline, np.finfo(float).tiny), -1)
    begins = (slot < 0) | (slot != np.concatenate([[-1], slot[:-1]]))
    summed = taking.assign(block=np.cumsum(begins), start_s=starts).groupby("block", sort=False)
    found = summed[["seconds", "macs", *parts]].sum().assign(start_s=summed["start_s"].first())
    return found.assign(layer=summed["layer"].first().where(summed.size() == 1, ""))


def capped(found: Sequence[pd.DataFrame], report: str) -> tuple[Sequence[pd.DataFrame], str]:
    """Return the runs that are drawn, and the sentence that says how many are not.

    Raises `InputError` where there is none.
    """
    if not found:
        raise InputError(f"report '{report}' has nothing to draw: no run of these layers was simulated")
    left = f"{MAX_RUNS} of {len(found)} runs are drawn." if len(found) > MAX_RUNS else ""
    return found[:MAX_RUNS], left


def fitting(name: str, width_inch: float, height_inch: float) -> str | None:
    """Return the rotation in which `name` fits a block of this size, or None where it does in none."""
    length = len(name) * CHAR_INCH
    if not name:
        return None
    if length <= width_inch and height_inch >= LINE_INCH:
        return "horizontal"
    return "vertical" if width_inch >= LINE_INCH and length <= height_inch else None


def write(axes: Axes, x: float, y: float, name: str, rotation: str, **how: Any) -> None:
    """Write `name` as it stands around (x, y)."""
    how = {"ha": "center", "va": "center", "color": INK, **how}
    axes.text(x, y, name, rotation=rotation, fontsize=SMALL, parse_math=False, clip_on=True, **how)


def percent(share: float) -> str:
    """Return a share in percent, to two digits below ten."""
    if 0 < share < LEAST:
        return f"< {100 * LEAST:g} %"
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{float(f'{100 * share:.2g}'):g} %"
