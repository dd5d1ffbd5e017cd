"""The scoreboard as README shows it: a line per machine, worst rows included, and the lines' place in a file."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from hwsim.errors import InputError, UsageError, counted
from hwsim.results.store import write_text

from .markdown import Column, table
from .notes import claims
from .record import SHARES, TOPICS, Record
from .scores import constants, groups, scores, worst_of
from .text import is_variant, percent, works

BEGIN, END = "<!-- scoreboard -->", "<!-- /scoreboard -->"

PAGE = "reports/scoreboard/scoreboard.md"

HEADS = {"time": "time", "energy": "energy, power", "traffic": "traffic", SHARES: "shares"}

SAID = ("tpu_v1", "eyeriss", "gpu", "cpu")
"""Machines beside which the first claim is told that is made of one like it."""


def block(records: Sequence[Record]) -> str:
    """Return the section: a table of all machines, what is missed, and what others claim."""
    machines = groups((one for one in records if _is_shown(one)), lambda one: one.machine)
    columns = [Column("machine"), Column("held against"), Column("rows", True),
               *(Column(head, True) for head in HEADS.values()), Column("constants"), Column("worst row")]  # fmt: skip
    lines = (line(rows) for rows in sorted(machines, key=lambda rows: rows[0].machine))
    return f"{introduction(records)}\n\n{table(columns, lines)}\n{ending(records)}\n"


def _is_shown(one: Record) -> bool:
    """Whether a row counts, of a machine itself: not of its variants, nor of one machine over another."""
    return one.scored and not is_variant(one.machine)


def introduction(records: Sequence[Record]) -> str:
    """Return what the table is."""
    shown, left = sum(map(_is_shown, records)), sum(not one.scored for one in records)
    return fill(
        f"`hwsim validate` holds {shown:,} values against papers, measurements and another simulator: mean error in %, "
        "the worst in brackets, of rows that no constant was fitted on; shares in percentage points. Every metric by "
        f"itself, what was chosen with its rows in view, and why {left:,} more rows are not scored: "
        f"[scoreboard]({PAGE})."
    )


def line(rows: Sequence[Record]) -> tuple[str, ...]:
    """Return the cells of one machine."""
    worst = worst_of([one for one in rows if not one.in_points]) or worst_of(rows)
    by_topic = (_errors([one for one in rows if one.topic == topic]) for topic in (*TOPICS, SHARES))
    said = f"{percent(worst.error, worst.in_points, True)}: {worst.metric}, {worst.subject}" if worst else "all exact"
    return rows[0].machine, works(rows), f"{len(rows):,}", *by_topic, constants(scores(rows)), said


def _errors(rows: Sequence[Record]) -> str:
    if not rows:
        return ""
    worst = worst_of(rows)
    if worst is None:
        return "exact"
    average = percent(mean(abs(one.error) for one in rows))
    return f"{average.removesuffix(' %')} ({percent(worst.error, signed=True).removesuffix(' %')})"


def ending(records: Sequence[Record]) -> str:
    """Return what is missed and what others claim."""
    found = scores(records)
    means = [f"{one.machine} {one.metric} ({percent(one.mean)})" for one in found if one.missed_target]
    rows = [one for one in records if one.scored and one.met is False]
    lost = f"Missed: the mean error asked for by {'; '.join(means)}; the tolerance by {counted(len(rows), 'row')}."
    first = [next(one for one in claims() if one.comparable == machine) for machine in SAID]
    others = "; ".join(f"{one.tool} on {one.machine}: {one.claim} ({one.source})" for one in first)
    return f"{fill(lost)}\n{fill(f'Claims of others, on rows of their own, not a comparison: {others}.')}"


def fill(text: str) -> str:
    """Return text in lines of README's width."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def insert(path: Path, text: str) -> None:
    """Write `text` between the marks of the file at `path`; raises `UsageError` without one.

    Raises `InputError` where it has no marks.
    """
    try:
        whole = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read '{path}': {error.strerror or error}") from None
    before, begin, rest = whole.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"'{path}' has no lines '{BEGIN}' and '{END}' to write the scoreboard between")
    write_text(path, f"{before}{BEGIN}\n{text}{END}{after}")
