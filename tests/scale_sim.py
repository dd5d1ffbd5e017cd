"""Runs SCALE-Sim 3 in an interpreter of its own and returns what it prints: a driver for tests, not a test.

SCALE-Sim is never imported here. `interpreter` finds or makes a Python that has it, `run` writes a topology and a
configuration into a temporary folder, runs them there and reads COMPUTE_REPORT.csv and DETAILED_ACCESS_REPORT.csv.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PYTHON_VARIABLE = "HWSIM_SCALESIM_PYTHON"
"""Environment variable that names a Python interpreter with SCALE-Sim."""

REQUIREMENTS = ("scalesim==3.0.0", "numpy<2.4")  # it turns arrays of one element into int, an error from numpy 2.4 on


class ScaleSimError(Exception):
    """SCALE-Sim could not be installed, or did not finish a run."""


@dataclass(frozen=True)
class Conv:
    """A convolution as its topology files state it: ifmap H x W, filter R x S, C channels, K filters, no padding."""

    name: str
    H: int
    W: int
    R: int
    S: int
    C: int
    K: int
    stride: int = 1


@dataclass(frozen=True)
class Gemm:
    """A product of (M, K) by (K, N), named as its topology files do."""

    name: str
    M: int
    N: int
    K: int


@dataclass(frozen=True)
class Report:
    """What SCALE-Sim prints for one layer: cycles, and SRAM and DRAM accesses in words."""

    total_cycles: int
    stall_cycles: int
    sram_ifmap_reads: int
    sram_filter_reads: int
    sram_ofmap_writes: int
    dram_ifmap_reads: int
    dram_filter_reads: int
    dram_ofmap_writes: int


@dataclass(frozen=True)
class Machine:
    """A SCALE-Sim configuration: dataflow ("os", "ws", "is"), array, buffers [KiB]; memory never stalls the array."""

    dataflow: str
    rows: int
    cols: int
    ifmap_kib: int = 1024
    filter_kib: int = 1024
    ofmap_kib: int = 1024


def interpreter(folder: Path) -> Path:
    """Return a Python that has SCALE-Sim: the environment variable's, else one made in `folder` with pip, once.

    Raises `ScaleSimError` with pip's last line where it cannot be installed.
    """
    named = os.environ.get(PYTHON_VARIABLE)
    if named:
        return Path(named)
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    installed = folder / "installed"
    if not installed.exists():
        _install(python)
        installed.touch()
    return python


def run(python: Path, machine: Machine, shapes: Sequence[Conv | Gemm], timeout_s: float = 1800) -> tuple[Report, ...]:
    """Return what SCALE-Sim prints for each of `shapes` on `machine`, in their order.

    Raises `ScaleSimError` with its last line of output where it fails or takes longer than `timeout_s`.
    """
    reports: dict[int, Report] = {}
    for kind in (Conv, Gemm):
        chosen = [index for index, shape in enumerate(shapes) if isinstance(shape, kind)]
        if chosen:
            printed = _run_topology(python, machine, [shapes[index] for index in chosen], timeout_s)
            reports.update(zip(chosen, printed, strict=True))
    return tuple(reports[index] for index in range(len(shapes)))


def _install(python: Path) -> None:
    try:
        _check([sys.executable, "-m", "venv", "--clear", str(python.parent.parent)], 300)
        _check([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS], 900)
    except ScaleSimError as error:
        raise ScaleSimError(f"cannot install {' '.join(REQUIREMENTS)}: {error}") from None


def _run_topology(python: Path, machine: Machine, shapes: Sequence[Any], timeout_s: float) -> list[Report]:
    with tempfile.TemporaryDirectory(prefix="scale_sim_") as name:
        folder = Path(name)
        (folder / "machine.cfg").write_text(_configuration(machine))
        (folder / "topology.csv").write_text(_topology(shapes))
        (folder / "layout.csv").write_text("Layer name,\n")  # read even where no custom layout is asked for
        _check([str(python), "-c", SCRIPT.format(gemm=isinstance(shapes[0], Gemm))], timeout_s, folder)
        return _reports(folder / "out" / "run")


def _check(command: list[str], timeout_s: float, folder: Path | None = None) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout_s)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ScaleSimError(str(error)) from None
    if done.returncode:
        raise ScaleSimError((done.stderr.strip() or done.stdout.strip() or f"exit {done.returncode}").splitlines()[-1])


def _topology(shapes: Sequence[Any]) -> str:
    """Return a topology file; layers are numbered because a name with "DP" in it would mean a depthwise layer."""
    columns = ("M", "N", "K") if isinstance(shapes[0], Gemm) else ("H", "W", "R", "S", "C", "K", "stride")
    rows = [["layer", *columns]]
    rows += [[f"L{index}", *(str(getattr(shape, column)) for column in columns)] for index, shape in enumerate(shapes)]
    return "".join(",".join(row) + ",\n" for row in rows)


def _reports(folder: Path) -> list[Report]:
    compute, access = _table(folder / "COMPUTE_REPORT.csv"), _table(folder / "DETAILED_ACCESS_REPORT.csv")
    return [
        Report(
            total_cycles=int(cycles["Total Cycles"]),
            stall_cycles=int(cycles["Stall Cycles"]),
            sram_ifmap_reads=int(words["SRAM IFMAP Reads"]),
            sram_filter_reads=int(words["SRAM Filter Reads"]),
            sram_ofmap_writes=int(words["SRAM OFMAP Writes"]),
            dram_ifmap_reads=int(words["DRAM IFMAP Reads"]),
            dram_filter_reads=int(words["DRAM Filter Reads"]),
            dram_ofmap_writes=int(words["DRAM OFMAP Writes"]),
        )
        for cycles, words in zip(compute, access, strict=True)
    ]


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as lines:
        return [{(key or "").strip(): value for key, value in row.items()} for row in csv.DictReader(lines)]


def _configuration(machine: Machine) -> str:
    return CONFIGURATION.format(
        rows=machine.rows,
        cols=machine.cols,
        dataflow=machine.dataflow,
        ifmap_kib=machine.ifmap_kib,
        filter_kib=machine.filter_kib,
        ofmap_kib=machine.ofmap_kib,
    )


SCRIPT = """
from scalesim.scale_sim import scalesim
scalesim(save_disk_space=True, verbose=False, config="machine.cfg", topology="topology.csv", layout="layout.csv",
         input_type_gemm={gemm}).run_scale(top_path="out")
"""

CONFIGURATION = """[general]
run_name = run
[architecture_presets]
ArrayHeight = {rows}
ArrayWidth = {cols}
IfmapSramSzkB = {ifmap_kib}
FilterSramSzkB = {filter_kib}
OfmapSramSzkB = {ofmap_kib}
IfmapOffset = 0
FilterOffset = 10000000
OfmapOffset = 20000000
Bandwidth = 10
Dataflow = {dataflow}
ReadRequestBuffer = 32
WriteRequestBuffer = 32
[layout]
IfmapCustomLayout = False
IfmapSRAMBankBandwidth = 10
IfmapSRAMBankNum = 10
IfmapSRAMBankPort = 2
FilterCustomLayout = False
FilterSRAMBankBandwidth = 10
FilterSRAMBankNum = 10
FilterSRAMBankPort = 2
[sparsity]
SparsitySupport = false
[run_presets]
InterfaceBandwidth = CALC
UseRamulatorTrace = False
"""
"""Every key that SCALE-Sim 3 refuses to run without; CALC estimates the bandwidth that never stalls the array."""
