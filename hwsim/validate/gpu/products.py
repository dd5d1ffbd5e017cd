"""Measured matrix products on GPUs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from hwsim import catalog
from hwsim.mapping.gpu import matrix
from hwsim.mapping.gpu.constants import Case
from hwsim.mapping.gpu.kernel import machine_of
from hwsim.measured.kernels import kernels

from .tables import (
    AICONFIGURATOR,
    DEEPBENCH,
    MS_TO_US,
    NEUSIGHT,
    Part,
    Table,
    Timed,
    preset,
    roofline_us,
    tile_named,
    us,
)

DEEPBENCH_SETS = (
    ("Titan X fp32", "titan_x", "NV_TitanX", "FP32", "fp32", 4.0),
    ("V100 fp32", "v100", "NV_V100", "FP32", "fp32", 4.0),
    ("V100 fp16", "v100", "NV_V100", "FP16 ip, Mixed math", "fp16", 2.0),
)
"""What its tables are called, the preset, the device and the type there, the format and its bytes."""


def product_part(
    preset_of: tuple[str, str, str],
    op_class: str,
    rows: Iterable[dict[str, str]],
    shape: Callable[[dict[str, str]], tuple[Any, ...]],
    bytes_of: tuple[float, float, float],
    shapes: int,
) -> Part:
    """Return the part of products (batch, M, N, K, whether A is transposed) on a machine, by a library, in a format.

    `bytes_of` are those of a word of both operands and of the result. The order of A tells shapes apart when some are
    drawn; the chip does not know it, and predicts the same time for both: none is tested that calibrated in the other.
    """
    first, second, result = bytes_of
    name, _library, fmt = preset_of
    machine = machine_of(preset(name), fmt)

    def moved(batch: int, m: int, n: int, k: int) -> float:
        return batch * (first * m * k + second * n * k + result * m * n)

    def predict(machine: Any, case: Case, row: Timed, calibration: str) -> float:
        batch, m, n, k, _ = row.shape
        vector = one_vector(*preset_of, calibration) if m == 1 else None
        kernel = matrix.product(batch, m, n, k, moved(batch, m, n, k), (first + second) / 2, machine, case, vector)
        return us(machine, kernel.total_cycles)

    timed = []
    for row in rows:
        at = shape(row)
        batch, m, n, k, _ = at
        roof = roofline_us(machine, batch * m * n * k, moved(batch, m, n, k))
        tile = tile_named(row.get("kernel", ""))
        timed.append(Timed(at, float(row["ms"]) * MS_TO_US, roof, tile=tile, product=(batch, m, n, k)))
    return Part(op_class, timed, shapes, predict)


@cache
def one_vector(machine: str, library: str, fmt: str, calibration: str) -> Case | None:
    """Return the shipped constants of a matrix by one vector, which come from one row of DeepBench."""
    chip = catalog.chip(f"gpu:{machine},library={library},calibration={calibration}")
    found: Case | None = chip.options["cases"].get(("gemv", fmt))
    return found


def gemm_tables(folder: Path) -> list[Table]:
    """Return products on tensor cores, each library's times at equal shapes pooled."""
    rows = kernels("gpu_gemm.csv", folder)
    tables = []
    for name, machine, device, dtype, fmt, bytes_of, source in (
        ("GEMM bf16 H100", "h100", "H100", "bfloat16", "bf16", (2, 2, 2), ""),
        ("GEMM bf16 A100", "a100", "A100", "bfloat16", "bf16", (2, 2, 2), ""),
        ("GEMM fp8 H100 (torch)", "h100", "H100", "fp8", "fp8", (1, 1, 2), "torch_flow"),
        ("GEMM int8 A100 (smooth quant)", "a100", "A100", "sq", "int8", (1, 1, 2), ""),
    ):
        chosen = [r for r in rows if device in r["device"] and r["dtype"] == dtype and source in r["kernel_source"]]
        part = product_part((machine, "graph", fmt), "gemm", chosen, _of_tensor_cores, bytes_of, 40)
        tables.append(Table(name, machine, "graph", fmt, (part,), AICONFIGURATOR))
    return tables


def _of_tensor_cores(row: dict[str, str]) -> tuple[Any, ...]:
    return 1, int(row["M"]), int(row["N"]), int(row["K"]), False


def fp32_tables(folder: Path) -> list[Table]:
    """Return products on ordinary cores. The file has N and K swapped: its grids fit no other reading."""
    rows = kernels("gpu_gemm_fp32.csv", folder)
    tables = []
    for name, machine, device in (
        ("V100", "v100_pcie", "V100"),
        ("T4", "t4", "T4"),
        ("A100", "a100_pcie_40gb", "A100"),
    ):
        parts = tuple(
            product_part(
                (machine, "eager", "fp32"),
                op_class,
                [r for r in rows if device in r["device"] and r["op"] == op],
                _of_ordinary_cores,
                (4, 4, 4),
                20,
            )
            for op, op_class in (("linear", "gemm"), ("bmm", "bmm"))
        )
        tables.append(Table(f"GEMM fp32 {name}", machine, "eager", "fp32", parts, NEUSIGHT))
    return tables


def _of_ordinary_cores(row: dict[str, str]) -> tuple[Any, ...]:
    return int(row["B"]), int(row["M"]), int(row["K"]), int(row["N"]), False


def deepbench_tables(folder: Path) -> list[Table]:
    """Return DeepBench's products, transposed: its M are a layer's outputs."""
    rows = [row for row in kernels("deepbench.csv", folder) if row["op"] == "gemm"]
    tables = []
    for name, machine, device, dtype, fmt, word in DEEPBENCH_SETS:
        chosen = [row for row in rows if row["device"] == device and row["dtype"] == dtype]
        part = product_part((machine, "direct", fmt), "gemm", chosen, _of_deepbench, (word, word, word), 40)
        tables.append(Table(f"DeepBench GEMM {name}", machine, "direct", fmt, (part,), DEEPBENCH))
    return tables


def _of_deepbench(row: dict[str, str]) -> tuple[Any, ...]:
    facts = dict(pair.split("=") for pair in row["params"].split(";"))
    return 1, int(facts["N"]), int(facts["M"]), int(facts["K"]), facts["A Transpose"].startswith("T")
