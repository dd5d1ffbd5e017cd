"""EIE, the efficient inference engine: processing elements that hold a compressed matrix and skip what is zero.

     LNZD tree, a node for 4 <----------- non-zero activations of the PEs ------------+
          |                                                                          |
          +--- broadcast (column, activation), held back while any queue is full     |
                    |                                                                |
    PE:             v                                                                |
          activation queue --> pointer read --> sparse-matrix read --> arithmetic --> activation registers
              8 deep            2 banks of       128 KiB, 8 entries    decode, address   2 x 64 words,
                                16 KiB           of 8 bits per read    multiply, add     2 KiB SRAM behind

Row i of every matrix is on PE i mod 64. Weights and activations are loaded once, by the host, and that is not counted.

Han et al., EIE: Efficient Inference Engine on Compressed Deep Neural Network, ISCA 2016 (arXiv:1602.01528).
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import partial

from hwsim.arch import Accelerator, EnergyEntry, EnergyTable, MemoryLevel, PEArray, Source
from hwsim.arch.accelerator import check_positive
from hwsim.arch.area import AreaEntry
from hwsim.arch.energy import table_of
from hwsim.arch.rate import clock_hz_of
from hwsim.arch.reference_energy import sram_entries
from hwsim.errors import InputError
from hwsim.formats import NumberFormat
from hwsim.formats.codebook4 import codebook4
from hwsim.published import table
from hwsim.units import ceil_div, kib_to_bits, mib_to_bits, um2_to_mm2, w_to_pj_per_cycle

WORK = "Han et al., EIE: Efficient Inference Engine on Compressed Deep Neural Network, ISCA"
NODE_NM = 45
TABLE_CLOCK_HZ, TABLE_WIDTH_BITS, WORD_BITS = 800_000_000, 64, 16
ACT_SRAM_KIB = 2
TABLE_PES, TABLE_SPMAT_MIB, TABLE_FIFO_DEPTH, TABLE_BATCH_LENGTH = 64, 8, 8, 4096
"""Sizes of the chip whose parts Table II prints."""

LARGEST, LARGEST_PES = 2**20, 2**13
"""Most queue entries, registers and bits, and most PEs, that are simulated."""

ACTIVITY = {"act_queue": 0.27972, "ptr_sram": 0.27972, "spmat_sram": 0.24221, "mac": 0.96068, "act_registers": 1.92755}
"""Actions of a PE per cycle in Alex-7, random matrix of seed 0: calibration, the one there is.

Table II prints powers, not energies. They are spread over the actions of Alex-7 (FC7 of AlexNet), with which Table V
gives the chip's 0.59 W; so Alex-7's power is fitted, and all other energies follow.
"""

PARTS = {
    "act_queue": "act_queue",
    "ptr_sram": "ptr_read",
    "spmat_sram": "spmat_read",
    "mac": "arithm_unit",
    "act_registers": "act_rw",
}
"""The part of Table II that holds the power of each component."""

OTHER_PARTS = ("lnzd_unit", "filler_cell")
"""Parts of Table II that take area besides."""


def _paper(locator: str) -> Source:
    return Source(WORK, 2016, locator)


SOURCES = {
    "pes": _paper("Sec. VI: 64 PEs"),
    "clock_mhz": _paper("Sec. VI: 800 MHz, critical path 1.15 ns"),
    "fifo_depth": _paper("Sec. VI, Fig. 8: 8 entries"),
    "sram_width_bits": _paper("Sec. IV, Fig. 9: 64 bits, 8 entries per read"),
    "spmat_mib": _paper("Sec. VI: 128 KB on each of 64 PEs, 131K weights; as much together on more or fewer"),
    "index_bits": _paper("Sec. III: 4-bit relative row index, padding zeros for runs above 15"),
    "codebook_bits": _paper("Sec. III: 4-bit index into 16 shared weights of 16 bits"),
    "batch_length": _paper("Sec. IV: 64 registers of 64 PEs hold 4K activations, and as many sums; longer in batches"),
    "waiting entries": Source.assumed(
        "a ring buffer of fifo_depth slots keeps one free to tell full from empty, so 8 hold 7; one of a single slot "
        "holds 1. The authors' cycle simulator does the same (RalphMao/EIE-simulator)"
    ),
    "batches": Source.assumed(
        "registers are read from or written to the activation SRAM 64 bits per cycle when a vector is longer than "
        "they are; the paper says that there are batches (Sec. IV), not how long a change takes"
    ),
    "rows of a batch": Source.assumed(
        "sums beyond the registers need another pass over all columns, whose entries are encoded for themselves"
    ),
    "detection": Source.assumed(
        "an activation per cycle, and a cycle to leave a row of PEs, unless its last PE had the row's last non-zero: "
        "as in the authors' cycle simulator (RalphMao/EIE-simulator)"
    ),
    "empty columns": Source.assumed("a column of which a PE has no entry takes it the cycle of its pointer read"),
    "matrix reads": Source.assumed("every column begins with a read of its own, also of the row that was read last"),
    "pointer memory": Source.assumed("not a limit: VGG-6's 25,089 pointers of 16 bits exceed the 32 KB of Sec. VI"),
    "pipeline": _paper("Sec. IV: matrix read, then decode and address, read and multiply, add, write; with bypass"),
    "convolutions": _paper("Sec. VII-C: 1x1, and 3x3 as 16 products per Winograd patch"),
    "zeros under Winograd": Source.assumed(
        "where only densities are known, a transformed weight or input is zero where all are that it is a sum of: 1, 3 "
        "or 9 weights, 4 inputs, zeros being independent"
    ),
    "energy": _paper("Table II"),
    "energy of other capacities": Source.assumed("a memory of another capacity is read at the energy of Table II's"),
}


def eie(
    pes: int = 64,
    fifo_depth: int = 8,
    sram_width_bits: int = 64,
    index_bits: int = 4,
    codebook_bits: int = 4,
    clock_mhz: float = 800,
    spmat_mib: float = 8,
    batch_length: int = 4096,
) -> Accelerator:
    """Return EIE, or one with other sizes.

    `fifo_depth` is that of a PE's activation queue, `sram_width_bits` what a read of the sparse matrix gives, and
    `index_bits` and `codebook_bits` make an entry. All PEs together have `spmat_mib` of sparse-matrix SRAM, and
    registers for a vector of `batch_length` activations and one of as many sums.
    """
    sizes = {"pes": pes, "fifo_depth": fifo_depth, "sram_width_bits": sram_width_bits}
    bits = {"index_bits": index_bits, "codebook_bits": codebook_bits}
    others = {"clock_mhz": clock_mhz, "spmat_mib": spmat_mib, "batch_length": batch_length}
    check_positive("eie", **sizes, **bits, **others)
    _check_sizes(**sizes, **bits, batch_length=batch_length)
    act_registers = ceil_div(batch_length, pes)
    clock_hz = clock_hz_of("eie", clock_mhz)
    entry_bits, capacity = index_bits + codebook_bits, mib_to_bits(spmat_mib) // pes
    if capacity < entry_bits:
        raise InputError(f"chip 'eie': spmat_mib={spmat_mib:g} holds no entry")
    return Accelerator(
        name="eie",
        clock_hz=clock_hz,
        description="EIE, compressed sparse matrices on 64 PEs, all sizes parameters",
        array=PEArray(pes, 1, {codebook4.name: 1}),
        levels=_levels(pes, capacity, sram_width_bits, act_registers),
        vector_lanes=0,
        dataflow="compressed_sparse_column",
        dataflows=("compressed_sparse_column",),
        engine="sparse",
        energy=_energy(sram_width_bits),
        sources=SOURCES,
        skips_zeros=True,
        options={
            **bits,
            "sram_width_bits": sram_width_bits,
            "act_registers": act_registers,
            "queue_entries": max(1, fifo_depth - 1),
            "entry_bits": entry_bits,
            "entries_per_read": sram_width_bits // entry_bits,
            "reload_cycles": ceil_div(act_registers * WORD_BITS, TABLE_WIDTH_BITS),
            "lnzd_units": _tree_nodes(pes),
        },
        parameters={**sizes, **bits, **others},
        area=partial(_area, pes, spmat_mib, fifo_depth, batch_length),
    )


def _check_sizes(sram_width_bits: int, index_bits: int, codebook_bits: int, **sizes: int) -> None:
    """Raise `InputError` for a size that is not simulated."""
    for name, value in {**sizes, "sram_width_bits": sram_width_bits}.items():
        most = LARGEST_PES if name == "pes" else LARGEST
        if value > most:
            raise InputError(f"chip 'eie': {name}={value} is more than {most}")
    for name, value in (("index_bits", index_bits), ("codebook_bits", codebook_bits)):
        if value > 15:
            raise InputError(f"chip 'eie': {name}={value} is more than 15")
    if sram_width_bits < index_bits + codebook_bits or sram_width_bits % codebook4.weight_bits:
        raise InputError(
            f"chip 'eie': sram_width_bits={sram_width_bits} must be a multiple of {codebook4.weight_bits} and hold an "
            f"entry of {index_bits + codebook_bits} bits"
        )


def _tree_nodes(pes: int) -> int:
    """Return the nodes of the detection tree, each of up to 4 children: 16 + 4 + 1 for 64 PEs."""
    nodes, level = 0, pes
    while level > 1 or not nodes:
        level = ceil_div(level, 4)
        nodes += level
    return nodes


def _levels(pes: int, spmat_bits: int, width_bits: int, registers: int) -> tuple[MemoryLevel, ...]:
    """Return registers, activation SRAM, pointers and sparse matrix, each `pes` times, and the host that fills them."""
    word, pointers = Fraction(pes * WORD_BITS), Fraction(2 * pes * WORD_BITS)
    activations, read = Fraction(pes * TABLE_WIDTH_BITS), Fraction(pes * width_bits)
    return (
        MemoryLevel("act_registers", registers * WORD_BITS, word, word, ("input", "output"), instances=2 * pes),
        MemoryLevel("act_sram", kib_to_bits(ACT_SRAM_KIB), activations, activations, ("input", "output"), pes),
        MemoryLevel("ptr_sram", kib_to_bits(32), pointers, None, (), pes),
        MemoryLevel("spmat_sram", spmat_bits, read, None, ("weight",), pes),
        MemoryLevel("host", None, None, None, ()),
    )


def _area(pes: int, spmat_mib: float, fifo_depth: int, batch_length: int, fmt: NumberFormat) -> tuple[AreaEntry, ...]:
    """Return Table II's parts of a PE times PEs; memories are in proportion to what they hold."""
    sizes = {
        "spmat_read": TABLE_PES * spmat_mib / TABLE_SPMAT_MIB,
        "act_queue": pes * fifo_depth / TABLE_FIFO_DEPTH,
        "act_rw": TABLE_PES * batch_length / TABLE_BATCH_LENGTH,
        "lnzd_unit": _tree_nodes(pes),
    }
    of_table = _paper("Table II, area of a PE's parts, in proportion to their sizes")
    return tuple(
        AreaEntry(part, sizes.get(part, pes) * um2_to_mm2(float(row["area_um2"])), of_table)
        for row in table("eie_table2")
        if (part := row["component"]) in (*PARTS.values(), *OTHER_PARTS)
    )


def _energy(width_bits: int) -> EnergyTable:
    """Return the energy of each action: Table II's powers over the actions of Alex-7, and the memory behind."""
    power_w = {row["component"]: float(row["power_mw"] or 0) / 1e3 for row in table("eie_table2")}
    per_action = {
        component: w_to_pj_per_cycle(power_w[part], TABLE_CLOCK_HZ) / ACTIVITY[component]
        for component, part in PARTS.items()
    }
    per_node = w_to_pj_per_cycle(power_w["lnzd_unit"], TABLE_CLOCK_HZ)
    return table_of(
        _entries("mac", (codebook4.name, "padding"), per_action["mac"], 0),
        [EnergyEntry("lnzd", "cycle", per_node, 0, NODE_NM, _paper("Table II, LNZD unit, over the clock"))],
        _entries("act_queue", ("read", "write"), per_action["act_queue"], WORD_BITS),
        _entries("ptr_sram", ("read",), per_action["ptr_sram"], WORD_BITS),
        [_matrix_read(per_action["spmat_sram"], width_bits)],
        _entries("act_registers", ("read", "write"), per_action["act_registers"], WORD_BITS),
        sram_entries("act_sram", kib_to_bits(ACT_SRAM_KIB), NODE_NM),
    )


def _entries(component: str, actions: tuple[str, ...], energy_pj: float, bits: int) -> Iterator[EnergyEntry]:
    why = (
        f"power of {PARTS[component]} in Table II of Han et al., ISCA 2016, over {ACTIVITY[component]:.4f} actions of "
        "a PE per cycle in Alex-7, with which Table V gives 0.59 W"
    )
    return (EnergyEntry(component, action, energy_pj, bits, NODE_NM, Source.assumed(why)) for action in actions)


def _matrix_read(energy_pj: float, width_bits: int) -> EnergyEntry:
    """Return the energy of a read of `width_bits`; that of 64 bits is Table II's, others grow by a share per bit."""
    (narrow, narrow_pj), (wide, wide_pj) = (
        (int(row["word_bits"]), float(row["read_pj"])) for row in table("eie_sram_width")
    )
    slope = (wide_pj - narrow_pj) / (wide - narrow)
    scaled = energy_pj * (wide_pj + slope * (width_bits - wide)) / wide_pj
    (entry,) = _entries("spmat_sram", ("read",), scaled, width_bits)
    why = "on a line over the width through CACTI 7.0's 32 and 64 bit reads of 128 KB at 45 nm, scaled to"
    source = entry.source if width_bits == wide else Source.assumed(f"{width_bits} bits {why} {entry.source.locator}")
    return EnergyEntry("spmat_sram", "read", scaled, width_bits, NODE_NM, source)
