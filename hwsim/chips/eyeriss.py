"""Eyeriss: 12 x 14 PEs that keep rows of filters, with run-length-coded feature maps off-chip.

         DRAM
          |  64 b at 60 MHz
     run-length decoder / ReLU, encoder
          |                                              +------+------+- - -+------+
     +---------------------------+   ifmap network 16 b  |  PE  |  PE  |     |  PE  |
     | global buffer: 25 banks   | ===================>  +------+------+- - -+------+
     | of 4 kB, each of ifmaps   |  filter network 64 b  |  PE  |  PE  |     |  PE  |   12 rows
     | or of partial sums        | ===================>  +------+------+- - -+------+   14 columns
     +---------------------------+  psum networks 64 b   :      :      :     :      :
     | 8 kB: filters of the next | <==================>  +------+------+- - -+------+
     | pass                      |                       |  PE  |  PE  |     |  PE  |   sums go up
     +---------------------------+                       +------+------+- - -+------+   the columns

     PE: ifmap scratchpad 12, filter scratchpad 224, psum scratchpad 24 words of 16 b; one MAC per cycle in three
     stages; an ifmap value of zero stops the filter read and the MAC behind it

Chen, Krishna, Emer and Sze, Eyeriss: An Energy-Efficient Reconfigurable Accelerator for Deep Convolutional Neural
Networks, JSSC 52(1), 2017.
"""

from __future__ import annotations

from fractions import Fraction
from functools import partial

from hwsim.arch import Accelerator, EnergyEntry, EnergyTable, MemoryLevel, PEArray, Source
from hwsim.arch.accelerator import check_choice, check_positive
from hwsim.arch.area import AreaEntry, printed, share
from hwsim.arch.energy import table_of
from hwsim.arch.rate import bits_per_cycle, clock_hz_of
from hwsim.arch.reference_energy import dram_entries
from hwsim.errors import InputError
from hwsim.formats import NumberFormat
from hwsim.formats.fixed16 import fixed16
from hwsim.mapping.row_stationary_place import BANK_KIB, GIVEN, PUBLISHED, SEARCH, choices
from hwsim.published import table
from hwsim.units import kib_to_bits, mhz_to_hz

WORK = (
    "Chen et al., Eyeriss: An Energy-Efficient Reconfigurable Accelerator for Deep Convolutional Neural Networks, "
    "JSSC 52(1)"
)
ISCA = (
    "Chen et al., Eyeriss: A Spatial Architecture for Energy-Efficient Dataflow for Convolutional Neural Networks, ISCA"
)
NODE_NM = 65
PES, SPAD_WORDS, BUFFER_KIB = 168, 260, 108
"""Of the chip whose area is printed."""

OBJECTIVES = ("energy", "latency", "edp")
TABLES = ("chip", "isca2016")
LARGEST_SIDE = 1024
"""Rows or columns of PEs, above which a search takes more than seconds per layer."""

LARGEST_DENOMINATOR = 2**20
"""Of bits per cycle off-chip: cycles of a transfer stay within 64 bits."""


def _paper(locator: str) -> Source:
    return Source(WORK, 2017, locator)


SOURCES = {
    "rows": _paper("Table IV: 12 x 14 PEs"),
    "cols": _paper("Table IV: 12 x 14 PEs"),
    "glb_kib": _paper("Sec. V-A: 25 banks of 4 kB for ifmaps and partial sums"),
    "filter_kib": _paper("Sec. V-A: 8 kB that preload the filters of the next pass"),
    "ifmap_spad": _paper("Table IV: 24 B of registers, 12 words"),
    "filter_spad": _paper("Table IV: 448 B of SRAM, 224 words"),
    "psum_spad": _paper("Table IV: 48 B of registers, 24 words"),
    "clock_mhz": _paper("Table V: core at 200 MHz"),
    "link_mhz": _paper("Table V: link at 60 MHz"),
    "link_bits": _paper("Sec. III-A: 64-bit bus off-chip"),
    "ifmap_network_bits": _paper("Sec. V-B1: global input network of 16 bits for ifmaps"),
    "filter_network_bits": _paper("Sec. V-B1: 64 bits for filters, four words to a row at once"),
    "psum_network_bits": _paper("Sec. V-B: 64 bits for partial sums, four words, in and out on networks of their own"),
    "mapping": _paper("Table III for the published choices; its optimiser minimises energy"),
    "objective": _paper("Sec. IV: the mapping of least energy"),
    "zeros": _paper("Table V, zeros in ifmaps, where published ones are asked for"),
    "energy": _paper("Fig. 16 and Table V, or the ratios of ISCA 2016"),
    "passes": Source.assumed(
        "filters, then the first windows of ifmaps, then computing, then the column and the last sums: nothing of a "
        "pass overlaps with another, because filter scratchpads hold one pass's filters and the next pass needs its "
        "sums; a pass takes the time of a full one, because the array is configured once per layer"
    ),
    "off-chip time": Source.assumed(
        "filters of later passes come while earlier ones compute; feature maps come and go in time of their own"
    ),
    "run-length code": _paper("Sec. IV-B: three pairs of a 5-bit run and a 16-bit value in 64 bits"),
    "what is coded": _paper("Fig. 9: feature maps but not filters, and CONV1's input raw; here raw wherever shorter"),
    "zeros in results": Source.assumed(
        "as what the next product reads; before a max-pool of K x K, z^(1/K) of the zeros behind it, as if its rows "
        "were independent and values within one alike"
    ),
    "gating": _paper("Sec. V-C: a zero stops the filter read and the MAC; two of three stages of PE control with it"),
    "sizes and energy": Source.assumed("energy per access stays as calibrated where a scratchpad or buffer is resized"),
    "clock energy": Source.assumed("in proportion to the PEs of the array and to cycles"),
}


def eyeriss(
    rows: int = 12,
    cols: int = 14,
    glb_kib: float = 100,
    filter_kib: float = 8,
    ifmap_spad: int = 12,
    filter_spad: int = 224,
    psum_spad: int = 24,
    clock_mhz: float = 200,
    link_mhz: float = 60,
    link_bits: int = 64,
    ifmap_network_bits: int = 16,
    filter_network_bits: int = 64,
    psum_network_bits: int = 64,
    mapping: str = SEARCH,
    objective: str = "energy",
    zeros: str = "",
    energy: str = "chip",
) -> Accelerator:
    """Return Eyeriss, or one with other sizes; scratchpads are in words.

    `mapping=published` takes the printed mapping for layers of a printed shape and batch, `published_glb` the same with
    that for CONV3 which the paper's buffer accesses imply; all other layers are searched for least `objective`. `zeros`
    are "given" by the network, or "published" for layers of a printed shape, which is the default with a published
    mapping. `energy=isca2016` takes the ratios of that paper, without gating and coding, instead of the chip's table.
    """
    sizes = {"rows": rows, "cols": cols, "ifmap_spad": ifmap_spad, "filter_spad": filter_spad, "psum_spad": psum_spad}
    buffers = {"glb_kib": glb_kib, "filter_kib": filter_kib}
    clocks = {"clock_mhz": clock_mhz, "link_mhz": link_mhz, "link_bits": link_bits}
    networks = {
        "ifmap_network_bits": ifmap_network_bits,
        "filter_network_bits": filter_network_bits,
        "psum_network_bits": psum_network_bits,
    }
    check_positive("eyeriss", **sizes, **buffers, **clocks, **networks)
    if max(rows, cols) > LARGEST_SIDE:
        raise InputError(
            f"chip 'eyeriss': rows={rows}, cols={cols}; mappings are searched for up to {LARGEST_SIDE} each"
        )
    check_choice("eyeriss", "mapping", mapping, (SEARCH, *choices()))
    check_choice("eyeriss", "objective", objective, OBJECTIVES)
    check_choice("eyeriss", "energy", energy, TABLES)
    zeros = zeros or (GIVEN if mapping == SEARCH else PUBLISHED)
    check_choice("eyeriss", "zeros", zeros, (GIVEN, PUBLISHED))
    _check_words(networks, buffers)
    chosen = {"mapping": mapping, "objective": objective, "zeros": zeros}
    clock_hz = clock_hz_of("eyeriss", clock_mhz)
    return Accelerator(
        name="eyeriss",
        clock_hz=clock_hz,
        description="Eyeriss, with its sizes as parameters",
        array=PEArray(rows, cols, {fixed16.name: 1}),
        levels=(
            *_scratchpads(rows * cols, ifmap_spad, filter_spad, psum_spad),
            MemoryLevel("glb", int(glb_kib // BANK_KIB) * kib_to_bits(BANK_KIB), None, None, ("input", "output")),
            MemoryLevel("filter_glb", kib_to_bits(filter_kib), None, None, ("weight",)),
            _dram(link_bits, link_mhz, clock_hz),
        ),
        vector_lanes=0,
        dataflow="row_stationary",
        dataflows=("row_stationary",),
        engine="row_stationary",
        energy=chip_energy() if energy == "chip" else isca_energy(),
        sources=SOURCES,
        skips_zeros=energy == "chip",
        options={**chosen, **networks},
        parameters={**sizes, **buffers, **clocks, **networks, **chosen, "energy": energy},
        area=partial(_area, rows * cols, ifmap_spad + filter_spad + psum_spad, glb_kib + filter_kib),
    )


def _area(pes: int, spad_words: int, buffer_kib: float, fmt: NumberFormat) -> tuple[AreaEntry, ...]:
    """Return the area of the core: the printed shares of the chip's, each in proportion to what it is the area of."""
    core_mm2, of_core = printed("eyeriss", "core")
    (arithmetic, of_arithmetic), (storage, of_storage) = share("eyeriss", "arithmetic"), share("eyeriss", "storage")
    over_glb, of_ratio = share("eyeriss", "spads_over_glb")
    more_pes, glb = pes / PES, storage / (1 + over_glb)
    proportional = "in proportion to PEs" if pes != PES else "as printed"
    rest = Source.assumed(f"what is left of the core ({of_core}): control and networks, {proportional}")
    parts = {
        "mac": (arithmetic * more_pes, of_arithmetic),
        "spads": ((storage - glb) * more_pes * spad_words / SPAD_WORDS, of_storage),
        "glb": (glb * buffer_kib / BUFFER_KIB, of_ratio),
        "rest": ((1 - arithmetic - storage) * more_pes, rest),
    }
    return tuple(AreaEntry(part, core_mm2 * size, source) for part, (size, source) in parts.items())


def chip_energy() -> EnergyTable:
    """Return the chip's own energies, each constant from its share of CONV1's power, with DRAM of the reference table.

    `eyeriss_calibration` has the constants, what they were fitted on, and nothing else was.
    """
    return table_of(
        dram_entries("dram"),
        [
            EnergyEntry(
                row["component"],
                row["action"],
                float(row["energy_pj"]),
                int(row["bits"]),
                NODE_NM,
                Source(row["work"], int(row["year"]), row["locator"]),
            )
            for row in table("eyeriss_calibration")
        ],
    )


def isca_energy() -> EnergyTable:
    """Return the ratios of ISCA 2016, Table IV, times the energy of this chip's multiply-accumulate."""
    (mac_pj,) = (
        float(row["energy_pj"])
        for row in table("eyeriss_calibration")
        if (row["component"], row["action"]) == ("mac", fixed16.name)
    )
    ratios = {
        ("dram", "read"): 200.0,
        ("dram", "write"): 200.0,
        **{(spad, action): 1.0 for spad in ("ifmap_spad", "filter_spad", "psum_spad") for action in ("read", "write")},
        ("mac", fixed16.name): 1.0,
        ("pe_fifo", "transfer"): 2.0,
        **{(buffer, action): 6.0 for buffer in ("glb", "filter_glb") for action in ("read", "write")},
    }
    source = Source(ISCA, 2016, "Table IV, relative to a multiply-accumulate")
    return EnergyTable(
        tuple(
            EnergyEntry(component, action, ratio * mac_pj, 0, NODE_NM, source)
            for (component, action), ratio in ratios.items()
        )
    )


def _check_words(networks: dict[str, int], buffers: dict[str, float]) -> None:
    for name, bits in networks.items():
        if bits % fixed16.bits:
            raise InputError(f"chip 'eyeriss': {name}={bits} is no multiple of a word of {fixed16.bits} bits")
    if buffers["glb_kib"] < 2 * BANK_KIB:
        raise InputError(f"chip 'eyeriss': glb_kib={buffers['glb_kib']:g} is less than two banks of {BANK_KIB} kB")
    if kib_to_bits(buffers["filter_kib"]) < fixed16.bits:
        raise InputError(f"chip 'eyeriss': filter_kib={buffers['filter_kib']:g} is less than a word")


def _scratchpads(pes: int, ifmap: int, filters: int, psum: int) -> tuple[MemoryLevel, ...]:
    """Return the scratchpads of all PEs, a word read and one written per cycle."""
    word = Fraction(fixed16.bits)
    return tuple(
        MemoryLevel(name, words * fixed16.bits, word, word, (operand,), instances=pes)
        for name, words, operand in (
            ("ifmap_spad", ifmap, "input"),
            ("filter_spad", filters, "weight"),
            ("psum_spad", psum, "psum"),
        )
    )


def _dram(link_bits: int, link_mhz: float, clock_hz: int) -> MemoryLevel:
    bits_s = link_bits * mhz_to_hz(link_mhz)
    rate = bits_per_cycle("eyeriss", "link_mhz", link_mhz, bits_s, clock_hz, LARGEST_DENOMINATOR)
    return MemoryLevel("dram", None, rate, rate, ("input", "weight", "output"))
