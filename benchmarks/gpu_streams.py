"""Measured operators on GPUs that are no products, and attention."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpu_tables import AICONFIGURATOR, MS_TO_US, NEUSIGHT, Part, Table, Timed, preset, read, roofline_us, us

from hwsim.mapping.gpu import attention, stream
from hwsim.mapping.gpu.constants import Case
from hwsim.mapping.gpu.kernel import machine_of

STREAM = ("launch_us", "bandwidth_share", "ramp_us", "overlap_exponent")
ROWS = (*STREAM, "reread", "long_row_elements", "unaligned_factor")
PREFILL = (
    "launch_us",
    "efficiency",
    "head_elements",
    "block_us",
    "block_wide_us",
    "bandwidth_share",
    "overlap_exponent",
)
PREFILL_OVER = {"launch_us": (10.0, 0.4), "efficiency": (0.75, 0.2), "bandwidth_share": (0.6, 0.3),
                "overlap_exponent": (2.0, 0.5)}  # fmt: skip
DECODE = ("decode_launch_us", "decode_bandwidth_share", "decode_step_us", "decode_block_us", "decode_overlap_exponent")


def stream_tables(folder: Path) -> list[Table]:
    """Return operators that are no products, in three classes."""
    rows = read(folder, "gpu_vector_fp32.csv")
    over = {
        "launch_us": (32.0, 0.3),
        "bandwidth_share": (0.9, 0.1),
        "ramp_us": (3.0, 0.7),
        "overlap_exponent": (1.0, 1.0),
    }
    tables = []
    for name, machine, device in (("V100", "v100_pcie", "V100"), ("A100", "a100_pcie_40gb", "A100")):
        machine_array = machine_of(preset(machine), "fp32")
        timed: dict[str, list[Timed]] = {"elementwise": [], "normalisation": [], "softmax": []}
        for row in rows:
            if device in row["device"]:
                op_class = {"ln": "normalisation", "softmax": "softmax"}.get(row["op"], "elementwise")
                reads = 2 if row["op"] in ("add", "mul", "div", "pow") else 1
                at = (row["op"], op_class, int(row["rows"]), int(row["cols"]), reads)
                roof = roofline_us(machine_array, 0, 4 * at[2] * at[3] * (reads + 1))
                timed[op_class].append(Timed(at, float(row["ms"]) * MS_TO_US, roof))
        names = {"elementwise": STREAM, "normalisation": ROWS, "softmax": (*ROWS, "short_row_factor")}
        parts = tuple(
            Part(one, timed[one], shapes, names[one], _streamed, over)
            for one, shapes in (("elementwise", 14), ("normalisation", 13), ("softmax", 13))
        )
        tables.append(Table(f"vector fp32 {name}", machine, "eager", "fp32", 12.0, parts, NEUSIGHT))
    return tables


def _streamed(machine: Any, case: Case, row: Timed, _: Mapping[str, float]) -> float:
    _op, op_class, rows, cols, reads = row.shape
    return us(machine, stream.cycles(op_class, 4 * rows * cols * (reads + 1), cols, reads, machine, case))


def attention_tables(folder: Path) -> list[Table]:
    """Return attention of a sequence and of one query, of two libraries."""
    rows = read(folder, "gpu_attention.csv")
    machine = machine_of(preset("h100"), "bf16")
    tables = []
    for op, name, target, constants, predict, over in (
        ("context", "prefill attention bf16 H100", 16.0, PREFILL, _prefill, PREFILL_OVER),
        ("generation", "decode attention bf16 H100", None, DECODE, _decode, {}),
    ):  # fmt: skip
        parts = []
        for library, source in (("graph", "torch_flow"), ("vllm", "vllm")):
            timed = [_attended(machine, op, r) for r in rows if r["op"].startswith(op) and source in r["kernel_source"]]
            fixed = {"packs_groups": float(library == "vllm")} if op == "context" else {}
            fixed |= {"decode_group": 32.0} if op == "generation" and library == "graph" else {}
            parts.append(Part("attention", timed, 20, constants, predict, over, fixed, library=library))
        tables.append(Table(name, "h100", "graph", "bf16", target, tuple(parts), AICONFIGURATOR))
    return tables


def _attended(machine: Any, op: str, row: Mapping[str, str]) -> Timed:
    batch, heads, kv, width = (int(row[key]) for key in ("batch", "heads", "kv_heads", "head_dim"))
    length = int(row["isl"]) + (int(row["past_kv"]) if op == "generation" else 0)
    queries = length if op == "context" else 1
    macs = batch * heads * length * width * (length if op == "context" else 2)
    moved = 4 * width * batch * (queries * heads + length * kv)
    at = (batch, length, heads, kv, width, row["isl"], row["past_kv"])
    return Timed(at, float(row["ms"]) * MS_TO_US, roofline_us(machine, macs, moved))


def _prefill(machine: Any, case: Case, row: Timed, _: Mapping[str, float]) -> float:
    batch, length, heads, kv, width, *_past = row.shape
    cycles = attention.prefill_cycles(batch, length, length, heads, kv, width, 2, machine, case, causal=True)
    return us(machine, cycles)


def _decode(machine: Any, case: Case, row: Timed, _: Mapping[str, float]) -> float:
    batch, length, heads, kv, width, *_past = row.shape
    return us(machine, attention.decode_cycles(batch, length, heads, kv, width, 2, machine, case))
