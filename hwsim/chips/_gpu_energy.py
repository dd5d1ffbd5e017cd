"""Power and energy of a GPU: what it draws while kernels run, and what their actions draw besides, up to its TDP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from hwsim.arch import EnergyEntry, EnergyTable, Source
from hwsim.arch.energy import table_of
from hwsim.arch.reference_energy import sram_entries
from hwsim.mapping.gpu import kernels
from hwsim.mapping.gpu.constants import Case
from hwsim.units import gb_s_to_bits_s, kib_to_bits, w_to_pj_per_cycle

RUNNING_SHARE = 0.5
"""Share of the TDP that a machine draws while kernels run, whatever they do."""

SHARED_MEMORY_KIB, L2_SLICE_KIB = 32, 512
"""Memories whose energy per access is taken."""

L2_BYTES_PER_CYCLE = 64.0
"""What an SM can take from L2 per cycle, at most."""

LEAST_SHARE = 0.2
"""Share of the TDP that multiply-accumulates draw at least."""

SOURCES = {
    "power while kernels run": Source.assumed(
        "half of the TDP, beside what actions draw: a Titan X that streams weights at 279 GB/s draws 159 of its 250 W "
        "(Han et al., EIE, ISCA 2016, Table V), a busy K80 die 98 of 150 W (Jouppi et al., ISCA 2017, Table 2)"
    ),
    "power limit": Source.assumed(
        "tdp_w bounds the power of every kernel; energies and the power while kernels run stay those of the datasheet's"
    ),
    "multiply-accumulate energy": Source.assumed(
        "what is left of the TDP when products run at the sustained peak and both memories at full bandwidth, L2 at up "
        f"to {L2_BYTES_PER_CYCLE:g} bytes per SM and cycle, but at least {LEAST_SHARE} of the TDP; operand delivery, "
        "registers and instructions included"
    ),
    "on-chip memory energy": Source.assumed(
        f"that of an SRAM of {SHARED_MEMORY_KIB} KiB in shared memory and of {L2_SLICE_KIB} KiB in L2, of which both "
        "have many"
    ),
}


def running_w(facts: Mapping[str, float]) -> float:
    """Return the power [W] while kernels run, beside what their actions draw."""
    return RUNNING_SHARE * facts["tdp_w"]


def energy_of(
    facts: Mapping[str, float],
    sources: Mapping[str, Source],
    rates: Mapping[str, int | Fraction],
    cases: Mapping[tuple[str, str], Case],
    clock_hz: int,
) -> EnergyTable:
    """Return the energy of every action.

    At the sustained rate, with both memories at full bandwidth, they come to the datasheet's TDP.
    """
    node = facts["node_nm"]
    memories = [
        sram_entries(name, kib_to_bits(kib), node)
        for name, kib in (("shared_memory", SHARED_MEMORY_KIB), ("l2", L2_SLICE_KIB))
    ]
    on_chip_pj = sum(entry.word_pj(1) for group in memories for entry in group) / 2
    dram_pj = facts["dram_pj_per_bit"]
    macs = dict(_macs(facts, rates, cases, on_chip_pj))
    own, ordinary = SOURCES["multiply-accumulate energy"], Source.assumed("an fp32 multiply-accumulate")
    running_pj = w_to_pj_per_cycle(running_w(facts), clock_hz)
    return table_of(
        [EnergyEntry("mac", fmt, pj, 0, node, own) for fmt, pj in macs.items()],
        *memories,
        [EnergyEntry("dram", action, dram_pj, 1, node, sources["dram_pj_per_bit"]) for action in ("read", "write")],
        [EnergyEntry("vector", fmt, macs["fp32"], 0, node, ordinary) for fmt in macs],
        [EnergyEntry("running", "cycle", running_pj, 0, node, SOURCES["power while kernels run"])],
    )


def _macs(
    facts: Mapping[str, float],
    rates: Mapping[str, int | Fraction],
    cases: Mapping[tuple[str, str], Case],
    on_chip_pj: float,
) -> Iterator[tuple[str, float]]:
    """Yield the energy of a multiply-accumulate in every format [pJ]; `on_chip_pj` is that of a bit out of L2."""
    cycles_s = facts["sms"] * facts["clock_mhz"] * 1e6
    dram_w = gb_s_to_bits_s(facts["bandwidth_gb_s"]) * facts["dram_pj_per_bit"] * 1e-12
    for fmt, rate in rates.items():
        values = cases["gemm", fmt].values
        l2_w = min(L2_BYTES_PER_CYCLE, values[kernels.L2_BYTES_PER_CYCLE]) * cycles_s * 8 * on_chip_pj * 1e-12
        left_w = max(facts["tdp_w"] - running_w(facts) - dram_w - l2_w, LEAST_SHARE * facts["tdp_w"])
        macs_s = cycles_s * float(rate) * (values[kernels.SUSTAINED_SHARE] or 1.0)
        yield fmt, left_w / macs_s * 1e12
