"""The tables that `hwsim compare` prints: a result beside what is published, and the mean errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hwsim.errors import printable
from hwsim.results.compare import NO, Comparison, Score, scores
from hwsim.results.expectation import FRACTION, Expectation
from hwsim.results.subject import Subject
from hwsim.results.terminal import console

SIDES = {"within": "±", "at_least": "at least -", "at_most": "at most +"}
"""What stands before a tolerance; the sides are those of the published value."""

NAME_WIDTH = 24
"""Columns of a terminal that a name is given whatever else is wrapped."""

COUNTING = (
    "means are of absolute relative errors of the rows that are scored; where a simulated 0 would be within tolerance, "
    "the difference alone counts"
)


def print_comparisons(comparisons: Sequence[Comparison], notes: Iterable[str]) -> None:
    """Print every table with its results, then the mean errors, then what was not compared."""
    screen = console()
    for table in dict.fromkeys(one.expectation.table for one in comparisons):
        screen.print(table_of([one for one in comparisons if one.expectation.table == table]))
    screen.print(score_table(scores(comparisons)))
    for note in (COUNTING, *notes):
        screen.print(Text(printable(f"note: {note}"), style="dim"))


def table_of(rows: Sequence[Comparison]) -> RenderableType:
    """Return one published table: a table for each result, then the reasons, with the places they are of."""
    places: dict[str, dict[str, None]] = {}
    for one in rows:
        places.setdefault(one.expectation.reason, {})[one.expectation.source.locator] = None
    works = dict.fromkeys(f"{one.expectation.source.work} {one.expectation.source.year}" for one in rows)
    numbers = {reason: index for index, reason in enumerate(places, 1)}
    parts: list[RenderableType] = [Text(printable(f"{rows[0].expectation.table}: {'; '.join(works)}"), style="bold")]
    for subject in {id(one.subject): one.subject for one in rows}.values():
        parts += [Text(title(subject)), subject_table([one for one in rows if one.subject is subject], numbers)]
    notes = [f"{numbers[reason]} {'; '.join(places[reason])}: {reason}" for reason in places]
    return Group(*parts, *(Text(printable(note), style="dim") for note in notes), Text())


def subject_table(rows: Sequence[Comparison], numbers: dict[str, int]) -> Table:
    """Return one result beside one published table; `numbers` are those of the reasons below it."""
    layers, points = any(one.expectation.layer for one in rows), any(is_share(one) for one in rows)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    if layers:
        table.add_column("layer", overflow="fold", min_width=least([one.expectation.layer for one in rows]))
    table.add_column("quantity", overflow="fold", min_width=least([one.expectation.quantity for one in rows]))
    for name in ["simulated", "published", "ratio", "error"] + ["points"] * points:
        table.add_column(name, justify="right", no_wrap=name != "published")
    for name in ("tolerance", "met"):
        table.add_column(name)
    table.add_column("note", no_wrap=True)
    for one in rows:
        row = one.expectation
        table.add_row(
            *[printable(row.layer)] * layers,
            printable(row.quantity),
            *values(one),
            *[signed(one.difference_points)] * points,
            tolerance(row),
            one.met,
            str(numbers[row.reason]),
            style="bold" if one.met == NO else "",
        )
    return table


def least(names: Iterable[str]) -> int:
    """Return how wide a column of names is at least, before other columns are wrapped for it."""
    return min(NAME_WIDTH, max(len(printable(name)) for name in names))


def title(one: Subject) -> str:
    """Return what ran on what, how it was asked for, and which result it is of."""
    asked = f" ({one.run_as})" if one.run_as != one.network else ""
    stepped = ", stepped" if one.fidelity == "stepped" else ""
    where = f": {one.name}" if one.name else ""
    flow = one.dataflow.replace("_", " ")
    return printable(f"{one.network}{asked} on {one.chip}, {flow}, {one.format}, batch {one.batch}{stepped}{where}")


def is_share(one: Comparison) -> bool:
    """Whether the values are fractions, which are shown as percentages."""
    return one.expectation.unit == FRACTION


def values(one: Comparison) -> tuple[str, str, str, str]:
    """Return the simulated and the published value, their ratio and the relative error; "" for what is undefined."""
    row, share = one.expectation, is_share(one)
    return (
        "" if one.simulated is None else number(one.simulated, share) + " %" * share,
        f"{number(row.published, share)} {'%' if share else printable(row.unit)}",
        "" if one.ratio is None else f"{one.ratio:,.3f}" if one.ratio < 1e6 else f"{one.ratio:.3g}",
        "" if one.error_percent is None else f"{signed(one.error_percent)} %",
    )


def number(value: float, share: bool = False) -> str:
    """Return a value with four digits, or all those before the decimal point; a share as its percentage."""
    value = 100 * value if share else value
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e12 else f"{value:.4g}"


def signed(value: float | None) -> str:
    """Return an error with its sign and two decimals."""
    return "" if value is None else f"{value:+,.2f}" if abs(value) < 1e6 else f"{value:+.3g}"


def tolerance(row: Expectation) -> str:
    """Return how far the simulated value may be from the published one, and on which side."""
    if row.tolerance is None:
        return ""
    if row.tolerance == 0 and row.direction != "within":
        return row.direction.replace("_", " ")
    if row.tolerance_kind == "factor":
        side = "" if row.direction == "within" else f"{row.direction.replace('_', ' ')}, "
        return f"{side}factor {row.tolerance:.3g}"
    relative, share = row.tolerance_kind == "relative", row.unit == FRACTION
    unit = "%" if relative else "points" if share else printable(row.unit)
    return f"{SIDES[row.direction]}{number(row.tolerance, relative or share)} {unit}"


def score_table(found: Sequence[Score]) -> Table:
    """Return the mean errors by quantity, by unit where several quantities have it, by table and of all tables."""
    table = Table(
        box=SIMPLE_HEAD,
        title="mean absolute error",
        title_justify="left",
        title_style="bold",
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for name in ("table", "of"):
        table.add_column(name, overflow="fold")
    for name in ("mean", "worst", "scored", "by difference", "missing", "met"):
        table.add_column(name, justify="right", no_wrap=True)
    quantities = Counter(one.table for one in found if one.quantity)
    for one in found:
        if (one.quantity and quantities[one.table] == 1) or (not one.table and len(quantities) == 1):
            continue
        means = ("" if one is None else f"{one:,.2f} %" for one in (one.mean_error_percent, one.worst_percent))
        what = one.quantity or (f"all in {one.unit}" if one.unit else "all")
        counts = (f"{count}" if count else "" for count in (one.scored, one.by_difference, one.missing))
        met = f"{one.met} of {one.scored}" if one.scored else "none scored"
        style = "" if one.unit else "bold"
        table.add_row(printable(one.table or "all tables"), printable(what), *means, *counts, met, style=style)
    return table
