"""More bandwidth, buffers or PEs never make the best mapping slower; a batch of two takes at most twice as long as one.

The examples named are layers on which an earlier search for a mapping did not keep the contract.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strategies import DATAFLOWS, arrays, layers, linear, placed

from hwsim.engine import array
from hwsim.ir import Layer
from hwsim.results.record import WordCosts, energy_by_component


class Cost(NamedTuple):
    """Cycles and energy [pJ] of a layer."""

    cycles: int
    energy_pj: float


def cost(layer: Layer, dataflow: str, **parameters: Any) -> Cost:
    """Return what the best mapping of an int8 layer costs on a systolic array."""
    mapping, chip, fmt = placed(layer, dataflow, **parameters)
    outcome = array.closed(mapping, chip, fmt)
    energy = energy_by_component(outcome.counts, WordCosts(chip, fmt), chip.energy.components)
    return Cost(outcome.timing.total_cycles, sum(energy.values()))


SMALL: dict[str, Any] = {
    "rows": 1,
    "cols": 1,
    "ifmap_kib": 0.0625,
    "filter_kib": 0.0625,
    "ofmap_kib": 0.0625,
    "bandwidth_gb_s": 0.5,
    "drain": "tile",
    "preload": "serial",
}
"""One PE, three buffers of 512 bits, 256 of them in use, 4 bits per cycle."""

BUFFERS = ("ifmap_kib", "filter_kib", "ofmap_kib")
SIDES = ("rows", "cols")

dataflows = st.sampled_from(DATAFLOWS)


def doubled(parameters: dict[str, Any], *names: str) -> dict[str, Any]:
    return {**parameters, **{name: 2 * parameters[name] for name in names}}


@settings(deadline=None, derandomize=True, max_examples=200)
@given(layers(89), arrays(), dataflows, st.floats(1, 1000))
def test_more_bandwidth_is_never_slower(layer: Layer, parameters: dict[str, Any], dataflow: str, factor: float) -> None:
    faster = {**parameters, "bandwidth_gb_s": factor * parameters["bandwidth_gb_s"]}
    assert cost(layer, dataflow, **faster).cycles <= cost(layer, dataflow, **parameters).cycles


@settings(deadline=None, derandomize=True)
@given(layers(89), arrays(), dataflows, st.sampled_from(BUFFERS))
def test_larger_buffers_are_never_slower_where_nothing_waits_for_memory(
    layer: Layer, parameters: dict[str, Any], dataflow: str, buffer: str
) -> None:
    ideal = {**parameters, "bandwidth_gb_s": inf}
    assert cost(layer, dataflow, **doubled(ideal, buffer)).cycles <= cost(layer, dataflow, **ideal).cycles


@settings(deadline=None, derandomize=True)
@given(layers(89), arrays(), dataflows, st.sampled_from(SIDES))
def test_more_pes_are_never_slower_where_tiles_drain_and_nothing_waits_for_memory(
    layer: Layer, parameters: dict[str, Any], dataflow: str, side: str
) -> None:
    ideal = {**parameters, "bandwidth_gb_s": inf, "drain": "tile", "preload": "serial"}
    assert cost(layer, dataflow, **doubled(ideal, side)).cycles <= cost(layer, dataflow, **ideal).cycles


@settings(deadline=None, derandomize=True)
@given(layers(89), arrays(), dataflows)
def test_a_batch_of_two_takes_at_most_twice_as_long_where_nothing_waits_for_memory(
    layer: Layer, parameters: dict[str, Any], dataflow: str
) -> None:
    ideal = {**parameters, "bandwidth_gb_s": inf}
    assert cost(batch_of_two(layer), dataflow, **ideal).cycles <= 2 * cost(layer, dataflow, **ideal).cycles


def batch_of_two(layer: Layer) -> Layer:
    """Return the layer on twice as many images, vectors or products of activations."""
    (first, *rest), *others = layer.input_shapes
    batch: dict[str, Any] = {"G": 2 * layer.G} if len(layer.inputs) == 2 else {"N": 2 * layer.N}
    return replace(
        layer,
        input_shapes=((2 * first, *rest), *((2 * shape[0], *shape[1:]) for shape in others)),
        output_shape=(2 * layer.output_shape[0], *layer.output_shape[1:]),
        **batch,
    )


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_a_larger_array_that_drains_as_a_whole_is_slower_on_a_small_matrix(dataflow: str) -> None:
    # one product on one PE of rows x cols: rows + cols + 1 - 2 cycles, and rows more where a tile must be loaded
    ideal = {**SMALL, "bandwidth_gb_s": inf, "drain": "array"}
    loads = dataflow != "output_stationary"
    for rows, cols in ((1, 1), (2, 1), (1, 2), (4, 8)):
        expected = rows + cols - 1 + (rows if loads else 0)
        assert cost(linear(1, 1, 1), dataflow, **{**ideal, "rows": rows, "cols": cols}).cycles == expected


def test_a_taller_array_may_use_fewer_rows_where_a_shorter_first_tile_loads_sooner() -> None:
    # weights 2 x 1, one position. One row: load 1, folds of 1 and 1; two rows: load 2, one fold of 1 + 2 + 1 - 2
    ideal = {**SMALL, "bandwidth_gb_s": inf, "preload": "overlapped"}
    assert cost(linear(1, 2, 1), "weight_stationary", **ideal).cycles == 1 + 1 + 1
    assert cost(linear(1, 2, 1), "weight_stationary", **doubled(ideal, "rows")).cycles == min(1 + 1 + 1, 2 + 2)


@pytest.mark.parametrize("buffer", BUFFERS)
@settings(deadline=None, derandomize=True)
@example(linear(2, 17, 1), {**SMALL, "rows": 2}, "output_stationary")  # ifmap: 120 cycles become 124
@example(linear(1, 17, 2), {**SMALL, "cols": 2}, "output_stationary")  # filter: 120 become 124
@example(linear(17, 1, 2), {**SMALL, "cols": 2}, "weight_stationary")  # ofmap: 121 become 125
@given(layers(89), arrays(), dataflows)
def test_larger_buffers_are_never_slower(buffer: str, layer: Layer, parameters: dict[str, Any], dataflow: str) -> None:
    assert cost(layer, dataflow, **doubled(parameters, buffer)).cycles <= cost(layer, dataflow, **parameters).cycles


@pytest.mark.parametrize("side", SIDES)
@settings(deadline=None, derandomize=True)
@example(linear(1, 2, 1), SMALL, "weight_stationary")  # rows: 10 cycles become 14
@example(linear(1, 1, 2), SMALL, "weight_stationary")  # cols: 10 become 13
@given(layers(89), arrays(), dataflows)
def test_more_pes_are_never_slower_where_tiles_drain(
    side: str, layer: Layer, parameters: dict[str, Any], dataflow: str
) -> None:
    tight = {**parameters, "drain": "tile", "preload": "serial"}
    assert cost(layer, dataflow, **doubled(tight, side)).cycles <= cost(layer, dataflow, **tight).cycles


@settings(deadline=None, derandomize=True)
@example(linear(10, 13, 3), {**SMALL, "ifmap_kib": 0.5}, "output_stationary")  # 568 cycles become 1758
@example(linear(2, 9, 3), {**SMALL, "cols": 3}, "input_stationary")  # 102 become 227
@example(
    linear(17, 5, 4), {**SMALL, "rows": 3, "ofmap_kib": 0.25, "bandwidth_gb_s": 2.0}, "weight_stationary"
)  # 222 become 445
@given(layers(89), arrays(), dataflows)
def test_a_batch_of_two_takes_at_most_twice_as_long(layer: Layer, parameters: dict[str, Any], dataflow: str) -> None:
    assert cost(batch_of_two(layer), dataflow, **parameters).cycles <= 2 * cost(layer, dataflow, **parameters).cycles


def test_the_search_takes_cycles_before_energy() -> None:
    # weights 2 x 1 on one PE: two tiles, each 1 cycle to load and one per position. The buffer holds 8 partial sums of
    # 32 bits: 5 positions fit; 10 would in two chunks, but each loads the tiles again, and spilling costs no time here
    ideal = {**SMALL, "bandwidth_gb_s": inf}
    once, twice = (cost(linear(n, 2, 1), "weight_stationary", **ideal) for n in (5, 10))
    assert (once.cycles, twice.cycles) == (2 * (1 + 5), 2 * (1 + 10))
    assert twice.energy_pj > 2 * once.energy_pj
