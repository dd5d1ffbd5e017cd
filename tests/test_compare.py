"""Results beside published values: errors, tolerances with a direction, means, and what is not compared."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command import answer, hwsim

import hwsim as product
from hwsim.arch import Source
from hwsim.errors import LimitError, UsageError
from hwsim.results import compare as held
from hwsim.results.compare import Comparison, compare, mean_absolute_error, scores
from hwsim.results.expectation import COLUMNS, Expectation
from hwsim.results.subject import subject
from hwsim.results.terminal_compare import NAME_WIDTH

MLP = "mlp:hidden=31-13,inputs=17,classes=7"
NAME = "mlp-17-31-13-7"
MLP_MACS = 17 * 31 + 31 * 13 + 13 * 7
SMALL = "systolic:rows=5,cols=3"

ROW = Expectation(
    table="table7", network="net", batch=None, chip="chip", format="", layer="", quantity="share", published=0.16,
    unit="fraction", tolerance=0.05, tolerance_kind="absolute", direction="within", scored=True, reason="two digits",
    source=Source("Somebody et al., Something, ISCA", 2017, "Table 7"),
)  # fmt: skip

CELLS = {
    **dict.fromkeys(COLUMNS, ""),
    "network": "net", "chip": "chip", "quantity": "macs", "published": "1000", "unit": "MACs", "tolerance": "0.2",
    "tolerance_kind": "relative", "direction": "within", "scored": "yes", "reason": "rounded", "work": "Somebody",
    "year": "2017", "locator": "Table 7",
}  # fmt: skip
"""A line of a table of the user's own; 1000 MACs, 20 % either way."""


def result(*, layers: dict[str, dict[str, Any]] | None = None, **total: object) -> dict[str, Any]:
    """Return a result as `--json` prints it, of net on chip in int8, batch 2."""
    same = {"network": "net", "chip": "chip", "dataflow": "row_stationary", "format": "int8", "batch": 2}
    rows = [{**same, "layer": name, **row} for name, row in (layers or {"one": {}}).items()]
    return {"inputs": {"network": "net:batch=2", "fidelity": "closed"}, "total": total, "layers": rows}


def one(simulated: object, **changed: Any) -> Comparison:
    """Return `simulated` beside ROW with some of it changed."""
    (found,) = compare(result(share=simulated), [replace(ROW, **changed)])
    return found


def table(path: Path, *rows: dict[str, object]) -> Path:
    """Write lines that are CELLS with some changed."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows({**CELLS, **row} for row in rows)
    return path


def folder(path: Path, *results: dict[str, Any]) -> Path:
    """Write a result folder as `hwsim run --out` would."""
    path.mkdir(exist_ok=True)
    whole = results[0] if len(results) == 1 else {"schema": 1, "results": list(results)}
    (path / "result.json").write_text(json.dumps(whole), encoding="utf-8")
    return path


def test_errors_are_relative_to_the_published_value_and_in_points_for_fractions() -> None:
    found = one(0.2)
    assert found.ratio == pytest.approx(0.2 / 0.16)
    assert found.error_percent == pytest.approx(100 * (0.2 - 0.16) / 0.16)
    assert found.difference_points == pytest.approx(20 - 16)
    assert one(13, published=11.0, unit="TOPS").difference_points is None
    assert one(13, published=11.0, unit="TOPS").difference == 2


@pytest.mark.parametrize(
    ("direction", "below", "inside", "above"),
    [("within", "no", "yes", "no"), ("at_least", "no", "yes", "yes"), ("at_most", "yes", "yes", "no")],
)
@pytest.mark.parametrize(("kind", "tolerance"), [("absolute", 0.04), ("relative", 0.25)])
def test_a_tolerance_holds_on_the_sides_that_its_direction_names(
    kind: str, tolerance: float, direction: str, below: str, inside: str, above: str
) -> None:
    # 0.16 +- 0.04, which is a quarter of it, is 0.12 to 0.20, the ends included
    verdicts = [
        one(simulated, tolerance=tolerance, tolerance_kind=kind, direction=direction).met
        for simulated in (0.119, 0.12, 0.16, 0.20, 0.201)
    ]
    assert verdicts == [below, inside, inside, inside, above]


def test_a_value_at_the_end_of_its_tolerance_is_met_though_not_in_binary() -> None:
    assert 0.797 - 0.782 > 0.015
    assert one(0.797, published=0.782, tolerance=0.015).met == "yes"


def test_a_published_zero_counts_by_points_alone() -> None:
    zero = one(0.013, published=0.0)
    assert (zero.ratio, zero.error_percent, zero.met, zero.in_mean) == (None, None, "yes", False)
    assert zero.difference_points == pytest.approx(1.3)
    score = scores([zero, one(0.2)])[0]
    assert (score.scored, score.met, score.by_difference) == (2, 2, 1)
    assert score.mean_error_percent == pytest.approx(25)  # that of the other row


@pytest.mark.parametrize(("value", "in_mean"), [(0.05, False), (0.051, True)])
def test_a_value_that_a_simulated_zero_would_meet_is_in_no_mean(value: float, in_mean: bool) -> None:
    assert one(0.02, published=value).in_mean == in_mean


def test_a_row_that_is_not_scored_is_shown_and_counted_nowhere() -> None:
    found = one(0.5, scored=False, reason="contradicts row 1")
    assert (found.met, found.in_mean, found.row()["reason"]) == ("not scored", False, "contradicts row 1")
    assert found.error_percent == pytest.approx(212.5)
    assert mean_absolute_error([found]) is None
    assert [(score.scored, score.met, score.missing) for score in scores([found])] == [(0, 0, 0), (0, 0, 0)]


@pytest.mark.parametrize("scored", [True, False])
def test_a_quantity_that_a_result_lacks_is_shown_as_missing(scored: bool) -> None:
    for found in (one(None, scored=scored), one(0.2, quantity="shore", scored=scored), one(0.2, layer="no such")):
        assert (found.simulated, found.difference, found.ratio, found.error_percent) == (None, None, None, None)
        assert (found.met, found.in_mean) == ("not in this result", False)
    assert scores([one(None, scored=scored)])[-1].missing == scored


def test_means_are_by_quantity_by_unit_by_table_and_of_all() -> None:
    ops: dict[str, Any] = {"unit": "TOPS", "tolerance": 0.15, "tolerance_kind": "relative"}
    rows = [
        replace(ROW, **ops, quantity="tops", published=100.0),
        replace(ROW, **ops, quantity="tops", published=50.0, layer="one"),
        replace(ROW, **ops, quantity="peak", published=20.0),
        replace(ROW, quantity="share", published=0.2),
        replace(ROW, table="table8", quantity="share", published=0.25),
    ]
    found = compare(result(tops=110, peak=14, share=0.2, layers={"one": {"tops": 40}}), rows)
    # errors of +10, -20, -30, 0 and -20 %; all but 20, 30 and the last are within 15 % or 5 points
    assert [(score.table, score.unit, score.quantity, score.met, score.scored) for score in scores(found)] == [
        ("table7", "TOPS", "tops", 1, 2),
        ("table7", "TOPS", "peak", 0, 1),
        ("table7", "fraction", "share", 1, 1),
        ("table7", "TOPS", "", 1, 3),
        ("table7", "", "", 2, 4),
        ("table8", "fraction", "share", 1, 1),
        ("table8", "", "", 1, 1),
        ("", "", "", 3, 5),
    ]
    means = [score.mean_error_percent for score in scores(found)]
    assert means == pytest.approx([15, 30, 0, 20, 15, 20, 20, 16])
    assert [score.worst_percent for score in scores(found)] == pytest.approx([20, 30, 0, 30, 30, 20, 20, 30])


def test_a_row_of_a_layer_is_held_against_that_layers_row() -> None:
    found = compare(result(cycles=5, layers={"one": {"cycles": 2}, "two": {"cycles": 3}}), _of_layers("one", "two", ""))
    assert [pair.simulated for pair in found] == [2, 3, 5]


def _of_layers(*layers: str) -> list[Expectation]:
    return [replace(ROW, layer=layer, quantity="cycles", unit="cycles", published=7.0) for layer in layers]


@pytest.mark.parametrize(("batch", "fmt", "count"), [(None, "", 1), (2, "int8", 1), (3, "", 0), (None, "int16", 0)])
def test_an_empty_batch_or_format_matches_any(batch: int | None, fmt: str, count: int) -> None:
    rows = [replace(ROW, batch=batch, format=fmt), replace(ROW, quantity="other")]
    assert len(compare(result(share=0.2), rows)) == 1 + count


def test_the_same_run_in_several_results_is_compared_each_time() -> None:
    several = [subject(result(share=0.2), "a"), subject(result(share=0.3), "b")]
    assert [(pair.subject.name, pair.simulated) for pair in compare(several, [ROW])] == [("a", 0.2), ("b", 0.3)]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"chip": "ship"}, "no row is of net on chip, int8, batch 2: the tables have net on ship"),
        ({"network": "nat"}, "no row is of net on chip, int8, batch 2: of chip the tables have nat"),
        ({"batch": 3}, "no row is of net on chip, int8, batch 2: the tables have it in any format, batch 3"),
        ({"format": "int4"}, "no row is of net on chip, int8, batch 2: the tables have it in int4, any batch"),
    ],
)
def test_a_result_that_no_row_is_of_is_told_what_there_is(changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        compare(result(share=0.2), [replace(ROW, **changed)])
    assert str(error.value) == sentence


def test_a_chip_with_changed_parameters_is_another_machine() -> None:
    faster = result(share=0.2, layers={"one": {"chip": "chip:clock_mhz=1400"}})
    said = "with changed parameters it is another machine than the tables' chip"
    with pytest.raises(UsageError, match=said):
        compare(faster, [ROW])
    assert len(compare([faster, result(share=0.2)], [ROW])) == 1
    assert said in held.why_not_compared([subject(faster)], [ROW])[0]


def test_a_limit_fails_above_it_and_not_at_it() -> None:
    found = [one(0.2), one(0.16)]  # a mean of 12.5 %
    held.require_within(found, 12.5)
    with pytest.raises(LimitError, match=r"the mean absolute error of table7 is 12.5 %; the limit is 12.4 %"):
        held.require_within(found, 12.4)
    with pytest.raises(LimitError, match=r"the result lacks 1 of the 3 scored rows of table7"):
        held.require_within([*found, one(None)], 99)
    with pytest.raises(UsageError, match=r"holds nothing: no scored row has a relative error"):
        held.require_within([one(0.2, scored=False), one(0.01, published=0.0)], 99)


# the command line


def test_a_run_is_held_against_a_table_of_the_users_own(tmp_path: Path) -> None:
    mine = table(
        tmp_path / "mine.csv",
        {"network": NAME, "chip": SMALL, "format": "int8", "batch": 1},
        {"network": NAME, "chip": SMALL, "layer": "fc1", "published": 17 * 31, "direction": "at_most", "tolerance": 0},
    )
    answer("run", MLP, "--on", SMALL, "--out", tmp_path / "run")
    found = json.loads(answer("compare", tmp_path / "run", "--with", mine, "--json"))
    assert list(found) == ["schema", "hwsim", "rows", "scores", "notes"]
    assert [(row["simulated"], row["met"]) for row in found["rows"]] == [(MLP_MACS, "yes"), (17 * 31, "yes")]
    assert found["rows"][0]["error_percent"] == pytest.approx(100 * (MLP_MACS - 1000) / 1000)
    assert {(row["table"], row["result"], row["run_as"]) for row in found["rows"]} == {
        ("mine", str(tmp_path / "run"), MLP)
    }
    lines = list(csv.DictReader(io.StringIO(answer("compare", tmp_path / "run", "--with", mine, "--csv"))))
    assert lines == [{key: "" if cell is None else str(cell) for key, cell in row.items()} for row in found["rows"]]
    pairs = product.compare(product.simulate(MLP, on=SMALL), mine)
    assert [pair.row() | {"result": ""} for pair in pairs] == [row | {"result": ""} for row in found["rows"]]


def test_the_table_shows_values_verdicts_reasons_and_means_within_120_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    long = "a_quantity_of_24_letters"
    rows: list[dict[str, object]] = [
        {"quantity": "share", "published": 0.16, "unit": "fraction", "tolerance_kind": "absolute", "tolerance": 0.05},
        {"quantity": "rate", "published": 225000, "unit": "req/s", "direction": "at_least", "tolerance": 0},
        {"quantity": "watts", "published": 40, "unit": "W", "direction": "at_most", "tolerance": 0.05},
        {"quantity": "tops", "unit": "TOPS", "scored": "no", "reason": "the paper\x1b[31m contradicts itself"},
        {"quantity": long, "layer": "one"},
    ]
    run = folder(Path("run"), result(share=0.24, rate=268123.4, watts=41, tops=86))
    shown = answer("compare", run, "--with", table(tmp_path / "mine.csv", *rows))
    assert max(map(len, shown.splitlines())) <= 120
    assert len(long) == NAME_WIDTH
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    for line in (
        "mine: Somebody 2017",
        f"net (net:batch=2) on chip, row stationary, int8, batch 2: {run}",
        "share 24 % 16 % 1.500 +50.00 % +8.00 ±5 points no 1",
        "rate 268,123 225,000 req/s 1.192 +19.17 % at least yes 1",
        "watts 41 40 W 1.025 +2.50 % at most +5 % yes 1",
        "tops 86 1,000 TOPS 0.086 -91.40 % ±20 % not scored 2",
        f"one {long} 1,000 MACs ±20 % not in this result 1",
        r"2 Table 7: the paper\x1b[31m contradicts itself",
        "mine all 23.89 % 50.00 % 4 1 2 of 4",
    ):
        assert line in lines, shown


def test_results_that_are_not_compared_are_named_beside_those_that_are(tmp_path: Path) -> None:
    mine = table(tmp_path / "mine.csv", {})
    words = (folder(tmp_path / "a", result(macs=1), result(layers={"one": {"batch": 3, "network": "nut"}})), "--with")
    note = f"no row is of nut on chip, int8, batch 3 ({tmp_path / 'a'}): of chip the tables have net"
    assert f"note: {note}" in " ".join(answer("compare", *words, mine).split())
    assert json.loads(answer("compare", *words, mine, "--json"))["notes"] == [note]
    ran = hwsim("compare", *words, mine, "--csv")
    assert (ran.code, len(ran.out.splitlines()), ran.err) == (0, 2, f"note: {note}\n")


def test_fail_above_prints_the_answer_then_fails_with_its_own_code(tmp_path: Path) -> None:
    words = (folder(tmp_path / "a", result(macs=1100)), "--with", table(tmp_path / "mine.csv", {}), "--csv")
    assert hwsim("compare", *words, "--fail-above", 10).code == 0
    ran = hwsim("compare", *words, "--fail-above", 9.9)
    assert (ran.code, ran.out) == (4, answer("compare", *words))
    assert ran.err == "hwsim: the mean absolute error of mine is 10 %; the limit is 9.9 %\n"


def test_compare_imports_neither_arrays_nor_frames(tmp_path: Path) -> None:
    folder(tmp_path / "a", result(macs=1100))
    table(tmp_path / "mine.csv", {})
    code = (
        "import sys; from hwsim.cli import cli; cli(standalone_mode=False); "
        "print(*{'numpy', 'pandas', 'numba', 'matplotlib', 'rich'} & {*sys.modules}, file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "compare", "a", "--with", "mine.csv", "--json"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, text=True, timeout=60)
    assert ran.stderr == "\n"
