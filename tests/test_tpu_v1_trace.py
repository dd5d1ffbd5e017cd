"""The timeline of TPU v1: a track per unit, weights coming while products run, few events, no gaps in the layers."""

from __future__ import annotations

import json
from bisect import bisect
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from command import answer
from strategies import linear, network_of

import hwsim
from hwsim.engine import tiles, trace
from hwsim.engine.trace import MAX_PASSES, Span
from hwsim.ir import Network
from hwsim.results.store import trace_text

UNITS = ("host in", "weight memory", "weight shift", "matrix unit", "activation unit", "host out")
SLACK_US = 1e-6


class Event(NamedTuple):
    """An event from `start` to `end` [us] on a unit's track."""

    unit: str
    layer: str
    name: str
    start: float
    end: float


def traced(folder: Path, network: str, chip: str = "tpu_v1") -> list[Event]:
    """Return the events that `--trace` writes, by track in the order of their starts."""
    path = folder / "trace.json"
    answer("run", network, "--on", chip, "--trace", path)
    document = json.loads(path.read_text(encoding="utf-8"))
    named = {one["tid"]: one["args"]["name"] for one in document["traceEvents"] if one["name"] == "thread_name"}
    drawn = [one for one in document["traceEvents"] if one["ph"] == "X"]
    assert all({"name", "cat", "ph", "pid", "tid", "ts", "dur", "args"} == set(one) for one in drawn)
    return sorted(Event(named[one["tid"]], one["cat"], one["name"], one["ts"], one["ts"] + one["dur"]) for one in drawn)


def of_unit(events: list[Event], unit: str) -> list[Event]:
    return sorted((event for event in events if event.unit == unit), key=lambda event: event.start)


@pytest.mark.parametrize(
    ("network", "chip"),
    [
        ("tpu_apps:app=MLP0", "tpu_v1"),
        ("tpu_apps:app=CNN0", "tpu_v1:issue=decoupled"),
        ("tpu_apps:app=LSTM1", "tpu_v1"),
        ("lstm:hidden=29,inputs=31,steps=7,layers=2", "tpu_v1:rows=16,cols=8,fifo_tiles=2"),
    ],
)
def test_every_unit_has_a_track_on_which_it_does_one_thing_at_a_time(tmp_path: Path, network: str, chip: str) -> None:
    events = traced(tmp_path, network, chip)
    assert {event.unit for event in events} == {"layers", *UNITS}
    for unit in ("layers", *UNITS):
        track = of_unit(events, unit)
        assert track[0].start >= 0
        assert all(event.end > event.start for event in track)
        assert all(late.start >= early.end - SLACK_US for early, late in pairwise(track))


@pytest.mark.parametrize("app", ["MLP0", "LSTM1", "CNN0"])
def test_layers_follow_one_another_to_the_end_of_the_last_transfer(tmp_path: Path, app: str) -> None:
    events = traced(tmp_path, f"tpu_apps:app={app}")
    layers, result = of_unit(events, "layers"), hwsim.simulate(f"tpu_apps:app={app}", on="tpu_v1")
    timed = [row for row in result.rows if row["total_cycles"]]
    assert [event.layer for event in layers] == [row["layer"] for row in timed]
    assert [event.end - event.start for event in layers] == pytest.approx([1e6 * row["seconds"] for row in timed])
    assert layers[0].start == 0
    assert all(late.start == pytest.approx(early.end) for early, late in pairwise(layers))
    seconds = result.total["seconds"]
    assert layers[-1].end == pytest.approx(1e6 * seconds)
    assert max(event.end for event in events) == pytest.approx(1e6 * seconds)
    assert of_unit(events, "host out")[-1].end == pytest.approx(1e6 * seconds)


def test_weights_come_while_products_run(tmp_path: Path) -> None:
    events = traced(tmp_path, "tpu_apps:app=MLP0")
    reads, products = of_unit(events, "weight memory"), of_unit(events, "matrix unit")
    assert {event.name.split()[0] for event in reads} == {"Read_Weights"}
    assert {event.name.split()[0] for event in products} == {"MatrixMultiply"}
    ends = [event.end for event in reads]

    def overlaps(product: Event) -> bool:
        """Whether the first read that ends after the product began, began before the product's end."""
        at = bisect(ends, product.start)
        return at < len(reads) and reads[at].start < product.end

    # 320 tiles of 5 layers; behind each layer's last one stands a synchronisation, with nothing to read before it
    assert len(reads) == len(products) == 320
    assert sum(map(overlaps, products[1:])) == 319 - 5
    assert sum(map(overlaps, products[1:])) >= 0.9 * 319


def test_instructions_are_named_as_in_the_paper(tmp_path: Path) -> None:
    events = traced(tmp_path, "tpu_apps:app=CNN0")
    first = {event.unit: event.name for event in reversed(events) if event.layer in ("conv1", "conv16")}
    assert first == {
        "layers": "conv1",
        "host in": "Read_Host_Memory conv1",
        "weight memory": "Read_Weights conv1",
        "weight shift": "shift conv1",
        "matrix unit": "Convolve conv1",
        "activation unit": "Activate conv1",
        "host out": "Write_Host_Memory conv16",
    }


def spans(network: Network | str, chip: str) -> list[list[Span]]:
    return list(tiles.spans(hwsim.simulate(network, on=chip)))


@pytest.mark.parametrize(
    ("features", "drawn", "last"), [(8 * 64, 64, "MatrixMultiply layer0"), (8 * 131, 44, "2 x MatrixMultiply")]
)
def test_more_than_64_tiles_are_joined_in_equal_groups(features: int, drawn: int, last: str) -> None:
    # 8 columns, so 8 features per tile; 131 are 43 groups of 3 and one of 2
    (layer,) = spans(network_of(linear(3, 13, features)), "tpu_v1:rows=16,cols=8")
    matrix_unit = [span for span in layer if span.unit == "matrix unit"]
    assert (len(matrix_unit), matrix_unit[-1].name) == (drawn, last)


@pytest.mark.parametrize(
    ("network", "chip"),
    [
        # 91 chunks of up to 32 positions; 960 channels one by one; every unit is busy in each of 131 steps
        ("tpu_apps:app=CNN0", "tpu_v1:accumulators=64"),
        ("mobilenet:image=32", "tpu_v1"),
        ("lstm:hidden=29,inputs=31,steps=131", "tpu_v1:rows=16,cols=8"),
    ],
)
def test_a_trace_has_at_most_64_events_per_layer_and_track(network: str, chip: str) -> None:
    found = spans(network, chip)
    by_unit = [Counter(span.unit for span in layer) for layer in found]
    together = sum(by_unit, Counter[str]())
    assert set(together) == set(UNITS)
    # layers that take turns step by step share what all of them may have
    assert all(count <= MAX_PASSES * len(found) for count in together.values())
    if not network.startswith("lstm"):
        assert max(max(counts.values(), default=0) for counts in by_unit) <= MAX_PASSES == 64


def test_a_program_of_very_many_tiles_is_drawn_by_layer_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "a timeline shows the layers alone: 100 tiles of weights are more than the 99 drawn"
    assert said not in hwsim.simulate("tpu_apps:app=MLP1", on="tpu_v1").notes
    monkeypatch.setattr(trace, "MAX_TILES", 99)
    result = hwsim.simulate("tpu_apps:app=MLP1", on="tpu_v1")
    assert said in result.notes
    events = json.loads(trace_text([result]))["traceEvents"]
    assert [event["name"] for event in events if event["ph"] == "X"] == ["fc1", "fc2", "fc3", "fc4"]
