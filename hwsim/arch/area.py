"""How large a machine is: arithmetic and memories from published tables, scaled to a node, and printed dies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from hwsim.arch.reference_energy import AREA, arithmetic, product
from hwsim.arch.source import Source
from hwsim.arch.technology import area_factor, log_interpolate
from hwsim.formats import NumberFormat
from hwsim.published import table
from hwsim.units import BITS_PER_BYTE, um2_to_mm2

SRAM_NM = 65
"""The node of the table of memories."""


@dataclass(frozen=True, slots=True)
class AreaEntry:
    """The area of all instances of a component [mm2]."""

    component: str
    area_mm2: float
    source: Source


Area = Callable[[NumberFormat], tuple[AreaEntry, ...]]
"""What is known of a machine's size, by component, when it computes in a format; empty where nothing is."""


def unknown(fmt: NumberFormat) -> tuple[AreaEntry, ...]:
    """Return nothing: nobody says how large the machine is."""
    return ()


def mac_area(fmt: NumberFormat, count: int, node_nm: float) -> AreaEntry:
    """Return the area of `count` multipliers of `fmt` with adders of accumulator width."""
    mm2, why = _mac_mm2(fmt, node_nm)
    return AreaEntry("mac", count * mm2, why)


def vector_area(fmt: NumberFormat, count: int, node_nm: float) -> AreaEntry:
    """Return the area of `count` vector lanes, each taken as an adder of accumulator width."""
    mm2, why = _lane_mm2(fmt, node_nm)
    return AreaEntry("vector", count * mm2, why)


def register_area(component: str, bits: int, node_nm: float) -> AreaEntry:
    """Return the area of pipeline registers of `bits` in all."""
    mm2, why = _register_mm2(node_nm)
    return AreaEntry(component, bits * mm2, why)


@lru_cache
def _mac_mm2(fmt: NumberFormat, node_nm: float) -> tuple[float, Source]:
    product_um2, from_nm, source = product(fmt, AREA)
    sum_um2, _, sum_source = arithmetic("add", f"{fmt.kind}{fmt.accumulator_bits}", AREA)
    why = f"multiplier of {fmt.name} ({source}) and its adder ({sum_source})"
    return _scaled(product_um2 + sum_um2, from_nm, node_nm, why)


@lru_cache
def _lane_mm2(fmt: NumberFormat, node_nm: float) -> tuple[float, Source]:
    um2, from_nm, source = arithmetic("add", f"{fmt.kind}{fmt.accumulator_bits}", AREA)
    return _scaled(um2, from_nm, node_nm, f"a lane as one adder ({source})")


@lru_cache
def _register_mm2(node_nm: float) -> tuple[float, Source]:
    (row,) = (row for row in table(AREA.table) if row["operation"] == "register")
    um2, from_nm = float(row[AREA.column]), float(row["node_nm"])
    return _scaled(um2, from_nm, node_nm, f"registers by their bits ({_source(row)})")


def _scaled(um2: float, from_nm: float, node_nm: float, why: str) -> tuple[float, Source]:
    scale = area_factor(node_nm) / area_factor(from_nm)
    return um2_to_mm2(um2 * scale), Source.assumed(f"{why}, at {node_nm:g} nm")


def sram_area(component: str, capacity_bits: int, node_nm: float) -> AreaEntry:
    """Return the area of an SRAM of `capacity_bits`."""
    (row, *_) = table("sram_area")
    mm2 = sram_mm2(capacity_bits / BITS_PER_BYTE) * area_factor(node_nm) / area_factor(SRAM_NM)
    why = Source.assumed(
        f"{capacity_bits} bits by capacity on the table of {row['work']} {row['year']}, at {node_nm:g} nm"
    )
    return AreaEntry(component, mm2, why)


@lru_cache
def sram_mm2(capacity_bytes: float) -> float:
    """Return the area of a memory at 65 nm [mm2], on log-log lines of the area per byte over capacity.

    Below the smallest memory of the table the area per byte is that one's, and above the largest that one's.
    """
    rows = table("sram_area")
    sizes = [float(row["capacity_bytes"]) for row in rows]
    per_byte = [float(row["area_mm2"]) / size for row, size in zip(rows, sizes, strict=True)]
    within = min(max(capacity_bytes, sizes[0]), sizes[-1])
    return capacity_bytes * log_interpolate(within, list(zip(sizes, per_byte, strict=True)))


def die(chip: str, fmt: NumberFormat) -> tuple[AreaEntry, ...]:
    """Return the printed area of the die of `chip`, nothing where none is printed; it computes in every format."""
    return tuple(
        AreaEntry("die", float(row["area_mm2"]), _source(row))
        for row in table("die_area")
        if (row["chip"], row["part"]) == (chip, "die")
    )


def share(chip: str, part: str) -> tuple[float, Source]:
    """Return a printed share of a chip's area, or a ratio of two of its parts, with its source."""
    (row,) = (row for row in table("die_area") if (row["chip"], row["part"]) == (chip, part))
    return float(row["share"]), _source(row)


def printed(chip: str, part: str) -> tuple[float, Source]:
    """Return the printed area of a part of `chip` [mm2] with its source."""
    (row,) = (row for row in table("die_area") if (row["chip"], row["part"]) == (chip, part))
    return float(row["area_mm2"]), _source(row)


def _source(row: dict[str, str]) -> Source:
    return Source(row["work"], int(row["year"]), row["locator"])
