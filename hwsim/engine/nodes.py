"""Nodes of tiles that keep all synapses on chip and tell each other neurons, layer after layer.

A layer is a few stages (see `mapping.nodes_stages`) behind the latency of a node's pipeline. Closed, one line of nodes
is worked out; stepped, all nodes are processes that send messages to one another. Both give the same cycles. Values are
computed part by part in `nodes_values`.

Options of a chip: `nodes`, `tiles`, `lanes`, `vector_lanes`, `pipeline_cycles` (from the central memory to the first
result), `refresh_rows_per_cycle` (of all nodes), `peak_tops`, and the capacities of a node and of a tile.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from hwsim.arch.accelerator import Accelerator
from hwsim.engine import nodes_closed
from hwsim.engine.vector import UNCOMPUTED_KINDS
from hwsim.formats import NumberFormat
from hwsim.formats.fixed16 import fixed16
from hwsim.ir.training import UPDATE
from hwsim.mapping.nodes import NodesMapping, has_image
from hwsim.mapping.nodes_capacity import require_capacity
from hwsim.mapping.nodes_lanes import lane_cycles, lane_stages
from hwsim.mapping.nodes_stages import Feed, Stage, link_bits
from hwsim.results.record import Action, Execution, Outcome, Row, Timing
from hwsim.units import bits_to_bytes, ceil_div, cycles_to_s, pj_to_j

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hwsim.engine.trace import Span
    from hwsim.ir.network import Network
    from hwsim.mapping.placed import Placed
    from hwsim.results.record import NetworkResult

OPERATIONS_PER_MAC = 2
CENTRAL, TILE, BUFFERS = "central_edram", "tile_edram", "neuron_buffers"
"""Levels that a machine of nodes has."""

UNITS = {"compute": "tiles", "feed": "fat trees"}
"""The tracks of a timeline for stages of nodes by themselves."""


MIXES_FORMATS = True
READS_DENSITIES: frozenset[str] = frozenset()


def execute(
    network: Network, placed: Sequence[Placed], chip: Accelerator, fmt: NumberFormat, fidelity: str, seed: int
) -> Execution:
    """Return every layer's outcome, one layer after the other. Raises `InputError` where nodes are too few."""
    require_capacity(network, chip, fmt, {one.layer.name: one.fmt for one in placed})
    outcomes = [_outcome(one, chip, fidelity == "stepped") for one in placed]
    return Execution(outcomes, _totals(network, placed, outcomes, chip, fmt), _notes(placed))


def spans(result: NetworkResult) -> Iterator[list[Span]]:
    """Yield the timeline of every layer: its first step's stages, on the units or on the links of all nodes."""
    from hwsim.engine.trace import Span
    from hwsim.mapping.placed import Placed

    for one in result.layers:
        found, at = [], result.chip.options["pipeline_cycles"]
        for stage in stages_of(Placed(one.layer, one.mapping, one.fmt), result.chip):
            cycles = nodes_closed.stage_cycles(stage, result.chip.options["nodes"])
            name = type(stage).__name__.lower()
            found.append(Span(UNITS.get(name, "links"), name, at, cycles))
            at += cycles
        yield found if one.timing.total_cycles else []


def stages_of(one: Placed, chip: Accelerator) -> list[Stage]:
    """Return what nodes do in one step of a layer that is computed by itself."""
    if isinstance(one.mapping, NodesMapping):
        return one.mapping.stages(one.fmt)
    return lane_stages(one.layer, chip, one.fmt)


def _outcome(one: Placed, chip: Accelerator, stepped: bool) -> Outcome:
    layer, nodes, fmt = one.layer, chip.options["nodes"], one.fmt
    if layer.kind in UNCOMPUTED_KINDS:
        return Outcome(Timing(), {}, _columns(one, 0, 0, 0))
    if one.fused_into:
        return Outcome(Timing(), {("vector", fmt.name, "output"): layer.operations}, _columns(one, 0, 0, 0))
    stages = stages_of(one, chip)
    if isinstance(one.mapping, NodesMapping):
        compute, counts = one.mapping.compute_cycles, _product_counts(one.mapping, fmt)
    else:
        compute, counts = layer.steps * lane_cycles(layer, chip, fmt).compute_cycles, _lane_counts(one, fmt)
    feed = sum(stage.cycles for stage in stages if isinstance(stage, Feed))
    waiting = layer.steps * (_stage_cycles(stages, chip, stepped) - feed) - compute
    timing = Timing(layer.steps * (chip.options["pipeline_cycles"] + feed), compute, waiting)
    bits = layer.steps * sum(link_bits(stage, nodes) for stage in stages)
    always = _always(timing.total_cycles, chip, fmt)
    sent: dict[Action, int] = {("link", "send", "input"): ceil_div(bits, fmt.bits)} if bits else {}
    return Outcome(timing, {**counts, **sent, **always}, _columns(one, bits, timing.stall_cycles, timing.total_cycles))


def _stage_cycles(stages: Sequence[Stage], chip: Accelerator, stepped: bool) -> int:
    """Return how long the stages take, worked out or run."""
    nodes = chip.options["nodes"]
    if not stepped:
        return sum(nodes_closed.stage_cycles(stage, nodes) for stage in stages)
    from hwsim.engine import nodes_events

    ends = nodes_events.run(stages, nodes).ends
    return ends[-1] if ends else 0


def _notes(placed: Sequence[Placed]) -> tuple[str, ...]:
    """Return what is known of training in 16 bits: Chen et al., MICRO 2014, Table II."""
    if not any(one.layer.function == UPDATE and one.fmt.bits <= fixed16.bits for one in placed):
        return ()
    return (f"training in {fixed16.bits}-bit fixed point does not converge in the paper's Table II; see fixed32",)


def _columns(one: Placed, bits: int, waiting: int, total: int) -> Row:
    """Return the engine's own columns: how a layer is placed, and what of its time goes into messages."""
    mapping = one.mapping
    return {
        "fused_into": one.fused_into,
        "placed_by": mapping.place if isinstance(mapping, NodesMapping) else "",
        "link_bytes": bits_to_bytes(bits),
        "communication_fraction": waiting / total if total else 0.0,
    }


def _product_counts(mapping: NodesMapping, fmt: NumberFormat) -> dict[Action, int]:
    """Return the words that a product moves: a synapse for every multiplication, neurons for the lanes that share them.

    Neurons come from the central memory once for all tiles that share maps, and from a tile's buffer once for all its
    outputs of a cycle. Sums stay in the tile's buffer until they are complete.
    """
    layer, lanes = mapping.layer, mapping.lanes
    broadcast = min(lanes.outputs, layer.K)
    tiles = min(mapping.tiles.maps, ceil_div(layer.K, broadcast)) if has_image(layer) else mapping.tiles.maps
    read = ceil_div(layer.macs, broadcast)
    made = 0 if mapping.place == "update" else layer.steps * layer.output_elements
    sums = ceil_div(layer.macs, min(lanes.inputs, layer.C * layer.S))
    return {
        ("mac", fmt.name, "output"): layer.macs,
        (TILE, "read", "weight"): layer.macs,
        (BUFFERS, "read", "input"): read,
        (BUFFERS, "write", "input"): read,
        (BUFFERS, "read", "psum"): sums,
        (BUFFERS, "write", "psum"): sums,
        (CENTRAL, "read", "input"): ceil_div(read, tiles),
        ("fat_tree", "send", "input"): ceil_div(read, tiles),
        ("fat_tree", "send", "output"): made,
        (CENTRAL, "write", "output"): made,
        **({(TILE, "write", "weight"): layer.macs} if mapping.place == "update" else {}),
    }


def _lane_counts(one: Placed, fmt: NumberFormat) -> dict[Action, int]:
    """Return what a layer does that is no product: operations, neurons read and written once."""
    layer = one.layer
    given, made = layer.steps * sum(map(prod, layer.input_shapes)), layer.steps * layer.output_elements
    return {
        ("vector", fmt.name, "output"): layer.operations,
        (CENTRAL, "read", "input"): given,
        ("fat_tree", "send", "input"): given,
        ("fat_tree", "send", "output"): made,
        (CENTRAL, "write", "output"): made,
    }


def _always(cycles: int, chip: Accelerator, fmt: NumberFormat) -> dict[Action, int]:
    """Return what goes on in every cycle: the control of each node, and rows of eDRAM that are refreshed."""
    rows = int(cycles * chip.options["refresh_rows_per_cycle"])
    return {
        ("control", "cycle", ""): cycles * chip.options["nodes"].count,
        (TILE, "refresh", "weight"): rows * (chip.options["row_bits"] // fmt.operand_bits("weight")),
    }


def _totals(
    network: Network, placed: Sequence[Placed], outcomes: Sequence[Outcome], chip: Accelerator, fmt: NumberFormat
) -> Row:
    """Return the columns of the whole network; operations are two per MAC, the peak counts adders and multipliers.

    The peak is that of `fmt`. The power of the nodes contains that of their eDRAM, which is on chip.
    """
    cycles = sum(one.timing.total_cycles for one in outcomes)
    seconds = cycles_to_s(cycles, chip.clock_hz)
    costs = chip.energy.by_action
    energy_pj = sum(
        count * costs[component, action].word_pj(chip.word_bits(component, operand, one.fmt))
        for one, found in zip(placed, outcomes, strict=True)
        for (component, action, operand), count in found.counts.items()
    )
    return {
        "chip_power_w": pj_to_j(energy_pj) / seconds if seconds else 0.0,
        "tops": OPERATIONS_PER_MAC * network.macs / seconds * 1e-12 if seconds else 0.0,
        "peak_tops": chip.options["peak_tops"][fmt.name],
        "link_bytes": sum(one.extras["link_bytes"] for one in outcomes),
        "communication_fraction": sum(one.timing.stall_cycles for one in outcomes) / max(1, cycles),
    }
