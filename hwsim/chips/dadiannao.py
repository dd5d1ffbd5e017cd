"""DaDianNao: nodes whose eDRAM holds all synapses, joined by HyperTransport links.

    one node                                            nodes=16 in a mesh
    +------+------+------+------+
    | tile | tile | tile | tile |     tile: 4 banks of eDRAM for synapses, rows of 4096 bits,      n--n--n--n
    +------+------+------+------+           16 inputs x 16 outputs per cycle, two 16 KB            |  |  |  |
    | tile | tile | tile | tile |           buffers for neurons                                    n--n--n--n
    +------+-- central ---------+                                                                  |  |  |  |
    | tile | eDRAM | tile| tile | --- 4 links, 6.4 GB/s each way, 80 ns                            n--n--n--n
    +------+-- router ---+------+                                                                  |  |  |  |
    | tile | tile | tile | tile |     fat tree: neurons to all tiles, results back                 n--n--n--n
    +------+------+------+------+

Chen et al., DaDianNao: A Machine-Learning Supercomputer, MICRO 2014.
"""

from __future__ import annotations

from fractions import Fraction
from functools import partial

from hwsim.arch import Accelerator, EnergyEntry, EnergyTable, MemoryLevel, PEArray, Source
from hwsim.arch.accelerator import check_choice, check_positive
from hwsim.arch.area import AreaEntry
from hwsim.arch.energy import table_of
from hwsim.arch.rate import clock_hz_of, gb_s_per_cycle
from hwsim.arch.reference_energy import sram_entries
from hwsim.errors import InputError
from hwsim.formats import NumberFormat
from hwsim.formats.fixed16 import fixed16
from hwsim.formats.fixed32 import fixed32
from hwsim.mapping.nodes import Lanes
from hwsim.mapping.nodes_grid import Nodes
from hwsim.published import table
from hwsim.units import gb_s_to_bits_s, kib_to_bits, mib_to_bits, um2_to_mm2, w_to_pj_per_cycle

WORK = "Chen et al., DaDianNao: A Machine-Learning Supercomputer, MICRO"
NODE_NM = 28
TILES, LANES = 16, Lanes(16, 16)
BANKS, ROW_BITS = 4, 4096
BUFFER_KIB = 32
TABLE_TILE_MIB, TABLE_CENTRAL_MIB = 2, 4
LINKS, DIRECTIONS = 4, 2
MULTIPLIERS, ADDERS = 256 + 32, 256 + 32
"""Of a tile, 16 bits wide; 32 of each interpolate transfer functions."""

MULTIPLIERS_32, ADDERS_32 = Fraction(1, 4), Fraction(1, 2)
"""32-bit operators for each of 16 bits: four multipliers are joined, and two adders."""

EDRAM_READ_PJ, EDRAM_READ_BITS = 19.2, 256
RETENTION_S = 40e-6
TABLE_CLOCK_HZ = 606_000_000
LARGEST_NODES = 4096


def _paper(locator: str) -> Source:
    return Source(WORK, 2014, locator)


SOURCES = {
    "nodes": _paper("Secs. III-VII: evaluated with 1, 4, 16 and 64 nodes"),
    "topology": _paper("Sec. V: 2D mesh; torus and ring are options of this model"),
    "clock_mhz": _paper("Table III: 606 MHz, that of the eDRAM"),
    "tile_edram_mib": _paper("Table III: 4 banks of 1024 rows of 4096 bits per tile"),
    "central_edram_mib": _paper("Table III: 4 MB in two banks, for input and output neurons"),
    "link_gb_s": _paper("Table III: 6.4 GB/s per direction, four links"),
    "link_latency_ns": _paper("Table III: 80 ns"),
    "lanes": _paper("Sec. V: 16 inputs of 16 outputs per tile and cycle, adders as trees or one by one"),
    "32-bit operators": _paper("Sec. V: half of the adders and a quarter of the multipliers; 16 inputs of 4 outputs"),
    "pipeline latency": _paper("Table III: central eDRAM about 10 cycles, tile eDRAM about 3; three stages of the NFU"),
    "lanes of other layers": Source.assumed("an operation per output lane and cycle: 16 of a tile, 8 in 32 bits"),
    "synapse reads": Source.assumed(
        "a row of 4096 bits per cycle from four banks of three cycles each, which leaves a quarter of their cycles to "
        "refresh; refresh takes 4 %"
    ),
    "refresh": Source.assumed("every row once in 40 us, as a read; the paper models refresh and prints no interval"),
    "images on nodes": _paper("Sec. V: rectangles with all maps; only borders are exchanged"),
    "images on tiles": Source.assumed("as on nodes where a tile holds the kernels of its maps, maps otherwise"),
    "fat tree": Source.assumed(
        "each tile is sent 16 neurons per cycle of its own, as a tree that is wider at its root can; a part of an "
        "image before computing on it begins, neurons that all tiles share as they are used"
    ),
    "border exchange": Source.assumed(
        "before computing: a message per piece that lies apart in memory, each holding its link until its tail has "
        "arrived, columns first and rows with their corners next"
    ),
    "computing and forwarding": Source.assumed(
        "Sec. V has a node compute on a block, then send it; here along its row, then along its column, since 63 "
        "hops of 80 ns round a ring of all nodes take longer than what is published"
    ),
    "packets": Source("HyperTransport I/O Link Specification 2.00", 2004, "8 B of request before at most 64 B of data"),
    "copies of kernels": Source.assumed(
        "made before the run; of a network, every synapse counts once towards capacity"
    ),
    "MAC energy": _paper(
        "calibration on Table VI: power of the tiles less that of their eDRAM and buffers, over all multiplications"
    ),
    "control energy": _paper("calibration on Table VI: power of the central block less its eDRAM, in every cycle"),
    "link energy": _paper(
        "calibration on Table VI: power of the HyperTransport interfaces over all bits of four links both ways"
    ),
    "power": _paper(
        "calibration on Table VI: at full activity, the sum over the parts is what is fitted, by construction"
    ),
}


def dadiannao(
    nodes: int = 1,
    topology: str = "mesh",
    clock_mhz: float = 606,
    tile_edram_mib: float = 2,
    central_edram_mib: float = 4,
    link_gb_s: float = 6.4,
    link_latency_ns: float = 80,
) -> Accelerator:
    """Return a system of DaDianNao `nodes` in a "mesh", a "torus" or a "ring".

    eDRAM is that of a tile for synapses and that of a node for neurons; `link_gb_s` is that of each direction.
    """
    sizes = {"nodes": nodes, "clock_mhz": clock_mhz}
    rest = {
        "tile_edram_mib": tile_edram_mib,
        "central_edram_mib": central_edram_mib,
        "link_gb_s": link_gb_s,
        "link_latency_ns": link_latency_ns,
    }
    check_positive("dadiannao", **sizes, **rest)
    check_choice("dadiannao", "topology", topology, ("mesh", "torus", "ring"))
    if nodes > LARGEST_NODES:
        raise InputError(f"chip 'dadiannao': nodes={nodes} are more than the {LARGEST_NODES} that are simulated")
    clock_hz = clock_hz_of("dadiannao", clock_mhz)
    rate = gb_s_per_cycle("dadiannao", "link_gb_s", link_gb_s, clock_hz)
    latency = Fraction(repr(link_latency_ns)) * clock_hz / 10**9
    tile_bits, central_bits = mib_to_bits(tile_edram_mib), mib_to_bits(central_edram_mib)
    if min(tile_bits, central_bits) < ROW_BITS:
        raise InputError(f"chip 'dadiannao': an eDRAM of less than a row of {ROW_BITS} bits")
    rows = nodes * TILES * (tile_bits // ROW_BITS)
    return Accelerator(
        name="dadiannao",
        clock_hz=clock_hz,
        description="DaDianNao, one node or many, with their links as parameters",
        array=PEArray(LANES.inputs, LANES.outputs * TILES * nodes, {fixed16.name: 1, fixed32.name: MULTIPLIERS_32}),
        levels=_levels(nodes, tile_bits, central_bits),
        vector_lanes=LANES.outputs * TILES * nodes,
        dataflow="no_local_reuse",
        dataflows=("no_local_reuse",),
        engine="nodes",
        energy=energy(),
        sources=SOURCES,
        options={
            "nodes": Nodes(nodes, topology, latency, rate),  # type: ignore[arg-type]  # checked to be one
            "tiles": TILES,
            "lanes": LANES,
            "row_bits": ROW_BITS,
            "feed_bits": LANES.inputs * fixed16.bits,
            "vector_lanes": {fixed16.name: LANES.outputs, fixed32.name: int(LANES.outputs * ADDERS_32)},
            "pipeline_cycles": 10 + 3 + 3,
            "tile_edram_bits": tile_bits,
            "node_bits": TILES * tile_bits + central_bits,
            "refresh_rows_per_cycle": Fraction(rows, max(1, round(RETENTION_S * clock_hz))),
            "peak_tops": {fmt.name: nodes * peak_tops(fmt, clock_hz) for fmt in (fixed16, fixed32)},
        },
        parameters={**sizes, "topology": topology, **rest},
        area=partial(_area, nodes, tile_edram_mib, central_edram_mib),
    )


def peak_tops(fmt: NumberFormat, clock_hz: int = TABLE_CLOCK_HZ) -> float:
    """Return the operations of a node [10^12/s]: its adders and multipliers, those of transfer functions included."""
    joined = fmt.bits == fixed32.bits
    adders, multipliers = (ADDERS * ADDERS_32, MULTIPLIERS * MULTIPLIERS_32) if joined else (ADDERS, MULTIPLIERS)
    return float(TILES * (adders + multipliers)) * clock_hz * 1e-12


def full_activity(fmt: NumberFormat) -> dict[tuple[str, str, str], float]:
    """Return the actions of a node per cycle when all that it has is at work."""
    macs, feed = TILES * LANES.inputs * LANES.outputs, LANES.inputs
    words = Fraction(LINKS * DIRECTIONS * round(gb_s_to_bits_s(6.4)), TABLE_CLOCK_HZ * fmt.bits)
    refreshed = TILES * BANKS * 1024 / (RETENTION_S * TABLE_CLOCK_HZ) * ROW_BITS / fmt.bits
    return {
        ("mac", fmt.name, "output"): macs,
        ("tile_edram", "read", "weight"): macs,
        ("tile_edram", "refresh", "weight"): refreshed,
        **{("neuron_buffers", what, "input"): TILES * LANES.inputs for what in ("read", "write")},
        **{("neuron_buffers", what, "psum"): TILES * LANES.outputs for what in ("read", "write")},
        ("central_edram", "read", "input"): feed,
        ("central_edram", "write", "output"): feed,
        ("fat_tree", "send", "input"): feed,
        ("control", "cycle", ""): 1,
        ("link", "send", "input"): float(words),
    }


def energy() -> EnergyTable:
    """Return the energy of every action at 28 nm: eDRAM as printed, the rest from the powers of Table VI."""
    watts = {row["block"]: float(row["power_w"] or 0) for row in table("dadiannao_table6")}
    per_cycle = {block: w_to_pj_per_cycle(power, TABLE_CLOCK_HZ) for block, power in watts.items()}
    memories = [
        *_edram("central_edram"),
        *_edram("tile_edram"),
        *sram_entries("neuron_buffers", _buffer_bits(), NODE_NM),
    ]
    costs = {(one.component, one.action): one.word_pj(fixed16.bits) for one in memories}
    actions = full_activity(fixed16)

    def spent(component: str) -> float:
        return sum(count * costs[what, action] for (what, action, _), count in actions.items() if what == component)

    macs, words = actions["mac", fixed16.name, "output"], actions["link", "send", "input"]
    mac_pj = (per_cycle["Tiles"] - spent("tile_edram") - spent("neuron_buffers")) / macs
    wide = float(1 / MULTIPLIERS_32)
    vector = Source.assumed("an operation on a lane as a multiply-accumulate")
    return table_of(
        [
            _entry("mac", fixed16.name, mac_pj, 0, SOURCES["MAC energy"]),
            _entry(
                "mac", fixed32.name, wide * mac_pj, 0, Source.assumed("four times the 16-bit one, whose parts it joins")
            ),
        ],
        memories,
        [
            _entry(
                "fat_tree",
                "send",
                per_cycle["Wires"] / LANES.inputs,
                fixed16.bits,
                _paper("calibration on Table VI: power of wires"),
            ),
            _entry("link", "send", per_cycle["HTs"] / words, fixed16.bits, SOURCES["link energy"]),
            _entry(
                "control", "cycle", per_cycle["Central Block"] - spent("central_edram"), 0, SOURCES["control energy"]
            ),
            _entry("vector", fixed16.name, mac_pj, 0, vector),
            _entry("vector", fixed32.name, 2 * mac_pj, 0, vector),
        ],
    )


def _area(nodes: int, tile_mib: float, central_mib: float, fmt: NumberFormat) -> tuple[AreaEntry, ...]:
    """Return Table VI's blocks times nodes; more or less eDRAM takes what a MiB of it takes there."""
    um2 = {row["block"]: float(row["area_um2"]) for row in table("dadiannao_table6")}
    um2_per_mib = um2["Memory"] / (TILES * TABLE_TILE_MIB + TABLE_CENTRAL_MIB)
    more = {"Tiles": TILES * (tile_mib - TABLE_TILE_MIB), "Central Block": central_mib - TABLE_CENTRAL_MIB}
    of_table = _paper("Table VI, eDRAM in proportion to its size")
    return tuple(
        AreaEntry(block.lower(), nodes * um2_to_mm2(um2[block] + um2_per_mib * more.get(block, 0)), of_table)
        for block in ("Central Block", "Tiles", "HTs", "Wires", "Other")
    )


def _levels(nodes: int, tile_bits: int, central_bits: int) -> tuple[MemoryLevel, ...]:
    """Return buffers, central memory and the synapses' memory, which is the outermost: there is nothing off-chip."""
    row, neurons = Fraction(ROW_BITS * TILES * nodes), Fraction(ROW_BITS * nodes)
    buffer = Fraction(LANES.inputs * fixed32.bits * TILES * nodes)
    return (
        MemoryLevel("neuron_buffers", _buffer_bits(), buffer, buffer, ("input", "psum"), instances=TILES * nodes),
        MemoryLevel("central_edram", central_bits, neurons, neurons, ("input", "output"), instances=nodes),
        MemoryLevel("tile_edram", tile_bits, row, row, ("weight",), instances=TILES * nodes),
    )


def _buffer_bits() -> int:
    return kib_to_bits(BUFFER_KIB)


def _edram(component: str) -> list[EnergyEntry]:
    """Return read, write and refresh of an eDRAM: a read is destructive, so that each of them writes a row."""
    printed = _paper("Secs. III-VII: 0.0192 nJ per read of 256 bits at 28 nm")
    same = Source.assumed("as a read, which also writes back what it read")
    return [
        _entry(component, "read", EDRAM_READ_PJ, EDRAM_READ_BITS, printed),
        _entry(component, "write", EDRAM_READ_PJ, EDRAM_READ_BITS, same),
        _entry(component, "refresh", EDRAM_READ_PJ, EDRAM_READ_BITS, same),
    ]


def _entry(component: str, action: str, energy_pj: float, bits: int, source: Source) -> EnergyEntry:
    return EnergyEntry(component, action, energy_pj, bits, NODE_NM, source)
