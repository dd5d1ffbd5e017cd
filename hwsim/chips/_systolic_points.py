"""Many systolic arrays at once: what `systolic` says of each, in columns.

Every number is that of the very function that `systolic` calls, once for each value that occurs.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache, partial
from math import inf

from hwsim.arch.accelerator import Accelerator, check_choice, check_positive
from hwsim.arch.area import mac_area, register_area, sram_area, vector_area
from hwsim.arch.energy import EnergyEntry
from hwsim.arch.rate import clock_hz_of, gb_s_per_cycle
from hwsim.arch.reference_energy import dram_entries, mac_entry, register_entries, sram_entries, vector_entry
from hwsim.chips.systolic import BUFFERS, DATAFLOWS, FORMATS, capacity_bits, latched_bits, systolic
from hwsim.engine.array_points_columns import Machines
from hwsim.engine.points import Factor, column, each, known, together
from hwsim.formats import NumberFormat

FUNCTION = systolic

LARGEST_SIDE = 2**20
"""Of an array whose PEs and their latched bits are sure to be exact in floating point."""

LARGEST = 2**60
"""Of a number that is sure to be in int64, with room for twice of it."""


def covers(dataflow: str, fmt: NumberFormat) -> bool:
    """Return whether the array runs a dataflow, by default its own, in a format."""
    return (dataflow or "weight_stationary") in DATAFLOWS and fmt in FORMATS


def machines(given: Mapping[str, Factor], fmt: NumberFormat) -> Machines:
    """Return the arrays of points with these parameters."""
    rows, cols = (each(partial(_side, name), given[name]) for name in ("rows", "cols"))
    lanes = each(_lanes, given["vector_lanes"], cols)
    clock, node = each(_clock, given["clock_mhz"]), given["node_nm"]
    kib = ("ifmap_kib", "filter_kib", "ofmap_kib")
    bits = [each(partial(_capacity, name), given[name]) for name in kib]
    rate = each(_rate, given["bandwidth_gb_s"], clock)
    drain = each(partial(_choice, "drain", ("array", "tile")), given["drain"])
    preload = each(partial(_choice, "preload", ("serial", "overlapped")), given["preload"])
    costs = [each(partial(_buffer_pj, fmt, name), one, node) for name, one in zip(BUFFERS, bits, strict=True)]
    areas = [each(_sram_mm2, one, node) for one in bits]
    others, logic = each(partial(_others_pj, fmt), node), each(partial(_logic_mm2, fmt), node)
    first, which = together(rows, cols, *bits, rate, drain, preload)
    return Machines(
        covered=known(rows, cols, lanes, clock, *bits, rate, drain, preload, *costs, *areas, others, logic),
        first=first,
        which=which,
        rows=column(rows, int, 1),
        cols=column(cols, int, 1),
        vector_lanes=column(lanes, int, 1),
        clock_hz=column(clock, int, 1),
        rooms_bits=[column(one, int, 2) // 2 for one in bits],
        rate=column(rate, int, (1, 0)),
        tight=column(drain, int, 0),
        overlapped=column(preload, int, 0),
        buffers_pj=[column(one, float, (0.0,) * 4) for one in costs],
        others_pj=column(others, float, (0.0,) * 10),
        areas_mm2=[column(one, float, 0.0) for one in areas],
        logic_mm2=column(logic, float, (0.0,) * 3),
        latched_bits=latched_bits(fmt),
    )


@cache
def _any() -> Accelerator:
    """Return an array: the widths of its words are those of all."""
    return systolic()


def _side(name: str, size: int) -> int | None:
    check_positive("systolic", **{name: size})
    return size if size <= LARGEST_SIDE else None


def _lanes(lanes: int, cols: int) -> int | None:
    check_positive("systolic", vector_lanes=lanes or cols)
    return (lanes or cols) if lanes <= LARGEST else None


def _clock(clock_mhz: float) -> int | None:
    check_positive("systolic", clock_mhz=clock_mhz)
    hertz = clock_hz_of("systolic", clock_mhz)
    return hertz if hertz <= 2**53 else None


def _capacity(name: str, kib: float) -> int | None:
    check_positive("systolic", **{name: kib})
    bits = capacity_bits(name, kib)
    return bits if bits <= LARGEST else None


@lru_cache(maxsize=65536)
def _rate(bandwidth_gb_s: float, clock_hz: int) -> tuple[int, int] | None:
    """Return the bits that cross the chip's edge, and in how many cycles: 1 in 0 without limit."""
    if bandwidth_gb_s == inf:
        return 1, 0
    check_positive("systolic", bandwidth_gb_s=bandwidth_gb_s)
    rate = gb_s_per_cycle("systolic", "bandwidth_gb_s", bandwidth_gb_s, clock_hz)
    return (rate.numerator, rate.denominator) if rate.numerator <= LARGEST else None


def _choice(name: str, choices: tuple[str, str], value: str) -> int:
    """Return 1 for the second of the choices."""
    check_choice("systolic", name, value, choices)
    return choices.index(value)


@lru_cache(maxsize=65536)
def _buffer_pj(fmt: NumberFormat, name: str, bits: int, node_nm: float) -> tuple[float, ...]:
    """Return [pJ] per word that a buffer reads and writes of its operand, and writes and reads of partial sums."""
    entries, operand = sram_entries(name, bits, node_nm), BUFFERS[name]
    return (
        _word_pj(entries, name, "read", operand, fmt),
        _word_pj(entries, name, "write", operand, fmt),
        _word_pj(entries, name, "write", "psum", fmt),
        _word_pj(entries, name, "read", "psum", fmt),
    )


@lru_cache(maxsize=4096)
def _others_pj(fmt: NumberFormat, node_nm: float) -> tuple[float, ...]:
    """Return [pJ] of a MAC, of registers, of off-chip memory and of an operation of a lane."""
    check_positive("systolic", node_nm=node_nm)
    registers, dram = register_entries("pe_register", node_nm), dram_entries("dram")
    return (
        mac_entry(fmt, node_nm).word_pj(0),
        *(_word_pj(registers, "pe_register", "write", operand, fmt) for operand in ("input", "weight", "psum")),
        *(_word_pj(dram, "dram", "read", operand, fmt) for operand in ("input", "weight")),
        _word_pj(dram, "dram", "write", "output", fmt),
        _word_pj(dram, "dram", "write", "psum", fmt),
        _word_pj(dram, "dram", "read", "psum", fmt),
        vector_entry(fmt, node_nm).word_pj(0),
    )


def _word_pj(entries: tuple[EnergyEntry, ...], component: str, action: str, operand: str, fmt: NumberFormat) -> float:
    (entry,) = (one for one in entries if one.action == action)
    return entry.word_pj(_any().word_bits(component, operand, fmt))


@lru_cache(maxsize=65536)
def _sram_mm2(bits: int, node_nm: float) -> float:
    return sram_area("", bits, node_nm).area_mm2


@lru_cache(maxsize=4096)
def _logic_mm2(fmt: NumberFormat, node_nm: float) -> tuple[float, float, float]:
    """Return the area of one MAC, of one latched bit, and of one lane."""
    return (
        mac_area(fmt, 1, node_nm).area_mm2,
        register_area("", 1, node_nm).area_mm2,
        vector_area(fmt, 1, node_nm).area_mm2,
    )
