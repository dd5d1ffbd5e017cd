"""The timeline of row-stationary layers: processing passes on the array, and what moves off-chip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hwsim.engine.trace import MAX_PASSES, Span
from hwsim.mapping.row_stationary import Pass, RowStationaryMapping
from hwsim.results.record import LayerResult
from hwsim.units import ceil_div


def layer_spans(layer: LayerResult) -> Iterator[Span]:
    """Yield a layer's events from its cycle 0; many passes are joined to one event, their phases added up."""
    if not isinstance(layer.mapping, RowStationaryMapping):
        return
    passes, processing = layer.mapping.passes, layer.extras["processing_cycles"]
    filters = layer.mapping.machine.link(layer.extras["filter_words"] * layer.fmt.bits)
    feature_maps = layer.timing.total_cycles - max(processing, filters)
    group = ceil_div(passes, MAX_PASSES)
    for first in range(0, passes, group):
        yield from _passes(layer.mapping.one_pass, first, min(group, passes - first))
    moved = (("filters", filters, 0), ("feature maps", feature_maps, max(processing, filters)))
    for name, cycles, start in moved:
        if cycles:
            yield Span("off-chip memory", name, start, cycles)


def _passes(one: Pass, first: int, count: int) -> Iterator[Span]:
    start = first * one.cycles
    yield Span(
        "array", f"pass {first}" if count == 1 else f"passes {first}-{first + count - 1}", start, count * one.cycles
    )
    yield from _phases(
        start, ((name.removesuffix("_cycles"), count * cycles) for name, cycles in one._asdict().items())
    )


def _phases(start: int, phases: Iterable[tuple[str, int]]) -> Iterator[Span]:
    for name, cycles in phases:
        if cycles:
            yield Span("array", name, start, cycles)
            start += cycles
