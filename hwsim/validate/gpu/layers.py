"""Measured convolutions and recurrent layers on GPUs, as layers of the product."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwsim import catalog
from hwsim.ir import NetworkBuilder, recurrent
from hwsim.mapping.gpu import convolution
from hwsim.mapping.gpu import recurrent as step_of
from hwsim.mapping.gpu.constants import Case
from hwsim.mapping.gpu.kernel import Kernel, machine_of
from hwsim.mapping.gpu.place import off_chip_words
from hwsim.measured.kernels import kernels

from .products import DEEPBENCH_SETS
from .tables import DEEPBENCH, MS_TO_US, NEUSIGHT, Part, Table, Timed, preset, roofline_us, us

WORD_BYTES = {"fp32": 4.0, "fp16": 2.0}

CELLS = {"rnn_vanilla": ("rnn", 1), "rnn_gru": ("gru", 3), "rnn_lstm": ("lstm", 4)}


def conv_tables(folder: Path) -> list[Table]:
    """Return convolutions of 3x3 at stride 1, with the algorithm that ran."""
    rows = kernels("gpu_conv_fp32.csv", folder)
    tables = []
    for name, machine, device in (("V100", "v100_pcie", "V100"), ("A100", "a100_pcie_80gb", "A100")):
        timed = [
            _convolved(machine, "fp32", _square(row), row["ms"], _family(row["kernels"]))
            for row in rows
            if device in row["device"]
        ]
        part = Part("conv", timed, 40, _convolution, _by_algorithm)
        tables.append(Table(f"conv fp32 3x3 {name}", machine, "eager", "fp32", (part,), NEUSIGHT))
    return tables


def _square(row: Mapping[str, str]) -> tuple[int, ...]:
    n, c, h, w, k, r, stride, pad = (int(row[key]) for key in ("N", "C", "H", "W", "K", "R", "stride", "pad"))
    return n, c, h, w, k, r, r, pad, pad, stride, stride


def _family(kernels_run: str) -> str:
    name = kernels_run.lower()
    if "nonfused" in name:
        return "winograd"
    if "winograd" in name:
        return "winograd_fused"
    return "fft" if "fft" in name else "implicit_gemm"


def _convolved(machine: str, fmt: str, at: tuple[int, ...], ms: str, family: str) -> Timed:
    n, c, h, w, k, r, s, pad_h, pad_w, down, across = at
    net = NetworkBuilder("row")
    net.conv(
        "conv", net.input("x", (n, c, h, w)), k, (r, s), stride=(down, across), padding=(pad_h, pad_w, pad_h, pad_w)
    )
    (layer,) = net.build().layers
    words = layer.input_elements + layer.weight_elements + layer.output_elements
    roof = roofline_us(machine_of(preset(machine), fmt), layer.macs, words * WORD_BYTES[fmt])
    simt = float(preset(machine).array.macs_per_cycle["fp32"])
    return Timed(at, float(ms) * MS_TO_US, roof, family if fmt == "fp32" else "", layer=layer, simt_rate=simt)


def _kernels(machine: Any, case: Case, row: Timed) -> list[Kernel]:
    layer, simt = row.layer, row.simt_rate
    assert layer is not None
    word = 4.0 if float(machine[1]) <= simt else 2.0
    moved = word * (layer.input_elements_used + layer.weight_elements + layer.output_elements)
    return list(convolution.choices(layer, moved, word, machine, case, simt))


def _by_algorithm(machine: Any, case: Case, row: Timed) -> Mapping[str, float]:
    return {kernel.algorithm: us(machine, kernel.total_cycles) for kernel in _kernels(machine, case, row)}


def _convolution(machine: Any, case: Case, row: Timed, _: str) -> float:
    return us(machine, min(kernel.total_cycles for kernel in _kernels(machine, case, row)))


def deepbench_conv_tables(folder: Path) -> list[Table]:
    """Return DeepBench's convolutions, forward, with the algorithm that ran."""
    keys = ("n", "c", "h", "w", "k", "r", "s", "pad_h", "pad_w", "vertical stride", "horizontal stride")
    tables = []
    for name, machine, device, dtype, fmt, _word in DEEPBENCH_SETS:
        timed = []
        for row in kernels("deepbench.csv", folder):
            if (row["op"], row["device"], row["dtype"]) == ("conv2d", device, dtype):
                facts = dict(pair.lower().strip().split("=") for pair in row["params"].split(";"))
                at = tuple(int(facts[key]) for key in keys)
                timed.append(_convolved(machine, fmt, at, row["ms"], _family(row["algorithm"])))
        part = Part("conv", timed, 40, _convolution, _by_algorithm if fmt == "fp32" else None)
        tables.append(Table(f"DeepBench conv {name}", machine, "direct", fmt, (part,), DEEPBENCH))
    return tables


def deepbench_recurrent_tables(folder: Path) -> list[Table]:
    """Return DeepBench's recurrent layers: without the product of the inputs, as its harness skips that."""
    tables = []
    for name, machine, device, dtype, fmt, _word in DEEPBENCH_SETS:
        timed = [
            _recurred(machine, fmt, row)
            for row in kernels("deepbench.csv", folder)
            if row["op"].startswith("rnn") and (row["device"], row["dtype"]) == (device, dtype)
        ]
        part = Part("recurrent", timed, 40, _stepped)
        tables.append(Table(f"DeepBench RNN {name}", machine, "direct", fmt, (part,), DEEPBENCH))
    return tables


def _recurred(machine: str, fmt: str, row: Mapping[str, str]) -> Timed:
    hidden, batch, steps = (int(pair.split("=")[1]) for pair in row["params"].split(";")[:3])
    cell, gates = CELLS[row["op"]]
    net = NetworkBuilder("row")
    recurrent.recurrent(net, "cell", net.input("x", (batch, steps, hidden)), hidden, cell=cell)
    (layer,) = (one for one in net.build().layers if one.name == "cell.recurrent_gates")
    chip, number = preset(machine), catalog.number_format(fmt)
    moved = sum(off_chip_words(layer, chip, number)) * WORD_BYTES[fmt]
    roof = roofline_us(machine_of(chip, fmt), layer.macs, moved)
    at = (row["op"], hidden, batch, steps, gates, moved, WORD_BYTES[fmt])
    return Timed(at, float(row["ms"]) * MS_TO_US, roof, layer=layer)


def _stepped(machine: Any, case: Case, row: Timed, _: str) -> float:
    _op, hidden, batch, steps, gates, moved, word = row.shape
    assert row.layer is not None
    kernel = step_of.step(row.layer, moved, word, machine, case, gate_words=(2 * gates + 2) * hidden * batch)
    return us(machine, steps * kernel.total_cycles)
