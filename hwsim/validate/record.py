"""One compared value: what was simulated, what was published or measured, and whether it counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from hwsim.arch.source import Source
from hwsim.errors import counted
from hwsim.results.expectation import FRACTION
from hwsim.results.record import Row

PUBLISHED, MEASURED, TOOL = "published", "measured", "tool"
"""Where a reference is from: a paper's table, kernels and layers recorded on a machine, another simulator."""

TOPICS = {
    "time": ("seconds", "cycles", "inferences", "tops"),
    "energy": ("energy", "pj", "power", "w"),
    "traffic": ("bytes",),
}
"""What a quantity is of, by the words of its name; of several the first that has one."""

SHARES = "shares"


class Fit(NamedTuple):
    """How many constants were fitted on how many measured shapes; `case` tells fits of one machine apart."""

    case: str
    constants: int
    shapes: int

    def __str__(self) -> str:
        return f"{counted(self.constants, 'constant')} on {counted(self.shapes, 'shape')}"


@dataclass(frozen=True, slots=True)
class Record:
    """A simulated value beside its reference, both in `unit`; `subject` says which run and layer or kernel.

    `why_not` says in a few words why a row is not scored, `reason` in full why it is held as it is. `tolerance` is as
    people read it, `met` None where there is none. `baseline` is the plain roofline's value, `repeated` that of
    measuring again, `fit` what the machine's constants were fitted on, where these are known.
    """

    machine: str
    group: str
    table: str
    metric: str
    subject: str
    quantity: str
    simulated: float
    reference: float
    unit: str
    source: Source
    why_not: str = ""
    reason: str = ""
    tolerance: str = ""
    met: bool | None = None
    baseline: float | None = None
    repeated: float | None = None
    fit: Fit | None = None

    @property
    def scored(self) -> bool:
        """Whether the row counts."""
        return not self.why_not

    @property
    def in_points(self) -> bool:
        """Whether the error is a difference of fractions [percentage points], not relative to the reference [%]."""
        return self.unit == FRACTION

    @property
    def error(self) -> float:
        """Simulated less reference, in % of the reference, or in percentage points of a fraction."""
        return self.error_of(self.simulated)

    def error_of(self, value: float) -> float:
        """Return the error that another value would have."""
        return 100 * (value - self.reference) / (1 if self.in_points or not self.reference else self.reference)

    @property
    def topic(self) -> str:
        """What the quantity is of: a key of TOPICS, SHARES, or "" for counts that follow from shapes."""
        if self.in_points:
            return SHARES
        words = self.quantity.split("_")
        return next((topic for topic, known in TOPICS.items() if not set(words).isdisjoint(known)), "")

    def row(self) -> Row:
        """Return the columns that `--csv`, `--json` and rows.csv have; None where there is no value."""
        return {
            "machine": self.machine,
            "group": self.group,
            "table": self.table,
            "metric": self.metric,
            "subject": self.subject,
            "quantity": self.quantity,
            "simulated": float(f"{self.simulated:.6g}"),
            "reference": float(f"{self.reference:.6g}"),
            "unit": self.unit,
            "error": round(self.error, 3),
            "error_unit": "points" if self.in_points else "%",
            "scored": "yes" if self.scored else "no",
            "why_not": self.why_not,
            "tolerance": self.tolerance,
            "met": "" if self.met is None else "yes" if self.met else "no",
            "baseline": None if self.baseline is None else float(f"{self.baseline:.6g}"),
            "repeated": None if self.repeated is None else float(f"{self.repeated:.6g}"),
            "reason": self.reason,
            "work": self.source.work,
            "year": self.source.year,
            "locator": self.source.locator,
        }
