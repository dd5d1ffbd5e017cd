"""What `hwsim show` and `hwsim list networks --long` print of networks that run on nothing yet."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from pathlib import Path

import pytest
from command import NETWORK, answer, hwsim

from hwsim import catalog


def table_rows(text: str) -> dict[str, list[str]]:
    """Return the cells of a printed table by the first of each row; cells are two spaces apart."""
    rows = (re.split(r" {2,}", line.strip()) for line in text.splitlines())
    return {cells[0]: cells[1:] for cells in rows if len(cells) > 1}


def test_show_prints_every_layer_with_its_shapes_and_counts() -> None:
    rows = table_rows(answer("show", "mlp:batch=3"))
    assert rows["layer"] == ["kind", "input", "output", "parameters", "MACs"]
    # LeNet-300-100: 784 x 300 + 300 parameters, 3 x 784 x 300 MACs
    assert rows["fc1"] == ["matmul", "3x784", "3x300", "235,500", "705,600"]
    assert rows["relu1"] == ["activation relu", "3x300", "3x300"]
    assert rows["total"] == ["6 layers", "266,610", "798,600"]


def test_show_says_how_often_a_layer_runs_and_what_two_operands_it_has() -> None:
    rows = table_rows(answer("show", "lstm:hidden=7,inputs=5,steps=11"))
    assert rows["lstm1.recurrent_gates"] == ["matmul x11", "1x7", "1x28", "224", "2,156"]
    assert rows["lstm1.gates"][:2] == ["elementwise add x11", "1x28 + 1x28"]


@pytest.mark.parametrize(("fmt", "parameters", "peak"), [("fp32", 1_066_440, 4336), ("int8", 266_610, 1084)])
def test_memory_is_in_the_format_asked_for(fmt: str, parameters: int, peak: int) -> None:
    # 784 inputs and 300 results live at once
    found = json.loads(answer("show", "mlp", "--format", fmt, "--json"))
    assert (found["parameter_bytes"], found["peak_activation_bytes"]) == (parameters, peak)
    # every operand once: 266,610 - 410 weights, and what each of six layers reads and gives
    elements = 266_200 + 784 + 300 + 300 + 300 + 300 + 100 + 100 + 100 + 100 + 10 + 10 + 10
    assert found["macs_per_byte"] == pytest.approx(266_200 / elements * 266_610 / parameters)
    assert f"in {fmt}: parameters " in answer("show", "mlp", "--format", fmt)


def test_weights_narrower_than_activations_are_counted_so() -> None:
    # codebook4 has 4-bit weights beside 16-bit activations
    found = json.loads(answer("show", "eie_layers:layer=NT-We", "--format", "codebook4", "--json"))
    assert (found["parameter_bytes"], found["peak_activation_bytes"]) == (4096 * 600 // 2, 2 * (4096 + 600))


def test_json_and_csv_have_the_layers_of_the_network() -> None:
    net = catalog.network("seq2seq")
    found = json.loads(answer("show", "seq2seq", "--json"))
    lines = list(csv.DictReader(io.StringIO(answer("show", "seq2seq", "--csv"))))
    assert [layer["layer"] for layer in found["layers"]] == [layer.name for layer in net.layers]
    assert [line["layer"] for line in lines] == [layer.name for layer in net.layers]
    assert sum(int(line["macs"]) for line in lines) == found["macs"] == net.macs
    assert sum(int(line["parameters"]) for line in lines) == found["parameters"] == net.parameters
    assert found["notes"] == list(net.notes)


def test_show_reads_the_files_that_run_does_and_no_name_steers_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "mynet.py"
    path.write_text(NETWORK, encoding="utf-8")
    for words in ([], ["--csv"]):
        text = answer("show", path, *words)
        assert "[red]one[/red] :smile:" in text
        assert "\x1b" not in text
        assert "two\\x1b[31m\\n" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("show alexnt", "no network named 'alexnt'; did you mean 'alexnet'?"),
        ("show mlp --format fp31", "no format named 'fp31'; did you mean 'fp32'?"),
        ("show mlp --json --csv", "--json and --csv both claim standard output; choose one"),
        ("list networks --long --json --csv", "--json and --csv both claim standard output; choose one"),
        ("list networks --csv", "--format, --json and --csv are of the long list; add --long"),
        ("list chips --long", "--long is for networks and formats; there is no long list of 'chips'"),
        ("list --long", "--long is for networks and formats; there is no long list of 'all'"),
        ("list networks --long --format fp31", "no format named 'fp31'; did you mean 'fp32'?"),
    ],
)
def test_a_mistake_is_one_sentence(words: str, message: str) -> None:
    ran = hwsim(*words.split())
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"hwsim: {message}\n"


def test_the_long_list_has_every_network_in_a_few_seconds() -> None:
    started = time.perf_counter()
    found = json.loads(answer("list", "networks", "--long", "--json"))
    assert time.perf_counter() - started < 5
    assert [row["name"] for row in found] == catalog.names("network")
    for row in found:
        assert row["layers"] > 0
        assert row["macs"] > 0
        assert row["peak_activation_bytes"] > 0
        assert row["macs_per_byte"] > 0
        assert row["source"]


def test_the_long_list_prints_what_its_json_and_csv_say() -> None:
    printed = table_rows(answer("list", "networks", "--long", "--format", "int8"))
    (line,) = (
        line
        for line in csv.DictReader(io.StringIO(answer("list", "networks", "--long", "--format", "int8", "--csv")))
        if line["name"] == "bert"
    )
    assert line["parameters"] == "109482240"
    assert printed["network"] == ["parameters", "MACs", "layers", "peak, int8", "MACs/B", "source"]
    assert printed["bert"][:2] == ["109,482,240", "11.2 G"]
    assert printed["bert"][-1].startswith("Devlin et al.")
