"""What `hwsim compare` says to bad input: tables and results are files of somebody else's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command import hwsim

from hwsim.results.expectation import COLUMNS, MAX_BYTES, MAX_ROWS

USAGE, INPUT = 2, 3
LINE = "net,2,chip,int8,,share,0.16,fraction,0.05,absolute,within,yes,rounded,Somebody,2017,Table 7"
TABLE = f"{','.join(COLUMNS)}\n{LINE}\n"
RESULT: dict[str, Any] = {
    "inputs": {"network": "net", "fidelity": "closed"},
    "total": {"share": 0.2},
    "layers": [
        {"network": "net", "layer": "one", "chip": "chip", "format": "int8", "batch": 2, "dataflow": "row_stationary"}
    ],
}


def refused(code: int, *words: object) -> str:
    """Return the one sentence with which `hwsim compare WORDS` refuses, and nothing on standard output."""
    ran = hwsim("compare", *words)
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (code, "", 1), ran
    return ran.err.removeprefix("hwsim: ").rstrip()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a result "run" and a table "mine.csv" of its share."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "result.json").write_text(json.dumps(RESULT), encoding="utf-8")
    (tmp_path / "mine.csv").write_text(TABLE, encoding="utf-8")
    return tmp_path


def test_the_files_that_the_malformed_ones_are_made_of_compare(here: Path) -> None:
    assert hwsim("compare", "run", "--with", "mine.csv").code == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("absent", "'absent' is no result folder: it has no result.json; make one with hwsim run ... --out absent"),
        ("mine.csv", "'mine.csv' is no result folder"),
        ("run --with publishd", "no comparison table named 'publishd'; did you mean 'published'?"),
        ("run --with tpu_v1_table33", "no comparison table named 'tpu_v1_table33'; did you mean 'tpu_v1_table3'?"),
        ("run --with mina.csv", "no comparison table at 'mina.csv'; did you mean 'mine.csv'?"),
        ("run", "no row is of net on chip, int8, batch 2 (run): the tables have "),
        ("run --json --csv", "--json and --csv both claim standard output; choose one"),
        ("run --fail-above -1", "--fail-above -1 is not a percentage from 0 on"),
        ("run --fail-above nan", "--fail-above nan is not a percentage from 0 on"),
        ("run --fail-above inf", "--fail-above inf is not a percentage from 0 on"),
        (f"run --with {'x' * 5000}.csv", "no comparison table at 'xxx"),
        ("", "Missing argument 'RESULT|NETWORK...'"),
    ],
)
def test_an_unknown_name_is_a_usage_error(words: str, sentence: str, here: Path) -> None:
    assert refused(USAGE, *words.split()).startswith(sentence)


def changed(column: str, cell: str) -> str:
    """Return TABLE with one cell of its line replaced."""
    cells = LINE.split(",")
    cells[COLUMNS.index(column)] = cell
    return TABLE.replace(LINE, ",".join(cells))


@pytest.mark.parametrize(
    ("column", "cell", "rule"),
    [
        ("network", "", "network is empty"),
        ("chip", " ", "chip is empty"),
        ("reason", "", "reason is empty"),
        ("locator", "", "locator is empty"),
        ("batch", "0", "batch is '0', not a whole number from 1 to 2147483647"),
        ("batch", "2.5", "batch is '2.5', not a whole number"),
        ("year", "17", "year is '17', not a whole number from 1900 to 2100"),
        ("published", "many", "published is 'many', not 0 nor a number from 1e-100 to 1e+100"),
        ("published", "-0.5", "published is '-0.5', not 0 nor a number"),
        ("published", "nan", "published is 'nan', not 0 nor a number"),
        ("published", "1e999", "published is '1e999', not 0 nor a number"),
        ("published", "12.7", "published is '12.7', and a fraction is at most 1"),
        ("tolerance", "", "tolerance is '', not 0 nor a number"),
        ("tolerance", "inf", "tolerance is 'inf', not 0 nor a number"),
        ("tolerance_kind", "absolut", "which is none of absolute, relative, factor; did you mean 'absolute'?"),
        ("direction", "at least", "which is none of within, at_least, at_most; did you mean 'at_least'?"),
        ("scored", "true", "scored is 'true', which is none of yes, no"),
        ("locator", "Table 7,extra", "there are 17 cells under 16 columns"),
    ],
)
def test_a_malformed_cell_is_named_with_its_line_value_and_rule(column: str, cell: str, rule: str, here: Path) -> None:
    (here / "mine.csv").write_text(changed(column, cell), encoding="utf-8")
    sentence = refused(INPUT, "run", "--with", "mine.csv")
    assert sentence.startswith("comparison table 'mine.csv', line 2: ")
    assert rule in sentence


@pytest.mark.parametrize(
    ("quantity", "unit", "own"),
    [
        ("seconds", "ms", "s"),
        ("processing_seconds", "us", "s"),
        ("array_active_fraction", "%", "fraction"),
        ("useful_macs_fraction", "MACs", "fraction"),
        ("tops_with_host", "GOPS", "TOPS"),
        ("dram_bytes", "MB", "B"),
        ("energy_mac_pj", "nJ", "pJ"),
    ],
)
def test_a_unit_that_is_not_the_column_s_own_is_refused(quantity: str, unit: str, own: str, here: Path) -> None:
    line = changed("unit", unit).replace(",share,", f",{quantity},")
    (here / "mine.csv").write_text(line, encoding="utf-8")
    fault = f"line 2: unit is '{unit}', and {quantity} is in {own}; give it in that"
    assert refused(INPUT, "run", "--with", "mine.csv").endswith(fault)


@pytest.mark.parametrize("quantity", ["inferences_per_s", "bytes_per_cycle", "seconds_over_ideal", "load_balance"])
def test_a_column_whose_name_says_no_unit_takes_any(quantity: str, here: Path) -> None:
    (here / "mine.csv").write_text(changed("unit", "widgets").replace(",share,", f",{quantity},"), encoding="utf-8")
    assert hwsim("compare", "run", "--with", "mine.csv").code == 0


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty"),
        (b"\n , \n", "has no column 'network'; it needs network, batch, chip"),
        (TABLE.partition("\n")[0].encode(), "has a header and no rows"),
        (TABLE.replace("unit,", "", 1).encode(), "has no column 'unit'"),
        (TABLE.replace("locator", "locator,lokator").encode(), "'lokator' which is not known; did you mean 'locator'?"),
        (TABLE.replace("locator", "locator,unit").encode(), "has the column 'unit' twice"),
        ((TABLE + "\n\n" + LINE).encode(), "line 5: the line repeats line 2"),
        ((TABLE + '"net').encode(), "not a text file of comma-separated values"),
        (b"\xff\xfe" + TABLE.encode(), "not a text file of comma-separated values"),
        (TABLE.encode() + b"\n" * MAX_BYTES, f"is larger than the {MAX_BYTES} bytes that are read"),
        (changed("published", "0").replace("absolute", "relative").encode(), "nothing is a fraction of a published 0"),
    ],
)
def test_a_malformed_table_is_an_input_error(content: bytes, fault: str, here: Path) -> None:
    (here / "mine.csv").write_bytes(content)
    sentence = refused(INPUT, "run", "--with", "mine.csv")
    assert sentence.startswith("comparison table 'mine.csv'")
    assert fault in sentence


def test_a_table_of_too_many_rows_is_an_input_error(here: Path) -> None:
    rows = "\n".join(LINE.replace("Table 7", str(row)) for row in range(MAX_ROWS + 1))
    (here / "mine.csv").write_text(TABLE + rows, encoding="utf-8")
    assert "has more than the 10000 rows that are read" in refused(INPUT, "run", "--with", "mine.csv")


def edited(edit: Callable[[dict[str, Any]], object]) -> str:
    """Return RESULT as JSON after `edit` has changed it."""
    whole = json.loads(json.dumps(RESULT))
    edit(whole)
    return json.dumps(whole)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "is empty"),
        ("{", "is not JSON: "),
        ("[" * 100_000, "is not JSON: "),
        ("9" * 5000, "is not JSON: "),
        ("[]", "holds no results: it is none that hwsim run wrote"),
        ('{"results": []}', "holds no results"),
        ('{"results": [3]}', "has no 'inputs' that is an object"),
        (edited(lambda whole: whole.pop("inputs")), "has no 'inputs' that is an object"),
        (edited(lambda whole: whole.update(total=[1])), "has no 'total' that is an object"),
        (edited(lambda whole: whole.update(layers=[])), "has no layers"),
        (edited(lambda whole: whole["layers"].append(3)), "has no 'layer' that is a text"),
        (edited(lambda whole: whole["layers"].append(whole["layers"][0])), "has two layers named 'one'"),
        (edited(lambda whole: whole["layers"][0].pop("chip")), "has no 'chip' that is a text"),
        (edited(lambda whole: whole["layers"][0].update(batch=True)), "has no 'batch' that is a whole number"),
        (
            edited(lambda whole: whole["total"].update(share="much")),
            "has 'much' for share of total, not a finite number",
        ),
        (
            edited(lambda whole: whole["total"].update(share=float("nan"))),
            "has 'nan' for share of total, not a finite number",
        ),
        (edited(lambda whole: whole["total"].update(share=True)), "has 'True' for share of total, not a finite number"),
        (edited(lambda whole: whole["total"].update(share=10**200)), "not a finite number"),
    ],
)
def test_a_malformed_result_is_an_input_error(content: str, fault: str, here: Path) -> None:
    (here / "run" / "result.json").write_text(content, encoding="utf-8")
    sentence = refused(INPUT, "run", "--with", "mine.csv")
    assert sentence.startswith("result 'run")
    assert fault in sentence
