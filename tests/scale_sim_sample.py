"""The recorded sample of SCALE-Sim 3's reports: which layers on which arrays, how it was recorded, and how it is read.

`python tests/scale_sim_sample.py` records it anew.
"""

from __future__ import annotations

import csv
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from scale_sim import Conv, Gemm, Machine, Report, interpreter, run


def random_shapes(seed: int, count: int) -> list[Conv | Gemm]:
    """Return `count` small shapes, two convolutions to a product: prime sizes, any filter, strides 1 to 4."""
    draw = random.Random(seed)
    return [_random_gemm(draw, f"gemm{i}") if i % 3 == 2 else _random_conv(draw, f"conv{i}") for i in range(count)]


def _random_conv(draw: random.Random, name: str) -> Conv:
    taps_r, taps_s = draw.randint(1, 5), draw.randint(1, 5)
    return Conv(
        name,
        H=taps_r + draw.choice(PRIMES[:7]) - 2,
        W=taps_s + draw.choice(PRIMES[:7]) - 2,
        R=taps_r,
        S=taps_s,
        C=draw.choice(PRIMES[:6]),
        K=draw.choice(PRIMES),
        stride=draw.randint(1, 4),
    )


def _random_gemm(draw: random.Random, name: str) -> Gemm:
    return Gemm(name, M=draw.choice(PRIMES), N=draw.choice(PRIMES), K=draw.choice(PRIMES))


def record(python: Path, path: Path) -> None:
    """Write what SCALE-Sim prints for the edge cases, random shapes and networks below to a CSV file."""
    with path.open("w", newline="") as lines:
        table = csv.DictWriter(lines, SAMPLE_COLUMNS, lineterminator="\n")
        table.writeheader()
        for dataflow in ("os", "ws", "is"):
            for shapes, rows, cols in SAMPLE:
                machine = Machine(dataflow, rows, cols)
                for shape, report in zip(shapes, run(python, machine, shapes), strict=True):
                    table.writerow(_sample_row(machine, shape, report))
                print(f"{dataflow} {rows}x{cols}: {len(shapes)} layers", file=sys.stderr)


def load(path: Path) -> list[tuple[Machine, Conv | Gemm, Report]]:
    """Return the machine, the layer and the report of each row of a recorded sample, without DRAM accesses."""
    with path.open(newline="") as lines:
        return [_sample_record(row) for row in csv.DictReader(lines)]


def _sample_row(machine: Machine, shape: Conv | Gemm, report: Report) -> dict[str, object]:
    values = {"kind": type(shape).__name__.lower(), "layer": shape.name, **vars(machine), **vars(shape), **vars(report)}
    return {column: values.get(column, "") for column in SAMPLE_COLUMNS}


def _sample_record(row: dict[str, str]) -> tuple[Machine, Conv | Gemm, Report]:
    machine = Machine(row["dataflow"], int(row["rows"]), int(row["cols"]))
    kind = Conv if row["kind"] == "conv" else Gemm
    shape = kind(row["layer"], *(int(row[field.name]) for field in fields(kind) if field.name != "name"))
    printed = {field.name: int(row.get(field.name, 0)) for field in fields(Report)}
    return machine, shape, Report(**printed)


SAMPLE_COLUMNS = (
    "kind",
    "layer",
    "H",
    "W",
    "R",
    "S",
    "C",
    "K",
    "stride",
    "M",
    "N",
    "dataflow",
    "rows",
    "cols",
    "total_cycles",
    "sram_ifmap_reads",
    "sram_filter_reads",
    "sram_ofmap_writes",
)
"""K is a convolution's filters and a product's reduction, as in SCALE-Sim's own files."""

PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47)

ARRAYS = ((8, 8), (4, 16), (32, 5))
"""Square, wide and tall (rows, columns)."""

EDGES: tuple[Conv | Gemm, ...] = (
    Conv("one_output", 1, 1, 1, 1, 1, 1),
    Conv("whole_ifmap_filter", 5, 7, 5, 7, 3, 2),
    Conv("pointwise", 7, 11, 1, 1, 13, 17),
    Conv("pointwise_strided", 11, 7, 1, 1, 5, 3, 2),
    Conv("window_outside_ifmap", 10, 10, 1, 1, 3, 5, 4),  # the last window starts at row 12 of 10
    Conv("window_half_outside", 13, 14, 3, 2, 3, 7, 4),
    Conv("stride_above_filter", 17, 19, 2, 3, 5, 11, 4),
    Conv("column_filter", 19, 5, 7, 1, 3, 11, 3),
    Conv("row_filter", 5, 19, 1, 7, 3, 11, 2),
    Conv("below_every_array", 3, 3, 2, 2, 1, 3),
    Conv("one_filter", 9, 9, 3, 3, 4, 1),
    Conv("one_row_of_outputs", 3, 17, 3, 3, 2, 13),
    Conv("multiple_of_8", 8, 8, 1, 1, 16, 16),  # 64 outputs, 16 products, 16 filters
    Conv("multiple_of_32_and_5", 8, 20, 1, 1, 32, 40),  # 160, 32, 40
    Gemm("scalar", 1, 1, 1),
    Gemm("vector_by_matrix", 1, 23, 37),
    Gemm("matrix_by_vector", 37, 1, 23),
    Gemm("outer_product", 31, 29, 1),
    Gemm("one_tile_8", 8, 8, 8),
    Gemm("multiple_of_160", 160, 160, 160),
    Gemm("one_above_a_tile", 33, 17, 9),
    Gemm("one_below_a_tile", 31, 15, 7),
)

ALEXNET = (
    Conv("alexnet.conv1", 224, 224, 11, 11, 3, 96, 4),
    Conv("alexnet.conv2", 27, 27, 5, 5, 96, 256),
    Conv("alexnet.conv3", 13, 13, 3, 3, 256, 384),
    Conv("alexnet.conv4", 13, 13, 3, 3, 384, 384),
    Conv("alexnet.conv5", 13, 13, 3, 3, 384, 256),
)
"""The convolutions as in SCALE-Sim's own topology file: no padding, no groups."""

RESNET18 = (
    Conv("resnet18.conv1", 229, 229, 7, 7, 3, 64, 2),
    Conv("resnet18.stage1", 58, 58, 3, 3, 64, 64),
    Conv("resnet18.stage2.first", 57, 57, 3, 3, 64, 128, 2),
    Conv("resnet18.stage2.shortcut", 55, 55, 1, 1, 64, 128, 2),
    Conv("resnet18.stage2", 30, 30, 3, 3, 128, 128),
    Conv("resnet18.stage3.first", 29, 29, 3, 3, 128, 256, 2),
    Conv("resnet18.stage3.shortcut", 27, 27, 1, 1, 128, 256, 2),
    Conv("resnet18.stage3", 16, 16, 3, 3, 256, 256),
    Conv("resnet18.stage4.first", 15, 15, 3, 3, 256, 512, 2),
    Conv("resnet18.stage4.shortcut", 13, 13, 1, 1, 256, 512, 2),
    Conv("resnet18.stage4", 9, 9, 3, 3, 512, 512),
)
"""Each distinct convolution once, the padding that its outputs use as part of the ifmap."""

SAMPLE: tuple[tuple[Sequence[Conv | Gemm], int, int], ...] = (
    *(((*EDGES, *random_shapes(3, 48)), rows, cols) for rows, cols in ARRAYS),
    ((*EDGES[:12], *EDGES[14:18]), 1, 7),
    ((*EDGES[:12], *EDGES[14:18]), 7, 1),
    (ALEXNET, 128, 128),
    (RESNET18, 32, 32),
)
"""Shapes and the array they run on, each in all three dataflows."""

PATH = Path(__file__).parents[1] / "hwsim" / "measured" / "scale_sim_3.csv"

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        record(interpreter(Path(folder)), PATH)
