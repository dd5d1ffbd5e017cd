"""CPUs: cores with vector units and, some, a matrix unit, behind private caches and a shared one.

    +------------------------ CPU -------------------------+
    |  core 0            core 1               core n-1     |
    |  vectors, AMX      +-----------+        +---------+  |
    |  L1                |           |   ...  |         |  |
    |  L2                +-----|-----+        +----|----+  |
    |  +--|------------- L3 ---+-------------------+       |
    +-----|------------------------------------------------+
        DRAM

Cores, clocks, bandwidths and power are those of datasheets (`published/cpus.csv`); how much of them onnxruntime reaches
is fitted to measurements (`measured/calibrations`) per class of operators and format, or, on a machine that was not
measured, taken from one that was. `calibration=none` leaves all fits out.

Intel 64 and IA-32 Architectures Optimization Reference Manual (Haswell and Sapphire Rapids: units, ports, caches).
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from hwsim.arch import Accelerator, EnergyEntry, EnergyTable, MemoryLevel, PEArray, Source
from hwsim.arch.accelerator import check_choice, check_positive
from hwsim.arch.energy import table_of
from hwsim.arch.reference_energy import dram_entries, mac_entry, sram_entries, vector_entry
from hwsim.errors import InputError
from hwsim.formats.bf16 import bf16
from hwsim.formats.fp16 import fp16
from hwsim.formats.fp32 import fp32
from hwsim.formats.int8 import int8
from hwsim.mapping.cpu.constants import CLASSES, Case, Constants, cases, ideal
from hwsim.mapping.cpu.convolution import ALGORITHMS, AUTO
from hwsim.mapping.cpu.machine import CORE, LANES, MATRIX_RATES, RATES, core_of
from hwsim.measured import calibrations
from hwsim.measured.host import HOST, read_host
from hwsim.published import table
from hwsim.units import gb_s_to_bits_s, kib_to_bits, mhz_to_hz, mib_to_bits, w_to_pj_per_cycle

MEASURED = "sapphire_rapids_vm_2c"
"""The machine whose constants are taken where one's own were not measured."""

MACHINES = ("haswell_e5_2699v3", "i7_5930k", "sapphire_rapids", MEASURED, HOST)

COLD = ("haswell_e5_2699v3", "i7_5930k")
"""Machines whose published times are of services and of matrices that caches do not hold."""

FORMATS = {fmt.name: fmt for fmt in (fp32, bf16, fp16, int8)}

DEFAULTS = {"clock_mhz": 2500.0, "bandwidth_gb_s": 30.0, "tdp_w": 100.0, "node_nm": 10.0, "l3_mib": 16.0}

ASSUMED = {
    "machine": Source.assumed("a preset, or this machine"),
    "library": Source.assumed("onnxruntime's operators; mkl: one thread for a product of a vector, otherwise the same"),
    "calibration": Source.assumed("fitted to measured layers; none leaves the datasheet and the structure"),
    "caches": Source.assumed(
        "warm: run again and again, operands come from the cache that holds them; cold: every operand from memory"
    ),
    "convolution": Source.assumed(
        "auto: the library's own; others are products of tiles at the rate of the library's, and transforms around them"
    ),
    "caches of a core": Source.assumed("sizes of its generation, rates near those of Intel's optimisation manual"),
    "one core's bandwidth off-chip": Source.assumed(
        "lines of 64 bytes that its L2 waits for at most (16 in Haswell, 48 in Sapphire Rapids) over a typical latency"
    ),
    "power while running": Source.assumed(
        "half of the TDP where no busy power is published (an i7-5930K was measured at 73 of 140 W: Han et al., EIE, "
        "ISCA 2016, Table V); what actions draw comes on top, a few W"
    ),
}


def cpu(
    machine: str = "haswell_e5_2699v3",
    library: str = "",
    calibration: str = "fitted",
    caches: str = "",
    convolution: str = AUTO,
    threads: int = 0,
    clock_mhz: float = 0,
    bandwidth_gb_s: float = 0,
    tdp_w: float = 0,
) -> Accelerator:
    """Return the CPU `machine`, or one with other sizes; 0 and "" stand for the machine's own.

    `library` is "onnxruntime" or "mkl"; `calibration` "none" leaves fitted constants out; `caches` is "warm" or "cold";
    `convolution` is the algorithm, of `hwsim.functional`, of all convolutions that it computes; "auto" the library's.
    `machine` "host" is this one, as `hwsim measure --calibrate` found it or, without that, as its system says.
    """
    check_choice("cpu", "machine", machine, MACHINES)
    library = library or ("mkl" if machine == "i7_5930k" else "onnxruntime")
    caches = caches or ("cold" if machine in COLD else "warm")
    check_choice("cpu", "library", library, ("onnxruntime", "mkl"))
    check_choice("cpu", "calibration", calibration, ("fitted", "none"))
    check_choice("cpu", "caches", caches, ("warm", "cold"))
    check_choice("cpu", "convolution", convolution, ALGORITHMS)
    facts, sources, notes = facts_of(machine)
    asked = {"clock_mhz": clock_mhz, "bandwidth_gb_s": bandwidth_gb_s, "tdp_w": tdp_w}
    sizes = {name: float(value or facts[name]) for name, value in asked.items()}
    cores = threads or int(facts["cores"])
    check_positive("cpu", threads=cores, **sizes)
    if cores > facts["cores"]:
        raise InputError(f"chip 'cpu': threads={threads} is more than the {facts['cores']:g} cores of '{machine}'")
    clock_hz = mhz_to_hz(sizes["clock_mhz"])
    if clock_hz < 1:
        raise InputError("chip 'cpu': clock_mhz is less than 1 Hz")
    made = core_of({**facts, **sizes}, cores, caches == "cold", calibration == "none")
    rates = {**RATES[facts["isa"]], **MATRIX_RATES.get(facts["isa"], {})}
    fitted = _cases(machine, tuple(rates), calibration)
    return Accelerator(
        name="cpu",
        clock_hz=clock_hz,
        description="CPU with vector and matrix units: machine, library and datasheet values as parameters",
        array=PEArray(cores, 1, rates, unit="cores"),
        levels=_levels(facts, cores, clock_hz, sizes["bandwidth_gb_s"], caches == "cold"),
        vector_lanes=cores * LANES[facts["isa"]],
        dataflow="cache_blocks",
        dataflows=("cache_blocks",),
        engine="cpu",
        energy=_energy(facts, tuple(rates), sizes["tdp_w"], clock_hz),
        sources={**sources, **ASSUMED, "threads": Source.assumed("all cores"), **_said(fitted)},
        options={
            "machine": made,
            "cases": fitted,
            "call_s": 0.0 if calibration == "none" else float(facts.get("call_s", 0.0)),
            "cached_bytes": float(facts.get("l3_bytes", facts["l3_mib"] * 2**20)),
            "adds_in_place": caches == "warm",
            "convolution": convolution,
            "vectors_on_one": library == "mkl",
            "matrix": calibration == "none",
            "notes": notes,
        },
        parameters={"machine": machine, "library": library, "calibration": calibration, "caches": caches,
                    "convolution": convolution, "threads": cores, **sizes},
    )  # fmt: skip


def facts_of(machine: str) -> tuple[dict[str, Any], dict[str, Source], tuple[str, ...]]:
    """Return the facts of a machine by name, their sources, and what a reader of its results must know."""
    facts: dict[str, Any] = dict(DEFAULTS)
    typical = Source.assumed("typical of its generation; its datasheet was not found")
    sources = dict.fromkeys(DEFAULTS, typical)
    notes: tuple[str, ...] = ()
    if machine == HOST:
        found = read_host(Constants._fields)
        facts |= found.facts
        sources |= dict.fromkeys(found.facts, Source.assumed("read from this machine"))
        return facts, sources, (found.note,) if found.note else ()
    if machine == MEASURED:
        facts |= {"cores": 2, "isa": "amx", "clock_mhz": 3640.0, "bandwidth_gb_s": 36.0, "tdp_w": 20.0}
        facts |= dict(calibrations(MEASURED)["onnxruntime", "machine", "fp32"].constants)
        source = calibrations(MEASURED)["onnxruntime", "machine", "fp32"].source
        return facts, {**sources, **dict.fromkeys(facts, source)}, notes
    for row in table("cpus"):
        if row["machine"] == machine:
            value = row["value"]
            facts[row["quantity"]] = value if row["quantity"] == "isa" else float(value)
            sources[row["quantity"]] = Source(row["work"], int(row["year"]), row["locator"])
    return facts, sources, notes


def _cases(machine: str, formats: tuple[str, ...], calibration: str) -> dict[tuple[str, str], Case]:
    """Return the constants of every class of operators in every format."""
    if calibration == "none":
        return {(op_class, fmt): ideal(op_class) for fmt in formats for op_class in CLASSES}
    own = read_host(Constants._fields).fitted if machine == HOST else dict(calibrations(machine))
    if own:
        return cases(own, "onnxruntime", formats)
    return cases(calibrations(MEASURED), "onnxruntime", formats, f"typical: those of {MEASURED}")


def _said(fitted: Mapping[tuple[str, str], Case]) -> dict[str, Source]:
    """Return the source of every case's constants, with their values."""
    said = {}
    for (op_class, fmt), case in fitted.items():
        values = ", ".join(f"{name} {value:.4g}" for name, value in case.constants._asdict().items())
        source, fits = case.source, f"; fitted on {case.shapes} shapes" if case.shapes else ""
        said[f"constants of {op_class} in {fmt}"] = Source(
            source.work, source.year, f"{source.locator}{fits}: {values}"
        )
    return said


def _levels(
    facts: Mapping[str, Any], cores: int, clock_hz: int, bandwidth_gb_s: float, cold: bool
) -> tuple[MemoryLevel, ...]:
    """Return caches and memory. With warm caches no operand has to come from memory: it holds none of its own."""
    operands = ("input", "weight", "output")
    rate = (Fraction(repr(bandwidth_gb_s)) * round(gb_s_to_bits_s(1)) / clock_hz).limit_denominator(2**40)
    if not rate:
        raise InputError(f"chip 'cpu': bandwidth_gb_s={bandwidth_gb_s:g} is next to nothing")
    l1_kib, l2_kib, _, _ = CORE[facts["isa"]]
    return (
        MemoryLevel("l1", kib_to_bits(l1_kib), None, None, operands, instances=cores),
        MemoryLevel("l2", kib_to_bits(l2_kib), None, None, operands, instances=cores),
        MemoryLevel("l3", mib_to_bits(facts["l3_mib"]), None, None, operands),
        MemoryLevel("dram", None, rate, rate, operands if cold else ()),
    )


def _energy(facts: Mapping[str, Any], formats: tuple[str, ...], tdp_w: float, clock_hz: int) -> EnergyTable:
    """Return the energy of every action: running power in each cycle, and what the reference tables say of actions."""
    node = facts["node_nm"]
    l1_kib, l2_kib, _, _ = CORE[facts["isa"]]
    running_w, why = facts.get("busy_w", tdp_w / 2), ASSUMED["power while running"]
    if "busy_w" in facts:
        why = Source(
            "Jouppi et al.: In-Datacenter Performance Analysis of a Tensor Processing Unit (ISCA)",
            2017,
            "Table 2, busy",
        )
    idle = EnergyEntry("idle", "cycle", w_to_pj_per_cycle(running_w, clock_hz), 0, node, why)
    kinds = [FORMATS[name] for name in formats]
    return table_of(
        [mac_entry(fmt, node) for fmt in kinds],
        sram_entries("l1", kib_to_bits(l1_kib), node),
        sram_entries("l2", kib_to_bits(l2_kib), node),
        sram_entries("l3", mib_to_bits(1), node),
        dram_entries("dram"),
        [vector_entry(fmt, node) for fmt in kinds],
        [idle],
    )
