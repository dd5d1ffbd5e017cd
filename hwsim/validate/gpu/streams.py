"""Measured operators on GPUs that are no products, and attention."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwsim.mapping.gpu import attention, stream
from hwsim.mapping.gpu.constants import Case
from hwsim.mapping.gpu.kernel import machine_of
from hwsim.measured.kernels import kernels

from .tables import AICONFIGURATOR, MS_TO_US, NEUSIGHT, Part, Table, Timed, preset, roofline_us, us

SHAPES = {"elementwise": 14, "normalisation": 13, "softmax": 13}
"""How many of each class calibrate: forty together."""

CLASSES = {"ln": "normalisation", "softmax": "softmax"}
OF_TWO = ("add", "mul", "div", "pow")


def stream_tables(folder: Path) -> list[Table]:
    """Return operators that are no products, in three classes."""
    rows = kernels("gpu_vector_fp32.csv", folder)
    tables = []
    for name, machine, device in (("V100", "v100_pcie", "V100"), ("A100", "a100_pcie_40gb", "A100")):
        timed: dict[str, list[Timed]] = {op_class: [] for op_class in SHAPES}
        for row in rows:
            if device in row["device"]:
                timed[CLASSES.get(row["op"], "elementwise")].append(_operated(machine, row))
        parts = tuple(Part(one, timed[one], shapes, _streamed) for one, shapes in SHAPES.items())
        tables.append(Table(f"vector fp32 {name}", machine, "eager", "fp32", parts, NEUSIGHT))
    return tables


def _operated(machine: str, row: Mapping[str, str]) -> Timed:
    op_class, reads = CLASSES.get(row["op"], "elementwise"), 2 if row["op"] in OF_TWO else 1
    at = (row["op"], op_class, int(row["rows"]), int(row["cols"]), reads)
    roof = roofline_us(machine_of(preset(machine), "fp32"), 0, 4 * at[2] * at[3] * (reads + 1))
    return Timed(at, float(row["ms"]) * MS_TO_US, roof)


def _streamed(machine: Any, case: Case, row: Timed, _: str) -> float:
    _op, op_class, rows, cols, reads = row.shape
    return us(machine, stream.cycles(op_class, 4 * rows * cols * (reads + 1), cols, reads, machine, case))


def attention_tables(folder: Path) -> list[Table]:
    """Return attention of a sequence and of one query, of two libraries."""
    rows = kernels("gpu_attention.csv", folder)
    machine = machine_of(preset("h100"), "bf16")
    tables = []
    for op, name, predict in (
        ("context", "prefill attention bf16 H100", _prefill),
        ("generation", "decode attention bf16 H100", _decode),
    ):
        parts = []
        for library, source in (("graph", "torch_flow"), ("vllm", "vllm")):
            timed = [
                _attended(machine, op, row)
                for row in rows
                if row["op"].startswith(op) and source in row["kernel_source"]
            ]
            parts.append(Part("attention", timed, 20, predict, library=library))
        tables.append(Table(name, "h100", "graph", "bf16", tuple(parts), AICONFIGURATOR))
    return tables


def _attended(machine: Any, op: str, row: Mapping[str, str]) -> Timed:
    batch, heads, kv, width = (int(row[key]) for key in ("batch", "heads", "kv_heads", "head_dim"))
    length = int(row["isl"]) + (int(row["past_kv"]) if op == "generation" else 0)
    queries = length if op == "context" else 1
    macs = batch * heads * length * width * (length if op == "context" else 2)
    moved = 4 * width * batch * (queries * heads + length * kv)
    at = (batch, length, heads, kv, width, row["isl"], row["past_kv"])
    return Timed(at, float(row["ms"]) * MS_TO_US, roofline_us(machine, macs, moved))


def _prefill(machine: Any, case: Case, row: Timed, _: str) -> float:
    batch, length, heads, kv, width, *_past = row.shape
    cycles = attention.prefill_cycles(batch, length, length, heads, kv, width, 2, machine, case, causal=True)
    return us(machine, cycles)


def _decode(machine: Any, case: Case, row: Timed, _: str) -> float:
    batch, length, heads, kv, width, *_past = row.shape
    return us(machine, attention.decode_cycles(batch, length, heads, kv, width, 2, machine, case))
