"""Tables of measured GPU kernels: what was timed, on which preset, and how the product predicts a row."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from hwsim import catalog
from hwsim.arch.accelerator import Accelerator
from hwsim.ir import Layer
from hwsim.mapping.gpu.constants import SIMT, TENSOR, Case
from hwsim.mapping.gpu.kernel import machine_of
from hwsim.validate.notes import note_of

MS_TO_US = 1e3

FITTED, NONE = "fitted", "none"
"""How a machine's constants are taken: as shipped, or not at all."""


METRICS = {
    "gemm": "matrix products",
    "conv": "convolutions",
    "recurrent": "recurrent layers",
    "elementwise": "elementwise, softmax, layer norm",
}
"""What a table is scored as, by the class of its first part; others by the first words of its name."""


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

    @property
    def known_shape(self) -> tuple[Any, ...]:
        """What the chip tells rows apart by."""
        return self.product or self.shape


Predict = Callable[[Any, Case, Timed, str], float]
"""Time [us] of a row on a machine, as kernels take it, with a case's constants, its others as FITTED or NONE."""


@dataclass(frozen=True)
class Part:
    """Rows of one class of operators, of which `shapes` calibrate; `library` is another than the table's, if any.

    `families` are predictions by algorithm, where the table names the one that ran.
    """

    op_class: str
    rows: Sequence[Timed]
    shapes: int
    predict: Predict
    families: Callable[[Any, Case, Timed], Mapping[str, float]] | None = None
    library: str = ""


@dataclass(frozen=True)
class Table:
    """A set that one figure is reported of: rows measured with `library` on preset `machine` in `fmt`."""

    name: str
    machine: str
    library: str
    fmt: str
    parts: tuple[Part, ...]
    source: tuple[str, int, str]

    @property
    def machine_array(self) -> Any:
        """The preset as kernels take it."""
        return machine_of(preset(self.machine), self.fmt)

    @property
    def metric(self) -> str:
        """What the set is scored as."""
        op_class = self.parts[0].op_class
        return f"{METRICS.get(op_class) or ' '.join(self.name.split()[:2])}, {self.fmt}"

    @property
    def target(self) -> float | None:
        """The mean error that was asked for [%], where one was."""
        return note_of(f"gpu:{self.machine}", self.metric).target_percent

    @property
    def path(self) -> str:
        """The cores that compute."""
        return SIMT if self.fmt == "fp32" else TENSOR


@cache
def preset(machine: str) -> Accelerator:
    """Return a preset, which knows no fits yet."""
    return catalog.chip(f"gpu:{machine},calibration={NONE}")


AICONFIGURATOR = ("ai-dynamo/aiconfigurator", 2025, "commit 095f58a5: CUDA graphs, cold weights, random data")
NEUSIGHT = ("Lee et al., NeuSight, ASPLOS", 2025, "sitar-lab/NeuSight, commit 6945927d: events around eager calls")
DEEPBENCH = ("baidu-research/DeepBench", 2017, "commit da81ba78: libraries called one by one")


def order(part: Part, seed: int) -> list[Timed]:
    """Return the rows of a part in the order of sha256("seed|class,shape"): the first ones calibrate."""
    label = part.library or part.op_class

    def key(row: Timed) -> str:
        return hashlib.sha256(f"{seed}|{label},{','.join(map(str, row.shape))}".encode()).hexdigest()

    return sorted(part.rows, key=key)


def split(part: Part, seed: int = 0) -> tuple[list[Timed], list[Timed]]:
    """Return the rows that calibrate, and those tested on: all others of another shape, as the chip knows shapes.

    Shipped constants are of seed 0, which was fixed before any figure was read.
    """
    rows = order(part, seed)
    chosen = rows[: part.shapes]
    seen = {row.known_shape for row in chosen}
    return chosen, [row for row in rows[part.shapes :] if row.known_shape not in seen]


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
