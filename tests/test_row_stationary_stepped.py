"""Row stationary stepped: the values are the reference operator's, cycles and counts those of the closed form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import attention, conv, layers, linear, network_of

import hwsim
from hwsim.chips.eyeriss import eyeriss
from hwsim.engine import row_stationary as engine
from hwsim.engine import row_stationary_stepped
from hwsim.formats.fixed16 import fixed16
from hwsim.ir import Layer
from hwsim.mapping.row_stationary import Parameters, misfit
from hwsim.mapping.row_stationary_place import place


def chips() -> st.SearchStrategy[dict[str, Any]]:
    """Draw the parameters of an Eyeriss, so small that filters are cut into pieces, or as built."""
    return st.fixed_dictionaries(
        {
            "rows": st.sampled_from([3, 12]),
            "cols": st.sampled_from([2, 14]),
            "ifmap_spad": st.sampled_from([2, 12]),
            "filter_spad": st.sampled_from([7, 224]),
            "psum_spad": st.sampled_from([2, 24]),
            "ifmap_network_bits": st.sampled_from([16, 48]),
            "psum_network_bits": st.sampled_from([16, 64]),
            "link_mhz": st.sampled_from([0.7, 60.0]),
            "energy": st.sampled_from(["chip", "isca2016"]),
        }
    )


@given(layers(31), chips(), st.data())
@settings(deadline=None, derandomize=True, max_examples=120)
def test_closed_and_stepped_agree_on_any_mapping_of_a_dense_layer(
    layer: Layer, parameters: dict[str, Any], data: st.DataObject
) -> None:
    chip = eyeriss(**parameters)
    mapping = place(layer, chip, fixed16, "row_stationary")
    p, q, r, t, some = (data.draw(st.integers(1, 4)) for _ in range(5))
    n, e = data.draw(st.integers(1, layer.N)), data.draw(st.integers(1, layer.P))
    other = replace(mapping, parameters=Parameters(min(layer.K, p * t * some), n, e, p, q, r, t))
    for one in (mapping, other):
        if not misfit(one):
            # the stepped run raises where its outputs are not the reference operator's
            assert engine.stepped(one, chip, fixed16, seed=3) == engine.closed(one, chip, fixed16)


def test_a_whole_network_steps_to_the_rows_of_the_closed_form() -> None:
    network = network_of(
        conv((3, 6, 11, 13), 8, 3, stride=2, padding=(1, 0, 2, 1), groups=2),
        conv((1, 3, 17, 9), 5, (13, 1), dilation=(1, 2)),
        linear(5, 37, 11, steps=2),
        attention(2, 3, 7, 5),
    )
    closed, stepped = (hwsim.simulate(network, on="eyeriss", fidelity=fidelity) for fidelity in ("closed", "stepped"))
    assert stepped.rows == closed.rows
    assert stepped.total == closed.total


@pytest.mark.parametrize("index", range(5))
def test_published_mappings_of_alexnet_step_to_their_cycles(index: int) -> None:
    # fewer channels, filters and images than AlexNet, in its mappings and passes: the machine is the same
    (padding, stride, kernel, size, channels, filters), values = (
        ((0, 4, 11, 227, 2, 32), (32, 1, 7, 16, 1, 1, 2)),
        ((2, 1, 5, 27, 4, 32), (32, 1, 27, 16, 2, 1, 1)),
        ((1, 1, 3, 13, 8, 64), (64, 2, 13, 16, 4, 1, 4)),
        ((1, 1, 3, 13, 12, 64), (64, 4, 13, 16, 3, 2, 2)),
        ((1, 1, 3, 13, 7, 50), (50, 4, 13, 16, 3, 2, 2)),
    )[index]
    layer = conv((values[1], channels, size, size), filters, kernel, stride=stride, padding=padding)
    chip = eyeriss()
    mapping = replace(place(layer, chip, fixed16, "row_stationary"), parameters=Parameters(*values))
    stepped = row_stationary_stepped.run(mapping, chip, fixed16, seed=11)
    assert stepped.outcome == engine.closed(mapping, chip, fixed16)
    assert stepped.outputs.shape == (1, layer.N, layer.K, layer.P, layer.Q)


def test_zeros_that_happen_are_about_those_that_a_density_says() -> None:
    chip, layer = eyeriss(), replace(conv((4, 16, 29, 29), 32, 3, padding=1), input_density=0.4)
    mapping = place(layer, chip, fixed16, "row_stationary")
    closed, stepped = engine.closed(mapping, chip, fixed16), engine.stepped(mapping, chip, fixed16, seed=5)
    assert stepped.counts.keys() == closed.counts.keys()
    for action, count in closed.counts.items():
        # 54,000 inputs drawn with a density of 0.4
        assert stepped.counts[action] == pytest.approx(count, rel=0.02), action
    assert stepped.extras["processing_cycles"] == closed.extras["processing_cycles"]
