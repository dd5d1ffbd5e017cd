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
from functools import partial
from math import inf
from typing import Any

from hwsim.arch import Accelerator, EnergyEntry, EnergyTable, MemoryLevel, PEArray, Source
from hwsim.arch.accelerator import check_choice, check_positive
from hwsim.arch.area import die
from hwsim.arch.energy import table_of
from hwsim.arch.rate import clock_hz_of, gb_s_per_cycle
from hwsim.arch.reference_energy import dram_entries, mac_entry, sram_entries, vector_entry
from hwsim.errors import InputError
from hwsim.formats.bf16 import bf16
from hwsim.formats.fp16 import fp16
from hwsim.formats.fp32 import fp32
from hwsim.formats.int8 import int8
from hwsim.mapping.cpu.constants import CLASSES, Case, cases, ideal
from hwsim.mapping.cpu.convolution import ALGORITHMS, AUTO
from hwsim.mapping.cpu.facts import COLD, MACHINES, MEASURED, Facts, facts_of
from hwsim.mapping.cpu.machine import CORE, LANES, MATRIX_RATES, RATES, core_of
from hwsim.measured import calibrations
from hwsim.units import kib_to_bits, mib_to_bits, w_to_pj_per_cycle

FORMATS = {fmt.name: fmt for fmt in (fp32, bf16, fp16, int8)}

LIBRARIES, CALIBRATIONS, CACHES = ("onnxruntime", "mkl"), ("fitted", "none"), ("warm", "cold")

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
    "threads": Source.assumed("all cores"),
    "rates": Source(
        "Intel 64 and IA-32 Architectures Optimization Reference Manual",
        None,
        "two vector units of 128 to 512 bits; AMX: 16 x 16 sums of 32 (bf16) or 64 (int8) products in 16 cycles",
    ),
    "caches of a core": Source.assumed("sizes of its generation, rates near those of Intel's optimisation manual"),
    "edge of a cache": Source.assumed(
        "data up to 0.75 of a cache stay in it, beyond 1.5 of it come from the next; in between, both"
    ),
    "tiles": Source(
        "onnxruntime, MLAS",
        None,
        "sconv.h, snchwc.cpp, qlinearconv.cc: 6 columns by 4 vectors of filters, 128 channels per visit of 1x1 filters",
    ),
    "blocks": Source.assumed("96 output positions, whose inputs stay in L1 or L2 while all filters of a set pass"),
    "last set of filters": Source.assumed(
        "1, 2 and 3 vectors cost 4/3 (int8 5/3), 2 and 3: 6 sums on two units wait for a latency of 4 (int8 5) cycles"
    ),
    "copies into a matrix": Source.assumed("starting to copy the channels of a tap takes as long as 4 elements"),
    "threads of small operators": Source(
        "onnxruntime, threadpool.cc, and Eigen, TensorCostModel",
        None,
        "100,000 cycles to start and for each thread, 11 for a line of 64 bytes; softmax: a thread per 16384 elements",
    ),
    "vector operations": Source.assumed("at most one per lane of fp32 and cycle, in all formats"),
    "L3's rate": Source.assumed("8 bytes per cycle and core, typical, where it was not measured"),
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
    Published busy power is scaled with `tdp_w`.
    """
    library = library or ("mkl" if machine == "i7_5930k" else "onnxruntime")
    caches = caches or ("cold" if machine in COLD else "warm")
    _check_choices(
        machine=(machine, MACHINES),
        library=(library, LIBRARIES),
        calibration=(calibration, CALIBRATIONS),
        caches=(caches, CACHES),
        convolution=(convolution, ALGORITHMS),
    )
    facts = facts_of(machine) if calibration == "fitted" else facts_of(machine).without_fits()
    asked = {"clock_mhz": clock_mhz, "bandwidth_gb_s": bandwidth_gb_s, "tdp_w": tdp_w}
    sizes = {name: float(value or facts.values[name]) for name, value in asked.items()}
    cores = _cores(machine, threads, int(facts.values["cores"]))
    check_positive("cpu", threads=cores, **sizes)
    clock_hz, isa = clock_hz_of("cpu", sizes["clock_mhz"]), facts.values["isa"]
    rates = {**RATES[isa], **MATRIX_RATES.get(isa, {})}
    fitted = _cases(facts, tuple(rates), calibration)
    running_w, why = _running(facts, sizes["tdp_w"])
    options = _options(facts, core_of({**facts.values, **sizes}, cores, caches == "cold", calibration == "none"))
    return Accelerator(
        name="cpu",
        clock_hz=clock_hz,
        description="CPU with vector and matrix units: machine, library and datasheet values as parameters",
        array=PEArray(cores, 1, rates, unit="cores"),
        levels=_levels(facts.values, cores, clock_hz, sizes["bandwidth_gb_s"], caches == "cold"),
        vector_lanes=cores * LANES[isa],
        dataflow="cache_blocks",
        dataflows=("cache_blocks",),
        engine="cpu",
        energy=_energy(facts.values, tuple(rates), w_to_pj_per_cycle(running_w, clock_hz), why),
        sources={**facts.sources, **ASSUMED, **_off_chip(facts.values), **_said(fitted), "power while running": why},
        options={
            **options,
            "cases": fitted,
            "adds_in_place": caches == "warm",
            "convolution": convolution,
            "vectors_on_one": library == "mkl",
            "matrix": calibration == "none",
        },
        parameters={"machine": machine, "library": library, "calibration": calibration, "caches": caches,
                    "convolution": convolution, "threads": cores, **sizes},
        area=partial(die, machine),
    )  # fmt: skip


def _check_choices(**chosen: tuple[str, tuple[str, ...]]) -> None:
    for name, (value, choices) in chosen.items():
        check_choice("cpu", name, value, choices)


def _cores(machine: str, threads: int, cores: int) -> int:
    """Return how many cores work; raises `InputError` for more than there are."""
    if threads > cores:
        raise InputError(f"chip 'cpu': threads={threads} is more than the {cores} cores of '{machine}'")
    return threads or cores


def _options(facts: Facts, made: object) -> dict[str, Any]:
    """Return what the engine reads of the machine itself."""
    values = facts.values
    return {
        "machine": made,
        "call_s": float(values.get("call_s", 0.0)),
        "cached_bytes": float(values.get("l3_bytes", values["l3_mib"] * 2**20)),
        "notes": facts.notes,
    }


def _cases(facts: Facts, formats: tuple[str, ...], calibration: str) -> dict[tuple[str, str], Case]:
    """Return the constants of every class of operators in every format."""
    if calibration == "none":
        return {(op_class, fmt): ideal(op_class) for fmt in formats for op_class in CLASSES}
    if facts.fitted:
        return cases(facts.fitted, "onnxruntime", formats)
    return cases(calibrations(MEASURED), "onnxruntime", formats, f"typical: those of {MEASURED}")


def _said(fitted: Mapping[tuple[str, str], Case]) -> dict[str, Source]:
    """Return the source of every case's constants, with their values."""
    said = {}
    for (op_class, fmt), case in fitted.items():
        values = ", ".join(f"{name} {value:.4g}" for name, value in case.constants._asdict().items() if value < inf)
        source, fits = case.source, f"; fitted on {case.shapes} shapes" if case.shapes else ""
        said[f"constants of {op_class} in {fmt}"] = Source(
            source.work, source.year, f"{source.locator}{fits}: {values}"
        )
    return said


def _off_chip(facts: Mapping[str, Any]) -> dict[str, Source]:
    """Return the source of what one core reads off-chip, where that was not measured."""
    if "core_bytes_s" in facts:
        return {}
    core = CORE[facts["isa"]]
    why = f"{core.lines} lines of 64 bytes that its L2 waits for at most, {core.latency_ns:g} ns each, typical"
    return {"one core's bandwidth off-chip": Source.assumed(why)}


def _levels(
    facts: Mapping[str, Any], cores: int, clock_hz: int, bandwidth_gb_s: float, cold: bool
) -> tuple[MemoryLevel, ...]:
    """Return caches and memory. With warm caches no operand has to come from memory: it holds none of its own."""
    operands = ("input", "weight", "output")
    rate = gb_s_per_cycle("cpu", "bandwidth_gb_s", bandwidth_gb_s, clock_hz)
    core = CORE[facts["isa"]]
    return (
        MemoryLevel("l1", kib_to_bits(core.l1_kib), None, None, operands, instances=cores),
        MemoryLevel("l2", kib_to_bits(core.l2_kib), None, None, operands, instances=cores),
        MemoryLevel("l3", mib_to_bits(facts["l3_mib"]), None, None, operands),
        MemoryLevel("dram", None, rate, rate, operands if cold else ()),
    )


def _running(facts: Facts, tdp_w: float) -> tuple[float, Source]:
    """Return what the die draws while it runs [W]: published, at another TDP in proportion to it, or half of that."""
    busy_w, own_w = facts.values.get("busy_w"), facts.values["tdp_w"]
    if busy_w is None:
        return tdp_w / 2, ASSUMED["power while running"]
    source = facts.sources["busy_w"]
    if tdp_w == own_w:
        return busy_w, source
    return busy_w * tdp_w / own_w, Source.assumed(f"in proportion to tdp_w, {busy_w:g} W at {own_w:g} W ({source})")


def _energy(facts: Mapping[str, Any], formats: tuple[str, ...], running_pj: float, why: Source) -> EnergyTable:
    """Return the energy of every action: running power in each cycle, and what the reference tables say of actions."""
    node, core, kinds = facts["node_nm"], CORE[facts["isa"]], [FORMATS[name] for name in formats]
    return table_of(
        [mac_entry(fmt, node) for fmt in kinds],
        sram_entries("l1", kib_to_bits(core.l1_kib), node),
        sram_entries("l2", kib_to_bits(core.l2_kib), node),
        sram_entries("l3", mib_to_bits(1), node),
        dram_entries("dram"),
        [vector_entry(fmt, node) for fmt in kinds],
        [EnergyEntry("running", "cycle", running_pj, 0, node, why)],
    )
