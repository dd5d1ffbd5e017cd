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
from functools import lru_cache, partial
from typing import NamedTuple

from hwsim.arch import Accelerator, MemoryLevel, PEArray, Source
from hwsim.arch.accelerator import check_choice, check_positive
from hwsim.arch.area import die
from hwsim.arch.rate import clock_hz_of, gb_s_per_cycle
from hwsim.chips import _gpu_energy
from hwsim.errors import InputError
from hwsim.mapping.gpu import attention as attention_
from hwsim.mapping.gpu import constants, matrix, recurrent, stream
from hwsim.mapping.gpu import convolution as convolution_
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
from hwsim.published import table
from hwsim.units import kib_to_bits, mib_to_bits

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

VECTOR_MACHINE = "titan_x"
"""The one machine that a matrix by a vector was measured on."""

KEPLER_MACHINES = ("k20m", "k80", "tegra_k1")

WIDE_FIRST = ("bf16", "fp16", "tf32", "fp8", "int8")
NARROW_FIRST = ("fp8", "int8", "bf16", "fp16", "tf32")
"""Formats of tensor cores, the nearest first."""

CHOICES = {
    "machine": tuple(LINEAGE),
    "library": tuple(LAUNCH_US),
    "calibration": ("fitted", "none"),
    "attention": ("separate", "fused"),
    "convolution": convolution_.ALGORITHMS,
}
DEFAULT_LIBRARY = {
    **dict.fromkeys(("titan_x", "v100", "k20m", "k80", "tegra_k1"), "direct"),
    **dict.fromkeys(("v100_pcie", "a100_pcie_40gb", "a100_pcie_80gb", "t4"), "eager"),
}
"""What a machine was measured with; a CUDA graph for all others."""

ASSUMED = {
    "library": Source.assumed(
        "graph: kernels follow one another in a CUDA graph, operators on elements run with the product before them; "
        "direct: called one by one; eager: from a framework, each operator a kernel of its own"
    ),
    "calibration": Source.assumed("fitted to measured kernels; none leaves the datasheet and the structure"),
    **constants.SOURCES,
    **matrix.SOURCES,
    **convolution_.SOURCES,
    **attention_.SOURCES,
    **recurrent.SOURCES,
    **stream.SOURCES,
    **_gpu_energy.SOURCES,
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
    Peaks follow SMs and clock. `tdp_w` limits the power of every kernel, which is more than that while kernels run.
    """
    library = library or DEFAULT_LIBRARY.get(machine, "graph")
    attention = attention or ("fused" if library == "graph" else "separate")
    chosen = {
        "machine": machine,
        "library": library,
        "calibration": calibration,
        "attention": attention,
        "convolution": convolution,
    }
    for name, value in chosen.items():
        check_choice("gpu", name, value, CHOICES[name])
    preset = _preset(machine, library, calibration)
    asked = {"sms": sms, "clock_mhz": clock_mhz, "bandwidth_gb_s": bandwidth_gb_s, "l2_mib": l2_mib, "tdp_w": tdp_w}
    return _accelerator(preset, chosen, _sizes(machine, preset.facts, asked))


def _sizes(machine: str, facts: Mapping[str, float], asked: Mapping[str, float]) -> dict[str, float]:
    """Return the sizes of a machine, its own where none is asked for; raises `InputError` for impossible ones."""
    sizes = {name: value or facts[name] for name, value in asked.items()}
    check_positive("gpu", **sizes)
    running_w = _gpu_energy.running_w(facts)
    if sizes["tdp_w"] <= running_w:
        raise InputError(
            f"chip 'gpu': tdp_w={sizes['tdp_w']:g} is not above the {running_w:g} W that '{machine}' draws while "
            "kernels run, whatever they do"
        )
    return sizes


def _accelerator(preset: Preset, chosen: Mapping[str, str], sizes: Mapping[str, float]) -> Accelerator:
    """Return the machine of a preset with other sizes."""
    facts, sources, rates, cases, fits = preset
    clock_hz, sms = clock_hz_of("gpu", sizes["clock_mhz"]), round(sizes["sms"])
    return Accelerator(
        name="gpu",
        clock_hz=clock_hz,
        description="NVIDIA GPU, K20M to H200: machine, library and datasheet values as parameters",
        array=PEArray(sms, 1, dict(rates), unit="SMs"),
        levels=_levels(sms, facts["l1_kib"], sizes["l2_mib"], sizes["bandwidth_gb_s"], clock_hz),
        vector_lanes=max(1, round(sizes["sms"] * rates["fp32"])),
        dataflow="thread_blocks",
        dataflows=("thread_blocks",),
        engine="gpu",
        energy=_gpu_energy.energy_of(facts, sources, rates, cases, clock_hz),
        sources={"machine": Source.assumed("a preset"), **sources, **ASSUMED, **fits},
        fuses=chosen["library"] != "eager",
        options={
            "cases": dict(cases),
            "attention": chosen["attention"],
            "convolution": chosen["convolution"],
            "tdp_w": sizes["tdp_w"],
            "running_w": _gpu_energy.running_w(facts),
        },
        parameters={**chosen, **sizes},
        area=partial(die, chosen["machine"]),
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
    return {
        (op_class, fmt): _case(machine, library, calibration, op_class, fmt)
        for fmt in formats_of(facts)
        for op_class in ORDER
        if op_class != "gemv" or fmt == "fp32"
    }


def _case(machine: str, library: str, calibration: str, op_class: str, fmt: str) -> Case:
    """Return the constants of a class in a format: a Kepler's, ideal ones, or fitted or borrowed ones."""
    path = path_of(fmt)
    kin = (WIDE_FIRST if fmt in WIDE_FIRST[:3] else NARROW_FIRST) if path == TENSOR else ("fp32",)
    is_product = op_class in ("gemm", "bmm", "recurrent", "gemv", "conv", "attention")
    formats = (fmt, *(one for one in (kin if is_product else ("fp32", *kin)) if one != fmt))
    is_implicit = op_class == "conv" and path == TENSOR and not find((machine,), library, "conv", formats)
    wanted = "gemm" if is_implicit else op_class
    if calibration == "none":
        return ideal(wanted, path, library)
    of_kepler = KEPLER.get("gemm" if op_class in ("bmm", "recurrent") else op_class)
    if machine in KEPLER_MACHINES and of_kepler:
        return case_of(op_class, path, library, of_kepler, KEPLER_SOURCE, 0)
    machines = (machine, *LINEAGE[machine], *((VECTOR_MACHINE,) if op_class == "gemv" else ()))
    return resolve(machines, library, wanted, path, formats)


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
        fitted = f"; fitted on {case.shapes} shape{'' if case.shapes == 1 else 's'}" if case.shapes else ""
        source = case.source
        yield f"constants of {op_class} in {fmt}", Source(source.work, source.year, f"{source.locator}{fitted}: {case}")


def _levels(
    sms: int, l1_kib: float, l2_mib: float, bandwidth_gb_s: float, clock_hz: int
) -> tuple[MemoryLevel, MemoryLevel, MemoryLevel]:
    """Return shared memory of all SMs, L2 and off-chip memory; what L2 gives is among the fitted constants."""
    operands = ("input", "weight", "output")
    rate = gb_s_per_cycle("gpu", "bandwidth_gb_s", float(bandwidth_gb_s), clock_hz)
    l2_bits = mib_to_bits(l2_mib)
    if not l2_bits:
        raise InputError(f"chip 'gpu': l2_mib={l2_mib:g} is less than a bit")
    return (
        MemoryLevel("shared_memory", kib_to_bits(l1_kib), None, None, operands, instances=sms),
        MemoryLevel("l2", l2_bits, None, None, operands),
        MemoryLevel("dram", None, rate, rate, operands),
    )
