"""`hwsim measure` and `hwsim compare --with measured`, as a user calls them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from command import hwsim

NET = "mlp:hidden=17-13,inputs=11,classes=7"
QUICK = ("--backend", "numpy", "--budget", "0.5")


def test_a_measurement_is_the_record_of_a_simulation() -> None:
    ran = hwsim("measure", NET, *QUICK, "--json")
    assert ran.code == 0, ran.err
    found, simulated = json.loads(ran.out), json.loads(hwsim("run", NET, "--json").out)
    assert set(simulated) == set(found)
    of_models = ("energy_", "dram_", "peak_", "off_chip_")  # what nobody measures of a layer, or knows of any machine
    shared = [key for key in simulated["layers"][0] if not key.startswith(of_models) and "buffer" not in key]
    assert [key for key in shared if key not in found["layers"][0]] == []
    assert [row["layer"] for row in found["layers"]] == [row["layer"] for row in simulated["layers"]]
    assert [row["macs"] for row in found["layers"]] == [row["macs"] for row in simulated["layers"]]
    assert found["inputs"]["fidelity"] == "measured"
    assert 0 < found["total"]["network_seconds"] < 1


def test_the_table_shows_every_layer_that_took_time_and_the_whole() -> None:
    ran = hwsim("measure", NET, *QUICK)
    assert ran.code == 0, ran.err
    for said in ("fc1", "softmax", "whole", "median of", "note: a measurement does not split a layer's cycles"):
        assert said in ran.out


def test_csv_has_a_row_per_layer() -> None:
    rows = list(csv.DictReader(io.StringIO(hwsim("measure", NET, *QUICK, "--csv").out)))
    assert [row["layer"] for row in rows] == ["fc1", "relu1", "fc2", "relu2", "fc3", "softmax"]
    assert all(float(row["seconds"]) > 0 for row in rows)


def test_a_folder_of_a_measurement_is_compared_and_drawn(tmp_path: Path) -> None:
    folder, out = tmp_path / "measured", tmp_path / "beside"
    assert hwsim("measure", NET, *QUICK, "--out", folder).code == 0
    ran = hwsim("compare", folder, "--with", "measured", "--chip", "systolic", "--format", "fp32")
    assert (ran.code, ran.out) == (2, "")
    assert "was measured before; --format is for networks that are measured now" in ran.err
    ran = hwsim("compare", folder, "--with", "measured", "--chip", "systolic", "--csv", "--out", out)
    assert ran.code == 0, ran.err
    rows = list(csv.DictReader(io.StringIO(ran.out)))
    assert [row["layer"] for row in rows] == ["fc1", "relu1", "fc2", "relu2", "fc3", "softmax"]
    assert (out / "predictions.csv").read_text(encoding="utf-8") == ran.out
    assert (out / "figures" / "predicted.png").stat().st_size > 10_000


def test_a_network_is_measured_twice_beside_its_prediction() -> None:
    ran = hwsim("compare", NET, "--with", "measured", "--backend", "numpy", "--chip", "systolic", "--json")
    assert ran.code == 0, ran.err
    (found,) = json.loads(ran.out)["results"]
    cases = [one["case"] for one in found["accuracy"]]
    assert cases == ["roofline", "datasheet only", "calibrated on other shapes", "measured again"]
    assert all(one["repeated_seconds"] > 0 for one in found["rows"])


def test_an_error_above_the_limit_has_its_exit_code(tmp_path: Path) -> None:
    folder = tmp_path / "measured"
    hwsim("measure", NET, *QUICK, "--out", folder)
    ran = hwsim("compare", folder, "--with", "measured", "--chip", "systolic:clock_mhz=1", "--fail-above", 10)
    assert ran.code == 4
    assert "the limit is 10 %" in ran.err
    assert "fc1" in ran.out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("measure",), 2, "measure needs a NETWORK, or --calibrate"),
        (("measure", "alexnt"), 2, "no network named 'alexnt'; did you mean 'alexnet'?"),
        (("measure", NET, "--backend", "nmpy"), 2, "no backend named 'nmpy'; did you mean 'numpy'?"),
        (("measure", NET, "--on", "gpu"), 2, "nothing named 'gpu' to measure on; did you mean 'cpu'?"),
        (("measure", NET, "--budget", "0"), 2, "a budget of 0 s leaves no time to run"),
        (("measure", NET, "--json", "--csv"), 2, "--json and --csv both claim standard output"),
        (("measure", NET, "--calibrate"), 2, "--calibrate measures shapes of its own, and takes no NETWORK"),
        (("measure", "--calibrate", "--on", "cuda"), 2, "--calibrate fits the model of this CPU, not of 'cuda'"),
        (
            ("measure", NET, "--backend", "numpy", "--format", "int8"),
            3,
            "backend 'numpy' computes in fp32, not in int8",
        ),
        (("compare", "x", "--on", "cpu"), 2, "--on is for --with measured"),
        (("compare", "x", "--with", "published", "--chip", "gpu"), 2, "--chip is for --with measured"),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_sentence(words: tuple[str, ...], code: int, said: str) -> None:
    ran = hwsim(*words)
    assert (ran.code, ran.out) == (code, ""), ran
    assert ran.err.startswith(f"hwsim: {said}")
    assert len(ran.err.splitlines()) == 1


def test_without_a_gpu_cuda_is_missing_hardware() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    ran = hwsim("measure", NET, "--on", "cuda")
    assert (ran.code, ran.out) == (5, "")
    assert len(ran.err.splitlines()) == 1


def test_a_simulation_is_not_taken_for_a_measurement(tmp_path: Path) -> None:
    folder = tmp_path / "simulated"
    hwsim("run", NET, "--out", folder)
    ran = hwsim("compare", folder, "--with", "measured")
    assert (ran.code, ran.out) == (3, "")
    assert "was not measured" in ran.err


def test_a_measurement_names_no_file_that_would_be_run(tmp_path: Path) -> None:
    folder = tmp_path / "measured"
    hwsim("measure", NET, *QUICK, "--out", folder)
    result = folder / "result.json"
    text = json.loads(result.read_text(encoding="utf-8"))
    text["inputs"]["network"] = "./mine.py"
    result.write_text(json.dumps(text), encoding="utf-8")
    ran = hwsim("compare", folder, "--with", "measured", "--chip", "systolic")
    assert (ran.code, ran.out) == (3, "")
    assert "is of the file './mine.py'; measure it again to compare it" in ran.err


@pytest.mark.parametrize("damage", ["backend", "threads"])
def test_a_damaged_measurement_is_told_in_one_sentence(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "measured"
    hwsim("measure", NET, *QUICK, "--out", folder)
    result = folder / "result.json"
    text = json.loads(result.read_text(encoding="utf-8"))
    del text["inputs"]["parameters"][damage]
    result.write_text(json.dumps(text), encoding="utf-8")
    ran = hwsim("compare", folder, "--with", "measured", "--chip", "systolic")
    assert (ran.code, ran.out) == (3, "")
    assert "is a damaged measurement" in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.slow
def test_a_machine_that_was_not_calibrated_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime", reason="the library that the model is of")
    monkeypatch.setenv("HWSIM_CACHE", str(tmp_path / "empty"))
    folder = tmp_path / "measured"
    assert hwsim("measure", NET, "--backend", "onnxruntime", "--budget", "1", "--out", folder).code == 0
    ran = hwsim("compare", folder, "--with", "measured")
    assert ran.code == 0, ran.err
    assert "this machine is not calibrated" in " ".join(ran.out.split())
    assert "calibrated on other shapes" in ran.out
