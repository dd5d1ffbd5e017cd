"""A timeline in Chrome's trace format, which Perfetto opens: one track per unit, nested events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from hwsim.ir.layer import Kind, Layer
from hwsim.mapping import passes
from hwsim.mapping.folding import Folding
from hwsim.mapping.passes import Totals
from hwsim.mapping.program import FILLS, Program
from hwsim.results.record import Timing
from hwsim.units import ceil_div

if TYPE_CHECKING:
    from hwsim.engine.tiles_events import Log, Tile

MAX_PASSES = 64
"""Events drawn per layer: runs of more passes are joined, so that a trace stays small enough to open."""

MAX_WALKED = 1_000_000
"""Passes looked at per layer: one of more is drawn as a whole."""

SECONDS_TO_US = 1e6

UNITS = {"host_in": "host in", "activation": "activation unit", "host_out": "host out"}
"""The tracks of units that do one instruction at a time."""


class Span(NamedTuple):
    """An event of `cycles` on the track of `unit`."""

    unit: str
    name: str
    start_cycle: int
    cycles: int


def array_spans(folding: Folding, totals: Totals) -> Iterator[Span]:
    """Yield what array and off-chip memory do, pass by pass; long layers have several per event, or all in one."""
    if folding.passes > MAX_WALKED:
        yield from _joined(totals)
        return
    count, walk = folding.passes, passes.walk(folding)
    group = ceil_div(count, MAX_PASSES)
    startup = passes.transfer_cycles(folding, passes.startup_bits(folding))
    tail = passes.transfer_cycles(folding, passes.tail_bits(folding))
    if startup:
        yield Span("off-chip memory", "first tiles in", 0, startup)
    at = startup
    for index in range(0, count, group):
        fill = compute = drain = moving = lasting = 0
        for one, moved_bits in islice(walk, group):
            transfer = passes.transfer_cycles(folding, moved_bits)
            fill, compute, drain = fill + one.fill_cycles, compute + one.compute_cycles, drain + one.drain_cycles
            moving, lasting = moving + transfer, lasting + max(one.busy_cycles, transfer)
        name = f"pass {index}" if group == 1 else f"passes {index}-{min(index + group, count) - 1}"
        yield Span("array", name, at, lasting)
        yield from _phases(
            at, (("fill", fill), ("compute", compute), ("drain", drain), ("stall", lasting - fill - compute - drain))
        )
        if moving:
            yield Span("off-chip memory", name, at, moving)
        at += lasting
    if tail:
        yield Span("off-chip memory", "last outputs out", at, tail)


def _joined(totals: Totals) -> Iterator[Span]:
    """Yield one event per phase of all passes."""
    yield Span("array", "all passes", 0, totals.total_cycles)
    phases = {name: getattr(totals, f"{name}_cycles") for name in ("fill", "compute", "drain", "stall")}
    yield from _phases(0, phases.items())


def vector_spans(timing: Timing) -> Iterator[Span]:
    """Yield what the vector lanes do."""
    phases = (("compute", timing.compute_cycles), ("stall", timing.stall_cycles))
    for span in _phases(0, phases):
        yield span._replace(unit="vector lanes")


def _phases(start: int, phases: Iterable[tuple[str, int]]) -> Iterator[Span]:
    for name, cycles in phases:
        if cycles:
            yield Span("array", name, start, cycles)
            start += cycles


def program_spans(program: Program, log: Log, layers: Sequence[Layer]) -> list[list[Span]]:
    """Return what each unit does for each layer, from cycle 0 of the run; of many tiles, some are joined."""
    found: list[list[Span]] = [[] for _ in layers]
    grouped = {index: ceil_div(count, MAX_PASSES) for index, count in program.tiles_by_layer.items()}
    for number, block in enumerate(program.blocks):
        name, spans = layers[block.layer].name, found[block.layer]
        if block.unit != "tiles":
            unit, instruction = UNITS[block.unit], FILLS[block.unit][0]
            spans.append(
                Span(unit, f"{instruction} {name}", log.began[number], log.complete[number] - log.began[number])
            )
            continue
        tiles, group = log.tiles[number], grouped[block.layer]
        multiply = "Convolve" if layers[block.layer].kind is Kind.CONV else "MatrixMultiply"
        for at in range(0, len(tiles), group):
            some = tiles[at : at + group]
            spans += _joined_tiles(program, some, "tile" if len(some) == 1 else f"{len(some)} tiles", multiply)
    return found


def _joined_tiles(program: Program, tiles: Sequence[Tile], what: str, multiply: str) -> Iterator[Span]:
    first, last = tiles[0], tiles[-1]
    read, shift = program.fetch_cycles, program.shift_cycles
    yield Span("weight memory", f"Read_Weights {what}", first.fetched - read, last.fetched - first.fetched + read)
    yield Span("weight shift", f"shift {what}", first.shifted - shift, last.shifted - first.shifted + shift)
    yield Span("matrix unit", f"{multiply} {what}", first.start, last.end - first.start)


def chrome_trace(layers: Iterable[tuple[str, int, Iterable[Span]]], clock_hz: int) -> dict[str, Any]:
    """Return a Chrome trace of (layer name, total cycles, spans from its cycle 0), the layers one after the other.

    Spans may reach into the time of other layers where these overlap.
    """
    units: dict[str, int] = {"layers": 0}
    events: list[dict[str, Any]] = []
    start = 0
    for name, total_cycles, layer_spans in layers:
        whole = [Span("layers", name, 0, total_cycles)] if total_cycles else []
        for span in (*whole, *layer_spans):
            thread = units.setdefault(span.unit, len(units))
            events.append(
                {
                    "name": span.name,
                    "cat": name,
                    "ph": "X",
                    "pid": 0,
                    "tid": thread,
                    "ts": (start + span.start_cycle) / clock_hz * SECONDS_TO_US,
                    "dur": span.cycles / clock_hz * SECONDS_TO_US,
                    "args": {"layer": name, "cycles": span.cycles},
                }
            )
        start += total_cycles
    names = [
        {"name": "thread_name", "ph": "M", "pid": 0, "tid": thread, "args": {"name": unit}}
        for unit, thread in units.items()
    ]
    return {"traceEvents": names + events, "displayTimeUnit": "ns"}
