"""What the command line answers: tables, JSON, CSV, folders and lists, and on which stream."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from command import CHIP, NETWORK, TOPOLOGY, Terminal, answer, hwsim

from hwsim import __version__, catalog

ROOT = Path(__file__).parent.parent
MLP = "mlp:hidden=31-13,inputs=17,classes=7"
MLP_MACS = 17 * 31 + 31 * 13 + 13 * 7
SMALL = "systolic:rows=5,cols=3"
LEVELS = ("dram", "ifmap_buffer", "filter_buffer", "ofmap_buffer")
COMPONENTS = ("mac", "pe_register", "ifmap_buffer", "filter_buffer", "ofmap_buffer", "dram", "vector")
ROW_KEYS = [
    *("network", "layer", "kind", "chip", "dataflow", "format", "batch", "weight_density", "input_density", "macs"),
    *("fill_cycles", "compute_cycles", "stall_cycles", "drain_cycles", "total_cycles", "seconds", "utilisation"),
    *(f"{level}_{action}_bytes" for level in LEVELS for action in ("read", "write")),
    *(f"energy_{component}_pj" for component in COMPONENTS),
    "energy_pj",
]
TOTAL_KEYS = [
    *("macs", "total_cycles", "seconds", "energy_pj", "average_power_w", "inferences_per_s", "inferences_per_j"),
]


def result(*words: object) -> dict[str, Any]:
    """Return the JSON that `hwsim run WORDS --json` prints."""
    found: dict[str, Any] = json.loads(answer("run", *words, "--json"))
    return found


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def process(*words: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run `python -m hwsim WORDS` in a process of its own."""
    command = [sys.executable, "-m", "hwsim", *map(str, words)]
    return subprocess.run(command, capture_output=True, env={**os.environ, **environment}, check=False, timeout=120)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_json_has_the_keys_of_schema_1_in_order() -> None:
    found = result(MLP)
    assert list(found)[:6] == ["schema", "hwsim", "inputs", "total", "layers", "sources"]
    assert (found["schema"], found["hwsim"]) == (1, __version__)
    assert list(found["total"])[: len(TOTAL_KEYS)] == TOTAL_KEYS
    for layer in found["layers"]:
        assert list(layer)[: len(ROW_KEYS)] == ROW_KEYS
    assert found["sources"]
    assert all(row["what"] and row["source"] for row in found["sources"])


def test_json_totals_are_the_sums_of_its_layers() -> None:
    found = result(MLP)
    total, layers = found["total"], found["layers"]
    assert total["macs"] == sum(layer["macs"] for layer in layers) == MLP_MACS
    assert total["total_cycles"] == sum(layer["total_cycles"] for layer in layers)
    assert total["energy_pj"] == pytest.approx(sum(layer["energy_pj"] for layer in layers), rel=1e-12)
    assert total["seconds"] == total["total_cycles"] / 1e9
    assert total["average_power_w"] == pytest.approx(total["energy_pj"] * 1e-12 / total["seconds"])


def test_json_repeats_what_was_asked() -> None:
    found = result(MLP, "--on", SMALL, "--dataflow", "output_stationary", "--format", "bf16")
    inputs = found["inputs"]
    assert (inputs["chip"], inputs["dataflow"], inputs["format"]) == ("systolic", "output_stationary", "bf16")
    assert (inputs["network"], inputs["fidelity"]) == (MLP, "closed")
    assert (inputs["parameters"]["rows"], inputs["parameters"]["cols"]) == (5, 3)
    assert {(layer["dataflow"], layer["format"]) for layer in found["layers"]} == {("output_stationary", "bf16")}


def test_csv_rows_equal_json_layers() -> None:
    layers, lines = result(MLP)["layers"], rows(answer("run", MLP, "--csv"))
    columns = list(dict.fromkeys(key for layer in layers for key in layer))
    assert columns[: len(ROW_KEYS)] == ROW_KEYS
    # a column that a layer does not have is empty
    assert lines == [{key: str(layer.get(key, "")) for key in columns} for layer in layers]


def test_table_has_every_layer_that_takes_cycles_and_the_totals() -> None:
    found, table = result("alexnet"), answer("run", "alexnet")
    for layer in found["layers"]:
        shown = re.search(rf"^ {layer['layer']} .* {layer['total_cycles']:,} ", table, re.MULTILINE)
        assert bool(shown) == (layer["total_cycles"] > 0), layer["layer"]
    total = found["total"]
    # 724 million: 3 digits and a prefix
    assert re.search(rf"^ total +{total['macs'] / 1e6:.0f} M +{total['total_cycles']:,} ", table, re.MULTILINE)
    assert f"{total['seconds'] * 1e3:.3g} ms and {total['energy_pj'] * 1e-9:.3g} mJ per inference" in table


def test_sources_are_printed_where_asked_for_assumptions_last() -> None:
    assert "Horowitz" not in answer("run", MLP)
    table = answer("run", MLP, "--sources")
    lines = [line for line in table.partition("sources")[2].splitlines() if re.match(r" \w", line)]
    assumed = ["assumed" in line for line in lines]
    assert "Horowitz" in table
    assert any(assumed)
    assert assumed == sorted(assumed)


def test_stepped_fidelity_finds_the_same_cycles_and_energy_as_closed() -> None:
    closed, stepped = (result(MLP, "--on", SMALL, "--fidelity", name) for name in ("closed", "stepped"))
    assert (closed["inputs"]["fidelity"], stepped["inputs"]["fidelity"]) == ("closed", "stepped")
    for one, other in zip(closed["layers"], stepped["layers"], strict=True):
        assert {key: other[key] for key in ROW_KEYS} == {key: one[key] for key in ROW_KEYS}


def test_like_scale_sim_adds_its_figures_and_why_they_differ() -> None:
    words = (MLP, "--on", f"{SMALL},bandwidth_gb_s=inf", "--like", "scale-sim")
    products = [layer for layer in result(*words)["layers"] if layer["macs"]]
    assert [layer["scale_sim_cycles"] for layer in products] == [layer["total_cycles"] - 1 for layer in products]
    table = answer("run", *words)
    assert "beside SCALE-Sim 3" in table
    assert "the index of the last cycle" in table


def test_pad_keeps_the_size_of_outputs(tmp_path: Path) -> None:
    path = tmp_path / "topology.csv"
    path.write_text(TOPOLOGY, encoding="utf-8")
    macs_per_output = 3 * 5 * 2 * 7
    assert result(path)["total"]["macs"] == 9 * 9 * macs_per_output
    assert result(path, "--pad")["total"]["macs"] == 11 * 13 * macs_per_output


def test_several_chips_give_a_result_each_and_are_told_apart() -> None:
    chips = ("--on", "systolic,systolic:rows=5,cols=3")
    found = result(MLP, *chips)
    assert list(found) == ["schema", "hwsim", "results"]
    assert [one["inputs"]["parameters"]["rows"] for one in found["results"]] == [32, 5]
    assert [one["layers"] for one in found["results"]] == [result(MLP)["layers"], result(MLP, "--on", SMALL)["layers"]]
    lines = rows(answer("run", MLP, *chips, "--csv"))
    assert list(dict.fromkeys(line["chip"] for line in lines)) == ["systolic", "systolic:rows=5,cols=3"]
    both, together = answer("run", MLP) + answer("run", MLP, "--on", SMALL), answer("run", MLP, *chips)
    assert together.startswith(both)
    totals = [line.split() for line in together.removeprefix(both).splitlines()]
    assert [line[1][:12] for line in totals if "int8" in line] == ["systolic", "systolic:row"]


def test_users_own_network_and_chip_run_by_path_with_parameters(tmp_path: Path) -> None:
    net, chip = tmp_path / "mynet.py", tmp_path / "mychip.py"
    net.write_text(NETWORK, encoding="utf-8")
    chip.write_text(CHIP, encoding="utf-8")
    found = result(f"{net}:batch=2,bias=no", "--on", f"{chip}:rows=11")
    assert found["total"]["macs"] == 2 * (17 * 13 + 13 * 7)
    assert found["total"]["parameters"] == 17 * 13 + 13 * 7
    assert {layer["batch"] for layer in found["layers"]} == {2}
    assert found["inputs"]["parameters"]["rows"] == 11


def test_names_stay_text_in_the_table(tmp_path: Path) -> None:
    net = tmp_path / "mynet.py"
    net.write_text(NETWORK, encoding="utf-8")
    table = answer("run", net)
    assert "[red]mynet[/red] on systolic" in table
    assert "[red]one[/red] :smile:" in table
    assert r"two\x1b[31m\n" in table
    assert "\x1b" not in table


class Due(threading.Timer):
    """A timer whose time has come when it starts."""

    def start(self) -> None:
        self.function()


def test_a_long_run_shows_its_progress_on_a_terminals_stderr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = tmp_path / "mynet.py"
    net.write_text(NETWORK, encoding="utf-8")
    monkeypatch.setattr(threading, "Timer", Due)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "110")
    ran = hwsim("run", net, err=Terminal())
    assert (ran.code, ran.out) == (0, answer("run", net))
    assert "[red]mynet[/red]" in ran.err
    assert "100 %" in ran.err
    assert hwsim("run", net).err == ""


@pytest.mark.parametrize("verb", [["--json"], ["--csv"], []])
def test_stdout_is_the_answer_and_stderr_the_progress(verb: list[str], tmp_path: Path) -> None:
    ran = hwsim("run", MLP, "--trace", tmp_path / "trace.json", *verb)
    assert ran.out == answer("run", MLP, *verb)
    assert ran.err == f"wrote {tmp_path / 'trace.json'}\n"


def test_json_is_the_same_bytes_in_another_process_and_locale() -> None:
    one = process("run", MLP, "--json", PYTHONHASHSEED="1", LC_ALL="C")
    other = process("run", MLP, "--json", PYTHONHASHSEED="2", PYTHONIOENCODING="latin-1")
    assert (one.returncode, one.stderr) == (0, b"")
    assert one.stdout == other.stdout == answer("run", MLP, "--json").encode("ascii")


def test_table_prints_where_the_locale_has_no_micro_sign() -> None:
    found = process("run", MLP, PYTHONIOENCODING="ascii")
    assert (found.returncode, found.stderr) == (0, b"")
    assert b"inferences/s" in found.stdout


@pytest.mark.slow
def test_out_writes_tables_timeline_and_pictures_the_same_in_every_process(tmp_path: Path) -> None:
    words = ("run", MLP, "--on", "systolic,systolic:rows=5,cols=3", "--out")
    ran = hwsim(*words, tmp_path / "one")
    assert (ran.code, process(*words, tmp_path / "two", PYTHONHASHSEED="3").returncode) == (0, 0), ran.err
    one, two = files(tmp_path / "one"), files(tmp_path / "two")
    columns = one["layers.csv"].decode().split("\n")[0].split(",")
    reports = [name for name in catalog.names("report") if set(catalog.report_needs(name)) <= set(columns)]
    assert "layers" in reports
    pictures = [f"figures/{name}.{kind}" for name in reports for kind in ("png", "svg")]
    assert set(one) == {"manifest.json", "layers.csv", "result.json", "trace.json", *pictures}
    assert one.pop("manifest.json") != two.pop("manifest.json")
    assert one == two
    assert one["layers.csv"].decode() == answer("run", MLP, "--on", "systolic,systolic:rows=5,cols=3", "--csv")
    assert ran.err.splitlines() == [f"wrote {tmp_path / 'one' / name}".rstrip("/.") for name in (".", *pictures)]


@pytest.mark.slow
def test_wall_time_and_host_are_in_the_manifest_alone(tmp_path: Path) -> None:
    answer("run", MLP, "--out", tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert {"hwsim", "runs", "command", "wall_s", "host", "platform", "python"} <= set(manifest)
    assert manifest["command"] == ["run", MLP, "--out", str(tmp_path)]
    for name in ("layers.csv", "result.json", "trace.json"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert "wall" not in text
        assert manifest["platform"] not in text


def test_a_report_of_several_result_folders_is_one_picture(tmp_path: Path) -> None:
    for name, network in (("one", MLP), ("two", "mlp:hidden=7")):
        answer("run", network, "--out", tmp_path / name)
    answer("report", "layers", tmp_path / "two", tmp_path / "one", "--out", tmp_path)
    drawn = (tmp_path / "layers.svg").read_text(encoding="utf-8")
    both = [(tmp_path / name / "figures" / "layers.svg").read_text(encoding="utf-8") for name in ("one", "two")]
    assert len(drawn) > max(map(len, both))


def test_a_report_whose_columns_a_chip_does_not_give_says_so(tmp_path: Path) -> None:
    answer("run", MLP, "--out", tmp_path / "run")
    ran = hwsim("report", "matrix_unit", tmp_path / "run")
    assert (ran.code, ran.out) == (3, "")
    assert "report 'matrix_unit' needs the columns useful_macs_fraction" in ran.err


def test_report_draws_a_result_folder_again(tmp_path: Path) -> None:
    answer("run", MLP, "--out", tmp_path / "run")
    assert answer("report", "layers", tmp_path / "run", "--out", tmp_path).splitlines() == [
        str(tmp_path / f"layers.{kind}") for kind in ("png", "svg")
    ]
    for kind, begin in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        drawn = (tmp_path / f"layers.{kind}").read_bytes()
        assert drawn.startswith(begin)
        assert drawn == (tmp_path / f"run/figures/layers.{kind}").read_bytes()


@pytest.mark.parametrize(
    ("noun", "folder"),
    [
        ("networks", "workloads"), ("chips", "hwsim/chips"), ("dataflows", "dataflows"), ("formats", "hwsim/formats"),
        ("reports", "reports"),
    ],
)  # fmt: skip
def test_list_has_every_file_of_the_folder_with_its_first_line(noun: str, folder: str) -> None:
    listed = dict(re.findall(r"^  (\w+) +(\S.*)$", answer("list", noun), re.MULTILINE))
    assert list(listed) == sorted(path.stem for path in (ROOT / folder).glob("[!_]*.py"))
    assert f"{noun}:\n{answer('list', noun)}" in answer("list")
    assert all(listed.values())


def trace_of(*words: object, folder: Path) -> list[dict[str, Any]]:
    answer("run", *words, "--trace", folder / "trace.json")
    events: list[dict[str, Any]] = json.loads((folder / "trace.json").read_text(encoding="utf-8"))["traceEvents"]
    return events


def test_trace_is_a_chrome_trace_whose_layers_follow_one_another(tmp_path: Path) -> None:
    events, found = trace_of("alexnet", "--on", SMALL, folder=tmp_path), result("alexnet", "--on", SMALL)
    spans = [event for event in events if event["ph"] == "X"]
    assert {event["ph"] for event in events} == {"M", "X"}
    assert all({"name", "ph", "pid", "tid", "ts", "dur"} <= set(event) for event in spans)
    tracks = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    layers = [event for event in spans if tracks[event["tid"]] == "layers"]
    taking = [layer for layer in found["layers"] if layer["total_cycles"]]
    assert [(event["name"], event["args"]["cycles"]) for event in layers] == [
        (layer["layer"], layer["total_cycles"]) for layer in taking
    ]
    # 1 GHz: 1000 cycles are a microsecond
    assert [round(event["ts"] * 1000) for event in layers] == [
        sum(layer["total_cycles"] for layer in taking[:index]) for index in range(len(taking))
    ]
    assert round((layers[-1]["ts"] + layers[-1]["dur"]) * 1000) == found["total"]["total_cycles"]


def test_trace_events_nest_on_every_track_and_their_times_never_go_back(tmp_path: Path) -> None:
    tracks: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for event in trace_of("alexnet", "--on", f"systolic,{SMALL}", folder=tmp_path):
        if event["ph"] == "X":
            start = round(event["ts"] * 1000)
            tracks.setdefault((event["pid"], event["tid"]), []).append((start, start + event["args"]["cycles"]))
    assert {process for process, _ in tracks} == {0, 1}
    for spans in tracks.values():
        assert [start for start, _ in spans] == sorted(start for start, _ in spans)
        around: list[int] = []
        for start, end in spans:
            while around and around[-1] <= start:
                around.pop()
            assert not around or end <= around[-1], "a span reaches beyond the one it starts in"
            around.append(end)
