"""Results held against what is published: the error of every row, whether it is met, and the mean over a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hwsim.errors import LimitError, UsageError
from hwsim.results.expectation import FRACTION, PUBLISHED, ROUNDING, Expectation, expectations
from hwsim.results.record import NetworkResult, Row
from hwsim.results.subject import Subject, subject

Result = NetworkResult | Mapping[str, Any] | Subject
"""A result, the object that `--json` prints of one, or either as a `Subject` with a name."""

YES, NO, NOT_SCORED, MISSING = "yes", "no", "not scored", "not in this result"

LISTED = 12
"""Most names in one sentence."""


class Comparison(NamedTuple):
    """A simulated value beside the published one; `simulated` is None where the result lacks the quantity."""

    subject: Subject
    expectation: Expectation
    simulated: float | None

    @property
    def difference(self) -> float | None:
        """Simulated minus published [unit]."""
        return None if self.simulated is None else self.simulated - self.expectation.published

    @property
    def difference_points(self) -> float | None:
        """Simulated minus published [percentage points]; None for what is no fraction."""
        return None if self.difference is None or self.expectation.unit != FRACTION else 100 * self.difference

    @property
    def ratio(self) -> float | None:
        """Simulated over published; None where 0 is published."""
        if self.simulated is None or self.expectation.published == 0:
            return None
        return self.simulated / self.expectation.published

    @property
    def error_percent(self) -> float | None:
        """Difference relative to the published value [%]; None where that is 0."""
        if self.difference is None or self.expectation.published == 0:
            return None
        return 100 * self.difference / self.expectation.published

    @property
    def met(self) -> str:
        """YES or NO; NOT_SCORED; MISSING where the result lacks the quantity."""
        if self.simulated is None:
            return MISSING
        if not self.expectation.scored:
            return NOT_SCORED
        return YES if self.expectation.is_met_by(self.simulated) else NO

    @property
    def in_mean(self) -> bool:
        """Whether the row is in the mean relative error: it is scored, there, and not held by its difference alone."""
        return self.met in (YES, NO) and self.expectation.counts_relatively

    def row(self) -> Row:
        """Return the columns that `--csv` and `--json` print; None where there is no value."""
        one, what = self.subject, self.expectation
        return {
            "table": what.table,
            "result": one.name,
            "network": one.network,
            "run_as": one.run_as,
            "batch": one.batch,
            "chip": one.chip,
            "format": one.format,
            "dataflow": one.dataflow,
            "fidelity": one.fidelity,
            "layer": what.layer,
            "quantity": what.quantity,
            "simulated": self.simulated,
            "published": what.published,
            "unit": what.unit,
            "ratio": self.ratio,
            "error_percent": self.error_percent,
            "difference": self.difference,
            "difference_points": self.difference_points,
            "tolerance": what.tolerance,
            "tolerance_kind": what.tolerance_kind,
            "direction": what.direction,
            "met": self.met,
            "in_mean": "yes" if self.in_mean else "no",
            "reason": what.reason,
            "work": what.source.work,
            "year": what.source.year,
            "locator": what.source.locator,
        }


class Score(NamedTuple):
    """How well the scored rows of a table, or of one unit or one quantity of it, are met; "" stands for all.

    Of the `scored` rows, `missing` are not in their result and `by_difference` are held by their difference alone; the
    mean is of the absolute relative errors [%] of all others, `worst_percent` the largest of them.
    """

    table: str
    unit: str
    quantity: str
    scored: int
    met: int
    by_difference: int
    missing: int
    mean_error_percent: float | None
    worst_percent: float | None


def compare(
    results: Result | Iterable[Result], tables: str | Path | Sequence[Expectation] = PUBLISHED
) -> list[Comparison]:
    """Return every row of `tables` that is of one of the results, beside what that result has, table by table.

    `tables` is "published" for all that are shipped, the name of one, the path of a CSV file, or rows. Raises
    `UsageError` where no row is of any of the results.
    """
    rows = expectations(tables) if isinstance(tables, str | Path) else tables
    found = subjects(results)
    pairs = [
        pair
        for table in dict.fromkeys(row.table for row in rows)
        for one in found
        for row in rows
        if row.table == table and one.is_of(row)
        for pair in beside(one, row, found)
    ]
    if not pairs:
        raise UsageError("; ".join(why_not_compared(found, rows)[:3]) or "there is no result to compare")
    return pairs


def beside(one: Subject, row: Expectation, found: Sequence[Subject]) -> list[Comparison]:
    """Return a result beside `row`; nothing if the row's value is over that of a run which is not among `found`."""
    if row.over is None:
        return [Comparison(one, row, one.value(row))]
    other = next((other for other in found if other.is_under(row)), None)
    if other is None:
        return []
    values = one.value(row), other.value(row)
    return [Comparison(one, row, values[0] / values[1] if values[0] is not None and values[1] else None)]


def subjects(results: Result | Iterable[Result]) -> list[Subject]:
    """Return one or several results as they are compared."""
    several = [results] if isinstance(results, NetworkResult | Mapping | Subject) else results
    return [one if isinstance(one, Subject) else subject(one) for one in several]


def mean_absolute_error(comparisons: Iterable[Comparison]) -> float | None:
    """Return the mean absolute relative error [%] of the rows that are in the mean, or None where none is."""
    errors = _errors(comparisons)
    return sum(errors) / len(errors) if errors else None


def scores(comparisons: Iterable[Comparison]) -> list[Score]:
    """Return the scores of each table: by quantity, by unit where several have it, of the table; then of all tables."""
    groups: dict[tuple[str, str, str], list[Comparison]] = {}
    for one in comparisons:
        table, unit, quantity = one.expectation.table, one.expectation.unit, one.expectation.quantity
        scored = [one] if one.expectation.scored else []
        for key in ((table, unit, quantity), (table, unit, ""), (table, "", ""), ("", "", "")):
            groups.setdefault(key, []).extend(scored)
    quantities = Counter(key[:2] for key, rows in groups.items() if key[2] and rows)
    tables = [*dict.fromkeys(table for table, _, _ in groups if table), ""]
    ordered = sorted(groups, key=lambda key: (tables.index(key[0]), not key[2], not key[1]))
    # a quantity or a unit needs scored rows, and a unit that one quantity alone has would say the same again
    shown = [key for key in ordered if not key[1] or (groups[key] and (key[2] or quantities[key[:2]] > 1))]
    return [_score(groups[key], *key) for key in shown]


def require_within(comparisons: Sequence[Comparison], limit_percent: float) -> None:
    """Raise `LimitError` where the mean absolute error of a table exceeds the limit or a scored row has no value.

    Raises `UsageError` where no table has a mean error, since the limit then holds nothing.
    """
    tables = [one for one in scores(comparisons) if one.table and not one.unit]
    said = [
        f"the mean absolute error of {one.table} is {one.mean_error_percent:.4g} %"
        for one in tables
        if one.mean_error_percent is not None and one.mean_error_percent > limit_percent * (1 + ROUNDING)
    ]
    said += [
        f"the result lacks {one.missing} of the {one.scored} scored rows of {one.table}"
        for one in tables
        if one.missing
    ]
    if said:
        raise LimitError(f"{'; '.join(said)}; the limit is {limit_percent:g} %")
    if all(one.mean_error_percent is None for one in tables):
        raise UsageError(f"--fail-above {limit_percent:g} holds nothing: no scored row has a relative error")


def why_not_compared(found: Iterable[Subject], rows: Sequence[Expectation]) -> list[str]:
    """Return a sentence for each result that no row is of: what of it the tables do not have, and what they have."""
    return [
        f"no row is of {one}{f' ({one.name})' if one.name else ''}: {_difference(one, rows)}"
        for one in found
        if not any(one.is_of(row) for row in rows)
    ]


def _difference(one: Subject, rows: Sequence[Expectation]) -> str:
    """Return what the tables have that is nearest to a result: its network's other batches, other networks, chips."""
    of_chip = [row for row in rows if row.chip == one.chip]
    of_network = [row for row in of_chip if row.network == one.network]
    unchanged = one.chip.partition(":")[0]
    if of_network:
        known = [
            (row.format or "any format", f"batch {row.batch}" if row.batch else "any batch", *row.dataflow.split())
            for row in of_network
        ]
        return f"the tables have it in {_listed(', '.join(pair) for pair in known)}"
    if of_chip:
        return f"of {one.chip} the tables have {_listed(row.network for row in of_chip)}"
    if any(row.chip == unchanged for row in rows):
        return f"with changed parameters it is another machine than the tables' {unchanged}"
    return f"the tables have {_listed(f'{row.network} on {row.chip}' for row in rows)}"


def _listed(names: Iterable[str]) -> str:
    known = sorted(set(names))
    return "; ".join(known[:LISTED]) + (f"; and {len(known) - LISTED} more" if len(known) > LISTED else "")


def _score(rows: Sequence[Comparison], table: str, unit: str, quantity: str) -> Score:
    there = [one for one in rows if one.met != MISSING]
    return Score(
        table=table,
        unit=unit,
        quantity=quantity,
        scored=len(rows),
        met=sum(one.met == YES for one in there),
        by_difference=sum(not one.in_mean for one in there),
        missing=len(rows) - len(there),
        mean_error_percent=mean_absolute_error(there),
        worst_percent=max(_errors(there), default=None),
    )


def _errors(comparisons: Iterable[Comparison]) -> list[float]:
    return [abs(one.error_percent) for one in comparisons if one.in_mean and one.error_percent is not None]
