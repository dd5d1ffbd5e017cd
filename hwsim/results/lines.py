"""The lines of a comparison table: a CSV file of anybody's, of which nothing is trusted."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hwsim.errors import InputError, did_you_mean
from hwsim.ir.untrusted import read_bounded

MAX_BYTES = 4 * 2**20
MAX_ROWS = 10_000
LARGEST = 1e100
"""No quantity is larger, nor smaller than its inverse unless it is 0, so that ratios and their sums stay finite."""


class Line(NamedTuple):
    """One line of a table: the file and the line's number in it, for errors, and its cells by column."""

    path: Path
    number: int
    cells: Mapping[str, str]

    def fault(self, column: str, rule: str) -> InputError:
        """Return the error that says where a cell stands, its value and the rule that it breaks."""
        return fault(self.path, self.number, f"{column} is '{self.cells[column][:60]}', {rule}")

    def text(self, column: str) -> str:
        """Return a cell that must not be empty."""
        if not self.cells[column]:
            raise fault(self.path, self.number, f"{column} is empty")
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


def lines(path: Path, columns: Sequence[str], optional: Sequence[str]) -> Iterator[Line]:
    """Yield the lines below the header that are not blank; it has all of `columns`, and no others but `optional` ones.

    Raises `InputError` for what is no such table.
    """
    records = _records(path)
    _, header = next(records, (0, []))
    _check_header(path, header, columns, optional)
    for count, (number, cells) in enumerate(records, 1):
        if count > MAX_ROWS:
            raise InputError(f"comparison table '{path}' has more than the {MAX_ROWS} rows that are read")
        if len(cells) != len(header):
            raise fault(path, number, f"there are {len(cells)} cells under {len(header)} columns")
        yield Line(path, number, dict(zip(header, cells, strict=True)))


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield each record that is not blank, its cells stripped, with the number of the line it ends in."""
    try:
        text = read_bounded(path, "comparison table", MAX_BYTES).decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, [cell.strip() for cell in cells]
    except (UnicodeDecodeError, csv.Error):
        raise InputError(f"comparison table '{path}' is not a text file of comma-separated values") from None


def _check_header(path: Path, header: Sequence[str], columns: Sequence[str], optional: Sequence[str]) -> None:
    missing = [column for column in columns if column not in header]
    if missing:
        raise InputError(f"comparison table '{path}' has no column '{missing[0]}'; it needs {', '.join(columns)}")
    for column in header:
        known = (*columns, *optional)
        if header.count(column) > 1 or column not in known:
            fault = "twice" if header.count(column) > 1 else f"which is not known{did_you_mean(column, known)}"
            raise InputError(f"comparison table '{path}' has the column '{column[:60]}' {fault}")


def fault(path: Path, line: int, what: str) -> InputError:
    """Return the error that says what is wrong in a line of a table."""
    return InputError(f"comparison table '{path}', line {line}: {what}")
