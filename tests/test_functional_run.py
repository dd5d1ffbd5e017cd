"""`hwsim run --functional`: columns, files of many inputs, calibration, refusals; and a network that was trained."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from textwrap import dedent

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from command import answer
from onnx_models import model, node, save, weights
from test_cli_errors import INPUT, USAGE, refused

import hwsim
from hwsim import NetworkBuilder, catalog
from hwsim.engine.vector import fused_producers
from hwsim.functional.agreement import compared
from hwsim.functional.calibration import Choices
from hwsim.simulate import Functional

mpl.use("agg")
import matplotlib.pyplot as plt
from matplotlib.text import Text

MLP = "mlp:hidden=13,inputs=7,classes=11"


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write 17 inputs, and one, into the working folder."""
    monkeypatch.chdir(tmp_path)
    many = np.random.default_rng(1).standard_normal((17, 7)).astype(np.float32)
    np.save("many.npy", many)
    np.save("one.npy", many[:1])


@pytest.mark.usefixtures("inputs")
def test_a_run_reports_noise_saturation_and_agreement() -> None:
    words = ("run", MLP, "--format", "int8", "--functional", "--input", "many.npy")
    found = json.loads(answer(*words, "--json"))
    assert found["total"]["compared_outputs"] == 17
    assert 0.8 < found["total"]["top1_agreement"] <= found["total"]["top5_agreement"] == 1
    assert found["total"]["output_sqnr_db"] == found["layers"][-1]["sqnr_db"] > 25
    assert any("in the same place in 1" in note and "of 17" in note for note in found["notes"])
    rows = list(csv.DictReader(io.StringIO(answer(*words, "--csv"))))
    assert [float(row["sqnr_db"]) for row in rows] == [row["sqnr_db"] for row in found["layers"]]
    assert all(float(row["saturated_fraction"]) < 0.05 for row in rows)
    table = answer(*words)
    assert "SQNR" in table
    assert "top1 agreement" in table


@pytest.mark.usefixtures("inputs")
def test_values_cost_nothing_and_densities_are_measured_as_without_them() -> None:
    plain = hwsim.simulate(MLP, format="int8", inputs="one.npy")
    found = hwsim.simulate(MLP, format="int8", inputs="one.npy", functional=True)
    extra = {"sqnr_db", "saturated_fraction"}
    assert [{key: row[key] for key in row.keys() - extra} for row in found.rows] == plain.rows
    assert extra <= set(found.rows[0])
    assert list(plain.total) == [key for key in found.total if key in plain.total]
    several = hwsim.simulate(MLP, inputs="many.npy", functional=True).rows[2]["input_density"]
    each = []
    for one in np.load("many.npy"):
        np.save("each.npy", one)
        each.append(hwsim.simulate(MLP, inputs="each.npy").rows[2]["input_density"])
    assert several == pytest.approx(np.mean(each))


@pytest.mark.usefixtures("inputs")
def test_one_run_of_many_inputs_is_that_of_a_batch() -> None:
    batch = hwsim.simulate(f"{MLP},batch=17", format="int8", inputs="many.npy", functional=True)
    single = hwsim.simulate(MLP, format="int8", inputs="many.npy", functional=True)
    assert [row["sqnr_db"] for row in batch.rows] == pytest.approx([row["sqnr_db"] for row in single.rows], abs=0.01)


@pytest.mark.usefixtures("inputs")
def test_scales_are_found_on_other_inputs_where_asked() -> None:
    found = json.loads(
        answer("run", MLP, "--format", "int8", "--functional", "--input", "many.npy", "--calibrate-on", "one.npy",
               "--scales", "mse", "--weight-scales", "tensor", "--json")
    )  # fmt: skip
    assert found["layers"][0]["saturated_fraction"] > 0.05
    said = "scales of activations by mse on 'one.npy', of weights by tensor"
    assert any(note.endswith(said) for note in found["notes"])
    same = hwsim.simulate(
        MLP, format="int8", inputs="many.npy", functional=Functional("many.npy", "one.npy", "mse", "tensor")
    )
    assert same.rows == found["layers"]


def test_formats_of_layers_are_those_that_the_run_computes_in() -> None:
    whole = {row["layer"]: row for row in hwsim.simulate(MLP, format="int8", functional=True).rows}
    found = {row["layer"]: row for row in hwsim.simulate(MLP, format="int8,fc2=fp32", functional=True).rows}
    assert found["fc1"]["sqnr_db"] == whole["fc1"]["sqnr_db"]
    assert found["fc2"]["sqnr_db"] > whole["fc2"]["sqnr_db"]
    assert {name for name, row in found.items() if "sqnr_db" not in row} == {
        name for name in found if name.endswith(("_as_fp32", "_as_int8"))
    }


def test_results_that_are_converted_at_once_are_not_rounded_to_their_layer_s_format_first() -> None:
    net = NetworkBuilder("pair")
    net.linear("two", net.linear("one", net.input("x", (3, 97)), 13), 5)
    network = net.build()
    whole = hwsim.simulate(network, format="int8", functional=True).rows[0]
    found = hwsim.simulate(network, format="int8,two=fp32", functional=True).rows
    assert [row["layer"] for row in found] == ["one", "one_as_fp32", "two"]
    assert found[0]["sqnr_db"] > whole["sqnr_db"]


def test_a_result_without_noise_is_valid_json() -> None:
    text = answer("run", MLP, "--format", "fp32", "--functional", "--json")
    found = json.loads(text, parse_constant=pytest.fail)
    assert {row["sqnr_db"] for row in found["layers"]} == {"Infinity"}


@pytest.mark.usefixtures("inputs")
def test_a_folder_of_values_is_read_again(tmp_path: Path) -> None:
    answer("run", MLP, "--format", "fp32", "--functional", "--out", "runs")
    assert "inf" in (tmp_path / "runs" / "layers.csv").read_text(encoding="utf-8")
    answer("report", "layers", "runs")


@pytest.mark.usefixtures("inputs")
def test_what_cannot_be_run_is_one_sentence(tmp_path: Path) -> None:
    run = ("run", MLP, "--functional")
    np.save("odd.npy", np.ones((5, 7), np.float32))
    np.save("wide.npy", np.ones((5, 8), np.float32))
    assert "--scales is of values that are run; add --functional" in refused(USAGE, "run", MLP, "--scales", "max")
    assert "--calibrate-on is of" in refused(USAGE, "run", MLP, "--calibrate-on", "one.npy")
    assert "no scales named 'mean'" in refused(USAGE, *run, "--scales", "mean")
    assert "no input at" in refused(USAGE, *run, "--input", "absent.npy")
    assert "has shape (5, 8)" in refused(INPUT, *run, "--input", "wide.npy")
    assert "holds 5 inputs, which are no batches of 2" in refused(
        INPUT, "run", f"{MLP},batch=2", "--functional", "--input", "odd.npy"
    )
    assert "has shape (17, 7)" in refused(INPUT, "run", MLP, "--input", "many.npy")
    path = save(model([node("Det", "x", "y")], {"x": (2, 3, 3)}, {"y": (2,)}), tmp_path)
    assert "operator Det is not simulated" in refused(INPUT, "run", path, "--functional")


def test_weights_of_an_onnx_file_are_run(tmp_path: Path) -> None:
    x, matrix = np.ones((1, 5), np.float32), weights(5, 7)
    path = save(model([node("MatMul", "x w", "y")], {"x": (1, 5)}, {"y": (1, 7)}, constants={"w": matrix}), tmp_path)
    np.save(tmp_path / "x.npy", x)
    found = hwsim.simulate(str(path), format="int8", inputs=str(tmp_path / "x.npy"), functional=True)
    assert not any("random" in note for note in found.notes)
    assert found.total["output_sqnr_db"] > 30


def test_the_long_list_of_formats_has_widths_energies_and_chips() -> None:
    rows = {row["name"]: row for row in json.loads(answer("list", "formats", "--long", "--json"))}
    assert sorted(rows) == catalog.names("format")
    assert rows["int8"]["mac_energy_pj"] == pytest.approx(0.2 + 0.1)  # Horowitz: 8-bit multiply, 32-bit add
    assert rows["fp8"]["largest"] == 448
    assert rows["int8"]["chips_macs_per_cycle"]["tpu_v1"] == 65536
    assert rows["int8"]["mac_source"].startswith("Horowitz")
    assert rows["int4"]["mac_source"].startswith("assumed")
    lines = answer("list", "formats", "--long", "--csv").splitlines()
    assert "eie=64" in next(line for line in lines if line.startswith("codebook4"))
    assert "~0.151" in answer("list", "formats", "--long")
    assert "formats have none" in refused(USAGE, "list", "formats", "--long", "--format", "int8")


def table() -> pd.DataFrame:
    """Return what the benchmark prints, of some formats at one accuracy and nearly one energy."""
    text = dedent(
        """\
        format,training,chip,accuracy,energy_per_inference_j
        fp32,rounded after training,a,0.98,4e-6
        fp16,rounded after training,a,0.98,3.9e-6
        bf16,rounded after training,a,0.98,3.8e-6
        int8,rounded after training,b,0.98,3.7e-6
        int4,rounded after training,b,0.975,3.6e-6
        binary,rounded after training,b,0.1,1e-6
        binary,trained in the format,b,0.9,1e-6
        int16,rounded after training,c,1.0,1e-3
        """
    )
    return pd.read_csv(io.StringIO(text))


def test_labels_of_formats_do_not_lie_on_each_other() -> None:
    figure = catalog.report("accuracy_energy")(table())
    figure.canvas.draw()
    (axes,) = figure.axes
    texts = [text for text in axes.texts if text.get_rotation() == 0]
    written = sorted(name for text in texts for name in text.get_text().split(", "))
    assert written == sorted(table()["format"])
    boxes = [Text.get_window_extent(text) for text in texts]  # without the line to its point
    assert not any(one.overlaps(other) for index, one in enumerate(boxes) for other in boxes[:index])
    assert axes.get_xlabel().startswith("accuracy")
    plt.close("all")


@pytest.mark.slow
def test_a_trained_network_loses_little_to_int8_and_most_to_binary() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn has the images")
    from digits import digits, network, trained

    data = digits()
    net = network(trained(data, epochs=4), batch=len(data.test_classes))
    unstored = {layer.inputs[0] for layer in net.layers if layer.name in fused_producers(net)}
    found = {}
    for name in ("fp32", "int8", "fixed16", "binary"):
        fmt = catalog.number_format(name)
        seen = [{"image": data.images[:597]}]
        batches = [{"image": data.test_images}]
        _, outputs = compared(net, lambda _, fmt=fmt: fmt, unstored, batches, seen, Choices())  # type: ignore[misc]
        found[name] = float((outputs.found[0].argmax(-1) == data.test_classes).mean())
    assert found["fp32"] > 0.95
    assert abs(found["int8"] - found["fp32"]) < 0.01
    assert abs(found["fixed16"] - found["fp32"]) < 0.01
    assert found["binary"] < 0.3


@pytest.mark.slow
def test_binary_and_ternary_want_training_in_their_format() -> None:
    pytest.importorskip("sklearn", reason="scikit-learn has the images")
    from digits import digits, network, trained

    data = digits()
    for name in ("ternary", "binary"):
        fmt = catalog.number_format(name)
        net = network(trained(data, 12, fmt), batch=len(data.test_classes), relu=False)
        seen = [{"image": data.images[:597]}]
        batches = [{"image": data.test_images}]
        _, outputs = compared(net, lambda _, fmt=fmt: fmt, (), batches, seen, Choices())  # type: ignore[misc]
        assert (outputs.found[0].argmax(-1) == data.test_classes).mean() > 0.8
