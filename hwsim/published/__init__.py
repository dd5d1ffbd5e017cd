"""Tables as papers print them: tidy CSV, a source in every row. Results are held to those in `comparisons/`."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

COMPARISONS = Path(__file__).parent / "comparisons"


@cache
def table(name: str) -> tuple[dict[str, str], ...]:
    """Return the rows of the shipped table `name` (without .csv), every value as the text that stands there."""
    with (Path(__file__).parent / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return tuple(csv.DictReader(file))


def comparisons() -> dict[str, Path]:
    """Return the files of the shipped comparison tables by name, found by listing their folder."""
    return {path.stem: path for path in sorted(COMPARISONS.glob("*.csv"))}
