"""The setup in which ISCA 2016 compares dataflows: 256 PEs and one storage area, which each dataflow divides its way.

          +-------------------------------+
          |  PE  PE  PE  PE ...           |      PE: a 16-bit multiplier-accumulator and a register file of
          |  PE  PE  PE  PE ...  256 PEs  |          512 B (RS), 98 B (OSA), 10 B (OSB), 2 B (OSC, WS), none (NLR)
          +-------------------------------+
              |  array: PE to PE, and from the buffer to many
          +-------------------------------+
          |         global buffer         |      128 KiB (RS); what is saved in registers, by area, is buffer
          +-------------------------------+
              |
             DRAM                                an access costs 200 MACs, of the buffer 6, the array 2, registers 1

Its measure is energy: cycles are MACs over PEs at work. Chen, Emer and Sze, Eyeriss: A Spatial Architecture for
Energy-Efficient Dataflow for Convolutional Neural Networks, ISCA 2016.
"""

from __future__ import annotations

from math import inf, isqrt

from hwsim.arch import Accelerator, EnergyEntry, EnergyTable, MemoryLevel, PEArray, Source
from hwsim.arch.accelerator import check_positive
from hwsim.arch.area import sram_mm2
from hwsim.arch.energy import table_of
from hwsim.arch.rate import clock_hz_of, gb_s_per_cycle
from hwsim.arch.reference_energy import arithmetic
from hwsim.arch.technology import scale_energy
from hwsim.errors import InputError
from hwsim.formats.fixed16 import fixed16
from hwsim.published import table
from hwsim.units import BITS_PER_BYTE, kib_to_bits

WORK = "Chen, Emer and Sze, Eyeriss: A Spatial Architecture for Energy-Efficient Dataflow for CNNs, ISCA"
NODE_NM = 65
OPERANDS = ("input", "weight", "output")

RF_BYTES = {
    "isca_row_stationary": 0,
    "isca_output_stationary_a": 98,
    "isca_output_stationary_b": 10,
    "isca_output_stationary_c": 2,
    "isca_weight_stationary": 2,
    "isca_no_local_reuse": 0,
}
"""Registers per PE by dataflow; row-stationary has those of the parameter."""

SOURCES = {
    "pes": Source(WORK, 2016, "comparison of dataflows, 256 PEs"),
    "rf_bytes": Source(WORK, 2016, "registers per PE of row-stationary, 512 B"),
    "buffer_kib": Source(WORK, 2016, "buffer of row-stationary, 128 KiB with 256 PEs"),
    "clock_mhz": Source.assumed("200 MHz as Eyeriss runs; the paper compares energy, and delay in numbers of PEs"),
    "bandwidth_gb_s": Source.assumed("no limit: the paper gives none"),
    "registers of the other dataflows": Source.assumed(
        "one word where one operand or sum stays, none in NLR, 1 + U in OSB and 1 + U + U R in OSA for the sum and the "
        "inputs that pass, with the largest stride U = 4 and filter R = 11 of AlexNet"
    ),
    "storage area": Source(WORK, 2016, "the same for all dataflows: registers and buffer of row-stationary together"),
    "area of a memory": Source.assumed(
        "per byte on log-log lines over capacity through CACTI 7 at 65 nm, 512 B to 1 MiB"
    ),
    "padding": Source.assumed("planes are stored and moved with their padding, as in the paper's shapes"),
    "counts": Source(WORK, 2016, "framework: an access is charged where a datum is read; psums where read and written"),
    "operators that are no products": Source.assumed("left out, as in the paper: the chip has no vector lanes"),
}


def isca2016(
    pes: int = 256,
    rf_bytes: int = 512,
    buffer_kib: float = 0,
    clock_mhz: float = 200,
    bandwidth_gb_s: float = inf,
    dram_cost: float = 200,
    buffer_cost: float = 6,
    array_cost: float = 2,
    rf_cost: float = 1,
) -> Accelerator:
    """Return the setup of the comparison, or one with other sizes.

    `rf_bytes` of registers per PE and `buffer_kib`, half a KiB per PE by default, are what row-stationary has; the
    other dataflows divide the same area. `bandwidth_gb_s` is that of DRAM, the costs of an access are in MACs.
    """
    sizes = {"pes": pes, "rf_bytes": rf_bytes, "buffer_kib": buffer_kib or pes / 2, "clock_mhz": clock_mhz}
    costs = {"dram": dram_cost, "buffer": buffer_cost, "array": array_cost, "rf": rf_cost}
    ratios = {f"{level}_cost": cost for level, cost in costs.items()}
    unlimited = bandwidth_gb_s == inf
    check_positive("isca2016", **sizes, **ratios, bandwidth_gb_s=1 if unlimited else bandwidth_gb_s)
    clock_hz, buffer_bytes = clock_hz_of("isca2016", clock_mhz), kib_to_bits(sizes["buffer_kib"]) // BITS_PER_BYTE
    rate = None if unlimited else gb_s_per_cycle("isca2016", "bandwidth_gb_s", bandwidth_gb_s, clock_hz)
    rows = next(side for side in range(isqrt(pes), 0, -1) if pes % side == 0)
    return Accelerator(
        name="isca2016",
        clock_hz=clock_hz,
        description="256 PEs and one storage area, on which ISCA 2016 compares dataflows",
        array=PEArray(rows, pes // rows, {fixed16.name: 1}),
        levels=(
            MemoryLevel("rf", rf_bytes * BITS_PER_BYTE, None, None, OPERANDS, instances=pes),
            MemoryLevel("buffer", buffer_bytes * BITS_PER_BYTE, None, None, OPERANDS),
            MemoryLevel("dram", None, rate, rate, OPERANDS),
        ),
        vector_lanes=0,
        dataflow="isca_row_stationary",
        dataflows=tuple(RF_BYTES),
        engine="isca2016",
        energy=_energy(costs),
        sources={**SOURCES, **{f"{level}_cost": _cost_source(level, cost) for level, cost in costs.items()}},
        options={"storage": divided(pes, rf_bytes, buffer_bytes), "costs": costs},
        parameters={**sizes, "bandwidth_gb_s": "inf" if unlimited else bandwidth_gb_s, **ratios},
    )


def divided(pes: int, rf_bytes: int, buffer_bytes: int) -> dict[str, tuple[int, int]]:
    """Return bytes of registers per PE and of buffer by dataflow, all of the area that the given sizes take."""
    area_mm2 = pes * sram_mm2(rf_bytes) + sram_mm2(buffer_bytes)
    storage = {"isca_row_stationary": (rf_bytes, buffer_bytes)}
    for dataflow, own_bytes in RF_BYTES.items():
        if dataflow not in storage:
            left = _bytes_in(area_mm2 - pes * sram_mm2(own_bytes))
            if left < BITS_PER_BYTE:
                raise InputError(
                    f"chip 'isca2016': rf_bytes={rf_bytes} and a buffer of {buffer_bytes} bytes are too little area "
                    f"for the {own_bytes} B of registers per PE of {dataflow}"
                )
            storage[dataflow] = (own_bytes, left)
    return storage


def _bytes_in(area_mm2: float) -> int:
    """Return the largest memory [bytes] that an area holds, by halving."""
    low, high = 0, 1
    while sram_mm2(high) <= area_mm2:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if sram_mm2(middle) <= area_mm2 else (low, middle)
    return low


def _energy(costs: dict[str, float]) -> EnergyTable:
    """Return the energy of a multiply-accumulate, and of a word of each level as a multiple of it."""
    product_pj, from_nm, source = arithmetic("multiply", "int16")
    sum_pj, _, _ = arithmetic("add", "int16")
    mac_pj = scale_energy(product_pj + sum_pj, from_nm, NODE_NM)
    why = Source.assumed(f"16-bit product and sum at {NODE_NM} nm ({source}); the paper gives energy in MACs only")
    actions = {"rf": ("read", "write"), "array": ("transfer",), "buffer": ("read", "write"), "dram": ("read", "write")}
    return table_of(
        [EnergyEntry("mac", fixed16.name, mac_pj, 0, NODE_NM, why)],
        [
            EnergyEntry(level, action, costs[level] * mac_pj, fixed16.bits, NODE_NM, _cost_source(level, costs[level]))
            for level, names in actions.items()
            for action in names
        ],
    )


def _cost_source(level: str, cost: float) -> Source:
    """Return where the cost of an access in MACs is from."""
    (row,) = (row for row in table("isca2016_costs") if row["level"] == level)
    if cost != float(row["macs"]):
        return Source.assumed(f"a parameter, here {cost:g} MACs per access")
    return Source(row["work"], int(row["year"]), f"{row['locator']}: {cost:g} MACs per access")
