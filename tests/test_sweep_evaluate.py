"""What a sweep computes of a point is what `hwsim.simulate` finds, by whichever route and among whichever others."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hwsim
from hwsim import catalog
from hwsim.errors import HwsimError
from hwsim.ir.network import Network
from hwsim.results.record import NetworkResult
from hwsim.sweep import by_arrays, warm
from hwsim.sweep import evaluate as module
from hwsim.sweep.evaluate import Rows, Task, evaluate
from hwsim.sweep.metrics import INDEX, LAYERS, METRICS, ORDINAL, TEXTS, columns
from hwsim.sweep.space import SETTINGS, Axis, Block, Point, Space
from hwsim.units import pj_to_j

CHIPS = catalog.names("chip")
MLP, LSTM = "mlp:hidden=17-31,inputs=13,classes=7", "lstm:hidden=5,inputs=3,steps=7"
NETWORKS = (MLP, LSTM, "alexnet", "squeezenet:image=67", "attention:heads=2,steps=11,width=26")
OFF_CHIP = {"dram_read_bytes": "read", "dram_write_bytes": "write"}


@pytest.fixture
def _arrays_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays are taken for small blocks, too."""
    monkeypatch.setattr(by_arrays, "WORTH_COMPILING", 0)


def block(network: str, chip: str, *swept: Axis, **settings_of: tuple[Any, ...]) -> Block:
    """Return a block; parameters of a spec are fixed ones, settings that are not given are the chip's own."""
    names = [(spec.partition(":")[0], spec.partition(":")[2]) for spec in (network, chip)]
    fixed = [tuple(tuple(one.split("=")) for one in text.split(",") if text) for _, text in names]
    own = {"dataflow": ("",), "format": ("",), "weight_density": (None,), "input_density": (None,), **settings_of}
    axes = (*swept, *(Axis(name, own[name]) for name in SETTINGS))
    return Block(names[0][0], names[1][0], fixed[0], fixed[1], axes)  # type: ignore[arg-type]


def all_of(*blocks: Block, layers: bool = True) -> tuple[list[Point], Rows]:
    space = Space(blocks)
    ordinals = np.arange(space.size)
    return space.points(ordinals), spread(evaluate(Task(space, ordinals, layers)))


def spread(rows: Rows) -> Rows:
    """Return rows in which every point has its layers under its own ordinal, those of a point behind one another."""
    if rows.layers is None:
        return rows
    assert rows.like is not None
    assert set(rows.layers[ORDINAL]) <= set(rows.like) <= set(rows.ordinals)
    at = [np.flatnonzero(rows.layers[ORDINAL] == one) for one in rows.like]
    of = np.repeat(rows.ordinals, [len(one) for one in at])
    layers = {name: values[np.concatenate(at)] for name, values in rows.layers.items()}
    return rows._replace(layers={**layers, ORDINAL: of}, like=None)


def simulated(point: Point) -> NetworkResult:
    network = catalog.network(point.network).with_density(point.weight_density, point.input_density)
    return hwsim.simulate(network, on=point.chip, dataflow=point.dataflow or None, format=point.format or None)


def cells(found: dict[str, Any], at: int) -> dict[str, Any]:
    return {name: values[at] for name, values in found.items()}


def require_simulated(points: list[Point], rows: Rows) -> int:
    """Require that rows are what simulations find, to the bit; return how many points fail."""
    assert rows.layers is not None
    for ordinal, point in zip(rows.ordinals.tolist(), points, strict=True):
        found, of = cells(rows.points, ordinal), np.flatnonzero(rows.layers[ORDINAL] == ordinal).tolist()
        if ordinal in rows.errors:
            with pytest.raises(HwsimError) as refused:
                simulated(point)
            assert rows.errors[ordinal] == str(refused.value)
            assert all(value is None or value != value for value in found.values())
            assert of == []
        else:
            require_same(simulated(point), found, [cells(rows.layers, at) for at in of])
    return len(rows.errors)


def require_same(result: NetworkResult, found: dict[str, Any], layers: list[dict[str, Any]]) -> None:
    total, off_chip = result.total, result.chip.off_chip.name
    assert {name: found[name] for name in METRICS if name in total} == {
        name: total[name] for name in METRICS if name in total
    }
    assert found["batch"] == result.network.batch
    assert found["edp_js"] == total["seconds"] * pj_to_j(total["energy_pj"])
    area = result.chip.area_mm2(result.fmt)
    assert np.isnan(found["area_mm2"]) if area is None else found["area_mm2"] == area
    for name, action in OFF_CHIP.items():
        assert found[name] == sum(row[f"{off_chip}_{action}_bytes"] for row in result.rows)
    costly = [(index, row) for index, row in enumerate(result.rows) if row["total_cycles"] or row["energy_pj"]]
    assert [one[INDEX] for one in layers] == [index for index, _ in costly]
    for one, (_, row) in zip(layers, costly, strict=True):
        own = {**row, **{name: row[f"{off_chip}_{action}_bytes"] for name, action in OFF_CHIP.items()}}
        assert {name: one[name] for name in LAYERS} == {name: own[name] for name in LAYERS}


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    """Let no test find what another left."""
    module._answers.clear()
    yield
    module._answers.clear()


@pytest.mark.parametrize("chip", CHIPS)
def test_rows_are_those_of_simulations_in_every_format_and_with_every_density(chip: str) -> None:
    formats = ("", *catalog.chip(chip).formats, "fp8" if chip == "tpu_v1" else "fp16")
    blocks = [
        block(one, chip, format=formats, weight_density=(None, 0.3), input_density=(1.0, 0.4)) for one in NETWORKS[:2]
    ]
    rest = [block(one, chip, weight_density=(0.04,), input_density=(None, 0.4)) for one in NETWORKS[2:]]
    points, rows = all_of(*blocks, *rest)
    failed = require_simulated(points, rows)
    assert failed < len(points), "not all of them can be refused"


def test_points_with_layers_in_formats_and_dataflows_of_their_own_are_simulated() -> None:
    flows = ("", "output_stationary", "row_stationary", "nonsense")
    points, rows = all_of(block(MLP, "systolic", dataflow=flows, format=("int8,fc1=fp16", "fp32", "fp33", "fc9=int4")))
    # of 16 points the two dataflows the chip has, and of these the two formats that exist, of layers that do
    assert require_simulated(points, rows) == 16 - 2 * 2


@pytest.mark.slow
@pytest.mark.usefixtures("_arrays_at_once")
def test_parameters_of_a_chip_come_by_arrays_and_those_refused_or_unknown_by_simulation() -> None:
    sizes = Axis("chip_rows", ("8", "0", "16", "-3", "1" + 30 * "0", "8x")), Axis("chip_ofmap_kib", ("3", "64", "inf"))
    made = block(MLP, "systolic:cols=7", *sizes, format=("int8", "fp16", "fp34"), input_density=(0.5, 1.0, 2.0))
    points, rows = all_of(made, block(LSTM, "eyeriss", Axis("chip_rows", ("12", "1", "16", "20", "24"))))
    assert require_simulated(points, rows) >= 6 * 9 + 4 * 9
    assert rows.errors[2] == "network 'mlp-13-17-31-7': input_density=2 is not above 0 and at most 1"


@pytest.mark.usefixtures("_arrays_at_once")
def test_arrays_give_the_rows_that_single_simulations_give(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = tuple(str(side) for side in range(5, 40, 3))
    made = block("alexnet", "systolic", Axis("chip_rows", sides), Axis("chip_cols", sides[:4]), format=("int8", "fp32"))
    asked: list[int] = []
    answered = by_arrays._of_points

    def noted(at: Any, *rest: Any) -> Any:
        asked.append(at.size)
        return answered(at, *rest)

    monkeypatch.setattr(by_arrays, "_of_points", noted)
    _, arrays = all_of(made)
    assert asked == [48, 48]
    monkeypatch.setattr(by_arrays, "FEWEST", 1000)
    _, singly = all_of(made)
    assert asked == [48, 48]
    assert arrays.layers is not None
    assert singly.layers is not None
    for one, other in ((arrays.points, singly.points), (arrays.layers, singly.layers)):
        assert list(one) == list(other)
        for name in one:
            assert (one[name].tolist(), one[name].dtype) == (other[name].tolist(), other[name].dtype), name


def test_ordinals_in_any_order_give_their_rows_in_this_order() -> None:
    space = Space((
        block(MLP, "systolic", Axis("chip_rows", ("3", "5", "7", "11", "0")), input_density=(0.5, 1.0)),
        block(LSTM, "eie", weight_density=(0.2, 0.4)),
        block("alexnet", "eie"),
    ))  # fmt: skip
    ordinals = np.random.default_rng(7).permutation(space.size)
    mixed, sorted_ = (spread(evaluate(Task(space, asked, True))) for asked in (ordinals, np.arange(space.size)))
    assert mixed.ordinals.tolist() == ordinals.tolist()
    assert mixed.errors == sorted_.errors
    assert [cells(mixed.points, at)["total_cycles"] for at in np.argsort(ordinals)] == sorted_.points[
        "total_cycles"
    ].tolist()
    assert mixed.layers is not None
    assert sorted_.layers is not None
    order = np.argsort(mixed.layers[ORDINAL], kind="stable")
    assert {name: values[order].tolist() for name, values in mixed.layers.items()} == {
        name: values.tolist() for name, values in sorted_.layers.items()
    }


@pytest.mark.parametrize("route", ["arrays", "scalar"])
def test_layers_that_points_share_are_there_once(monkeypatch: pytest.MonkeyPatch, route: str) -> None:
    monkeypatch.setattr(by_arrays, "WORTH_COMPILING", 0 if route == "arrays" else 10**9)
    space = Space((block("alexnet", "systolic", Axis("chip_rows", ("3", "5")), weight_density=(0.2, 0.5, 0.7)),))
    rows = evaluate(Task(space, np.arange(6), True))
    assert rows.like is not None
    assert rows.layers is not None
    assert rows.like.tolist() == [0, 0, 0, 3, 3, 3]
    assert set(rows.layers[ORDINAL].tolist()) == {0, 3}


def test_rows_pickle_and_are_the_same_without_layers() -> None:
    points, rows = all_of(block(MLP, "systolic"), block("alexnet", "eie"))
    again = pickle.loads(pickle.dumps(rows))
    assert again.errors == rows.errors
    assert len(points) == len(again.points["macs"]) == 2
    _, bare = all_of(block(MLP, "systolic"), block("alexnet", "eie"), layers=False)
    assert bare.layers is None
    assert [bare.points[name].tolist()[0] for name in METRICS] == [rows.points[name].tolist()[0] for name in METRICS]


def test_columns_are_of_numbers_and_keep_what_64_bits_do_not_hold() -> None:
    found = columns(("macs", "seconds", "layer", "batch"), [(2**70, 1.5, "conv", None), (3, None, "fc", 2)])
    assert found["macs"].tolist() == [2**70, 3]
    assert found["seconds"].dtype == np.float64
    assert np.isnan(found["seconds"][1])
    assert found["batch"].tolist() == [None, 2]
    assert all(values.dtype == (object if name in TEXTS else values.dtype) for name, values in found.items())
    assert columns(("macs", "seconds"), [])["macs"].dtype == np.int64


def reads(chip: str) -> frozenset[str]:
    return catalog.engine(catalog.chip(chip).engine).READS_DENSITIES  # type: ignore[attr-defined, no-any-return]


def found(network: Network, chip: str, flow: str) -> Any:
    """Return totals and rows without the columns of densities, or why there are none."""
    try:
        result = hwsim.simulate(network, on=chip, dataflow=flow)
    except HwsimError as error:
        return str(error)
    return result.total, [{**row, "weight_density": None, "input_density": None} for row in result.rows]


fractions = st.floats(0.01, 1, exclude_min=True)


@pytest.mark.parametrize("chip", CHIPS)
@settings(max_examples=8)
@given(weight=fractions, given_density=fractions)
def test_densities_that_an_engine_does_not_say_it_reads_change_nothing(
    chip: str, weight: float, given_density: float
) -> None:
    changed = {
        "weight": None if "weight_density" in reads(chip) else weight,
        "activation": None if "input_density" in reads(chip) else given_density,
    }
    for flow in catalog.chip(chip).dataflows:
        for spec in (MLP, LSTM, f"{MLP},training=true"):
            network = catalog.network(spec)
            dense, sparse = (found(one, chip, flow) for one in (network, network.with_density(**changed)))
            assert sparse == dense


@pytest.mark.parametrize("chip", [name for name in CHIPS if reads(name)])
def test_densities_that_an_engine_says_it_reads_change_its_totals(chip: str) -> None:
    for name in reads(chip):
        keyword = {"weight_density": "weight", "input_density": "activation"}[name]
        dense = catalog.network(MLP)
        sparse = hwsim.simulate(dense.with_density(**{keyword: 0.3}), on=chip)
        assert sparse.total["energy_pj"] < hwsim.simulate(dense, on=chip).total["energy_pj"]


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    calls: list[str] = []

    def simulate(network: Any, chip: Any, **options: Any) -> Any:
        calls.append(f"{network.name} {chip.label}")
        return hwsim.simulate(network, chip, **options)

    monkeypatch.setattr(module, "simulate", simulate)
    return calls


@pytest.mark.parametrize(("chip", "simulations"), [("systolic", 1), ("eyeriss", 7), ("eie", 5 * 7)])
def test_points_that_differ_in_densities_nobody_reads_are_simulated_once(
    chip: str, simulations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = counted(monkeypatch)
    weights, activations = tuple(n / 5 for n in range(1, 6)), tuple(n / 7 for n in range(1, 8))
    points, rows = all_of(block(MLP, chip, weight_density=weights, input_density=activations))
    assert (len(points), len(calls)) == (35, simulations)
    assert not rows.errors


def test_a_dataflow_of_the_users_own_may_read_any_density(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from hwsim.mapping.systolic import place\n"
        "def mine(layer, chip, fmt):\n"
        "    stationary = 'weight' if layer.weight_density < 0.5 else 'output'\n"
        "    return place(layer, chip, fmt, stationary=stationary, dataflow='mine')\n"
    )
    made = block("alexnet", "systolic", dataflow=(str(path),), weight_density=(0.4, 0.6))
    points, rows = all_of(made)
    assert require_simulated(points, rows) == 0
    first, second = rows.points["total_cycles"]
    assert first != second


def test_an_impossible_density_is_refused_on_every_chip_and_the_others_go_on() -> None:
    for chip in ("systolic", "eie"):
        _, rows = all_of(block(MLP, chip, weight_density=(0.5, 0.0, 1.5, float("nan"))))
        assert [ordinal in rows.errors for ordinal in range(4)] == [False, True, True, True]
        assert rows.errors[2] == "network 'mlp-13-17-31-7': weight_density=1.5 is not above 0 and at most 1"


def test_a_bug_is_the_error_of_its_point_and_an_interruption_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(network: Any, chip: Any, **_: Any) -> Any:
        if chip.name == "eie":
            raise error
        return hwsim.simulate(network, chip)

    monkeypatch.setattr(module, "simulate", broken)
    error: BaseException = ZeroDivisionError("seven\nof \x1b[31mthem")
    _, rows = all_of(block(MLP, "eie"), block(MLP, "systolic"))
    assert rows.errors == {0: "bug: ZeroDivisionError: seven\\nof \\x1b[31mthem"}
    module._answers.clear()
    error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        all_of(block(MLP, "eie"))


def test_warnings_of_a_users_file_are_not_shown(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    path = tmp_path / "loud.py"
    path.write_text(
        "import warnings\nimport numpy as np\nfrom hwsim import catalog\n"
        "def loud():\n"
        "    warnings.warn('loud')\n    np.float64(1) / np.float64(0)\n"
        f"    return catalog.network({MLP!r})\n"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        points, rows = all_of(Block(str(path), "systolic", (), (), block(MLP, "systolic").axes))
    assert (len(points), rows.errors, len(recwarn)) == (1, {}, 0)


def test_what_is_kept_is_bounded_by_its_size_and_what_was_used_last_stays() -> None:
    kept: warm.Kept[str, int] = warm.Kept(10, lambda value: value)
    for name, size in (("a", 4), ("b", 5)):
        kept.put(name, size)
    assert kept.get("a") == 4
    kept.put("c", 3)
    assert (kept.get("a"), kept.get("b"), kept.get("c"), kept.used, len(kept)) == (4, None, 3, 7, 2)
    kept.put("d", 99)
    assert (len(kept), kept.used, kept.get("d")) == (1, 99, 99)
