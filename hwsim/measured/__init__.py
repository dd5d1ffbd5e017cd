"""What was measured on real machines: calibrations, and tables of kernels and networks, each with its machine.

`calibrations/<machine>.csv` has a row per fitted constant: `library, op_class, format, constant, value, shapes, work,
year, locator`; `shapes` counts the measured shapes it was fitted on. Beside classes of
operators there are facts of the machine: "machine" (streams, clock), "last_cache", "kept" (fitted), "run" (a call).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import groupby
from pathlib import Path

from hwsim.arch.calibration import Calibration, Case
from hwsim.arch.source import Source

CALIBRATIONS = Path(__file__).parent / "calibrations"


def calibrated_machines() -> list[str]:
    """Return the machines that a calibration is shipped for."""
    return sorted(path.stem for path in CALIBRATIONS.glob("*.csv"))


@cache
def calibrations(machine: str) -> Mapping[Case, Calibration]:
    """Return the shipped calibrations of `machine` by case; none where it has not been measured."""
    path = CALIBRATIONS / f"{machine}.csv"
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return read_calibrations(machine, csv.DictReader(file))


def read_calibrations(machine: str, rows: Iterable[Mapping[str, str]]) -> dict[Case, Calibration]:
    """Return the calibrations that rows of a table state; the rows of a case stand together."""
    found = {}
    for case, group in groupby(rows, lambda row: (row["library"], row["op_class"], row["format"])):
        lines = list(group)
        year = int(lines[0]["year"]) if lines[0]["year"] else None
        found[case] = Calibration(
            machine,
            case,
            {line["constant"]: float(line["value"]) for line in lines},
            int(lines[0]["shapes"]),
            Source(lines[0]["work"], year, lines[0]["locator"]),
        )
    return found
