"""Measured matrix products on GPUs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
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

from hwsim.mapping.gpu import matrix
from hwsim.mapping.gpu.constants import Case
from hwsim.mapping.gpu.kernel import machine_of


def product_part(
    machine: Any, op_class: str, rows: Iterable[dict[str, str]], shape: Callable[[dict[str, str]], tuple[Any, ...]],
    bytes_of: tuple[float, float, float], constants: tuple[str, ...], shapes: int, **more: Any,
) -> Part:  # fmt: skip
    """Return the part of products (batch, M, N, K, slower): `bytes_of` a word of both operands and of the result."""
    first, second, result = bytes_of

    def moved(batch: int, m: int, n: int, k: int) -> float:
        return batch * (first * m * k + second * n * k + result * m * n)

    def predict(machine: Any, case: Case, row: Timed, constants: Mapping[str, float]) -> float:
        batch, m, n, k, is_transposed = row.shape
        slower = constants.get("transposed_factor", 1.0) if is_transposed else 1.0
        word = (first + second) / 2
        kernel = matrix.gemm(batch, m, n, k, moved(batch, m, n, k), word, machine, case, slower=slower)
        return us(machine, kernel.total_cycles)

    timed = []
    for row in rows:
        at = shape(row)
        batch, m, n, k, _ = at
        roof = roofline_us(machine, batch * m * n * k, moved(batch, m, n, k))
        timed.append(Timed(at, float(row["ms"]) * MS_TO_US, roof, tile=tile_named(row.get("kernel", ""))))
    return Part(op_class, timed, shapes, constants, predict, **more)


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
        machine_array = machine_of(preset(machine), fmt)
        part = product_part(
            machine_array, "gemm", chosen, lambda r: (1, int(r["M"]), int(r["N"]), int(r["K"]), False), bytes_of,
            (*GEMM, "sustained_share"), 40,
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
        machine_array = machine_of(preset(machine), "fp32")
        throttle = ("throttle_slope", "throttle_from_us", "throttle_span") if machine == "t4" else ()
        parts = tuple(
            product_part(
                machine_array, op_class, [r for r in rows if device in r["device"] and r["op"] == op],
                lambda r: (int(r["B"]), int(r["M"]), int(r["K"]), int(r["N"]), False), (4, 4, 4),
                (*GEMM, "step_us", "tail_share", *throttle), 20, over=over,
            )
            for op, op_class in (("linear", "gemm"), ("bmm", "bmm"))
        )  # fmt: skip
        tables.append(Table(f"GEMM fp32 {name}", machine, "eager", "fp32", 12.0, parts, NEUSIGHT))
    return tables


def deepbench_tables(folder: Path) -> list[Table]:
    """Return DeepBench's products, transposed: its M are a layer's outputs. Another order of A costs a factor."""
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
        machine_array = machine_of(preset(machine), fmt)

        def shape(row: dict[str, str]) -> tuple[Any, ...]:
            found = pattern.match(row["params"])
            assert found is not None
            m, n, k = map(int, found.groups()[:3])
            return 1, n, m, k, found[4] == "T"

        part = product_part(
            machine_array, "gemm", chosen, shape, (word, word, word), (*GEMM, "step_us", "transposed_factor"), 40,
            over=over, fixed=fixed,
        )  # fmt: skip
        tables.append(Table(f"DeepBench GEMM {name}", machine, "direct", fmt, 15.0, (part,), DEEPBENCH))
    return tables
