"""The scoreboard as `hwsim validate` prints it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from hwsim.errors import counted, printable
from hwsim.results.terminal import console

from .markdown import differing, in_order
from .notes import claims
from .record import Record
from .scores import Score, constants, scores
from .text import is_variant, percent, within, worst

HOW = (
    "errors are of rows that no constant was fitted on, relative to the published or measured value; mean and median "
    "are regardless of sign; shares are off by percentage points",
    "constants were fitted on as many shapes as stand behind them, which are not scored; roofline is the error of "
    "peak rate and bandwidth alone; within counts rows inside the tolerance of their table",
    "--out DIR writes every row with its source, what was chosen with rows in view, and why rows are not scored",
)


INDENT = "  "

NAME_WIDTH = 36
"""Columns of a terminal that a metric is given whatever else is wrapped."""


def print_scoreboard(records: Sequence[Record]) -> None:
    """Print a line per machine and metric, what is missed, and what others claim."""
    screen, found = console(), in_order(scores(records))
    own = [one for one in found if one.scored and not is_variant(one.machine)]
    screen.print(score_table(in_order([*own, *differing(found)])))
    for line in missed(records, found):
        screen.print(Text(printable(line), style="bold"))
    left = sum(not one.scored for one in records)
    for line in (*HOW, f"{counted(left, 'row is', 'rows are')} not scored"):
        screen.print(Text(printable(f"note: {line}"), style="dim"))
    for line in claimed(found):
        screen.print(Text(printable(f"claimed elsewhere, on other rows: {line}"), style="dim"))


def score_table(found: Sequence[Score]) -> Table:
    """Return the scores, above those of a machine its name and what its constants were fitted on."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    longest = max((len(one.metric) for one in found), default=0)
    table.add_column("machine, what", overflow="fold", min_width=min(NAME_WIDTH, longest + len(INDENT)))
    for name in ("rows", "within", "mean", "median", "roofline"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("worst row", overflow="fold")
    machines = {one.machine: [other for other in found if other.machine == one.machine] for one in found}
    for machine, rows in machines.items():
        said = f"constants: {constants(rows)}"
        table.add_row(Text(printable(machine), style="bold"), "", "", "", "", "", Text(printable(said), style="dim"))
        for one in rows:
            table.add_row(*cells(one), style="bold" if one.missed_target or one.met < one.held else "")
    return table


def cells(one: Score) -> tuple[str, ...]:
    """Return the cells of a score."""
    return (
        printable(f"{INDENT}{one.metric}"),
        f"{one.scored:,}",
        within(one).replace(" of ", "/"),
        percent(one.mean, one.in_points).replace(" points", " pt"),
        percent(one.median, one.in_points).replace(" points", " pt"),
        percent(one.baseline),
        printable(worst(one)),
    )


def missed(records: Sequence[Record], found: Sequence[Score]) -> list[str]:
    """Return a line for each mean above what was asked for, and one that counts the rows outside their tolerances."""
    lines = [
        f"missed: {one.machine}, {one.metric}: {percent(one.mean)} on average, asked for {one.note.target_percent:g} %"
        for one in found
        if one.missed_target
    ]
    outside = [one for one in records if one.scored and one.met is False]
    machines = "; ".join(dict.fromkeys(one.machine for one in outside))
    return [*lines, *([f"missed: {counted(len(outside), 'row')} outside the tolerance: {machines}"] if outside else [])]


def claimed(found: Sequence[Score]) -> list[str]:
    """Return what other tools claim of machines like those that were validated."""
    names = [one.machine for one in found]
    return [
        f"{one.tool} on {one.machine}: {one.claim} ({one.source})"
        for one in claims()
        if any(name.startswith(one.comparable) for name in names)
    ]
