"""Tables of measured GPU kernels: what was timed, on which preset, and how the product predicts a row."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from hwsim import catalog
from hwsim.arch.accelerator import Accelerator
from hwsim.chips.gpu import path_of
from hwsim.ir import Layer
from hwsim.mapping.gpu.constants import Case
from hwsim.mapping.gpu.kernel import machine_of

MS_TO_US = 1e3


class Timed(NamedTuple):
    """A measured kernel: its shape, the time [us], the plain roofline's [us], what else is known of the run.

    `product` is the part of the shape that the chip knows, where that is not all of it.
    """

    shape: tuple[Any, ...]
    us: float
    roofline_us: float
    family: str = ""
    tile: str = ""
    layer: Layer | None = None
    simt_rate: float = 0.0
    product: tuple[int, ...] = ()


@dataclass(frozen=True)
class Part:
    """Rows of one class of operators, of which `shapes` calibrate `constants`; `over` replaces priors of theirs.

    `families` are predictions by algorithm, where the table names the one that ran; `fixed` constants are not fitted.
    """

    op_class: str
    rows: Sequence[Timed]
    shapes: int
    constants: tuple[str, ...]
    predict: Callable[[Any, Case, Timed, Mapping[str, float]], float]
    over: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    fixed: Mapping[str, float] = field(default_factory=dict)
    families: Callable[[Any, Case, Timed], Mapping[str, float]] | None = None
    library: str = ""


@dataclass(frozen=True)
class Table:
    """A set that one figure is reported of: rows measured with `library` on preset `machine` in `fmt`."""

    name: str
    machine: str
    library: str
    fmt: str
    target: float | None
    parts: tuple[Part, ...]
    source: tuple[str, int, str]

    @property
    def machine_array(self) -> Any:
        """The preset as kernels take it."""
        return machine_of(preset(self.machine), self.fmt)

    @property
    def path(self) -> str:
        """The cores that compute."""
        return path_of(self.fmt)


@cache
def preset(machine: str) -> Accelerator:
    """Return a preset, which knows no fits yet."""
    return catalog.chip(f"gpu:{machine},calibration=none")


AICONFIGURATOR = ("ai-dynamo/aiconfigurator", 2025, "commit 095f58a5: CUDA graphs, cold weights, random data")
NEUSIGHT = ("Lee et al., NeuSight, ASPLOS", 2025, "sitar-lab/NeuSight, commit 6945927d: events around eager calls")
DEEPBENCH = ("baidu-research/DeepBench", 2017, "commit da81ba78: libraries called one by one")


GEMM = ("efficiency", "edge_elements", "l2_bytes_per_cycle", "prologue_us", "bandwidth_share", "ramp_us", "launch_us",
        "overlap_exponent", "reduction_us")  # fmt: skip


def read(folder: Path, name: str) -> list[dict[str, str]]:
    """Return the rows of a table of `folder`."""
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def us(machine: Any, cycles: float) -> float:
    """Return [us] for cycles of a machine."""
    return cycles / float(machine[3])


def roofline_us(machine: Any, macs: float, moved_bytes: float) -> float:
    """Return the larger of multiply-accumulates at peak and bytes at full bandwidth."""
    return us(machine, max(macs / float(machine[0] * machine[1]), moved_bytes / float(machine[2])))


def tile_named(kernel: str) -> str:
    """Return the block that a kernel's name states, rows of the product first: libraries compute the transpose."""
    found = re.search(r"sgemm_(\d+)x(\d+)", kernel)
    return f"{found[2]}x{found[1]}" if found else ""
