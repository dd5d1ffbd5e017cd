"""A page that explains itself: what is on it, and how it becomes one HTML file that needs nothing else.

All texts may come from a file of somebody else's. They are written by one template that escapes everything; style and
script stand in the page and are the only ones its Content-Security-Policy allows, by their hashes. Nothing on the page
is a link, so that no text can become one.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

from hwsim.errors import printable

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATES = "templates"
PAGE, STYLE, SCRIPT = "report.html", "report.css", "report.js"

LONGEST_TEXT = 4000
"""Characters of one text that are shown."""

UNKNOWN = "\N{EN DASH}"
"""What stands where a value is not known."""


class Cell(NamedTuple):
    """A cell of a table: what it shows, the number that it is sorted by, and whether it is the best of its column."""

    text: str
    value: float | None = None
    best: bool = False


class Column(NamedTuple):
    """A column of a table; numbers stand on the right."""

    title: str
    number: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table that its reader can sort; `total` is a last row that stays where it is, and `note` stands below."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: tuple[Cell, ...] = ()
    note: str = ""


class Picture(NamedTuple):
    """A figure with what it shows, as a `data:` address, and its width in pixels of a page; `alt` says it in words."""

    name: str
    caption: str
    alt: str
    address: str
    width: int


class Term(NamedTuple):
    """A word of the page, its unit ("" for none) and what it means."""

    word: str
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page: paragraphs, then tables, pictures, a list, parts that are folded, and words explained."""

    title: str
    text: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    items: tuple[str, ...] = ()
    folds: tuple[Section, ...] = ()
    terms: tuple[Term, ...] = ()

    @property
    def anchor(self) -> str:
        """What the table of contents points to; titles of sections are ours."""
        return "".join(char if char.isalnum() else "-" for char in self.title.lower())


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its title, what was run, and its sections."""

    title: str
    text: tuple[str, ...]
    sections: tuple[Section, ...]


def html(page: Page) -> str:
    """Return `page` as an HTML document that opens without anything else; the same page gives the same text."""
    from hwsim import __version__

    return _template().render(page=page, version=__version__)


def address(content: bytes, kind: str) -> str:
    """Return the `data:` address of a picture of `kind`, "png" or "svg"; as SVG in an image it can run no script."""
    media = {"png": "image/png", "svg": "image/svg+xml"}[kind]
    return f"data:{media};base64,{base64.b64encode(content).decode()}"


def number(value: object) -> float | None:
    """Return a finite number as a float, None for whatever else stands in its place."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if isfinite(found) else None


def numeral(value: object, shown: Callable[[float], str]) -> Cell:
    """Return the cell of a number, or of what is not known."""
    found = number(value)
    return Cell(UNKNOWN) if found is None else Cell(shown(found), found)


def texts(values: Iterable[str]) -> tuple[Cell, ...]:
    """Return cells that are sorted by what they show."""
    return tuple(map(Cell, values))


def shortened(text: str) -> str:
    """Return a text as it is shown: what cannot be seen is escaped, and what is too long is cut."""
    cut = text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}… ({len(text)} characters)"
    return printable(cut)


@cache
def _template() -> Template:
    """Return the template with the style and the script that it contains, and the policy that allows only them."""
    from importlib.resources import files

    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def shown(value: Any) -> Any:
        return shortened(value) if type(value) is str else value

    folder = files("hwsim.results") / TEMPLATES
    style, script = ((folder / name).read_text("utf-8") for name in (STYLE, SCRIPT))
    environment = Environment(
        loader=PackageLoader("hwsim.results", TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # addresses of pictures are ours, of an alphabet that needs no escape, and longer than a text may be
    environment.filters["unchanged"] = Markup
    environment.globals |= {"style": Markup(style), "script": Markup(script), "policy": policy(style, script)}
    return environment.get_template(PAGE)


def policy(style: str, script: str) -> str:
    """Return a Content-Security-Policy that allows this style, this script and pictures within the page, no more."""
    return (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
