"""NVIDIA GPUs: blocks of outputs on streaming multiprocessors (SMs), by the libraries' own choice of kernels.

    +------------------------- GPU --------------------------+
    |  SM 0            SM 1                     SM n-1       |
    |  tensor cores,   +----------------+      +----------+  |
    |  ordinary cores  |                |  ... |          |  |
    |  registers       |                |      |          |  |
    |  shared memory   |                |      |          |  |
    +------|-----------+-------|--------+------+----|-----+  |
    |      +------------------ L2 -----------------+         |
    +--------------------------|-----------------------------+
                        HBM or GDDR ("dram")

Sizes, rates and peaks are those of datasheets (`published/gpus.csv`); how much of them a library reaches is fitted to
measurements (`measured/calibrations`) per class of operators and format. `calibration=none` leaves all fits out.

Kerr et al., CUTLASS, 2017; Jia et al., Dissecting the NVIDIA Volta GPU Architecture via Microbenchmarking, 2018.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from hwsim.arch import Accelerator, EnergyEntry, EnergyTable, MemoryLevel, PEArray, Source
from hwsim.arch.accelerator import check_choice, check_positive
from hwsim.arch.energy import table_of
from hwsim.arch.reference_energy import sram_entries
from hwsim.errors import InputError
from hwsim.mapping.gpu.constants import (
    KEPLER,
    KEPLER_SOURCE,
    LAUNCH_US,
    ORDER,
    SIMT,
    TENSOR,
    Case,
    case_of,
    find,
    ideal,
    resolve,
)  # fmt: skip
from hwsim.mapping.gpu.convolution import ALGORITHMS
from hwsim.mapping.gpu.matrix import GEMV_LAUNCH_US, STREAM_SHARE
from hwsim.published import table
from hwsim.units import gb_s_to_bits_s, kib_to_bits, mhz_to_hz, mib_to_bits, w_to_pj_per_cycle

LINEAGE = {
    "h100": ("a100", "a100_pcie_40gb", "a100_pcie_80gb", "v100"),
    "h200": ("h100", "a100", "a100_pcie_40gb", "a100_pcie_80gb", "v100"),
    "a100": ("a100_pcie_40gb", "a100_pcie_80gb", "h100", "v100"),
    "a100_pcie_40gb": ("a100_pcie_80gb", "a100", "h100", "v100"),
    "a100_pcie_80gb": ("a100_pcie_40gb", "a100", "h100", "v100"),
    "v100": ("v100_pcie", "a100_pcie_40gb", "h100"),
    "v100_pcie": ("v100", "a100_pcie_40gb", "h100"),
    "t4": ("v100_pcie", "v100", "a100_pcie_40gb", "a100", "h100"),
    "titan_x": ("v100", "v100_pcie"),
    "k20m": ("titan_x", "v100", "v100_pcie"),
    "k80": ("titan_x", "v100", "v100_pcie"),
    "tegra_k1": ("titan_x", "v100", "v100_pcie"),
}
"""Machines whose constants are taken where one's own were not measured, the nearest first."""

KEPLER_MACHINES = ("k20m", "k80", "tegra_k1")

WIDE_FIRST = ("bf16", "fp16", "tf32", "fp8", "int8")
NARROW_FIRST = ("fp8", "int8", "bf16", "fp16", "tf32")
"""Formats of tensor cores, the nearest first."""

LIBRARIES = tuple(LAUNCH_US)
DEFAULT_LIBRARY = {
    **dict.fromkeys(("titan_x", "v100", "k20m", "k80", "tegra_k1"), "direct"),
    **dict.fromkeys(("v100_pcie", "a100_pcie_40gb", "a100_pcie_80gb", "t4"), "eager"),
}
"""What a machine was measured with; a CUDA graph for all others."""

L2_SLICE_KIB = 512
RUNNING_SHARE = 0.5
"""Share of the TDP that a machine draws while kernels run, whatever they do."""

ASSUMED = {
    "library": Source.assumed(
        "graph: kernels follow one another in a CUDA graph, operators on elements run with the product before them; "
        "direct: called one by one; eager: from a framework, each operator a kernel of its own"
    ),
    "calibration": Source.assumed("fitted to measured kernels; none leaves the datasheet and the structure"),
    "attention": Source.assumed(
        "fused: scores stay on the chip, in fp16, bf16 and fp8, as in a graph; separate: a kernel per product"
    ),
    "convolution": Source.assumed("auto: each layer's fastest algorithm, as a library that tries them all takes it"),
    "power while kernels run": Source.assumed(
        "half of the TDP, beside what actions draw: a Titan X that streams weights at 279 GB/s draws 159 of its 250 W "
        "(Han et al., EIE, ISCA 2016, Table V), a busy K80 die 98 of 150 W (Jouppi et al., ISCA 2017, Table 2)"
    ),
    "matrix by vector": Source.assumed(
        f"a warp per output; all of them reach {STREAM_SHARE} of the bandwidth, as DeepBench's 1024 x 8 x 500000 does "
        "on a Titan X; not in fp16 and below, where the fitted blocks hold vectors too"
    ),
    "multiply-accumulate energy": Source.assumed(
        "what is left of the TDP when products run at the sustained peak and both memories at full bandwidth; operand "
        "delivery, registers and instructions included"
    ),
    "blocks in flight": Source.assumed("half of an SM's 65536 registers hold outputs of up to 8 blocks"),
}


def gpu(
    machine: str = "h100",
    library: str = "",
    calibration: str = "fitted",
    attention: str = "",
    convolution: str = "auto",
    sms: int = 0,
    clock_mhz: float = 0,
    bandwidth_gb_s: float = 0,
    l2_mib: float = 0,
    tdp_w: float = 0,
) -> Accelerator:
    """Return the GPU `machine`, or one with other sizes; 0 and "" stand for the machine's own.

    `library` says how kernels are called, "graph", "direct" or "eager"; `calibration` "none" leaves fitted constants
    out; with `attention` "fused", as in a graph, the products around a softmax are one kernel where the format has it.
    `convolution` is the algorithm of all convolutions that it can run; "auto", as for all others, the fastest there is.
    Peaks follow SMs and clock.
    """
    check_choice("gpu", "machine", machine, tuple(LINEAGE))
    library = library or DEFAULT_LIBRARY.get(machine, "graph")
    check_choice("gpu", "library", library, LIBRARIES)
    check_choice("gpu", "calibration", calibration, ("fitted", "none"))
    attention = attention or ("fused" if library == "graph" else "separate")
    check_choice("gpu", "attention", attention, ("separate", "fused"))
    check_choice("gpu", "convolution", convolution, ALGORITHMS)
    facts, sources, rates, cases, fits = _preset(machine, library, calibration)
    asked = {"sms": sms, "clock_mhz": clock_mhz, "bandwidth_gb_s": bandwidth_gb_s, "l2_mib": l2_mib, "tdp_w": tdp_w}
    sizes = {name: value or facts[name] for name, value in asked.items()}
    check_positive("gpu", **sizes)
    clock_hz = mhz_to_hz(sizes["clock_mhz"])
    if clock_hz < 1:
        raise InputError("chip 'gpu': clock_mhz is less than 1 Hz")
    idle_w, energy = energy_of(facts, sources, rates, cases, clock_hz)
    return Accelerator(
        name="gpu",
        clock_hz=clock_hz,
        description="NVIDIA GPU, K20M to H200: machine, library and datasheet values as parameters",
        array=PEArray(round(sizes["sms"]), 1, dict(rates), unit="SMs"),
        levels=_levels(round(sizes["sms"]), facts["l1_kib"], sizes["l2_mib"], sizes["bandwidth_gb_s"], clock_hz),
        vector_lanes=max(1, round(sizes["sms"] * rates["fp32"])),
        dataflow="thread_blocks",
        dataflows=("thread_blocks",),
        engine="gpu",
        energy=energy,
        sources={"machine": Source.assumed("a preset"), **sources, **ASSUMED, **fits},
        fuses=library != "eager",
        options={
            "cases": dict(cases),
            "attention": attention,
            "convolution": convolution,
            "gemv_launch_us": 0.0 if calibration == "none" else GEMV_LAUNCH_US.get(library, LAUNCH_US[library]),
            "tdp_w": sizes["tdp_w"],
            "idle_w": idle_w,
        },
        parameters={
            "machine": machine,
            "library": library,
            "calibration": calibration,
            "attention": attention,
            "convolution": convolution,
            **sizes,
        },
    )


def datasheet(machine: str) -> tuple[dict[str, float], dict[str, Source]]:
    """Return what is published of a machine, by quantity, and where."""
    rows = [row for row in table("gpus") if row["machine"] == machine]
    sources = {
        row["quantity"]: Source(row["work"], int(row["year"]) if row["year"] else None, row["locator"]) for row in rows
    }
    return {row["quantity"]: float(row["value"]) for row in rows}, sources


def formats_of(facts: Mapping[str, float]) -> list[str]:
    """Return the formats a machine has a peak rate for, its usual one first."""
    return [name.removesuffix("_tflops").removesuffix("_tops") for name in facts if name.endswith(("_tflops", "_tops"))]


def peaks(facts: Mapping[str, float]) -> dict[str, int | Fraction]:
    """Return multiply-accumulates per SM and cycle, such that all SMs at the datasheet's clock reach its peak."""
    rates: dict[str, int | Fraction] = {}
    for fmt in formats_of(facts):
        peak = facts.get(f"{fmt}_tflops") or facts[f"{fmt}_tops"]
        cycles = 2 * round(facts["sms"]) * Fraction(repr(facts["clock_mhz"]))
        rates[fmt] = (Fraction(repr(peak)) * 1_000_000 / cycles).limit_denominator(2**20)
    return rates


def path_of(fmt: str) -> str:
    """Return which cores compute in `fmt`: ordinary ones in fp32, tensor cores in all others."""
    return SIMT if fmt == "fp32" else TENSOR


def cases_of(machine: str, library: str, calibration: str, facts: Mapping[str, float]) -> dict[tuple[str, str], Case]:
    """Return the constants of every class of operators in every format; formats of the same cores share what is known.

    Products of several steps and convolutions on tensor cores have those of plain products.
    """
    known = formats_of(facts)
    machines = (machine, *LINEAGE[machine])
    cases = {}
    for fmt in known:
        path = path_of(fmt)
        kin = (WIDE_FIRST if fmt in WIDE_FIRST[:3] else NARROW_FIRST) if path == TENSOR else ("fp32",)
        for op_class in ORDER:
            product = op_class in ("gemm", "bmm", "recurrent", "conv", "attention")
            formats = (fmt, *(one for one in (kin if product else ("fp32", *kin)) if one != fmt))
            implicit = op_class == "conv" and path == TENSOR and not find((machine,), library, "conv", formats)
            wanted = "gemm" if implicit else op_class
            known_class = "gemm" if op_class in ("bmm", "recurrent") else op_class
            if calibration != "none" and machine in KEPLER_MACHINES and known_class in KEPLER:
                cases[op_class, fmt] = case_of(op_class, path, library, KEPLER[known_class], KEPLER_SOURCE, 0)
                continue
            cases[op_class, fmt] = (
                ideal(wanted, path, library)
                if calibration == "none"
                else resolve(machines, library, wanted, path, formats)
            )
    return cases


class Preset(NamedTuple):
    """What shipped files say of a machine: its datasheet and where that is from, peaks, constants and their sources."""

    facts: Mapping[str, float]
    sources: Mapping[str, Source]
    rates: Mapping[str, int | Fraction]
    cases: Mapping[tuple[str, str], Case]
    fits: Mapping[str, Source]


@lru_cache(maxsize=256)
def _preset(machine: str, library: str, calibration: str) -> Preset:
    facts, sources = datasheet(machine)
    cases = cases_of(machine, library, calibration, facts)
    return Preset(facts, sources, peaks(facts), cases, dict(_fits(cases)))


def _fits(cases: Mapping[tuple[str, str], Case]) -> Iterator[tuple[str, Source]]:
    """Yield a source for the constants of every case, with their values."""
    for (op_class, fmt), case in cases.items():
        names = ORDER[op_class]
        said = ", ".join(f"{name} {value:.4g}" for name, value in zip(names, case.values, strict=False))
        fitted = f"; fitted on {case.shapes} shapes" if case.shapes else ""
        source = case.source
        yield f"constants of {op_class} in {fmt}", Source(source.work, source.year, f"{source.locator}{fitted}: {said}")


def _levels(
    sms: int, l1_kib: float, l2_mib: float, bandwidth_gb_s: float, clock_hz: int
) -> tuple[MemoryLevel, MemoryLevel, MemoryLevel]:
    """Return shared memory of all SMs, L2 and off-chip memory; what L2 gives is among the fitted constants."""
    operands = ("input", "weight", "output")
    rate = (Fraction(repr(float(bandwidth_gb_s))) * round(gb_s_to_bits_s(1)) / clock_hz).limit_denominator(2**40)
    l2_bits = mib_to_bits(l2_mib)
    if not rate or not l2_bits:
        raise InputError(f"chip 'gpu': {'l2_mib is less than a bit' if rate else 'bandwidth_gb_s is next to nothing'}")
    return (
        MemoryLevel("shared_memory", kib_to_bits(l1_kib), None, None, operands, instances=sms),
        MemoryLevel("l2", l2_bits, None, None, operands),
        MemoryLevel("dram", None, rate, rate, operands),
    )


def energy_of(
    facts: Mapping[str, float],
    sources: Mapping[str, Source],
    rates: Mapping[str, int | Fraction],
    cases: Mapping[tuple[str, str], Case],
    clock_hz: int,
) -> tuple[float, EnergyTable]:
    """Return the power [W] while kernels run, and the energy of every action.

    At the sustained rate, with both memories at full bandwidth, they come to the TDP.
    """
    node, clock = facts["node_nm"], facts["clock_mhz"] * 1e6
    idle_w = RUNNING_SHARE * facts["tdp_w"]
    idle = EnergyEntry(
        "idle", "cycle", w_to_pj_per_cycle(idle_w, clock_hz), 0, node, ASSUMED["power while kernels run"]
    )
    memories = sram_entries("shared_memory", kib_to_bits(32), node), sram_entries("l2", kib_to_bits(L2_SLICE_KIB), node)
    dram_pj = facts["dram_pj_per_bit"]
    dram = [EnergyEntry("dram", action, dram_pj, 1, node, sources["dram_pj_per_bit"]) for action in ("read", "write")]
    dram_w = gb_s_to_bits_s(facts["bandwidth_gb_s"]) * dram_pj * 1e-12
    on_chip_pj = sum(entry.word_pj(1) for group in memories for entry in group) / 2
    macs = []
    for fmt, rate in rates.items():
        case = cases["gemm", fmt]
        l2_w = min(L2_BYTES_PER_CYCLE, case.values[2]) * facts["sms"] * clock * 8 * on_chip_pj * 1e-12
        left_w = max(facts["tdp_w"] - idle_w - dram_w - l2_w, LEAST_SHARE * facts["tdp_w"])
        macs_s = facts["sms"] * float(rate) * clock * (case.values[9] or 1.0)
        macs.append((fmt, left_w / macs_s * 1e12))
    why = ASSUMED["multiply-accumulate energy"]
    core_pj = dict(macs)["fp32"]
    return idle_w, table_of(
        [EnergyEntry("mac", fmt, pj, 0, node, why) for fmt, pj in macs],
        *memories,
        dram,
        [
            EnergyEntry("vector", fmt, core_pj, 0, node, Source.assumed("an fp32 multiply-accumulate"))
            for fmt, _ in macs
        ],
        [idle],
    )


L2_BYTES_PER_CYCLE = 64.0
"""What an SM can take from L2 per cycle, at most."""

LEAST_SHARE = 0.2
"""Share of the TDP that multiply-accumulates draw at least."""
