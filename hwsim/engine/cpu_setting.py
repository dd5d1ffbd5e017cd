"""What every operator of a run on a CPU shares: the machine, its memory, the library, and how long a run takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, prod
from typing import TYPE_CHECKING, NamedTuple

from hwsim.arch.accelerator import Accelerator
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Kind, Layer
from hwsim.ir.network import Network
from hwsim.mapping.cpu.around import NOTHING, Around
from hwsim.mapping.cpu.constants import Case
from hwsim.mapping.cpu.machine import Curve, Machine
from hwsim.mapping.cpu.times import compute_seconds
from hwsim.mapping.cpu.work import Work, work_of
from hwsim.results.record import Action
from hwsim.units import BITS_PER_BYTE, ceil_div

if TYPE_CHECKING:
    from hwsim.mapping.placed import Placed


class Setting(NamedTuple):
    """What every operator shares.

    Runs touch `held_bytes` and are `away_s` apart; `off_chip` says that no cache holds all that.
    """

    machine: Machine
    curve: Curve
    cases: Mapping[tuple[str, str], Case]
    fmt: NumberFormat
    chip: Accelerator
    held_bytes: float
    away_s: float
    off_chip: bool

    def cycles(self, seconds: float) -> int:
        """Return the whole cycles that a time takes."""
        return ceil(seconds * self.machine.clock_hz)

    def case(self, op_class: str) -> Case:
        """Return the constants of a class of operators in the run's format."""
        return self.cases[op_class, self.fmt.name]

    def work(self, layer: Layer, around: Around = NOTHING) -> Work:
        """Return the work of one step of a layer."""
        fmt, machine = self.fmt, self.machine
        matrix = self.chip.options["matrix"] and fmt.name in machine.matrix_macs_per_cycle
        return work_of(layer, fmt.name, fmt.bits, machine.lanes, around, matrix and layer.kind is Kind.MATMUL)

    def edge_cycles(self, counts: Mapping[Action, int]) -> int:
        """Return the cycles that the words counted off-chip take at the chip's edge."""
        rate = self.chip.off_chip_rate
        if rate is None:
            return 0
        bits = sum(
            words * self.fmt.operand_bits(operand)
            for (component, _, operand), words in counts.items()
            if component == "dram"
        )
        return ceil_div(bits * rate[1], rate[0])


def setting_of(network: Network, placed: Sequence[Placed], chip: Accelerator, fmt: NumberFormat) -> Setting:
    """Return what all operators share; a run takes about as long as its arithmetic and its weights."""
    machine: Machine = chip.options["machine"]
    rate = chip.off_chip_rate
    if rate is not None:
        machine = machine._replace(memory_bytes_s=rate[0] / rate[1] * chip.clock_hz / BITS_PER_BYTE)
    own = [layer for layer in network.layers if layer.is_mac and len(layer.inputs) == 1]
    weights = sum(layer.weight_elements for layer in own) * fmt.bits / BITS_PER_BYTE
    busiest = max(layer.input_elements + layer.output_elements for layer in network.layers) * fmt.bits / BITS_PER_BYTE
    held = weights + busiest
    off_chip = machine.cold or held > chip.options["cached_bytes"]
    draft = Setting(machine, Curve(machine), chip.options["cases"], fmt, chip, held, 0.0, off_chip)
    reading_s = weights * draft.curve(held) / machine.threads
    return draft._replace(away_s=_computing_s(placed, draft) + reading_s)


def _computing_s(placed: Sequence[Placed], draft: Setting) -> float:
    """Return the time of all arithmetic, evenly on all threads."""
    works = [draft.work(one.layer) for one in placed if one.layer.kind is not Kind.UNSUPPORTED and not one.fused_into]
    of_one = (
        one.steps * compute_seconds(one, draft.fmt.name, draft.case(one.op_class).constants, draft.machine)
        for one in works
    )
    return sum(of_one) / draft.machine.threads


def read_words(layer: Layer) -> int:
    """Return the words of all inputs of a layer, each once, of all steps."""
    shapes = dict(zip(layer.inputs, layer.input_shapes, strict=True))
    return layer.steps * sum(map(prod, shapes.values()))
