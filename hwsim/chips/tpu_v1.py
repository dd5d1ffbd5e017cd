"""Google's first Tensor Processing Unit: a 256 x 256 int8 matrix unit fed by instructions from the host.

       host  <== 10 GiB/s ==>  +------------------------+
                               |  unified buffer 24 MiB | <------------------+
                               +------------------------+                    |
                                    | a row per cycle                        |
     DDR3 weight memory             v                                        |
        | 30 GiB/s           systolic data setup                     activation unit
        v                           |                                 (normalise, pool)
     weight FIFO, 4 tiles           v                                        ^
        |               +------------------------+                           |
        +-> tile behind |  matrix unit 256 x 256 |    accumulators           |
            the one in -|  weights stay, inputs  | -> 4096 rows of 256 ------+
            use         |  go right, sums down   |    sums, used in halves
                        +------------------------+

Jouppi et al., In-Datacenter Performance Analysis of a Tensor Processing Unit, ISCA 2017 (arXiv:1704.04760).
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import partial
from itertools import pairwise

from hwsim.arch import Accelerator, EnergyEntry, EnergyTable, MemoryLevel, PEArray, Source
from hwsim.arch.accelerator import check_choice, check_positive
from hwsim.arch.area import AreaEntry, printed, share
from hwsim.arch.energy import table_of
from hwsim.arch.rate import clock_hz_of, gib_s_per_cycle
from hwsim.arch.reference_energy import dram_entries, mac_entry, register_entries, sram_entries, vector_entry
from hwsim.errors import InputError
from hwsim.formats import NumberFormat
from hwsim.formats.int8 import int8
from hwsim.formats.int8x16 import int8x16
from hwsim.formats.int16 import int16
from hwsim.published import table
from hwsim.units import mib_to_bits, w_to_pj_per_cycle

WORK = "Jouppi et al., In-Datacenter Performance Analysis of a Tensor Processing Unit, ISCA"
NODE_NM = 28
SPEED = {int8: Fraction(1), int8x16: Fraction(1, 2), int16: Fraction(1, 4)}
"""Multiply-accumulates per PE and cycle: Sec. 2, half speed for mixed and quarter speed for 16-bit operands."""

IDLE_W, BUSY_W = 28.0, 40.0
"""Measured power of a die: Table 2."""

MEASURED = {
    "clock_mhz": 700, "rows": 256, "cols": 256, "fifo_tiles": 4, "accumulators": 4096, "bandwidth_gib_s": 30,
    "buffer_mib": 24, "host_gib_s": 10,
}  # fmt: skip
"""Sizes and rates of the machine whose power was measured, as the diagram of this file has them."""


def _paper(locator: str) -> Source:
    return Source(WORK, 2017, locator)


SOURCES = {
    "clock_mhz": _paper("Table 2"),
    "rows": _paper("Sec. 2: 256 x 256 MACs"),
    "cols": _paper("Sec. 2: 256 x 256 MACs"),
    "bandwidth_gib_s": _paper("Fig. 1: 30 GiB/s from DDR3 to the weight FIFO (34 GB/s in Table 2)"),
    "fifo_tiles": _paper("Sec. 2: the weight FIFO is four tiles deep"),
    "accumulators": _paper("Sec. 2: 4096 rows of 256 sums of 32 bits, for double buffering"),
    "buffer_mib": _paper("Sec. 2: 24 MiB, 96K rows of 256 x 8 bits"),
    "host_gib_s": _paper("Fig. 1: 10 GiB/s between host interface and unified buffer (14 GiB/s on PCIe)"),
    "load_percent": Source.assumed("the die computes without pause; Fig. 10 has the power at lower loads"),
    "issue": Source.assumed(
        "instructions behind an explicit synchronisation wait with it, Read_Weights too. The paper says that the "
        "matrix unit waits there for results and that Read_Weights does not wait for its data, but not whether it runs "
        "ahead of the synchronisation. In MLP0 and LSTM1, Table 3's RAW and input stalls add to the time that weights "
        "take, which they would not if weights arrived meanwhile; issue=decoupled is the other reading"
    ),
    "host transfers": Source.assumed(
        "a tensor at a time and not behind the products of its own batch, a fifth of CNN0's cycles at 10 GiB/s. "
        "Table 3 counts input stalls, and leaves the host's own work out"
    ),
    "speed of formats": _paper("Sec. 2: half speed for 8 b x 16 b, quarter speed for 16 b x 16 b"),
    "weight shift": _paper("Sec. 2: 256 cycles to shift a tile in, hidden behind the tile in use"),
    "matrix product": _paper("Sec. 2: B x 256 inputs take B cycles per tile"),
    "pipeline latency": Source.assumed("the last sum leaves rows + cols - 2 cycles after the last input: array skew"),
    "activation unit": _paper("Fig. 1: a row of 256 bytes per cycle (167 GiB/s) from and to the unified buffer"),
    "vector operations": Source.assumed("one operation per lane and cycle, operands read from the unified buffer"),
    "sums per activation": Source.assumed("one Activate per half of the accumulators, when its last tile is done"),
    "measured power": _paper("Table 2 (40 W busy), times Fig. 10's curve over load"),
    "idle power": _paper("Table 2 (28 W)"),
    "dynamic energy": Source.assumed("reference tables at 28 nm; memories by the bank that the paper's sizes imply"),
}


def tpu_v1(
    clock_mhz: float = 700,
    rows: int = 256,
    cols: int = 256,
    bandwidth_gib_s: float = 30,
    fifo_tiles: int = 4,
    accumulators: int = 4096,
    buffer_mib: float = 24,
    host_gib_s: float = 10,
    issue: str = "in_order",
    load_percent: float = 100,
) -> Accelerator:
    """Return TPU v1, or one with other sizes.

    `bandwidth_gib_s` is that of weight memory, `host_gib_s` that of the host link, `fifo_tiles` the tiles in the
    weight FIFO, `accumulators` the rows of sums. With `issue=decoupled` weights are read ahead of synchronisations.
    `load_percent` is the load at which the measured power is given; a machine with other sizes was not measured.
    """
    sizes = {"clock_mhz": clock_mhz, "rows": rows, "cols": cols, "fifo_tiles": fifo_tiles, "accumulators": accumulators}
    rates = {"bandwidth_gib_s": bandwidth_gib_s, "buffer_mib": buffer_mib, "host_gib_s": host_gib_s}
    check_positive("tpu_v1", **sizes, **rates)
    check_choice("tpu_v1", "issue", issue, ("in_order", "decoupled"))
    measured = _measured({**sizes, **rates}, load_percent)
    clock_hz = clock_hz_of("tpu_v1", clock_mhz)
    host = gib_s_per_cycle("tpu_v1", "host_gib_s", host_gib_s, clock_hz)
    return Accelerator(
        name="tpu_v1",
        clock_hz=clock_hz,
        description="Google TPU v1, with its sizes as parameters",
        array=PEArray(rows, cols, {fmt.name: speed for fmt, speed in SPEED.items()}, preload="overlapped"),
        levels=(
            *_buffers(rows, cols, fifo_tiles, accumulators, buffer_mib),
            _weight_memory(gib_s_per_cycle("tpu_v1", "bandwidth_gib_s", bandwidth_gib_s, clock_hz)),
        ),
        vector_lanes=cols,
        dataflow="weight_stationary_tiled",
        dataflows=("weight_stationary_tiled",),
        engine="tiles",
        energy=_energy(rows, cols, fifo_tiles, accumulators, buffer_mib, clock_hz),
        sources=SOURCES,
        host=MemoryLevel("host", None, host, host, ("input", "output")),
        options={"issue": issue, **measured},
        parameters={**sizes, **rates, "issue": issue, "load_percent": load_percent},
        area=partial(_area, rows * cols, cols, accumulators, buffer_mib),
    )


def _measured(sizes: Mapping[str, float], load_percent: float) -> dict[str, float]:
    """Return the column of measured power at a load, which a machine of other sizes than the one measured lacks.

    Raises `InputError` for a load that is none, and for one of such a machine.
    """
    if not 0 <= load_percent <= 100:
        raise InputError(f"chip 'tpu_v1': load_percent={load_percent:g} must lie between 0 and 100")
    changed = [f"{name}={value:g}" for name, value in sizes.items() if value != MEASURED[name]]
    if not changed:
        return {"measured_power_w": measured_power_w(load_percent)}
    if load_percent != 100:
        load = f"load_percent={load_percent:g}"
        raise InputError(f"chip 'tpu_v1': {load} is of measured power, and with {changed[0]} none was measured")
    return {}


def measured_power_w(load_percent: float) -> float:
    """Return the power of a die [W] at a load: Table 2's busy power on the curve of Fig. 10."""
    curve = [(float(row["load_percent"]), float(row["die_w"])) for row in table("tpu_v1_power")]
    (low, low_w), (high, high_w) = next(pair for pair in pairwise(curve) if load_percent <= pair[1][0])
    watts = low_w + (high_w - low_w) * (load_percent - low) / (high - low)
    return BUSY_W * watts / curve[-1][1]


def _buffers(
    rows: int, cols: int, fifo_tiles: int, accumulators: int, buffer_mib: float
) -> tuple[MemoryLevel, MemoryLevel, MemoryLevel]:
    """Return accumulators, weight FIFO and unified buffer, each as wide as a row of the array."""
    sums, row = Fraction(cols * int8.accumulator_bits), Fraction(cols * int8.bits)
    capacity = mib_to_bits(buffer_mib)
    if not capacity:
        raise InputError(f"chip 'tpu_v1': buffer_mib={buffer_mib:g} is less than a bit")
    return (
        MemoryLevel(
            "accumulators", accumulators * int(sums), sums, sums, ("output",), double_buffered=True, accumulates=True
        ),
        MemoryLevel("weight_fifo", fifo_tiles * rows * int(row), row, None, ("weight",)),
        MemoryLevel("unified_buffer", capacity, row, row, ("input", "output")),
    )


def _weight_memory(rate: Fraction) -> MemoryLevel:
    return MemoryLevel("dram", None, rate, rate, ("weight",))


def _area(pes: int, cols: int, accumulators: int, buffer_mib: float, fmt: NumberFormat) -> tuple[AreaEntry, ...]:
    """Return the area of the die, at most: the printed shares, each in proportion to what it is the area of."""
    die_mm2, of_die = printed("tpu_v1", "die")
    sizes = {
        "matrix_unit": pes / (MEASURED["rows"] * MEASURED["cols"]),
        "unified_buffer": buffer_mib / MEASURED["buffer_mib"],
        "accumulators": accumulators * cols / (MEASURED["accumulators"] * MEASURED["cols"]),
        "activation_pipeline": cols / MEASURED["cols"],
    }
    shares = {part: share("tpu_v1", part) for part in sizes}
    rest = 1 - sum(of_part for of_part, _ in shares.values())
    parts = {part: (of_part * sizes[part], source) for part, (of_part, source) in shares.items()}
    parts["rest"] = (rest, Source.assumed(f"what is left of the die ({of_die}), whatever the sizes"))
    return tuple(AreaEntry(part, die_mm2 * size, source) for part, (size, source) in parts.items())


def _energy(  # the sizes that its memories have
    rows: int, cols: int, fifo_tiles: int, accumulators: int, buffer_mib: float, clock_hz: int
) -> EnergyTable:
    """Return idle power per cycle and the actions on top of it; a memory has a bank per column of the array."""
    idle = EnergyEntry("idle", "cycle", w_to_pj_per_cycle(IDLE_W, clock_hz), 0, NODE_NM, SOURCES["idle power"])
    return table_of(
        [mac_entry(fmt, NODE_NM) for fmt in SPEED],
        register_entries("pe_register", NODE_NM),
        sram_entries("accumulators", accumulators * int8.accumulator_bits, NODE_NM),
        sram_entries("weight_fifo", fifo_tiles * rows * int8.bits, NODE_NM),
        sram_entries("unified_buffer", mib_to_bits(buffer_mib) // cols, NODE_NM),
        dram_entries("dram"),
        [vector_entry(fmt, NODE_NM) for fmt in SPEED],
        [idle],
    )
