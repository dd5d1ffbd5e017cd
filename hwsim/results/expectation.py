"""What a simulation is expected to give: rows of comparison tables, tidy CSV, shipped or of the user's own.

| column              | meaning                                                                                 |
|---------------------|-----------------------------------------------------------------------------------------|
| `network`, `chip`   | as in a result's rows; a chip with changed parameters is another machine                |
| `batch`, `format`   | as in a result's rows; empty for any                                                    |
| `layer`             | name of a layer, or empty for the whole network                                         |
| `quantity`          | name of a column of the layer's row, or of the result's total                           |
| `published`, `unit` | the value in the column's own unit; a share of 12.7 % is 0.127, unit "fraction"         |
| `tolerance`         | in the column's unit if `tolerance_kind` is absolute, a fraction of `published` if relative |
| `direction`         | within (both sides), at_least or at_most                                                |
| `scored`            | yes, or no: shown with its reason, and counted nowhere                                  |
| `reason`            | why this tolerance and direction, or why it is not scored                               |
| `work`, `year`, `locator` | where the value is published                                                      |
| `dataflow`          | as in a result's rows; empty, or without the column, for any                            |
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hwsim.arch.source import Source
from hwsim.errors import InputError, UsageError, did_you_mean, near_match
from hwsim.ir.untrusted import read_bounded
from hwsim.published import comparisons

PUBLISHED = "published"
"""Names all shipped tables together."""

FRACTION = "fraction"
"""The unit of shares, whose differences are also told in percentage points."""

COLUMNS = (
    "network", "batch", "chip", "format", "layer", "quantity", "published", "unit", "tolerance", "tolerance_kind",
    "direction", "scored", "reason", "work", "year", "locator",
)  # fmt: skip
OPTIONAL_COLUMNS = ("dataflow",)
KINDS = ("absolute", "relative")
DIRECTIONS = ("within", "at_least", "at_most")

UNITS = {
    "fraction": FRACTION, "cycles": "cycles", "seconds": "s", "bytes": "B", "kib": "KiB", "pj": "pJ", "w": "W",
    "tops": "TOPS", "macs": "MACs",
}  # fmt: skip
"""The unit of a column that has one of these words in its name; of several, the last."""

MAX_BYTES = 4 * 2**20
MAX_ROWS = 10_000
LARGEST = 1e100
"""No quantity is larger, nor smaller than its inverse unless it is 0, so that ratios and their sums stay finite."""

ROUNDING = 1e-9
"""Relative slack of comparisons: 0.797 is within 0.015 of 0.782, though not in binary."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """One row of a comparison table; `batch` None, `format` "", `layer` "" and `dataflow` "" are empty cells.

    `tolerance` is None where a row that is not scored has none.
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

    @property
    def allowance(self) -> float:
        """The tolerance in the unit of the quantity; 0 where there is none."""
        return (self.tolerance or 0.0) * (self.published if self.tolerance_kind == "relative" else 1.0)

    @property
    def counts_relatively(self) -> bool:
        """Whether an error relative to `published` says anything: not where a simulated 0 would be within tolerance."""
        return self.published > (self.allowance if self.tolerance_kind == "absolute" else 0.0)

    def is_met_by(self, simulated: float) -> bool:
        """Whether `simulated` [unit] is within the tolerance, on the side or sides that the direction names."""
        allowance = self.allowance + ROUNDING * max(abs(self.published), abs(simulated))
        above, below = simulated - self.published <= allowance, self.published - simulated <= allowance
        return (above or self.direction == "at_least") and (below or self.direction == "at_most")


class Line(NamedTuple):
    """One line of a table: the file and the line's number in it, for errors, and its cells by column."""

    path: Path
    number: int
    cells: Mapping[str, str]

    def fault(self, column: str, rule: str) -> InputError:
        """Return the error that says where a cell stands, its value and the rule that it breaks."""
        return _fault(self.path, self.number, f"{column} is '{self.cells[column][:60]}', {rule}")

    def text(self, column: str) -> str:
        """Return a cell that must not be empty."""
        if not self.cells[column]:
            raise _fault(self.path, self.number, f"{column} is empty")
        return self.cells[column]

    def word(self, column: str, words: Sequence[str]) -> str:
        """Return a cell that is one of `words`."""
        if self.cells[column] not in words:
            raise self.fault(column, f"which is none of {', '.join(words)}{did_you_mean(self.cells[column], words)}")
        return self.cells[column]

    def whole(self, column: str, least: int, most: int) -> int:
        """Return a whole number from `least` to `most`."""
        text = self.cells[column]
        if text.isascii() and text.isdigit() and len(text) <= 10 and least <= int(text) <= most:
            return int(text)
        raise self.fault(column, f"not a whole number from {least} to {most}")

    def amount(self, column: str) -> float:
        """Return a number that is 0 or from 1 / LARGEST to LARGEST."""
        try:
            value = float(self.cells[column])
        except ValueError:
            value = -1.0
        if value == 0 or 1 / LARGEST <= value <= LARGEST:
            return value
        raise self.fault(column, f"not 0 nor a number from {1 / LARGEST:g} to {LARGEST:g}")


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
    for line in _lines(path):
        row = _expectation(line)
        if found.setdefault(row, line.number) != line.number:
            raise _fault(path, line.number, f"the line repeats line {found[row]}")
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
        dataflow=line.cells.get("dataflow", ""),
    )
    if row.unit != unit_of(row.quantity, row.unit):
        raise line.fault("unit", f"and {row.quantity[:60]} is in {unit_of(row.quantity, '')}; give it in that")
    if row.unit == FRACTION and row.published > 1:
        raise line.fault("published", "and a fraction is at most 1")
    if row.tolerance_kind == "relative" and row.published == 0:
        raise line.fault("tolerance_kind", "and nothing is a fraction of a published 0; give an absolute tolerance")
    return row


def unit_of(quantity: str, otherwise: str) -> str:
    """Return the unit that the name of a column says; `otherwise` where it says none, or that of a rate or a ratio."""
    words = quantity.split("_")
    if "per" in words or "over" in words:
        return otherwise
    return next((UNITS[word] for word in reversed(words) if word in UNITS), otherwise)


def _lines(path: Path) -> Iterator[Line]:
    """Yield the lines below the header that are not blank."""
    records = _records(path)
    _, header = next(records, (0, []))
    _check_header(path, header)
    for count, (number, cells) in enumerate(records, 1):
        if count > MAX_ROWS:
            raise InputError(f"comparison table '{path}' has more than the {MAX_ROWS} rows that are read")
        if len(cells) != len(header):
            raise _fault(path, number, f"there are {len(cells)} cells under {len(header)} columns")
        yield Line(path, number, dict(zip(header, cells, strict=True)))


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield each record that is not blank, its cells stripped, with the number of the line it ends in."""
    try:
        text = read_bounded(path, "comparison table", MAX_BYTES).decode("utf-8-sig")
        lines = csv.reader(io.StringIO(text, newline=""), strict=True)
        for cells in lines:
            if any(cell.strip() for cell in cells):
                yield lines.line_num, [cell.strip() for cell in cells]
    except (UnicodeDecodeError, csv.Error):
        raise InputError(f"comparison table '{path}' is not a text file of comma-separated values") from None


def _check_header(path: Path, header: Sequence[str]) -> None:
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise InputError(f"comparison table '{path}' has no column '{missing[0]}'; it needs {', '.join(COLUMNS)}")
    for column in header:
        known = (*COLUMNS, *OPTIONAL_COLUMNS)
        if header.count(column) > 1 or column not in known:
            fault = "twice" if header.count(column) > 1 else f"which is not known{did_you_mean(column, known)}"
            raise InputError(f"comparison table '{path}' has the column '{column[:60]}' {fault}")


def _fault(path: Path, line: int, what: str) -> InputError:
    return InputError(f"comparison table '{path}', line {line}: {what}")
