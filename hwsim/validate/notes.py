"""What stands beside the errors: targets, what was calibrated or chosen in view of the rows, what others claim."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from hwsim.arch.source import Source
from hwsim.published import table


class Note(NamedTuple):
    """What is to be known of a machine's rows of one metric.

    `target_percent` is the mean error that was asked for, where one was; `calibrated` says on what constants were
    fitted, `in_view` what else was chosen with these rows in view.
    """

    target_percent: float | None = None
    calibrated: str = ""
    in_view: str = ""


class Claim(NamedTuple):
    """What another tool is said to reach on machines like ours whose name begins with `comparable`."""

    tool: str
    machine: str
    target: str
    claim: str
    metric: str
    comparable: str
    source: Source


@cache
def _notes() -> Mapping[tuple[str, str], Note]:
    with (Path(__file__).parent / "notes.csv").open(newline="", encoding="utf-8") as file:
        return {
            (row["machine"], row["metric"]): Note(
                float(row["target_percent"]) if row["target_percent"] else None, row["calibrated"], row["in_view"]
            )
            for row in csv.DictReader(file)
        }


def note_of(machine: str, metric: str) -> Note:
    """Return the note of a metric, or that of its machine; a machine's variants, behind a comma, share its notes."""
    plain = machine.partition(",")[0].partition(" over ")[0]
    known = _notes()
    return next((known[key] for key in ((plain, metric), (plain, "")) if key in known), Note())


@cache
def claims() -> tuple[Claim, ...]:
    """Return what other tools claim, with the source of each claim."""
    columns = ("tool", "machine", "target", "claim", "metric", "comparable")
    return tuple(
        Claim(source=Source(row["work"], int(row["year"]), row["locator"]), **{name: row[name] for name in columns})
        for row in table("claims")
    )
