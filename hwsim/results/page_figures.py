"""The figures of a page: drawn from its rows, or taken from a result folder that has them of the same rows."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from struct import unpack
from typing import TYPE_CHECKING, NamedTuple

from hwsim.errors import InputError, UsageError
from hwsim.ir.untrusted import read_bounded
from hwsim.results import store
from hwsim.results.frame import NUMBERS, TEXTS

from .origin import origin
from .page import Picture, address

if TYPE_CHECKING:
    import pandas as pd

BUDGET_BYTES = 1_500_000
"""All pictures together; what is above it is saved where PNG is shorter than SVG, which is sharp at any size."""

MAX_BYTES = 16 * 2**20
"""Largest picture that is read."""

PATH, DIGITS = re.compile(rb' d="[^"]*"'), re.compile(rb"(\.\d\d)\d+")
"""Outlines in SVG and the decimals in them; they are in points, of which a hundredth is 3.5 micrometres."""

PIXELS_PER_INCH, DRAWN_PER_INCH = 96, 150
"""Of a page and of PNG files."""


class Drawn(NamedTuple):
    """A figure as it was drawn."""

    report: str
    png: bytes
    svg: bytes


def pictures(frame: pd.DataFrame, reports: Sequence[str], folder: Path | None) -> tuple[list[Picture], list[str]]:
    """Return the figures of the rows, and a sentence for each report that has nothing to draw of them.

    Those that are in `folder`, drawn from the same rows, are taken from there. Raises `InputError` for a report that
    is asked for alone and has nothing to draw.
    """
    found, left = list[Drawn](), list[str]()
    with tempfile.TemporaryDirectory() as scratch:
        for report in reports:
            try:
                found.append(_kept(report, frame, folder) or _drawn(report, frame, Path(scratch)))
            except InputError as error:
                if len(reports) == 1:
                    raise
                left.append(str(error))
    return [_picture(one, kind) for one, kind in zip(found, kinds(found), strict=True)], left


def possible(frame: pd.DataFrame) -> list[str]:
    """Return the reports whose columns are in the rows; one that names none needs those that all layers have."""
    from hwsim import catalog

    every = (*TEXTS, *NUMBERS)
    known = set(map(str, frame))
    return [name for name in catalog.names("report") if known.issuperset(catalog.report_needs(name) or every)]


def kinds(drawn: Sequence[Drawn]) -> list[str]:
    """Return how each figure is shown: as SVG, and as PNG where that saves most until all are within the budget."""
    chosen = ["svg"] * len(drawn)
    total = sum(len(one.svg) for one in drawn)
    for place in sorted(range(len(drawn)), key=lambda place: len(drawn[place].png) - len(drawn[place].svg)):
        saved = len(drawn[place].svg) - len(drawn[place].png)
        if total > BUDGET_BYTES and saved > 0:
            chosen[place], total = "png", total - saved
    return chosen


def _kept(report: str, frame: pd.DataFrame, folder: Path | None) -> Drawn | None:
    """Return the figure in `folder` if both files say that they are of these rows."""
    if folder is None:
        return None
    try:
        png, svg = (read_bounded(folder / f"{report}.{kind}", "picture", MAX_BYTES) for kind in ("png", "svg"))
    except (InputError, UsageError):
        return None
    mark = origin(report, frame).encode()
    return Drawn(report, png, _shorter(svg)) if mark in png and mark in svg else None


def _drawn(report: str, frame: pd.DataFrame, scratch: Path) -> Drawn:
    png, svg = (path.read_bytes() for path in store.draw(report, frame, scratch))
    return Drawn(report, png, _shorter(svg))


def _shorter(svg: bytes) -> bytes:
    """Return an SVG with two decimals in outlines."""
    return PATH.sub(lambda path: DIGITS.sub(rb"\1", path[0]), svg)


def _picture(one: Drawn, kind: str) -> Picture:
    from hwsim import catalog

    name, caption = one.report.replace("_", " "), catalog.describe("report", one.report)
    content = one.svg if kind == "svg" else one.png
    return Picture(name, f"{caption}.", f"Figure: {caption}", address(content, kind), _width(one.png))


def _width(png: bytes) -> int:
    """Return the pixels of a page that a figure is wide, in the size that it was drawn for; 0 for what is no PNG."""
    if png[:8] != b"\x89PNG\r\n\x1a\n" or len(png) < 24:
        return 0
    pixels = int(unpack(">I", png[16:20])[0])
    return round(pixels * PIXELS_PER_INCH / DRAWN_PER_INCH)
