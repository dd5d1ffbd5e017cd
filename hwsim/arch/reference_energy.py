"""Energy of arithmetic and memories from the 45 nm tables of Horowitz and of Han et al., scaled to a node."""

from __future__ import annotations

from statistics import geometric_mean
from typing import NamedTuple

from hwsim.arch.energy import EnergyEntry
from hwsim.arch.source import Source
from hwsim.arch.technology import log_interpolate, scale_energy, scaling_source
from hwsim.formats import NumberFormat
from hwsim.published import table
from hwsim.units import BITS_PER_BYTE, BYTES_PER_KIB

LEAST_BITS = {"int": 8, "fp": 16}
"""Narrowest numbers of each kind in the table."""


class Quantity(NamedTuple):
    """A shipped table of arithmetic, and its column of values."""

    table: str
    column: str


ENERGY, AREA = Quantity("energy", "energy_pj"), Quantity("area", "area_um2")


def arithmetic(operation: str, fmt: str, of: Quantity = ENERGY) -> tuple[float, float, Source]:
    """Return (pJ, node [nm], source) of "add" or "multiply" on numbers of format `fmt`: "int8", "fp19", "int8x16".

    What is not in the table is assumed and says so: other widths lie on a power of the width through those of 8 and 32
    bits, or 16 and 32 in floating point, a product of two widths at their geometric mean, and bfloat16 costs at most
    what fp16 does. The same is said of their areas [um2].
    """
    known = {row["operation"]: row for row in table(of.table)}
    row = known.get(f"{operation}_{fmt}")
    if row is not None:
        return float(row[of.column]), float(row["node_nm"]), _source(row)
    if fmt == "bf16":
        value, node_nm, source = arithmetic(operation, "fp16", of)
        return value, node_nm, Source.assumed(f"bf16 {operation} taken as fp16's, an upper bound ({source})")
    kind = "fp" if fmt.startswith("fp") else "int"
    least = LEAST_BITS[kind]
    bits = geometric_mean(map(int, fmt.removeprefix(kind).split("x")))
    low, high = known[f"{operation}_{kind}{least}"], known[f"{operation}_{kind}32"]
    points = [(float(least), float(low[of.column])), (32.0, float(high[of.column]))]
    why = f"{fmt} {operation} on a power of the width through the {least} and 32 bit entries ({_source(low)})"
    return log_interpolate(bits, points), float(low["node_nm"]), Source.assumed(why)


def product(fmt: NumberFormat, of: Quantity = ENERGY) -> tuple[float, float, Source]:
    """Return (pJ, node [nm], source) of a multiplication in `fmt`, by its kind and the widths that a multiplier reads.

    Of two numbers that are -1 and 1 it is an XNOR gate, taken as a sixteenth of the addition of 8-bit integers: one
    gate of the two XORs in each of its 8 full adders.
    """
    if len(fmt.levels) == 2:
        value, node_nm, source = arithmetic("add", "int8", of)
        why = f"{fmt.name} multiply is one XNOR, taken as a sixteenth of an int8 add: two XORs in each full adder"
        return value / 16, node_nm, Source.assumed(f"{why} ({source})")
    weight, given = fmt.multiplied_bits("weight"), fmt.multiplied_bits("input")
    if fmt.name == "bf16":
        return arithmetic("multiply", "bf16", of)
    return arithmetic("multiply", f"{fmt.kind}{weight}x{given}" if weight != given else f"{fmt.kind}{given}", of)


def mac_entry(fmt: NumberFormat, node_nm: float) -> EnergyEntry:
    """Return the energy of one multiply-accumulate in `fmt`: its product and a sum of accumulator width."""
    product_pj, from_nm, source = product(fmt)
    sum_pj, _, sum_source = arithmetic("add", f"{fmt.kind}{fmt.accumulator_bits}")
    both = source if source == sum_source else Source.assumed(f"{source}; sum: {sum_source}")
    if not source.is_assumed and not sum_source.is_assumed:
        both = Source(
            source.work, source.year, f"{source.locator}, {fmt.name} multiply + {fmt.kind}{fmt.accumulator_bits} add"
        )
    return _entry("mac", fmt.name, product_pj + sum_pj, 0, from_nm, node_nm, both)


def vector_entry(fmt: NumberFormat, node_nm: float) -> EnergyEntry:
    """Return the energy of one operation of a vector unit, taken as an addition in the accumulator's width."""
    energy_pj, from_nm, source = arithmetic("add", f"{fmt.kind}{fmt.accumulator_bits}")
    why = Source.assumed(f"every vector operation as one {fmt.kind}{fmt.accumulator_bits} addition ({source})")
    return _entry("vector", fmt.name, energy_pj, 0, from_nm, node_nm, why)


def register_entries(component: str, node_nm: float) -> tuple[EnergyEntry, ...]:
    """Return the energy of latching one bit in a pipeline register."""
    (row,) = (row for row in table("energy") if row["operation"] == "register")
    entry = _entry(
        component, "write", float(row["energy_pj"]), int(row["bits"]), float(row["node_nm"]), node_nm, _source(row)
    )
    return (entry,)


def sram_entries(component: str, capacity_bits: int, node_nm: float) -> tuple[EnergyEntry, ...]:
    """Return read and write energy of an SRAM of `capacity_bits`.

    It lies on log-log lines over capacity through the printed 8 KB, 32 KB and 1 MB caches. Between them it is assumed,
    and so is that a write costs what a read does: the table prints "access" only.
    """
    rows = [row for row in table("energy") if row["operation"] == "sram"]
    caches = [(float(row["capacity_bytes"]), float(row["energy_pj"])) for row in rows]
    energy_pj = log_interpolate(max(1, capacity_bits // BITS_PER_BYTE), caches)
    printed = {capacity * BITS_PER_BYTE: row for (capacity, _), row in zip(caches, rows, strict=True)}
    source = _source(printed.get(capacity_bits, rows[0]))
    if capacity_bits not in printed:
        capacity = f"{capacity_bits / BITS_PER_BYTE / BYTES_PER_KIB:g} KiB"
        source = Source.assumed(f"{capacity} on log-log lines over capacity through 8 KB, 32 KB and 1 MB ({source})")
    bits, from_nm = int(rows[0]["bits"]), float(rows[0]["node_nm"])
    write = Source.assumed(f"a write as a read; the table prints accesses ({source})")
    return (
        _entry(component, "read", energy_pj, bits, from_nm, node_nm, source),
        _entry(component, "write", energy_pj, bits, from_nm, node_nm, write),
    )


def dram_entries(component: str) -> tuple[EnergyEntry, ...]:
    """Return read and write energy of off-chip DRAM; it does not scale with the node of the chip."""
    (row,) = (row for row in table("energy") if row["operation"] == "dram")
    node_nm = float(row["node_nm"])
    return tuple(
        _entry(component, action, float(row["energy_pj"]), int(row["bits"]), node_nm, node_nm, _source(row))
        for action in ("read", "write")
    )


def _entry(  # the fields of the entry, and the node it comes from
    component: str, action: str, energy_pj: float, bits: int, from_nm: float, to_nm: float, source: Source
) -> EnergyEntry:
    scaled_pj = scale_energy(energy_pj, from_nm, to_nm)
    return EnergyEntry(component, action, scaled_pj, bits, to_nm, scaling_source(source, from_nm, to_nm))


def _source(row: dict[str, str]) -> Source:
    return Source(row["work"], int(row["year"]), row["locator"])
