"""A matrix unit fed tile by tile: a network compiled to instructions, whose units overlap across layers.

Closed, the schedule is computed block by block; stepped, the units run as processes and the array moves real values.
Both give the same cycles. Columns are those of Table 3 of Jouppi et al., ISCA 2017: shares of all cycles by what the
matrix unit does, transfers from and to the host included, and throughput without them.

A program is in one format, because all its tiles of weights take the same room in their FIFO and the same time to
shift in.

Options of a chip: `issue`, "in_order" or "decoupled" (see `Program`), and `measured_power_w`, a column if it is given.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from hwsim.arch.accelerator import Accelerator
from hwsim.engine import array, tiles_closed
from hwsim.engine.ledger import Cause
from hwsim.engine.vector import UNCOMPUTED_KINDS
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Kind
from hwsim.ir.network import Network
from hwsim.mapping.compile import ACCUMULATORS, BUFFER, FIFO, compile_network
from hwsim.mapping.loops import ArrayMapping
from hwsim.mapping.placed import Placed
from hwsim.mapping.program import Program
from hwsim.mapping.unified_buffer import peak_bits
from hwsim.results.record import Action, Execution, Outcome, Row, Timing
from hwsim.units import bits_to_bytes, cycles_to_s

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hwsim.engine.tiles_closed import Schedule
    from hwsim.engine.trace import Span
    from hwsim.results.record import NetworkResult

OPERATIONS_PER_MAC = 2
READS_DENSITIES: frozenset[str] = frozenset()


def execute(
    network: Network, placed: Sequence[Placed], chip: Accelerator, fmt: NumberFormat, fidelity: str, seed: int
) -> Execution:
    """Return every layer's outcome, and the columns of the whole network."""
    program = compile_network(network, placed, chip, fmt)
    stepped, layers = fidelity == "stepped", len(placed)
    schedule = schedule_of(program, layers, stepped)
    tiles, live = program.tiles_by_layer, live_bits_by_layer(program, layers)
    counted = (_counts(one, chip, fmt, tiles[index], seed if stepped else None) for index, one in enumerate(placed))
    outcomes = (
        _outcome(one, counts, cycles, bits, chip.peak_macs_per_cycle(fmt))
        for one, counts, cycles, bits in zip(placed, counted, schedule.ledger.cycles, live, strict=True)
    )
    alone = schedule_of(program.without_host(), layers, stepped)
    totals = _totals(network, program, schedule, alone, chip, fmt)
    return Execution(outcomes, totals, (*unpacked(placed), *undrawn(program)))


def unpacked(placed: Sequence[Placed]) -> tuple[str, ...]:
    """Return notes on products that this machine runs in a roundabout way."""
    products = [one.layer for one in placed if one.layer.is_mac]
    grouped = sum(one.G > 1 and one.kind is Kind.CONV for one in products)
    activations = sum(len(one.inputs) > 1 for one in products)
    said = []
    if grouped:
        said.append(f"{grouped} grouped convolutions take tiles of weights of their own for every group")
    if activations:
        said.append(f"{activations} products of two activations get the second through the host, as weights come")
    return tuple(said)


def undrawn(program: Program) -> tuple[str, ...]:
    """Return a note where a timeline has the layers alone, because the program has too many tiles to be drawn."""
    from hwsim.engine import trace

    tiles, most = program.tiles_by_layer.total(), trace.MAX_TILES
    if tiles <= most:
        return ()
    return (f"a timeline shows the layers alone: {tiles:,} tiles of weights are more than the {most:,} drawn",)


def spans(result: NetworkResult) -> Iterator[list[Span]]:
    """Yield the timeline of every layer, from the cycle in which the layer begins."""
    from hwsim.engine import tiles_events, trace

    placed = [Placed(one.layer, one.mapping, one.fmt, one.extras.get("fused_into", "")) for one in result.layers]
    program = compile_network(result.network, placed, result.chip, result.fmt)
    if undrawn(program):
        yield from ([] for _ in placed)
        return
    by_layer = trace.program_spans(program, tiles_events.observe(program), [one.layer for one in result.layers])
    start = 0
    for index, one in enumerate(result.layers):
        yield [span._replace(start_cycle=span.start_cycle - start) for span in by_layer[index]]
        start += one.timing.total_cycles


def schedule_of(program: Program, layers: int, stepped: bool) -> Schedule:
    """Return the schedule of `program`, by recurrence or by running its units."""
    if not stepped:
        return tiles_closed.run(program, layers)
    from hwsim.engine import tiles_events

    return tiles_events.run(program, layers)


def live_bits_by_layer(program: Program, layers: int) -> list[int]:
    """Return how far up the unified buffer is filled while each layer runs."""
    first, last = [len(program.blocks)] * layers, [-1] * layers
    for number, block in enumerate(program.blocks):
        first[block.layer], last[block.layer] = min(first[block.layer], number), number
    return [
        peak_bits(one for one in program.placements if one.lifetime.first <= end and one.lifetime.last >= start)
        for start, end in zip(first, last, strict=True)
    ]


def _outcome(one: Placed, counts: dict[Action, int], cycles: list[int], live_bits: int, peak: float) -> Outcome:
    """Return a layer's outcome: `cycles` by cause, of which a layer without products spends all on the lanes."""
    total = sum(cycles)
    if one.mapping is None:
        timing = Timing(compute_cycles=total)
    else:
        shift, active = cycles[Cause.WEIGHT_SHIFT], cycles[Cause.ACTIVE]
        stall = cycles[Cause.WEIGHT_STALL] + cycles[Cause.INPUT_STALL]
        timing = Timing(shift, active, stall, total - shift - active - stall)
    extras = {
        **({} if one.mapping else {"fused_into": one.fused_into}),
        **shares(cycles, one.layer.macs, peak),
        "unified_buffer_peak_bytes": bits_to_bytes(live_bits),
    }
    return Outcome(timing, {**counts, ("idle", "cycle", ""): total}, extras)


def shares(cycles: Sequence[int], macs: int, peak_macs_per_cycle: float) -> Row:
    """Return the shares of `cycles` by cause; the first and the next three add up to 1, useful and unused to active."""
    total = max(1, sum(cycles))
    active, stall, shift, raw, given, other = (count / total for count in cycles)
    useful = macs / (peak_macs_per_cycle * total)
    return {
        "array_active_fraction": active,
        "useful_macs_fraction": useful,
        "unused_macs_fraction": active - useful,
        "weight_stall_fraction": stall,
        "weight_shift_fraction": shift,
        "non_matrix_fraction": raw + given + other,
        "raw_stall_fraction": raw,
        "input_stall_fraction": given,
    }


def _totals(
    network: Network, program: Program, schedule: Schedule, alone: Schedule, chip: Accelerator, fmt: NumberFormat
) -> Row:
    """Return the columns of the whole network; `alone` is its schedule with a host link that takes no time.

    Operations are two per MAC. Power at load is measured, not simulated.
    """
    cycles = [sum(column) for column in zip(*schedule.ledger.cycles, strict=True)]
    seconds, alone_s = (cycles_to_s(one.total_cycles, chip.clock_hz) for one in (schedule, alone))
    operations = OPERATIONS_PER_MAC * network.macs
    moved = {
        unit: sum(block.bits for block in program.blocks if block.unit == unit) for unit in ("host_in", "host_out")
    }
    return {
        **shares(cycles, network.macs, chip.peak_macs_per_cycle(fmt)),
        "tops": operations / alone_s * 1e-12 if alone_s else 0.0,
        "tops_with_host": operations / seconds * 1e-12 if seconds else 0.0,
        "seconds_without_host": alone_s,
        "inferences_per_s_without_host": network.batch / alone_s if alone_s else 0.0,
        "host_read_bytes": bits_to_bytes(moved["host_in"]),
        "host_write_bytes": bits_to_bytes(moved["host_out"]),
        "weight_tiles": program.tiles_by_layer.total(),
        "unified_buffer_peak_bytes": bits_to_bytes(program.buffer_peak_bits),
        **{name: chip.options[name] for name in ("measured_power_w",) if name in chip.options},
    }


def _counts(one: Placed, chip: Accelerator, fmt: NumberFormat, tiles: int, seed: int | None) -> dict[Action, int]:
    """Return a layer's actions; with a `seed`, those of the array are counted while seeded values move through it."""
    if not isinstance(one.mapping, ArrayMapping):
        return _vector_counts(one, fmt)
    counts = array.array_counts(one.mapping, chip, fmt)
    if seed is not None:
        from hwsim.engine import array_stepped

        happened = array_stepped.run(one.mapping, chip, fmt, seed).outcome.counts
        counts = {action: happened[action] for action in counts}
    words, outputs = tiles * chip.array.rows * chip.array.cols, one.layer.steps * prod(one.layer.output_shape)
    return {
        **counts,
        (ACCUMULATORS, "read", "output"): outputs,
        (BUFFER, "write", "output"): outputs,
        (FIFO, "write", "weight"): words,
        (FIFO, "read", "weight"): words,
        (chip.off_chip.name, "read", "weight"): words,
    }


def _vector_counts(one: Placed, fmt: NumberFormat) -> dict[Action, int]:
    """Return what a layer on the lanes does; one on results that pass them anyway moves nothing else."""
    layer = one.layer
    if layer.kind in UNCOMPUTED_KINDS:
        return {}
    operations = {("vector", fmt.name, "output"): layer.operations}
    if one.fused_into:
        return operations
    return {
        **operations,
        (BUFFER, "read", "input"): layer.steps * sum(map(prod, layer.input_shapes)),
        (BUFFER, "write", "output"): layer.steps * layer.output_elements,
    }
