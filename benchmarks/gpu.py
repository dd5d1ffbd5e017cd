"""Fits the constants of the gpu chip to a few measured kernels and reports its errors on all others.

Run as `python benchmarks/gpu.py [--measured DIR] [--seeds 10] [--write] [--only TEXT]`; without DIR on the tables that
ship, whose errors with the constants that ship `hwsim validate` tells. At most 40 shapes of a table calibrate; which
ones is told by a hash of seed and shape, and seed 0 was fixed before any figure was read. Every time is predicted by
the functions that the chip itself uses. `--write` writes the constants of seed 0 that ship with it, and
beside them those that were chosen with the tables in view, or read off the names of kernels; `--cost` prints what a
prediction costs instead.

`gpu_gemm_fp32.csv` has its columns N and K swapped, as its grids show; they are read the other way round.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any, NamedTuple

import gpu_cost
import numpy as np
from gpu_fit import fit, predictions
from gpu_fits import fitted_of

from hwsim.mapping.gpu.kernel import machine_of
from hwsim.measured import CALIBRATIONS, read_calibrations
from hwsim.measured.kernels import FOLDER, kernels
from hwsim.validate.gpu import gpu_tables
from hwsim.validate.gpu.tables import DEEPBENCH, MS_TO_US, Part, Table, Timed, preset, roofline_us, split

HEADER = ("set", "n calibrated", "n tested", "roofline", "datasheet only", "calibrated", "median", "target")
FIELDS = ("library", "op_class", "format", "constant", "value", "shapes", "work", "year", "locator")

Row = tuple[tuple[str, str, str], str, float, int, tuple[str, int | str, str]]
"""Case, constant, value, shapes it was fitted on, source."""

CHOSEN = ("assumed", "", "chosen with the rows of this case in view, not fitted")


class Errors(NamedTuple):
    """Relative errors on the rows tested, of all parts of a table."""

    calibrated: Any
    roofline: Any
    datasheet: Any
    shapes: int


def stream_share(folder: Path) -> float:
    """Return the share of a Titan X's bandwidth that DeepBench's 1024 x 8 x 500000 reaches, as `matrix.gemv` has it."""
    (row,) = (
        row
        for row in kernels("deepbench.csv", folder)
        if (row["device"], row["op"]) == ("NV_TitanX", "gemm") and row["params"].startswith("M=1024;N=8;K=500000;")
    )
    roof = roofline_us(machine_of(preset("titan_x"), "fp32"), 0, 4 * (1024 * 500000 + 8 * 500000 + 8 * 1024))
    return roof / (float(row["ms"]) * MS_TO_US)


def in_order(folder: Path) -> list[Table]:
    """Return every table, those with a target first."""
    return sorted(gpu_tables(folder), key=lambda table: table.target is None)


def errors(table: Table, seed: int) -> tuple[Errors, list[tuple[Part, dict[str, float]]]]:
    """Return the errors of a table for the split of `seed`, and the constants of each part."""
    found: list[tuple[Any, Any, Any]] = []
    constants = []
    for part in table.parts:
        chosen, tested = split(part, seed)
        fitted = fit(table, part, chosen)
        constants.append((part, fitted))
        given = fitted_of(table, part).fixed
        ideal = {name: value for name, value in fitted.items() if name.startswith("tile_") or name in given}
        found.append(
            (
                error_of(predictions(table, part, fitted, tested), tested),
                error_of(np.array([row.roofline_us for row in tested]), tested),
                error_of(predictions(table, part, {} if part.op_class != "attention" else ideal, tested), tested),
            )
        )
    fitted_error, roofline, datasheet = (np.concatenate(column) for column in zip(*found, strict=True))
    return Errors(fitted_error, roofline, datasheet, sum(part.shapes for part in table.parts)), constants


def error_of(times: Any, rows: list[Timed]) -> Any:
    """Return relative errors."""
    return np.abs(times / np.array([row.us for row in rows]) - 1)


def percent(values: Any) -> str:
    """Return the mean in per cent."""
    return f"{100 * float(np.mean(values)):.1f}"


def report(table: Table, seeds: int) -> list[tuple[Part, dict[str, float]]]:
    """Print the line of a table; return the constants of seed 0."""
    first, constants = errors(table, 0)
    target = "" if table.target is None else f"{table.target:g}"
    cells = [table.name, str(first.shapes), str(len(first.calibrated))]
    cells += [percent(first.roofline), percent(first.datasheet), percent(first.calibrated)]
    cells += [f"{100 * float(np.median(first.calibrated)):.1f}", target]
    line = " | ".join(cells)
    if seeds > 1:
        means = [100 * float(np.mean(errors(table, seed)[0].calibrated)) for seed in range(1, seeds)]
        means.append(100 * float(np.mean(first.calibrated)))
        line += f" | {seeds} seeds: {np.mean(means):.1f} ({min(means):.1f} ... {max(means):.1f})"
    print(line, flush=True)
    return constants


def lines(table: Table, part: Part, constants: dict[str, float]) -> list[Row]:
    """Return the lines of a part's constants: fitted ones, those that kernels' names tell, and those chosen."""
    case = (part.library or table.library, part.op_class, table.fmt)
    work, year, where = table.source
    what = fitted_of(table, part)
    named = work, year, f"{where}; named by kernels of the rows that calibrate, not fitted"
    return [
        (case, name, value, part.shapes if name in what.constants else 0,
         table.source if name in what.constants else CHOSEN if name in what.fixed else named)
        for name, value in constants.items()
    ]  # fmt: skip


def write(found: list[tuple[Table, list[tuple[Part, dict[str, float]]]]], share: float) -> None:
    """Write the calibration of every machine; parts of one case add up. `share` is a Titan X's stream_share."""
    work, year, where = DEEPBENCH
    one_row = work, year, f"{where}; the product of 1024 x 8 x 500000"
    machines: dict[str, list[Row]] = {"titan_x": [(("direct", "gemv", "fp32"), "stream_share", share, 1, one_row)]}
    for table, parts in found:
        for part, constants in parts:
            machines.setdefault(table.machine, []).extend(lines(table, part, constants))
    for machine, known in machines.items():
        rows = [
            (*case, name, f"{value:.6g}", shapes, *source)
            for case, name, value, shapes, source in sorted(known, key=lambda row: row[0])
        ]
        with (CALIBRATIONS / f"{machine}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(FIELDS)
            writer.writerows(rows)
        read_calibrations(machine, [dict(zip(FIELDS, map(str, row), strict=True)) for row in rows])


def main() -> None:
    """Fit, report, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--measured", type=Path, default=FOLDER, help="folder of measured tables; those that ship")
    parser.add_argument("--cost", action="store_true", help="only print what a prediction costs")
    parser.add_argument("--seeds", type=int, default=1, help="splits to report the mean and range of")
    parser.add_argument("--write", action="store_true", help="write the constants of seed 0 into the package")
    parser.add_argument("--only", default="", help="only tables whose name contains this")
    given = parser.parse_args()
    if given.cost:
        gpu_cost.report()
        return
    print(" | ".join(HEADER))
    found = [(table, report(table, given.seeds)) for table in in_order(given.measured) if given.only in table.name]
    if given.write:
        write(found, stream_share(given.measured))


if __name__ == "__main__":
    main()
