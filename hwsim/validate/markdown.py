"""The scoreboard as a page in Markdown: what is off by how much, what was missed, what is not scored and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hwsim.errors import counted

from .notes import claims
from .record import MEASURED, PUBLISHED, TOOL, Record
from .scores import Score, groups, scores
from .text import asked, is_variant, percent, value, within, works, worst

COMMAND = "hwsim validate --out reports/scoreboard --readme README.md"

WORST = 3
"""Rows listed of each machine."""

INTRODUCTION = f"""\
# How far off are the numbers?

Every published table and every recorded measurement that ships with `hwsim`, run and compared in one go. Written by
`{COMMAND}`; a test fails when it is out of date.

- **Error**: simulated less reference, relative to the reference; for shares, such as 12.7 % of all cycles, the
  difference in percentage points. Mean and median are of errors regardless of sign; the worst row keeps its sign.
- **Bias**: the geometric mean of simulated over reference, less 1: whether values are too large or too small.
- **Scored** are rows that can be wrong. Rows that constants were fitted on, that follow by construction, or that their
  source contradicts are listed with the reason and count nowhere.
- **Within**: rows within the tolerance that the table gives for each, with its reason. **Asked**: the mean error that
  was asked for, where one was.
- **Constants**: what was fitted, on how many shapes that are not scored. Where the form of a model was chosen with the
  rows in view, [the table below](#what-was-calibrated-and-what-was-chosen-with-the-rows-in-view) says so: such rows are
  no blind test.

![mean and worst error by machine and metric](validation_errors.png)

![simulated over reference, row by row](validation_scatter.png)
"""


class Column(NamedTuple):
    """A column of a table: its head, and whether it holds numbers."""

    head: str
    number: bool = False


def scoreboard(records: Sequence[Record]) -> str:
    """Return the whole page."""
    found = in_order(scores(records))
    parts = [
        INTRODUCTION,
        "## Chips and machines of papers\n",
        published_table([one for one in found if one.group == PUBLISHED and not is_variant(one.machine)], records),
        "One machine over another, and machines run in another way where that makes a difference:\n",
        published_table(differing(found), records),
        "## Kernels, layers and networks measured on real machines\n",
        measured_table([one for one in found if one.group == MEASURED], records),
        "## Another simulator\n",
        published_table([one for one in found if one.group == TOOL], records),
        "## Missed\n",
        missed(records, found),
        f"## The {WORST} worst rows of every machine\n",
        worst_table(records),
        "## What was calibrated, and what was chosen with the rows in view\n",
        notes_table(found),
        "## Not scored\n",
        unscored_table(records),
        "## What other tools claim\n",
        "Claims of their authors, on rows of their own: beside ours, not a comparison.\n",
        claims_table(),
    ]
    return "\n".join(parts)


def in_order(found: Iterable[Score]) -> list[Score]:
    """Return scores by machine, a machine's in the order of its tables."""
    return sorted(found, key=lambda one: one.machine)


def differing(found: Sequence[Score]) -> list[Score]:
    """Return the scores of variants that are not those of the machine itself."""
    plain = {(one.machine, one.metric): one for one in found}
    return [
        one
        for one in found
        if is_variant(one.machine)
        and one.scored
        and ("," not in one.machine or not _same(one, plain.get((one.machine.partition(",")[0], one.metric))))
    ]


def _same(one: Score, other: Score | None) -> bool:
    return other is not None and (one.scored, one.mean, one.worst) == (other.scored, other.mean, other.worst)


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    heads = " | ".join(one.head for one in columns)
    rules = " | ".join("--:" if one.number else "---" for one in columns)
    lines = [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    return "\n".join([f"| {heads} |", f"| {rules} |", *lines, ""])


def published_table(found: Sequence[Score], records: Sequence[Record]) -> str:
    """Return the scores of rows that have tolerances."""
    columns = [Column("machine"), Column("what"), Column("reference"), Column("scored", True), Column("within", True),
               Column("mean", True), Column("median", True), Column("bias", True), Column("worst row"),
               Column("asked"), Column("constants")]  # fmt: skip
    return table(
        columns,
        (
            (one.machine, one.metric, works(_of(one, records)), _counts(one), within(one),
             percent(one.mean, one.in_points), percent(one.median, one.in_points),
             percent(one.bias_percent, signed=True), worst(one), asked(one), one.calibrated)
            for one in found
        ),
    )  # fmt: skip


def measured_table(found: Sequence[Score], records: Sequence[Record]) -> str:
    """Return the scores of measured rows, between the plain roofline and measuring again."""
    columns = [Column("machine"), Column("what"), Column("reference"), Column("scored", True),
               Column("plain roofline", True), Column("mean", True), Column("median", True), Column("bias", True),
               Column("measured again", True), Column("worst row"), Column("asked"), Column("constants")]  # fmt: skip
    return table(
        columns,
        (
            (one.machine, one.metric, works(_of(one, records)), _counts(one), percent(one.baseline),
             percent(one.mean), percent(one.median), percent(one.bias_percent, signed=True), percent(one.repeated),
             worst(one), asked(one), one.calibrated)
            for one in found
        ),
    )  # fmt: skip


def _of(one: Score, records: Iterable[Record]) -> list[Record]:
    return [row for row in records if (row.machine, row.metric) == (one.machine, one.metric)]


def _counts(one: Score) -> str:
    return f"{one.scored}" if one.scored == one.rows else f"{one.scored} of {one.rows}"


def missed(records: Iterable[Record], found: Iterable[Score]) -> str:
    """Return what is outside its tolerance, and means above what was asked for."""
    rows = [one for one in records if one.scored and one.met is False]
    above = [one for one in found if one.missed_target]
    said = [
        f"- {one.machine}, {one.metric}: {percent(one.mean)} on average, asked for {one.note.target_percent:g} %"
        for one in above
    ]
    summary = (
        f"{counted(len(above), 'mean')} above what was asked for, {counted(len(rows), 'row')} outside the tolerance.\n"
    )
    return "\n".join([summary, *said, "", table(ROW_COLUMNS, map(_row, rows))])


ROW_COLUMNS = [
    Column("machine"), Column("what"), Column("row"), Column("simulated", True), Column("reference", True),
    Column("error", True), Column("tolerance"), Column("where"),
]  # fmt: skip


def _row(one: Record) -> tuple[str, ...]:
    return (
        one.machine, one.metric, one.subject, value(one.simulated, one.unit), value(one.reference, one.unit),
        percent(one.error, one.in_points, signed=True), one.tolerance, one.source.locator,
    )  # fmt: skip


def worst_table(records: Iterable[Record]) -> str:
    """Return the rows of the largest errors of every machine, those that are exact left out."""
    machines = groups((one for one in records if one.scored), lambda one: one.machine)
    rows = [
        row
        for machine in sorted(machines, key=lambda rows: rows[0].machine)
        for row in sorted(machine, key=lambda one: -abs(one.error))[:WORST]
        if row.error
    ]
    return table(ROW_COLUMNS, map(_row, rows))


def notes_table(found: Sequence[Score]) -> str:
    """Return what constants were fitted on, and what was chosen with the rows in view, by machine and metric."""
    said: dict[tuple[str, str, str], list[str]] = {}
    for one in found:
        if one.scored:
            said.setdefault((one.machine, one.calibrated, one.note.in_view), []).append(one.metric)
    rows = ((machine, "; ".join(metrics), fitted, view) for (machine, fitted, view), metrics in said.items())
    columns = [Column("machine"), Column("what"), Column("constants"), Column("chosen with the rows in view")]
    return table(columns, rows)


def unscored_table(records: Iterable[Record]) -> str:
    """Return how many rows are not scored, by machine, metric and reason."""
    left = groups(
        (one for one in records if not one.scored), lambda one: (one.machine, one.metric, one.why_not, one.reason)
    )
    rows = (
        (rows[0].machine, rows[0].metric, str(len(rows)), rows[0].why_not, rows[0].reason)
        for rows in sorted(left, key=lambda rows: rows[0].machine)
    )
    columns = [Column("machine"), Column("what"), Column("rows", True), Column("because"), Column("in full")]
    return table(columns, rows)


def claims_table() -> str:
    """Return what other tools are said to reach."""
    columns = [Column("tool"), Column("machine"), Column("on"), Column("claim"), Column("of"), Column("beside our"),
               Column("said in")]  # fmt: skip
    return table(
        columns,
        (
            (one.tool, one.machine, one.target, one.claim, one.metric, one.comparable, str(one.source))
            for one in claims()
        ),
    )
