"""Layers beside the matrix products: what is fused, what the vector lanes cost, and what costs nothing."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

import hwsim
from hwsim import LayerResult, NetworkResult
from hwsim.arch import Accelerator
from hwsim.catalog import number_format
from hwsim.chips.systolic import systolic
from hwsim.engine import vector
from hwsim.ir import Network, NetworkBuilder
from hwsim.results.record import Timing

INT8 = number_format("int8")


def image(net: NetworkBuilder, channels: int = 3, rows: int = 11, cols: int = 7) -> str:
    return net.input("image", (1, channels, rows, cols))


def fused(net: NetworkBuilder) -> dict[str, str]:
    return vector.fused_producers(net.build())


def lanes(count: int, bits_per_cycle: int | None = None) -> Accelerator:
    """Return a systolic array with `count` vector lanes and an off-chip channel of `bits_per_cycle`."""
    chip = systolic(vector_lanes=count)
    rate = None if bits_per_cycle is None else Fraction(bits_per_cycle)
    dram = replace(chip.levels[-1], read_bits_per_cycle=rate, write_bits_per_cycle=rate)
    return replace(chip, levels=(*chip.levels[:-1], dram))


def simulated(network: Network, chip: Accelerator | str = "systolic") -> tuple[NetworkResult, dict[str, LayerResult]]:
    result = hwsim.simulate(network, on=chip, format="int8")
    return result, {layer.layer.name: layer for layer in result.layers}


def test_an_activation_behind_a_matrix_product_is_fused_into_it() -> None:
    net = NetworkBuilder("net")
    net.activation("relu", net.conv("conv", image(net), 5, 3))
    assert fused(net) == {"relu": "conv"}


def test_a_chain_of_batch_normalisation_and_activation_is_fused_into_the_product_at_its_head() -> None:
    net = NetworkBuilder("net")
    net.activation("tanh", net.normalisation("bn", net.linear("fc", net.input("x", (2, 7)), 5)), "tanh")
    assert fused(net) == {"bn": "fc", "tanh": "fc"}


def test_a_convolution_whose_output_has_two_readers_fuses_nothing() -> None:
    net = NetworkBuilder("net")
    conv = net.conv("conv", image(net), 5, 3, padding=1)
    net.elementwise("add", net.activation("relu", conv), conv)
    assert fused(net) == {}


def test_an_activation_that_two_layers_read_is_itself_fused() -> None:
    net = NetworkBuilder("net")
    relu = net.activation("relu", net.conv("conv", image(net), 5, 3, padding=1))
    net.elementwise("add", relu, net.conv("second", relu, 5, 1))
    assert fused(net) == {"relu": "conv"}


def test_a_reader_behind_a_fused_layer_with_two_readers_is_not_fused() -> None:
    net = NetworkBuilder("net")
    bn = net.normalisation("bn", net.conv("conv", image(net), 5, 3))
    net.elementwise("add", net.activation("relu", bn), bn)
    assert fused(net) == {"bn": "conv"}


@pytest.mark.parametrize("function", ["layer", "group", "instance", "local_response"])
def test_a_normalisation_that_needs_more_than_one_element_is_not_fused(function: str) -> None:
    net = NetworkBuilder("net")
    net.normalisation("norm", net.conv("conv", image(net), 5, 3), function)
    assert fused(net) == {}


def test_an_activation_is_fused_into_any_operator_that_computes_its_input() -> None:
    net = NetworkBuilder("net")
    pool = net.pool("pool", image(net), 2)
    total = net.elementwise("add", net.activation("behind_pool", pool), net.input("b", (1, 3, 5, 3)))
    net.activation("behind_sum", total)
    assert fused(net) == {"behind_pool": "pool", "behind_sum": "add"}


def test_an_activation_of_an_input_or_behind_what_computes_nothing_is_not_fused() -> None:
    net = NetworkBuilder("net")
    x = image(net)
    net.activation("of_input", x)
    net.activation("behind_layout", net.flatten("flatten", net.conv("conv", x, 5, 3)))
    net.activation("behind_unsupported", net.unsupported("odd", (x,), (1, 5), "NonMaxSuppression"))
    assert fused(net) == {}


def test_adding_a_constant_is_fused_and_adding_another_result_is_not() -> None:
    net = NetworkBuilder("constants")
    net.linear("fc", net.input("x", (3, 5)), 7, bias=False)
    net.elementwise("bias", "fc")
    net.linear("gate", net.input("y", (3, 5)), 7)
    net.elementwise("sum", "bias", "gate")
    assert fused(net) == {"bias": "fc"}


def test_a_fused_layer_takes_no_time_and_only_its_operations_energy() -> None:
    net = NetworkBuilder("net")
    net.activation("relu", net.normalisation("bn", net.conv("conv", image(net), 5, 3)))
    result, layers = simulated(net.build())
    # 5 channels of 9 x 5; a scale and a shift each, then one comparison
    assert layers["bn"].counts == {("vector", "int8", "output"): 2 * 5 * 9 * 5}
    assert layers["relu"].counts == {("vector", "int8", "output"): 5 * 9 * 5}
    assert layers["bn"].timing == layers["relu"].timing == Timing()
    assert [layers[name].row()["fused_into"] for name in ("bn", "relu")] == ["conv", "conv"]
    # int8 sums have 32 bits: 0.1 pJ each
    assert layers["bn"].total_energy_pj == pytest.approx(450 * 0.1)
    assert any(note.startswith("2 operators on single elements run") for note in result.notes)


def test_pooling_does_one_operation_per_element_of_every_window() -> None:
    net = NetworkBuilder("net")
    net.pool("pool", image(net), 3, stride=2)
    layer = net.build().layers[0]
    # 3 channels, ceil((11 - 2) / 2) x ceil((7 - 2) / 2) = 5 x 3 windows of 9
    assert layer.operations == 3 * 5 * 3 * 9 == 405
    outcome = vector.closed(layer, lanes(13), INT8)
    assert outcome.timing == Timing(compute_cycles=32)  # ceil(405 / 13)
    assert outcome.counts == {
        ("vector", "int8", "output"): 405,
        ("dram", "read", "input"): 3 * 11 * 7,
        ("dram", "write", "output"): 3 * 5 * 3,
    }


def test_a_vector_layer_stalls_for_what_its_operands_take_beyond_its_operations() -> None:
    net = NetworkBuilder("net")
    net.pool("pool", image(net), 3, stride=2)
    # (231 read + 45 written) x 8 bits over 7 bits per cycle are ceil(2208 / 7) = 316 cycles, 284 more than the 32
    assert vector.closed(net.build().layers[0], lanes(13, 7), INT8).timing == Timing(
        compute_cycles=32, stall_cycles=284
    )
    # at 96 bits per cycle they take 23, fewer than the operations
    assert vector.closed(net.build().layers[0], lanes(13, 96), INT8).timing == Timing(compute_cycles=32)


def test_a_sum_reads_every_operand_even_one_that_broadcasts() -> None:
    net = NetworkBuilder("net")
    net.elementwise("add", net.input("a", (2, 3, 5)), net.input("b", (5,)), net.input("c", (3, 1)))
    outcome = vector.closed(net.build().layers[0], lanes(7), INT8)
    assert outcome.counts["dram", "read", "input"] == 30 + 5 + 3
    assert outcome.counts["vector", "int8", "output"] == 2 * 30  # three operands in two sums
    assert outcome.timing.compute_cycles == 9  # ceil(60 / 7)


@pytest.mark.parametrize(
    ("function", "operations"), [("batch", 2), ("layer", 5), ("group", 5), ("instance", 5), ("local_response", 7)]
)
def test_normalisations_do_the_operations_their_definition_writes_down(function: str, operations: int) -> None:
    net = NetworkBuilder("net")
    net.normalisation("norm", image(net), function)
    assert net.build().layers[0].operations == operations * 3 * 11 * 7


def test_a_softmax_is_a_maximum_an_exponential_a_sum_and_a_quotient_per_element() -> None:
    net = NetworkBuilder("net")
    net.softmax("softmax", net.input("x", (3, 11)))
    assert net.build().layers[0].operations == 4 * 33


def test_recurrent_steps_run_one_after_the_other_and_do_not_share_lanes() -> None:
    net = NetworkBuilder("net")
    net.activation("tanh", net.input("state", (2, 5)), "tanh", steps=7)
    outcome = vector.closed(net.build().layers[0], lanes(4), INT8)
    assert outcome.timing.compute_cycles == 7 * 3  # ceil(10 / 4) each, not ceil(70 / 4) together
    assert outcome.counts["dram", "read", "input"] == outcome.counts["dram", "write", "output"] == 70


def test_changes_of_layout_are_free() -> None:
    net = NetworkBuilder("net")
    x = image(net)
    net.flatten("flatten", net.concatenation("join", x, net.layout("transpose", x, (1, 3, 11, 7), "transpose")))
    result, layers = simulated(net.build())
    assert all(layer.timing == Timing() and not layer.counts and not layer.total_energy_pj for layer in layers.values())
    assert (result.total["total_cycles"], result.total["energy_pj"], result.total["seconds"]) == (0, 0.0, 0.0)
    assert (result.total["inferences_per_s"], result.total["average_power_w"]) == (0.0, 0.0)


def test_an_unsupported_operator_costs_nothing_and_is_listed_with_how_often_it_occurs() -> None:
    net = NetworkBuilder("net")
    x = net.conv("conv", image(net), 5, 3)
    for index in range(3):
        net.unsupported(f"odd{index}", (x,), (1, 5), "NonMaxSuppression")
    net.unsupported("other", (x,), (1, 5), "Einsum")
    result, layers = simulated(net.build())
    assert (layers["odd0"].timing, dict(layers["odd0"].counts)) == (Timing(), {})
    assert "not simulated, and counted as nothing: Einsum (1x), NonMaxSuppression (3x)" in result.notes
    assert result.as_dict()["not_simulated"] == {"NonMaxSuppression": 3, "Einsum": 1}


def test_layers_off_the_array_have_no_utilisation_and_no_mapping() -> None:
    net = NetworkBuilder("net")
    net.pool("pool", net.conv("conv", image(net), 5, 3), 2)
    _, layers = simulated(net.build())
    assert (layers["pool"].utilisation, layers["pool"].mapping) == (0.0, None)
    assert layers["conv"].utilisation > 0
