"""WHAT computes: a machine as memory levels around a PE array, with its rates, energies and sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from math import inf
from typing import Any, Literal

from hwsim.arch.area import Area, unknown
from hwsim.arch.energy import EnergyTable
from hwsim.arch.source import Source
from hwsim.errors import InputError, near_match
from hwsim.formats import NumberFormat


@dataclass(frozen=True, slots=True)
class MemoryLevel:
    """One memory: what it holds and how fast it is.

    `capacity_bits` is None off-chip; bits per cycle are None where nothing limits them. `accumulates` says that
    outputs are kept at the accumulator's width. A double-buffered level gives half of its capacity to the data in use.
    """

    name: str
    capacity_bits: int | None
    read_bits_per_cycle: Fraction | None
    write_bits_per_cycle: Fraction | None
    holds: tuple[str, ...]
    instances: int = 1
    double_buffered: bool = False
    accumulates: bool = False

    @property
    def usable_bits(self) -> int | None:
        """Capacity for the data in use, None where unbounded."""
        if self.capacity_bits is None:
            return None
        return self.capacity_bits * self.instances // (2 if self.double_buffered else 1)


@dataclass(frozen=True, slots=True)
class PEArray:
    """Processing elements in `rows` x `cols`, each doing `macs_per_cycle` of a format, a fraction if one takes several.

    `drain` says when the next tile may enter: after the wave has left the whole "array", or the part the "tile" fills.
    `preload` says whether the next stationary tile is loaded in "serial" order or "overlapped" with the stream. `unit`
    is what elements of a machine are called whose elements are cores of many multipliers.
    """

    rows: int
    cols: int
    macs_per_cycle: Mapping[str, int | Fraction]
    drain: Literal["array", "tile"] = "array"
    preload: Literal["serial", "overlapped"] = "serial"
    unit: str = "PEs"

    def __str__(self) -> str:
        return f"{self.rows} x {self.cols} {self.unit}" if self.unit == "PEs" else f"{self.rows} {self.unit}"


@dataclass(frozen=True)
class Accelerator:
    """A machine: clock, PE array, memories from the array outward, vector lanes, energy per action, sources per number.

    `dataflow` is the default of `dataflows`; `engine` names the module of `hwsim.engine` that times it. `label` is
    the name with what the user changed, `parameters` are all that the chip's function takes, `sources` says where each
    number comes from. `skips_zeros` says whether densities below 1 make a run shorter, `fuses` whether operators on
    single elements run on results before they leave the chip. A chip with a `host` gets the network's inputs from it,
    gives it the results and keeps all activations between, so that only weights come from off-chip memory. Without
    `vector_lanes` all but products is left to the host. `options` are what the chip's own dataflow and engine read
    besides, by name; they say which. `area` gives what is known of its size with
    the arithmetic of a format.
    """

    name: str
    clock_hz: int
    array: PEArray
    levels: tuple[MemoryLevel, ...]
    vector_lanes: int
    dataflow: str
    dataflows: tuple[str, ...]
    engine: str
    energy: EnergyTable
    sources: Mapping[str, Source]
    description: str = ""
    label: str = ""
    skips_zeros: bool = False
    fuses: bool = True
    host: MemoryLevel | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, object] = field(default_factory=dict)
    area: Area = field(default=unknown, compare=False)

    @property
    def formats(self) -> tuple[str, ...]:
        """Formats the array computes in."""
        return tuple(self.array.macs_per_cycle)

    def require_format(self, fmt: NumberFormat) -> None:
        """Raise `InputError` unless the array computes in `fmt`."""
        if fmt.name not in self.array.macs_per_cycle:
            raise InputError(f"chip '{self.name}' does not compute in {fmt.name}; it has {', '.join(self.formats)}")

    def require_dataflow(self, dataflow: str) -> None:
        """Raise `InputError` unless the chip can run `dataflow`."""
        if dataflow not in self.dataflows:
            raise InputError(
                f"chip '{self.name}' does not run dataflow '{dataflow}'{near_match(dataflow, self.dataflows)}"
            )

    def peak_macs_per_cycle(self, fmt: NumberFormat) -> float:
        """Return the multiply-accumulates of all PEs per cycle, a fraction where a few PEs take several for one."""
        return float(self.array.rows * self.array.cols * self.array.macs_per_cycle[fmt.name])

    def area_mm2(self, fmt: NumberFormat) -> float | None:
        """Return the area [mm2] with the arithmetic of `fmt` alone, None where nothing is known of it."""
        known = self.area(fmt)
        return sum(one.area_mm2 for one in known) if known else None

    @cached_property
    def level(self) -> Mapping[str, MemoryLevel]:
        """Memory levels by name."""
        return {level.name: level for level in self.levels}

    @cached_property
    def rooms(self) -> Mapping[str, int]:
        """Usable bits of the innermost bounded level that holds each operand."""
        return {op: level.usable_bits for level in reversed(self.levels) if level.usable_bits for op in level.holds}

    @cached_property
    def home(self) -> Mapping[str, str]:
        """Name of the innermost bounded level that holds each operand."""
        return {op: level.name for level in reversed(self.levels) if level.usable_bits for op in level.holds}

    @cached_property
    def off_chip(self) -> MemoryLevel:
        """The outermost memory level."""
        return self.levels[-1]

    @cached_property
    def off_chip_rate(self) -> tuple[int, int] | None:
        """The bits that cross the chip's edge, and in how many cycles; None without limit."""
        rate = self.off_chip.read_bits_per_cycle
        return None if rate is None else (rate.numerator, rate.denominator)

    def word_bits(self, component: str, operand: str, fmt: NumberFormat) -> int:
        """Return the width of a word of `operand` in `component`: partial sums and accumulated outputs are wider."""
        level = self.level.get(component)
        accumulated = operand == "psum" or (operand == "output" and level is not None and level.accumulates)
        return fmt.accumulator_bits if accumulated else fmt.operand_bits(operand)


def check_positive(chip: str, **values: float) -> None:
    """Raise `InputError` naming the first of a chip's parameters that is not above zero, or not finite."""
    for name, value in values.items():
        if not 0 < value < inf:
            raise InputError(
                f"chip '{chip}': {name}={value:g} must be above 0" + (" and finite" if value == inf else "")
            )


def check_choice(chip: str, name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise `InputError` where `value` of a chip's parameter `name` is not among its `choices`."""
    if value not in choices:
        raise InputError(f"chip '{chip}': {name}={value} is not one of its choices{near_match(value, choices)}")
