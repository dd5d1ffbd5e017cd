"""How far a machine's rows are off: mean, median and worst error by metric, and by what quantities are of."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import mean, median

from hwsim.errors import LimitError
from hwsim.results.expectation import ROUNDING
from hwsim.results.record import Row

from .notes import Note, note_of
from .record import Fit, Record

NONE = "none"
"""What is said of a machine that no constant of was fitted."""


@dataclass(frozen=True, slots=True)
class Score:
    """Errors of one machine's rows of one metric, in % or, `in_points`, in percentage points.

    Of `rows`, `scored` ones count; `held` of those have a tolerance, which `met` of them are within. `bias_percent` is
    the geometric mean of simulated over reference, less 1. `baseline` and `repeated` are the mean errors of the plain
    roofline and of measuring again.
    """

    machine: str
    group: str
    metric: str
    tables: tuple[str, ...]
    in_points: bool
    rows: int
    scored: int
    held: int
    met: int
    mean: float | None
    median: float | None
    worst: float | None
    worst_row: str
    bias_percent: float | None
    baseline: float | None
    repeated: float | None
    note: Note
    fit: Fit | None

    @property
    def missed_target(self) -> bool:
        """Whether the mean error is above the one that was asked for."""
        target = self.note.target_percent
        return target is not None and self.mean is not None and self.mean > target * (1 + ROUNDING)

    @property
    def calibrated(self) -> str:
        """What constants of the machine were fitted on."""
        return str(self.fit) if self.fit else self.note.calibrated

    def row(self) -> Row:
        """Return the columns of scoreboard.csv."""
        return {
            "machine": self.machine,
            "group": self.group,
            "metric": self.metric,
            "tables": " ".join(self.tables),
            "error_unit": "points" if self.in_points else "%",
            "rows": self.rows,
            "scored": self.scored,
            "with_tolerance": self.held,
            "within_tolerance": self.met,
            "mean_error": _rounded(self.mean),
            "median_error": _rounded(self.median),
            "worst_error": _rounded(self.worst),
            "worst_row": self.worst_row,
            "bias_percent": _rounded(self.bias_percent),
            "target_percent": self.note.target_percent,
            "roofline_mean_error": _rounded(self.baseline),
            "measured_again_mean_error": _rounded(self.repeated),
            "calibrated": self.calibrated,
            "chosen_in_view": self.note.in_view,
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def scores(records: Iterable[Record]) -> list[Score]:
    """Return a score for every machine and metric, in the order of their first rows."""
    grouped = groups(records, lambda one: (one.machine, one.metric))
    return [score(rows) for rows in grouped]


def groups(records: Iterable[Record], key: Callable[[Record], Hashable]) -> list[list[Record]]:
    """Return records of equal keys together, in the order in which keys are first met."""
    found: dict[Hashable, list[Record]] = {}
    for one in records:
        found.setdefault(key(one), []).append(one)
    return list(found.values())


def score(rows: Sequence[Record]) -> Score:
    """Return the score of rows of one machine and metric."""
    counted = [one for one in rows if one.scored]
    worst = worst_of(counted)
    errors = [abs(one.error) for one in counted]
    ratios = [one.simulated / one.reference for one in counted if one.reference and one.simulated > 0]
    held = [one for one in counted if one.met is not None]
    return Score(
        machine=rows[0].machine,
        group=rows[0].group,
        metric=rows[0].metric,
        tables=tuple(dict.fromkeys(one.table for one in rows)),
        in_points=rows[0].in_points,
        rows=len(rows),
        scored=len(counted),
        held=len(held),
        met=sum(one.met is True for one in held),
        mean=mean(errors) if errors else None,
        median=median(errors) if errors else None,
        worst=worst.error if worst else None,
        worst_row=worst.subject if worst else "",
        bias_percent=100 * (exp(mean(map(log, ratios))) - 1) if ratios and not rows[0].in_points else None,
        baseline=_mean_of(counted, "baseline"),
        repeated=_mean_of(counted, "repeated"),
        note=note_of(rows[0].machine, rows[0].metric),
        fit=rows[0].fit,
    )


def constants(found: Iterable[Score]) -> str:
    """Return what a machine's constants were fitted on: all fits together, or what its notes say."""
    counted = [one for one in found if one.scored]
    fits = {one.fit for one in counted if one.fit}
    total = f"{sum(fit.constants for fit in fits)} on {sum(fit.shapes for fit in fits)} shapes" if fits else ""
    said = dict.fromkeys(one.note.calibrated for one in counted if not one.fit)
    return "; ".join(filter(None, (total, *(text for text in said if text != NONE)))) or NONE


def worst_of(records: Sequence[Record]) -> Record | None:
    """Return the row of the largest error, the first of equals; None where there is none or all are exact."""
    found = max(records, key=lambda one: abs(one.error), default=None)
    return found if found is not None and found.error else None


def _mean_of(rows: Sequence[Record], column: str) -> float | None:
    values = [(one, getattr(one, column)) for one in rows]
    errors = [abs(one.error_of(value)) for one, value in values if value is not None]
    return mean(errors) if errors else None


def require_within(found: Sequence[Score], limit_percent: float) -> None:
    """Raise `LimitError` where the mean error of a metric is above the limit [%, or points for shares]."""
    above = [
        f"{one.machine}, {one.metric}: {one.mean:.3g} {'points' if one.in_points else '%'}"
        for one in found
        if one.mean is not None and one.mean > limit_percent * (1 + ROUNDING)
    ]
    if above:
        raise LimitError(f"mean errors above {limit_percent:g} %: {'; '.join(above)}")
