"""A timeline in Chrome's trace format, which Perfetto opens: one track per unit, nested events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, NamedTuple

from hwsim.ir.layer import Kind, Layer
from hwsim.mapping import passes
from hwsim.mapping.folding import Folding
from hwsim.mapping.passes import Totals
from hwsim.mapping.program import FILLS, Program
from hwsim.results.record import Timing
from hwsim.units import ceil_div

if TYPE_CHECKING:
    from hwsim.engine.tiles_events import Log

MAX_PASSES = 64
"""Events drawn per layer: runs of more passes are joined, so that a trace stays small enough to open."""

MAX_WALKED = 1_000_000
"""Passes looked at per layer: one of more is drawn as a whole."""

MAX_TILES = 50_000
"""Tiles of weights run as events for a timeline; of a program of more, only the layers are drawn."""

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
    """Return what each unit does for each layer, from cycle 0 of the run.

    A unit has at most `MAX_PASSES` events per layer, layers that take turns step by step as many together; of more,
    neighbours are joined.
    """
    found: list[list[Span]] = [[] for _ in layers]
    loop, by_unit = _loops(layers), defaultdict[str, list[tuple[int, Span]]](list)
    for layer, span in _happened(program, log, layers):
        by_unit[span.unit].append((layer, span))
    for happened in by_unit.values():
        for _, members in groupby(happened, key=lambda pair: loop[pair[0]]):
            several = list(members)
            group = ceil_div(len(several), MAX_PASSES * len({layer for layer, _ in several}))
            for at in range(0, len(several), group):
                layer = several[at][0]
                found[layer].append(_joined_span(layers[layer].name, [span for _, span in several[at : at + group]]))
    return found


def _loops(layers: Sequence[Layer]) -> list[int]:
    """Return of each layer the first one of those that it takes turns with, step by step."""
    firsts = []
    for steps, run in groupby(enumerate(layers), key=lambda pair: pair[1].steps):
        numbers = [number for number, _ in run]
        firsts += numbers if steps == 1 else [numbers[0]] * len(numbers)
    return firsts


def _happened(program: Program, log: Log, layers: Sequence[Layer]) -> Iterator[tuple[int, Span]]:
    """Yield every instruction, and the shift of every tile, with the number of its layer."""
    read, shift = program.fetch_cycles, program.shift_cycles
    for number, block in enumerate(program.blocks):
        if block.unit != "tiles":
            began, name = log.began[number], FILLS[block.unit][0]
            yield block.layer, Span(UNITS[block.unit], name, began, log.complete[number] - began)
            continue
        multiply = "Convolve" if layers[block.layer].kind is Kind.CONV else "MatrixMultiply"
        for tile in log.tiles[number]:
            yield block.layer, Span("weight memory", "Read_Weights", tile.fetched - read, read)
            yield block.layer, Span("weight shift", "shift", tile.shifted - shift, shift)
            yield block.layer, Span("matrix unit", multiply, tile.start, tile.end - tile.start)


def _joined_span(layer: str, spans: Sequence[Span]) -> Span:
    """Return one event from the start of the first to the end of the last, named after the layer if it is alone."""
    first, last = spans[0], spans[-1]
    name = f"{first.name} {layer}" if len(spans) == 1 else f"{len(spans)} x {first.name}"
    return first._replace(name=name, cycles=last.start_cycle + last.cycles - first.start_cycle)


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
