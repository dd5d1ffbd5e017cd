"""Measured matrix products on GPUs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from gpu_tables import (
    AICONFIGURATOR,
    DEEPBENCH,
    GEMM,
    MS_TO_US,
    NEUSIGHT,
    Part,
    Table,
    Timed,
    preset,
    read,
    roofline_us,
    tile_named,
    us,
)  # fmt: skip

from hwsim import catalog
from hwsim.mapping.gpu import matrix
from hwsim.mapping.gpu.constants import Case
from hwsim.mapping.gpu.kernel import machine_of


def product_part(
    preset_of: tuple[str, str, str], op_class: str, rows: Iterable[dict[str, str]],
    shape: Callable[[dict[str, str]], tuple[Any, ...]], bytes_of: tuple[float, float, float],
    constants: tuple[str, ...], shapes: int, **more: Any,
) -> Part:  # fmt: skip
    """Return the part of products (batch, M, N, K, whether A is transposed) on a machine, by a library, in a format.

    `bytes_of` are those of a word of both operands and of the result. The order of A tells shapes apart when some are
    drawn; the chip does not know it, and predicts the same time for both: none is tested that calibrated in the other.
    """
    first, second, result = bytes_of
    name, _library, fmt = preset_of
    machine = machine_of(preset(name), fmt)

    def moved(batch: int, m: int, n: int, k: int) -> float:
        return batch * (first * m * k + second * n * k + result * m * n)

    def predict(machine: Any, case: Case, row: Timed, constants: Mapping[str, float]) -> float:
        batch, m, n, k, _ = row.shape
        vector = one_vector(*preset_of, fitted=bool(constants)) if m == 1 else None
        kernel = matrix.product(batch, m, n, k, moved(batch, m, n, k), (first + second) / 2, machine, case, vector)
        return us(machine, kernel.total_cycles)

    timed = []
    for row in rows:
        at = shape(row)
        batch, m, n, k, _ = at
        roof = roofline_us(machine, batch * m * n * k, moved(batch, m, n, k))
        tile = tile_named(row.get("kernel", ""))
        timed.append(Timed(at, float(row["ms"]) * MS_TO_US, roof, tile=tile, product=(batch, m, n, k)))
    return Part(op_class, timed, shapes, constants, predict, **more)


@cache
def one_vector(machine: str, library: str, fmt: str, *, fitted: bool) -> Case | None:
    """Return the shipped constants of a matrix by one vector, which come from one row of DeepBench."""
    chip = catalog.chip(f"gpu:{machine},library={library},calibration={'fitted' if fitted else 'none'}")
    found: Case | None = chip.options["cases"].get(("gemv", fmt))
    return found


def stream_share(folder: Path) -> float:
    """Return the share of a Titan X's bandwidth that DeepBench's 1024 x 8 x 500000 reaches, as `matrix.gemv` has it."""
    (row,) = (
        row
        for row in read(folder, "deepbench.csv")
        if (row["device"], row["op"]) == ("NV_TitanX", "gemm") and row["params"].startswith("M=1024;N=8;K=500000;")
    )
    roof = roofline_us(machine_of(preset("titan_x"), "fp32"), 0, 4 * (1024 * 500000 + 8 * 500000 + 8 * 1024))
    return roof / (float(row["ms"]) * MS_TO_US)


def gemm_tables(folder: Path) -> list[Table]:
    """Return products on tensor cores, each library's times at equal shapes pooled."""
    rows = read(folder, "gpu_gemm.csv")
    tables = []
    for name, machine, device, dtype, fmt, target, bytes_of, source in (
        ("GEMM bf16 H100", "h100", "H100", "bfloat16", "bf16", 9.0, (2, 2, 2), ""),
        ("GEMM bf16 A100", "a100", "A100", "bfloat16", "bf16", 11.0, (2, 2, 2), ""),
        ("GEMM fp8 H100 (torch)", "h100", "H100", "fp8", "fp8", None, (1, 1, 2), "torch_flow"),
        ("GEMM int8 A100 (smooth quant)", "a100", "A100", "sq", "int8", None, (1, 1, 2), ""),
    ):
        chosen = [r for r in rows if device in r["device"] and r["dtype"] == dtype and source in r["kernel_source"]]
        part = product_part(
            (machine, "graph", fmt), "gemm", chosen, lambda r: (1, int(r["M"]), int(r["N"]), int(r["K"]), False),
            bytes_of, (*GEMM, "sustained_share"), 40,
        )  # fmt: skip
        tables.append(Table(name, machine, "graph", fmt, target, (part,), AICONFIGURATOR))
    return tables


def fp32_tables(folder: Path) -> list[Table]:
    """Return products on ordinary cores. The file has N and K swapped: its grids fit no other reading."""
    rows = read(folder, "gpu_gemm_fp32.csv")
    over = {"launch_us": (40.0, 0.4), "edge_elements": (6.0, 0.7), "reduction_us": (6.0, 0.7)}
    tables = []
    for name, machine, device in (
        ("V100", "v100_pcie", "V100"),
        ("T4", "t4", "T4"),
        ("A100", "a100_pcie_40gb", "A100"),
    ):
        throttle = ("throttle_slope", "throttle_from_us", "throttle_span") if machine == "t4" else ()
        parts = tuple(
            product_part(
                (machine, "eager", "fp32"), op_class, [r for r in rows if device in r["device"] and r["op"] == op],
                lambda r: (int(r["B"]), int(r["M"]), int(r["K"]), int(r["N"]), False), (4, 4, 4),
                (*GEMM, "step_us", "tail_share", *throttle), 20, over=over,
            )
            for op, op_class in (("linear", "gemm"), ("bmm", "bmm"))
        )  # fmt: skip
        tables.append(Table(f"GEMM fp32 {name}", machine, "eager", "fp32", 12.0, parts, NEUSIGHT))
    return tables


def deepbench_tables(folder: Path) -> list[Table]:
    """Return DeepBench's products, transposed: its M are a layer's outputs."""
    pattern = re.compile(r"M=(\d+);N=(\d+);K=(\d+);A Transpose=(\w)")
    rows = [r for r in read(folder, "deepbench.csv") if r["op"] == "gemm"]
    wide = {f"tile_{a}x{b}": 1.0 for a, b in ((64, 64), (128, 64), (64, 128), (128, 128), (256, 128), (128, 256),
                                              (64, 32), (32, 64), (128, 32), (32, 128))}  # fmt: skip
    titan = {f"tile_{tile}": 1.0 for tile in ("128x128", "64x128", "128x64", "8x128")}
    quick = {"launch_us": (5.0, 0.5)}
    slow = {
        "launch_us": (20.0, 0.8),
        "edge_elements": (4.0, 0.7),
        "reduction_us": (10.0, 1.0),
        "l2_bytes_per_cycle": (3.0, 0.2),
    }
    tables = []
    for name, machine, device, dtype, fmt, word, over, fixed in (
        ("Titan X fp32", "titan_x", "NV_TitanX", "FP32", "fp32", 4, slow, {**titan, "narrow_columns": 8.0}),
        ("V100 fp32", "v100", "NV_V100", "FP32", "fp32", 4, quick, {}),
        ("V100 fp16", "v100", "NV_V100", "FP16 ip, Mixed math", "fp16", 2, quick, {**wide, "quantum": 32.0}),
    ):
        chosen = [r for r in rows if r["device"] == device and r["dtype"] == dtype]

        def shape(row: dict[str, str]) -> tuple[Any, ...]:
            found = pattern.match(row["params"])
            assert found is not None
            m, n, k = map(int, found.groups()[:3])
            return 1, n, m, k, found[4] == "T"

        part = product_part(
            (machine, "direct", fmt), "gemm", chosen, shape, (word, word, word), (*GEMM, "step_us"), 40,
            over=over, fixed=fixed,
        )  # fmt: skip
        tables.append(Table(f"DeepBench GEMM {name}", machine, "direct", fmt, 15.0, (part,), DEEPBENCH))
    return tables
