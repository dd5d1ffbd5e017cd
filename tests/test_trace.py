"""The timeline: spans nest on their tracks, add up to the cycles of the result, and stay few."""

from __future__ import annotations

import json
from itertools import pairwise
from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import DATAFLOWS, arrays, conv, layers, linear, network_of, placed

import hwsim
from hwsim.engine import array, trace
from hwsim.engine.trace import MAX_PASSES, Span
from hwsim.ir import Layer, NetworkBuilder
from hwsim.results.record import Timing
from hwsim.results.store import trace_text

Event = dict[str, Any]


def passes(spans: list[Span]) -> list[Span]:
    return [span for span in spans if span.unit == "array" and span.name.startswith("pass")]


def inside(inner: Span, outer: Span) -> bool:
    return outer.start_cycle <= inner.start_cycle and end(inner) <= end(outer)


def end(span: Span) -> int:
    return span.start_cycle + span.cycles


@settings(deadline=None)
@given(layers(89), arrays(), st.sampled_from(DATAFLOWS))
def test_spans_of_a_layer_add_up_to_its_cycles_and_nest(
    layer: Layer, parameters: dict[str, Any], dataflow: str
) -> None:
    mapping, chip, fmt = placed(layer, dataflow, **parameters)
    timing, spans = array.closed(mapping, chip, fmt).timing, list(trace.array_spans(mapping.folding, mapping.totals))
    drawn = passes(spans)
    before, after = (
        sum(span.cycles for span in spans if span.name == name) for name in ("first tiles in", "last outputs out")
    )
    assert before + sum(span.cycles for span in drawn) + after == timing.total_cycles
    assert max(map(end, spans)) == timing.total_cycles
    assert drawn[0].start_cycle == before
    assert all(end(one) == other.start_cycle for one, other in pairwise(drawn))
    assert 1 <= len(drawn) <= MAX_PASSES == 64
    assert all(span.cycles > 0 for span in spans)
    for span in spans:
        assert (
            span in drawn
            or span.name in ("first tiles in", "last outputs out")
            or any(inside(span, one) for one in drawn)
        )


@settings(deadline=None)
@given(layers(89), arrays(), st.sampled_from(DATAFLOWS))
def test_phases_of_all_passes_are_the_timing(layer: Layer, parameters: dict[str, Any], dataflow: str) -> None:
    mapping, chip, fmt = placed(layer, dataflow, **parameters)
    timing, spans = array.closed(mapping, chip, fmt).timing, list(trace.array_spans(mapping.folding, mapping.totals))
    phase = {
        name: sum(span.cycles for span in spans if span.unit == "array" and span.name == name)
        for name in ("fill", "compute", "drain", "stall")
    }
    outside = sum(span.cycles for span in spans if span.name in ("first tiles in", "last outputs out"))
    assert Timing(phase["fill"], phase["compute"], phase["stall"] + outside, phase["drain"]) == timing


def test_a_layer_of_one_fold_is_one_pass_of_fill_compute_and_drain() -> None:
    # 5 cycles of load, 7 of stream, 5 + 3 - 2 of skew
    mapping, _chip, _ = placed(linear(7, 5, 3), "weight_stationary", rows=5, cols=3, bandwidth_gb_s=inf)
    assert list(trace.array_spans(mapping.folding, mapping.totals)) == [
        Span("array", "pass 0", 0, 18),
        Span("array", "fill", 0, 5),
        Span("array", "compute", 5, 7),
        Span("array", "drain", 12, 6),
    ]


def test_off_chip_transfers_stand_on_a_track_of_their_own() -> None:
    # one int8 word per cycle: 15 weights come first, the last 3 outputs leave last, 35 inputs and 18 outputs between
    mapping, _chip, _ = placed(linear(7, 5, 3), "weight_stationary", rows=5, cols=3, bandwidth_gb_s=1)
    assert [span for span in trace.array_spans(mapping.folding, mapping.totals) if span.unit == "off-chip memory"] == [
        Span("off-chip memory", "first tiles in", 0, 15),
        Span("off-chip memory", "pass 0", 15, 53),
        Span("off-chip memory", "last outputs out", 68, 3),
    ]


@pytest.mark.parametrize(
    ("filters", "drawn", "last"),
    [(2 * 64, 64, "pass 63"), (2 * 65, 33, "passes 64-64"), (2 * 131, 44, "passes 129-130")],
)
def test_more_than_64_passes_are_joined_in_equal_groups(filters: int, drawn: int, last: str) -> None:
    # two columns, so two filters per pass; 65 passes are 33 groups of 2, 131 are 44 of 3
    mapping, _chip, _ = placed(linear(3, 5, filters), "weight_stationary", rows=5, cols=2, bandwidth_gb_s=1)
    spans = passes(list(trace.array_spans(mapping.folding, mapping.totals)))
    assert (len(spans), spans[-1].name) == (drawn, last)


def test_a_layer_of_more_passes_than_are_looked_at_is_drawn_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "MAX_WALKED", 2)
    # 7 filters in columns of 2 are 4 passes of 2 x 5 + 2 + 3 - 2 cycles; 10 words before the first, 1 after the last
    mapping, chip, fmt = placed(linear(3, 5, 7), "weight_stationary", rows=5, cols=2, bandwidth_gb_s=1)
    timing, spans = array.closed(mapping, chip, fmt).timing, list(trace.array_spans(mapping.folding, mapping.totals))
    assert timing == Timing(20, 12, 10 + 1 + (15 + 6 - 13) + (10 + 6 - 13) + (10 + 6 - 13), 20)
    assert spans[0] == Span("array", "all passes", 0, timing.total_cycles)
    assert [(span.name, span.cycles) for span in spans[1:]] == [
        ("fill", 20),
        ("compute", 12),
        ("drain", 20),
        ("stall", 25),
    ]
    assert end(spans[-1]) == timing.total_cycles


def test_vector_layers_have_compute_and_stall_on_the_lanes_track() -> None:
    spans = list(trace.vector_spans(Timing(compute_cycles=7, stall_cycles=5)))
    assert spans == [Span("vector lanes", "compute", 0, 7), Span("vector lanes", "stall", 7, 5)]
    assert list(trace.vector_spans(Timing(compute_cycles=7))) == [Span("vector lanes", "compute", 0, 7)]


def test_layers_follow_one_another_and_those_without_cycles_are_left_out() -> None:
    document = trace.chrome_trace(
        [
            ("first", 7, [Span("array", "pass 0", 0, 7)]),
            ("free", 0, []),
            ("second", 5, [Span("array", "pass 0", 2, 3)]),
        ],
        10**6,
    )
    drawn = [
        (event["name"], event["tid"], event["ts"], event["dur"])
        for event in document["traceEvents"]
        if event["ph"] == "X"
    ]
    # one cycle at 1 MHz is one microsecond; track 0 has the layers, track 1 the array
    assert drawn == [("first", 0, 0, 7), ("pass 0", 1, 0, 7), ("second", 0, 7, 5), ("pass 0", 1, 9, 3)]
    named = {event["tid"]: event["args"]["name"] for event in document["traceEvents"] if event["ph"] == "M"}
    assert named == {0: "layers", 1: "array"}


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_the_written_trace_has_complete_events_that_nest_and_end_with_the_network(dataflow: str) -> None:
    net = NetworkBuilder("net")
    x = net.activation("relu", net.conv("conv", net.input("x", (1, 3, 11, 7)), 5, 3))
    net.softmax("softmax", net.linear("fc", net.flatten("flatten", net.pool("pool", x, 2)), 13))
    results = [
        hwsim.simulate(net.build(), on=chip, dataflow=dataflow) for chip in ("systolic:rows=5", "systolic:cols=3")
    ]
    events: list[Event] = json.loads(trace_text(results))["traceEvents"]
    for process, result in enumerate(results):
        drawn = [event for event in events if event["pid"] == process and event["ph"] == "X"]
        tracks = {
            event["tid"]: event["args"]["name"]
            for event in events
            if event["pid"] == process and event["name"] == "thread_name"
        }
        assert set(tracks.values()) == {"layers", "array", "off-chip memory", "vector lanes"}
        assert max(event["ts"] + event["dur"] for event in drawn) == pytest.approx(result.total["seconds"] * 1e6)
        for track in tracks:
            assert_nested(sorted((event["ts"], -event["dur"]) for event in drawn if event["tid"] == track))
        for event in drawn:
            assert event["dur"] > 0
            assert event["dur"] == pytest.approx(event["args"]["cycles"] / result.chip.clock_hz * 1e6)
        assert {event["cat"] for event in drawn} == {"conv", "pool", "fc", "softmax"}


def assert_nested(spans: list[tuple[float, float]]) -> None:
    """Assert that spans (start, minus duration), sorted, lie inside or behind one another, as Perfetto needs them."""
    slack, open_ends = 1e-9, [inf]
    for start, minus in spans:
        while start >= open_ends[-1] - slack:
            open_ends.pop()
        assert start - minus <= open_ends[-1] + slack
        open_ends.append(start - minus)


def test_a_network_with_many_passes_has_a_small_trace() -> None:
    # 2047 x 2047 weights on 8 x 8 PEs are 256 x 256 folds; drawn are at most 64 passes, of 5 spans and the memory's
    network = network_of(linear(3, 2047, 2047), conv((1, 64, 56, 56), 64, 3, padding=1))
    result = hwsim.simulate(network, on="systolic:rows=8,cols=8")
    assert len(json.loads(trace_text([result]))["traceEvents"]) < 2 * (64 * 6 + 8)
