"""The applications of the TPU paper, in stand-in shapes, against what its Table 1 prints of them."""

from __future__ import annotations

import importlib
from functools import cache
from math import ceil

import pytest

import hwsim
from hwsim import catalog
from hwsim.arch import Source
from hwsim.errors import InputError
from hwsim.ir import Kind, Layer, Network
from hwsim.published import table

TABLE_1 = {row["app"]: row for row in table("tpu_v1_table1")}
ORIGINS: dict[str, Source] = importlib.import_module(f"{catalog.FOLDERS['network']}.tpu_apps").ORIGINS
every_app = pytest.mark.parametrize("app", TABLE_1)


@cache
def network(app: str) -> Network:
    return catalog.network(f"tpu_apps:app={app}")


def printed(app: str, column: str) -> int:
    return int(TABLE_1[app][column] or 0)


def products(app: str) -> list[Layer]:
    return [layer for layer in network(app).layers if layer.is_mac]


def weights(app: str) -> int:
    return sum(layer.weight_elements for layer in products(app))


def of_kind(app: str, kind: Kind) -> list[Layer]:
    return [layer for layer in network(app).layers if layer.kind is kind]


def vector_operations(app: str) -> list[Layer]:
    """Return what is computed on vectors, without the functions of what an FC layer or convolution gives."""
    made = {layer.name for layer in products(app)}
    both = (Kind.ELEMENTWISE, Kind.ACTIVATION)
    return [layer for layer in network(app).layers if layer.kind in both and not set(layer.inputs) <= made]


def useful_fraction(layers: list[Layer], batch: int) -> float:
    """Return MACs over those of a 256 x 256 matrix unit: one tile of weights takes a cycle per row of inputs."""
    cycles = sum(
        ceil(layer.C / 256) * ceil(layer.K / 256) * layer.R * layer.S * batch * layer.P * layer.Q for layer in layers
    )
    return sum(layer.macs for layer in layers) / (cycles * 256 * 256)


def test_the_shipped_table_is_the_paper_s() -> None:
    assert list(TABLE_1) == ["MLP0", "MLP1", "LSTM0", "LSTM1", "CNN0", "CNN1"]
    # Table 1, "Weights" and "TPU Ops / Weight Byte"
    assert [printed(app, "weights_millions") for app in TABLE_1] == [20, 5, 52, 34, 8, 100]
    assert [printed(app, "macs_per_weight_byte") for app in TABLE_1] == [200, 168, 64, 96, 2888, 1750]
    kinds = ("fc_layers", "conv_layers", "vector_layers", "pool_layers")
    for app, row in TABLE_1.items():
        assert sum(printed(app, kind) for kind in kinds) == printed(app, "total_layers")
        assert row["work"]
        assert (row["year"], row["locator"]) == ("2017", "Table 1")


@every_app
def test_convolutions_and_pools_are_as_many_as_printed(app: str) -> None:
    assert len(of_kind(app, Kind.CONV)) == printed(app, "conv_layers")
    assert len(of_kind(app, Kind.POOL)) == printed(app, "pool_layers")


@pytest.mark.parametrize("app", ["MLP0", "MLP1", "LSTM0", "CNN0", "CNN1"])
def test_each_fc_layer_is_one_matrix_product(app: str) -> None:
    assert len(of_kind(app, Kind.MATMUL)) == printed(app, "fc_layers")


def test_lstm1_has_the_printed_fc_layers_where_the_gates_of_a_cell_are_one() -> None:
    gates = [layer for layer in products("LSTM1") if layer.name.endswith("_product")]
    projections = [layer for layer in products("LSTM1") if layer.name.endswith(".projection")]
    assert (len(gates), len(projections)) == (19 * 4, 18)
    assert len(gates) // 4 + len(projections) == printed("LSTM1", "fc_layers")


def test_the_lstms_have_the_printed_vector_layers() -> None:
    # f c, i g, their sum, its tanh and o tanh in each of 6 cells; residual additions in the third to the sixth
    assert len(vector_operations("LSTM0")) == 6 * 5 + 4 == printed("LSTM0", "vector_layers")
    # one update of the cell, of the same five operations, is a layer
    assert len(vector_operations("LSTM1")) == 19 * 5 == 5 * printed("LSTM1", "vector_layers")
    assert [vector_operations(app) for app in ("MLP0", "MLP1", "CNN0", "CNN1")] == [[], [], [], []]


@pytest.mark.parametrize(
    ("app", "count", "tolerance"),
    [
        ("MLP0", 5 * 2000 * 2000, 0),
        ("MLP1", 4 * 1118 * 1118, 0.001),
        ("LSTM0", 24 * 2048 * 1024, 0.033),
        ("LSTM1", (19 * 4 + 18) * 600 * 600, 0.005),
        ("CNN0", (13 * 9 + 3) * 256 * 256, 0.017),
        # 3 colours; 23, then 24 and 24 convolutions, the first of a stage reading half the channels; 4 FC layers
        (
            "CNN1",
            9 * 70 * (3 + 23 * 70) + 9 * 140 * (70 + 23 * 140) + 9 * 280 * (140 + 23 * 280) + 5061 * (280 + 3 * 5061),
            0.001,
        ),
    ],
)
def test_weights_are_the_printed_millions_within_a_twentieth(app: str, count: int, tolerance: float) -> None:
    assert weights(app) == network(app).parameters == count
    assert count == pytest.approx(printed(app, "weights_millions") * 1e6, rel=tolerance)


@every_app
def test_macs_per_weight_byte_are_the_printed_ones_at_the_printed_batch(app: str) -> None:
    assert network(app).batch == printed(app, "batch")
    # the rows of an image are whole: 40 of them come to 1607, 41 to 1799, 42 to 1826
    assert network(app).macs / weights(app) == pytest.approx(
        printed(app, "macs_per_weight_byte"), rel=0.028 if app == "CNN1" else 0
    )


def test_the_fc_layers_of_cnn1_run_at_the_batch() -> None:
    # Sec. 4: "the 4 fully connected layers that run at an operational intensity of just 32"
    assert {layer.macs / layer.weight_elements for layer in of_kind("CNN1", Kind.MATMUL)} == {32}


def test_three_fifths_of_lstm1_s_active_macs_are_useful_as_table_3_prints() -> None:
    # 600 is 2.34 tiles of 256 and takes 3: 600^2 of 768^2 weights; Table 3: 6.3 % useful of 10.5 % active
    assert {(layer.C, layer.K) for layer in products("LSTM1")} == {(600, 600)}
    useful = useful_fraction(products("LSTM1"), batch=96)
    assert useful == pytest.approx((600 / 768) ** 2)
    assert useful == pytest.approx(6.3 / 10.5, rel=0.02)


def test_no_mac_of_cnn0_and_lstm0_is_unused_as_table_3_prints() -> None:
    assert useful_fraction(products("CNN0"), batch=8) == 1
    assert useful_fraction(products("LSTM0"), batch=64) == 1


def test_the_convolutions_of_cnn1_have_the_weights_and_nearly_the_macs_of_inception_v3() -> None:
    convolutions = of_kind("CNN1", Kind.CONV)
    # Chollet, CVPR 2017, Table 3, less the classifier of Szegedy et al., CVPR 2016, Table 1
    inception = 23_626_728 - 2048 * 1000
    assert sum(layer.weight_elements for layer in convolutions) == pytest.approx(inception, rel=0.01)
    # Szegedy et al., abstract: "5 billion multiply-adds per inference"; Table 1 here, FC layers included: 5.5 billion
    assert sum(layer.macs for layer in convolutions) / 32 == pytest.approx(5e9, rel=0.11)
    assert network("CNN1").macs / 32 == pytest.approx(1750 * 100e6 / 32, rel=0.03)


def test_two_stages_of_cnn1_are_too_shallow_for_the_columns_of_the_matrix_unit() -> None:
    # Sec. 4: "some layers in CNN1 have shallow feature depths"
    assert sum(layer.K < 256 for layer in of_kind("CNN1", Kind.CONV)) == 48


def test_cnn0_has_its_small_filters_evenly_among_the_large_ones() -> None:
    # the fourth, eighth and twelfth of sixteen
    assert [layer.R for layer in products("CNN0")] == [3, 3, 3, 1] * 3 + [3] * 4
    assert {(layer.C, layer.K, layer.P, layer.Q) for layer in products("CNN0")} == {(256, 256, 19, 19)}


def test_cnn1_halves_its_image_between_three_stages_and_averages_it_at_the_end() -> None:
    convolutions = [(layer.P, layer.K) for layer in of_kind("CNN1", Kind.CONV)]
    assert convolutions == [(41, 70)] * 24 + [(21, 140)] * 24 + [(11, 280)] * 24
    halving = [layer.P for layer in of_kind("CNN1", Kind.POOL) if layer.stride == (2, 2)]
    assert halving == [21, 11]
    assert [layer.P for layer in of_kind("CNN1", Kind.POOL)][-1] == 1


@pytest.mark.parametrize(("app", "cells", "units", "recurrent"), [("LSTM0", 6, 1024, 1024), ("LSTM1", 19, 600, 300)])
def test_every_cell_carries_its_cell_state_and_what_recurs(app: str, cells: int, units: int, recurrent: int) -> None:
    states = {tensor.name: tensor for tensor in network(app).inputs if tensor.carried_from}
    assert len(states) == 2 * cells
    batch = printed(app, "batch")
    for index in range(1, cells + 1):
        assert states[f"cell{index}.cell_state"].shape == (batch, units)
        assert states[f"cell{index}.cell_state"].carried_from == f"cell{index}.cell"
        assert states[f"cell{index}.state"].shape == (batch, recurrent)
        assert states[f"cell{index}.state"].carried_from == f"cell{index}.{'hidden' if app == 'LSTM0' else 'recurrent'}"


def test_a_cell_multiplies_then_bends_then_updates_then_projects() -> None:
    names = [layer.name.removeprefix("cell1.") for layer in network("LSTM1").layers if layer.name.startswith("cell1.")]
    assert names == [
        "given",
        *("i_product", "f_product", "o_product", "g_product"),
        *("i", "f", "o", "g"),
        *("keep", "write", "cell", "cell_tanh", "hidden"),
        *("projection", "recurrent", "up"),
    ]
    functions = {layer.name: layer.function for layer in network("LSTM1").layers}
    assert [functions[f"cell7.{gate}"] for gate in "ifog"] == ["sigmoid", "sigmoid", "sigmoid", "tanh"]
    # the last cell has no projection, and its hidden output recurs
    (last,) = (layer for layer in network("LSTM1").layers if layer.name == "cell19.recurrent")
    assert last.inputs == ("cell19.hidden",)


@every_app
def test_the_batch_multiplies_macs_and_leaves_weights(app: str) -> None:
    seven = catalog.network(f"tpu_apps:app={app},batch=7")
    assert (seven.batch, seven.parameters) == (7, network(app).parameters)
    assert seven.macs * printed(app, "batch") == 7 * network(app).macs


@every_app
def test_source_and_notes_say_where_the_shapes_come_from(app: str) -> None:
    one, origin = network(app), ORIGINS[app]
    assert one.name == app
    assert str(origin) in one.source
    assert "Table 1; stand-in shapes: " in str(origin)
    assert (origin.year, origin.is_assumed) == (2017, False)
    assert one.notes[0].startswith("stand-in shapes: ")
    assert f"{weights(app) / 1e6:.2f}M weights" in one.notes[1]
    assert one.format == ("int8x16" if app.startswith("LSTM") else "int8")


def test_the_name_of_an_application_is_read_in_any_case() -> None:
    assert catalog.network("tpu_apps:app=lstm1") == network("LSTM1")
    assert catalog.network("tpu_apps") == network("MLP0")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("app=RNN0", "tpu_apps: app=RNN0 must be one of MLP0, MLP1, LSTM0, LSTM1, CNN0, CNN1"),
        ("batch=-1", "tpu_apps: batch=-1 must be at least 0"),
    ],
)
def test_an_unknown_application_and_a_negative_batch_are_named(parameters: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        catalog.network(f"tpu_apps:{parameters}")
    assert str(error.value) == message


@every_app
def test_every_application_runs_on_a_systolic_array(app: str) -> None:
    result = hwsim.simulate(network(app), on="systolic", format="int8")
    assert result.total["macs"] == network(app).macs
    assert result.network.unsupported == {}
