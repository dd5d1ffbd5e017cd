"""A generic systolic array with three double-buffered on-chip buffers.

                     filter buffer
                     |   |   |   |
                     v   v   v   v
                   +---+---+---+---+
      ifmap  ----> |PE |PE |PE |PE | --+      PE: multiplier, adder, registers for
      buffer ----> |PE |PE |PE |PE |   |          input, weight and partial sum
             ----> |PE |PE |PE |PE |   |
                   +---+---+---+---+
                     |   |   |   |
                     v   v   v   v            buffers feed one word per row and
                  ofmap buffer + vector lanes   column and cycle; all three share
                           |                    one channel to off-chip memory
                          DRAM

It is no particular product: its sizes are parameters. Timing follows Samajdar et al. (SCALE-Sim), ISPASS 2020.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import partial
from math import inf

from hwsim.arch import Accelerator, EnergyTable, MemoryLevel, PEArray, Source
from hwsim.arch.accelerator import check_choice, check_positive
from hwsim.arch.area import AreaEntry, mac_area, register_area, sram_area, vector_area
from hwsim.arch.energy import table_of
from hwsim.arch.rate import clock_hz_of, gb_s_per_cycle
from hwsim.arch.reference_energy import dram_entries, mac_entry, register_entries, sram_entries, vector_entry
from hwsim.errors import InputError
from hwsim.formats import NumberFormat
from hwsim.formats.bf16 import bf16
from hwsim.formats.binary import binary
from hwsim.formats.fp8 import fp8
from hwsim.formats.fp8_e5m2 import fp8_e5m2
from hwsim.formats.fp16 import fp16
from hwsim.formats.fp32 import fp32
from hwsim.formats.int4 import int4
from hwsim.formats.int8 import int8
from hwsim.formats.int16 import int16
from hwsim.formats.ternary import ternary
from hwsim.formats.tf32 import tf32
from hwsim.units import kib_to_bits

FORMATS = (int8, int16, fp16, bf16, fp32, tf32, fp8, fp8_e5m2, int4, ternary, binary)
DATAFLOWS = ("weight_stationary", "output_stationary", "input_stationary")
NARROWEST_BITS, WIDEST_BITS = min(fmt.bits for fmt in FORMATS), max(fmt.accumulator_bits for fmt in FORMATS)
BUFFERS = {"ifmap_buffer": "input", "filter_buffer": "weight", "ofmap_buffer": "output"}


def systolic(
    rows: int = 32,
    cols: int = 32,
    ifmap_kib: float = 256,
    filter_kib: float = 256,
    ofmap_kib: float = 256,
    bandwidth_gb_s: float = 32,
    clock_mhz: float = 1000,
    vector_lanes: int = 0,
    node_nm: float = 45,
    drain: str = "array",
    preload: str = "serial",
) -> Accelerator:
    """Return a systolic array of `rows` x `cols` PEs.

    Buffers are in KiB and give half to the data in use; `bandwidth_gb_s` is that of off-chip memory, "inf" for no
    limit; `vector_lanes` defaults to one per column. `drain=tile` lets the next tile in when the wave has left the
    tile instead of the whole array, `preload=overlapped` loads the next stationary tile behind the current stream.
    """
    sizes = {
        "rows": rows,
        "cols": cols,
        "clock_mhz": clock_mhz,
        "node_nm": node_nm,
        "vector_lanes": vector_lanes or cols,
    }
    buffers = {"ifmap_kib": ifmap_kib, "filter_kib": filter_kib, "ofmap_kib": ofmap_kib}
    unlimited = bandwidth_gb_s == inf
    check_positive("systolic", **sizes, **buffers, bandwidth_gb_s=1 if unlimited else bandwidth_gb_s)
    check_choice("systolic", "drain", drain, ("array", "tile"))
    check_choice("systolic", "preload", preload, ("serial", "overlapped"))
    clock_hz, capacities = clock_hz_of("systolic", clock_mhz), _capacities(buffers)
    off_chip = {"bandwidth_gb_s": "inf" if unlimited else bandwidth_gb_s}
    parameters = {**sizes, **buffers, **off_chip, "drain": drain, "preload": preload}
    return Accelerator(
        name="systolic",
        clock_hz=clock_hz,
        description="generic systolic array, all sizes parameters",
        array=PEArray(rows, cols, {fmt.name: 1 for fmt in FORMATS}, drain, preload),  # type: ignore[arg-type]
        levels=(*_buffers(rows, cols, capacities), _dram(bandwidth_gb_s, clock_hz)),
        vector_lanes=vector_lanes or cols,
        dataflow="weight_stationary",
        dataflows=DATAFLOWS,
        engine="array",
        energy=_energy(capacities, node_nm),
        sources=_sources(parameters),
        parameters=parameters,
        area=partial(_area, rows * cols, vector_lanes or cols, capacities, node_nm),
    )


def _capacities(kib: Mapping[str, float]) -> dict[str, int]:
    """Return the bits of each buffer."""
    return {buffer: capacity_bits(*given) for buffer, given in zip(BUFFERS, kib.items(), strict=True)}


def capacity_bits(name: str, kib: float) -> int:
    """Return the bits of the buffer of parameter `name`; half of one must hold the smallest word."""
    bits = kib_to_bits(kib)
    if bits < 2 * NARROWEST_BITS:
        raise InputError(f"chip 'systolic': {name}={kib:g} is less than two words of {NARROWEST_BITS} bits")
    return bits


def _buffers(rows: int, cols: int, capacities: dict[str, int]) -> tuple[MemoryLevel, ...]:
    """Buffers as wide as the side of the array they feed, in words of the widest format."""
    words = {"ifmap_buffer": rows, "filter_buffer": cols, "ofmap_buffer": cols}
    return tuple(
        MemoryLevel(
            name,
            capacities[name],
            Fraction(words[name] * WIDEST_BITS),
            Fraction(words[name] * WIDEST_BITS),
            (operand,),
            double_buffered=True,
            accumulates=operand == "output",
        )
        for name, operand in BUFFERS.items()
    )


def _dram(bandwidth_gb_s: float, clock_hz: int) -> MemoryLevel:
    unlimited = bandwidth_gb_s == inf
    rate = None if unlimited else gb_s_per_cycle("systolic", "bandwidth_gb_s", bandwidth_gb_s, clock_hz)
    return MemoryLevel("dram", None, rate, rate, ("input", "weight", "output"))


def _energy(capacities: dict[str, int], node_nm: float) -> EnergyTable:
    return table_of(
        [mac_entry(fmt, node_nm) for fmt in FORMATS],
        register_entries("pe_register", node_nm),
        *(sram_entries(name, bits, node_nm) for name, bits in capacities.items()),
        dram_entries("dram"),
        [vector_entry(fmt, node_nm) for fmt in FORMATS],
    )


def _area(
    pes: int, lanes: int, capacities: Mapping[str, int], node_nm: float, fmt: NumberFormat
) -> tuple[AreaEntry, ...]:
    """Return the area of an array built for one format: PEs with a register per operand, lanes, buffers; no wires."""
    return (
        mac_area(fmt, pes, node_nm),
        register_area("pe_register", pes * latched_bits(fmt), node_nm),
        vector_area(fmt, lanes, node_nm),
        *(sram_area(name, bits, node_nm) for name, bits in capacities.items()),
    )


def latched_bits(fmt: NumberFormat) -> int:
    """Return the bits of a PE's registers: an input, a weight and a partial sum."""
    return fmt.operand_bits("input") + fmt.operand_bits("weight") + fmt.accumulator_bits


def _sources(parameters: Mapping[str, object]) -> dict[str, Source]:
    """Every size is a parameter of a machine nobody built; what the model takes for granted is said once."""
    chosen = {
        name: Source.assumed(f"a parameter of the generic array, here {value}") for name, value in parameters.items()
    }
    return {
        **chosen,
        "timing of a fold": Source(
            "Samajdar et al., A systematic methodology for characterizing scalability of DNN "
            "accelerators using SCALE-Sim, ISPASS",
            2020,
            "Sec. III",
        ),
        "speed of formats": Source.assumed("one multiply-accumulate per PE and cycle in each: a PE has a unit for it"),
        "idle PEs": Source.assumed("clock-gated: only PEs of a tile latch operands"),
        "static power": Source.assumed("none: energy is that of actions, without leakage and clock tree"),
        "layers": Source.assumed("run one after the other, each reading its input and writing its output off-chip"),
    }
