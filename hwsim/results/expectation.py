"""What a simulation is expected to give: rows of comparison tables, tidy CSV, shipped or of the user's own.

| column              | meaning                                                                                 |
|---------------------|-----------------------------------------------------------------------------------------|
| `network`, `chip`   | as in a result's rows; a chip with changed parameters is another machine                |
| `batch`, `format`   | as in a result's rows; empty for any                                                    |
| `layer`             | name of a layer, or empty for the whole network                                         |
| `quantity`          | name of a column of the layer's row, or of the result's total                           |
| `published`, `unit` | the value in the column's own unit; a share of 12.7 % is 0.127, unit "fraction"         |
| `tolerance`         | in the column's unit if `tolerance_kind` is absolute, a fraction of `published` if relative, |
|                     | the most that one is of the other if factor                                             |
| `direction`         | within (both sides), at_least or at_most                                                |
| `scored`            | yes, or no: shown with its reason, and counted nowhere                                  |
| `reason`            | why this tolerance and direction, or why it is not scored                               |
| `work`, `year`, `locator` | where the value is published                                                      |
| `dataflow`          | as in a result's rows; empty, or without the column, for any                            |

Columns that may be left out, or empty in a row, are of `hwsim validate`, which runs every shipped table by itself:

| column              | meaning                                                                                 |
|---------------------|-----------------------------------------------------------------------------------------|
| `run`               | how the network is asked for, `tpu_apps:app=MLP0`; NETWORK:batch=BATCH without it. With |
|                     | `training=inputs` last, a step of training with the gradient by the network's inputs    |
| `over_chip`         | the value is divided by that of this chip's run of the same network: a ratio, in "times" |
| `over_run`, `over_format` | how the other run is asked for and its format, where they differ                   |
| `machine`           | the machine that the row is counted for; the chip without parameters by default         |
| `metric`            | what the row is scored with; its quantity by default                                    |
| `why_not`           | of a row that is not scored, one of `WHY_NOT`                                           |
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hwsim.arch.source import Source
from hwsim.errors import InputError, UsageError, did_you_mean, near_match
from hwsim.published import comparisons
from hwsim.results.lines import LARGEST as LARGEST
from hwsim.results.lines import MAX_BYTES as MAX_BYTES
from hwsim.results.lines import MAX_ROWS as MAX_ROWS
from hwsim.results.lines import Line, fault, lines

PUBLISHED = "published"
"""Names all shipped tables together."""

FRACTION = "fraction"
"""The unit of shares, whose differences are also told in percentage points."""

COLUMNS = (
    "network", "batch", "chip", "format", "layer", "quantity", "published", "unit", "tolerance", "tolerance_kind",
    "direction", "scored", "reason", "work", "year", "locator",
)  # fmt: skip
OPTIONAL_COLUMNS = ("dataflow", "run", "over_chip", "over_run", "over_format", "machine", "metric", "why_not")
KINDS = ("absolute", "relative", "factor")
DIRECTIONS = ("within", "at_least", "at_most")

WHY_NOT = {
    "calibrated": "a constant was fitted on it",
    "contradiction": "the source contradicts itself",
    "construction": "it is true by construction",
    "derived": "it follows from rows that are scored",
    "beyond": "it holds what is not simulated",
}
"""Why a row is not scored; its `reason` says it in full."""

TIMES = "times"
"""The unit of a value that is divided by another run's."""

UNITS = {
    "fraction": FRACTION, "cycles": "cycles", "seconds": "s", "bytes": "B", "kib": "KiB", "pj": "pJ", "w": "W",
    "tops": "TOPS", "macs": "MACs",
}  # fmt: skip
"""The unit of a column that has one of these words in its name; of several, the last."""

ROUNDING = 1e-9
"""Relative slack of comparisons: 0.797 is within 0.015 of 0.782, though not in binary."""


class Over(NamedTuple):
    """The run that a value is divided by: its chip, and its format and how it is asked for, "" where they are any."""

    chip: str
    run: str
    format: str


@dataclass(frozen=True, slots=True)
class Expectation:
    """One row of a comparison table; `batch` None, `format` "", `layer` "" and `dataflow` "" are empty cells.

    `tolerance` is None where a row that is not scored has none. What stands behind `dataflow` is of optional columns.
    """

    table: str
    network: str
    batch: int | None
    chip: str
    format: str
    layer: str
    quantity: str
    published: float
    unit: str
    tolerance: float | None
    tolerance_kind: str
    direction: str
    scored: bool
    reason: str
    source: Source
    dataflow: str = ""
    run: str = ""
    over: Over | None = None
    machine: str = ""
    metric: str = ""
    why_not: str = ""

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the most that a simulated value may be in the unit of the quantity, directions aside."""
        tolerance = self.tolerance or 0.0
        if self.tolerance_kind == "factor":
            return self.published / tolerance, self.published * tolerance
        allowance = tolerance * (self.published if self.tolerance_kind == "relative" else 1.0)
        return self.published - allowance, self.published + allowance

    @property
    def counts_relatively(self) -> bool:
        """Whether an error relative to `published` says anything: not where a simulated 0 would be within tolerance."""
        return self.published > 0 and (self.tolerance_kind != "absolute" or self.bounds[0] > 0)

    def is_met_by(self, simulated: float) -> bool:
        """Whether `simulated` [unit] is within the tolerance, on the side or sides that the direction names."""
        least, most = self.bounds
        slack = ROUNDING * max(abs(self.published), abs(simulated))
        above, below = simulated - most <= slack, least - simulated <= slack
        return (above or self.direction == "at_least") and (below or self.direction == "at_most")


def expectations(tables: str | Path = PUBLISHED) -> list[Expectation]:
    """Return the rows of `tables`: "published" for all that are shipped, the name of one, or the path of a CSV file.

    Raises `UsageError` for a name or file that does not exist, `InputError` for a malformed file.
    """
    shipped, name = comparisons(), str(tables)
    if name == PUBLISHED:
        return [row for path in shipped.values() for row in read(path)]
    if name in shipped:
        return read(shipped[name])
    if Path(name).suffix.lower() == ".csv" or isinstance(tables, Path):
        return read(Path(name))
    raise UsageError(
        f"no comparison table named '{name}'{near_match(name, [PUBLISHED, *shipped])}; a file's name ends in .csv"
    )


def read(path: Path) -> list[Expectation]:
    """Return the rows of the comparison table at `path`; its name is the file's.

    Raises `UsageError` where there is no file, `InputError` with line, value and rule for what is malformed.
    """
    if not os.path.exists(path):  # os.path, because pathlib raises for names that are too long
        beside = path.parent.glob("*.csv") if os.path.isdir(path.parent) else ()
        raise UsageError(f"no comparison table at '{path}'{did_you_mean(str(path), map(str, beside))}")
    found: dict[Expectation, int] = {}
    for line in lines(path, COLUMNS, OPTIONAL_COLUMNS):
        row = _expectation(line)
        if found.setdefault(row, line.number) != line.number:
            raise fault(path, line.number, f"the line repeats line {found[row]}")
    if not found:
        raise InputError(f"comparison table '{path}' has a header and no rows")
    return list(found)


def _expectation(line: Line) -> Expectation:
    """Return the row of `line`; a tolerance may be left out where nothing is scored."""
    scored = line.word("scored", ("yes", "no")) == "yes"
    held = scored or any(line.cells[column] for column in ("tolerance", "tolerance_kind", "direction"))
    row = Expectation(
        table=line.path.stem,
        network=line.text("network"),
        batch=line.whole("batch", 1, 2**31 - 1) if line.cells["batch"] else None,
        chip=line.text("chip"),
        format=line.cells["format"],
        layer=line.cells["layer"],
        quantity=line.text("quantity"),
        published=line.amount("published"),
        unit=line.text("unit"),
        tolerance=line.amount("tolerance") if held else None,
        tolerance_kind=line.word("tolerance_kind", KINDS) if held else "",
        direction=line.word("direction", DIRECTIONS) if held else "",
        scored=scored,
        reason=line.text("reason"),
        source=Source(line.text("work"), line.whole("year", 1900, 2100), line.text("locator")),
        **{column: line.cells.get(column, "") for column in ("dataflow", "run", "machine", "metric")},
        over=_over(line),
        why_not=line.word("why_not", ("", *WHY_NOT)) if "why_not" in line.cells else "",
    )
    _check(line, row)
    return row


def _over(line: Line) -> Over | None:
    """Return the run that the value of `line` is divided by, if it is."""
    chip, run, fmt = (line.cells.get(column, "") for column in ("over_chip", "over_run", "over_format"))
    if not chip and (run or fmt):
        column = "over_run" if run else "over_format"
        raise line.fault(column, "and no over_chip says whose run that is")
    return Over(chip, run, fmt) if chip else None


def _check(line: Line, row: Expectation) -> None:
    """Raise `InputError` where the cells of a row contradict each other."""
    if row.over is not None:
        if row.unit != TIMES:
            raise line.fault("unit", f"and a value over another run's is in {TIMES}")
    elif row.unit != unit_of(row.quantity, row.unit):
        raise line.fault("unit", f"and {row.quantity[:60]} is in {unit_of(row.quantity, '')}; give it in that")
    if row.unit == FRACTION and row.published > 1:
        raise line.fault("published", "and a fraction is at most 1")
    if row.tolerance_kind == "relative" and row.published == 0:
        raise line.fault("tolerance_kind", "and nothing is a fraction of a published 0; give an absolute tolerance")
    if row.tolerance_kind == "factor" and not (row.tolerance or 0) >= 1:
        raise line.fault("tolerance", "and a factor is at least 1")
    if row.scored and row.why_not:
        raise line.fault("why_not", "and the row is scored")


def unit_of(quantity: str, otherwise: str) -> str:
    """Return the unit that the name of a column says; `otherwise` where it says none, or that of a rate or a ratio."""
    words = quantity.split("_")
    if "per" in words or "over" in words:
        return otherwise
    return next((UNITS[word] for word in reversed(words) if word in UNITS), otherwise)
