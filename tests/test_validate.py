"""Rows and scores of `hwsim validate`, by hand: what counts, how errors add up, which run gives a value."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

import hwsim
from hwsim import catalog
from hwsim.arch import Source
from hwsim.errors import InputError, LimitError, UsageError
from hwsim.ir.training import training
from hwsim.measured.kernels import FOLDER
from hwsim.results.compare import compare
from hwsim.results.expectation import COLUMNS, OPTIONAL_COLUMNS, expectations, read
from hwsim.validate import cpu, markdown, readme
from hwsim.validate.gpu import gpu_tables, tables
from hwsim.validate.notes import claims, note_of
from hwsim.validate.published import machine_of, published_records, runs_of
from hwsim.validate.record import Fit, Record
from hwsim.validate.scores import constants, require_within, score, scores
from hwsim.validate.text import in_short, percent, value

SOURCE = Source("Somebody et al., Something, ISCA", 2017, "Table 7")
ROW = Record("chip", "published", "table7", "time", "conv1", "seconds", 11.0, 10.0, "s", SOURCE)

CELLS = {
    **dict.fromkeys(COLUMNS, ""), "batch": "1", "published": "1000", "tolerance": "0.2", "tolerance_kind": "relative",
    "direction": "within", "scored": "yes", "reason": "rounded", "work": "Somebody", "year": "2017", "locator": "T. 7",
}  # fmt: skip

MLP = "mlp:hidden=31,inputs=17,classes=7"
NAME = "mlp-17-31-7"
MACS = 17 * 31 + 31 * 7


def table(path: Path, **cells: str) -> Path:
    """Write a table of one line, with optional columns where `cells` has them."""
    columns = [*COLUMNS, *(name for name in OPTIONAL_COLUMNS if name in cells)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerow({**CELLS, **cells})
    return path


def test_an_error_is_relative_to_the_reference_and_in_points_for_fractions() -> None:
    assert ROW.error == pytest.approx(100 * (11 - 10) / 10)
    share = replace(ROW, simulated=0.17, reference=0.13, unit="fraction", quantity="stall_fraction")
    assert share.error == pytest.approx(17 - 13)
    assert (ROW.topic, share.topic, replace(ROW, quantity="active_pes").topic) == ("time", "shares", "")
    assert [replace(ROW, quantity=name).topic for name in ("chip_power_w", "conv_energy_over_row_stationary")] == [
        "energy", "energy",
    ]  # fmt: skip


def test_mean_median_worst_and_bias_are_of_the_rows_that_count() -> None:
    rows = [
        replace(ROW, simulated=simulated, subject=f"conv{place}", baseline=15.0)
        for place, simulated in enumerate((8.0, 11.0, 12.5), 1)
    ]
    found = score([*rows, replace(ROW, simulated=99.0, why_not="a constant was fitted on it")])
    assert (found.rows, found.scored) == (4, 3)
    assert found.mean == pytest.approx((20 + 10 + 25) / 3)
    assert found.median == pytest.approx(20)
    assert found.worst == pytest.approx(25)
    assert found.worst_row == "conv3"
    assert found.bias_percent == pytest.approx(100 * ((0.8 * 1.1 * 1.25) ** (1 / 3) - 1))
    assert found.baseline == pytest.approx(50)


def test_a_mean_above_what_was_asked_for_is_missed() -> None:
    # 8 % were asked of the TPU's operations per second: 7.9 is met, 8.1 missed
    rows = [replace(ROW, machine="tpu_v1", metric="operations per second", simulated=10.79)]
    assert not score(rows).missed_target
    assert score([replace(rows[0], simulated=10.81)]).missed_target
    with pytest.raises(LimitError, match=r"tpu_v1, operations per second: 8\.1 %"):
        require_within(scores([replace(rows[0], simulated=10.81)]), 8)
    require_within(scores(rows), 8)


def test_rows_outside_their_tolerance_are_listed_and_exact_ones_are_not_worst() -> None:
    lost = replace(ROW, met=False, tolerance="±5 %")
    assert "| chip | time | conv1 | 11 s | 10 s | +10.0 % | ±5 % | Table 7 |" in markdown.missed([lost], [])
    assert "conv1" not in markdown.worst_table([replace(ROW, simulated=10.0)])
    assert score([replace(ROW, simulated=10.0)]).worst_row == ""


def test_fits_of_a_machine_are_added_once_each() -> None:
    fits = Fit("products", 11, 20), Fit("sums", 3, 7)
    rows = [replace(ROW, metric=name, fit=fit) for name, fit in (("a", fits[0]), ("b", fits[1]), ("c", fits[0]))]
    assert constants(scores(rows)) == "14 on 27 shapes"
    assert constants(scores([replace(ROW, machine="eie")])) == "none"


def test_notes_are_of_a_metric_else_of_the_machine_and_variants_share_them() -> None:
    assert note_of("eyeriss", "processing latency").target_percent == 4.3
    assert note_of("eyeriss, CONV4's mapping for CONV3", "processing latency").target_percent == 4.3
    assert note_of("gpu:k80 over cpu:haswell_e5_2699v3", "speed-up") == note_of("gpu:k80", "anything")
    assert note_of("nothing", "at all").calibrated == ""


def test_a_row_says_which_network_is_run_and_a_new_table_needs_no_code(tmp_path: Path) -> None:
    path = table(
        tmp_path / "mine.csv", network=NAME, chip="systolic:rows=5,cols=3", quantity="macs", published="700",
        unit="MACs", run=MLP, metric="work",
    )  # fmt: skip
    (one,) = published_records(read(path))
    assert (one.simulated, one.reference, one.machine, one.metric) == (MACS, 700, "systolic", "work")
    assert one.met is (abs(MACS - 700) <= 0.2 * 700)


def test_without_a_run_the_network_is_asked_for_in_the_rows_batch(tmp_path: Path) -> None:
    (row,) = read(table(tmp_path / "t.csv", network="alexnet", chip="eyeriss", quantity="macs", unit="MACs", batch="3"))
    assert [run.network for run in runs_of(row)] == ["alexnet:batch=3"]


def test_a_value_over_another_runs_is_their_quotient(tmp_path: Path) -> None:
    path = table(
        tmp_path / "ratio.csv", network=NAME, chip="systolic:rows=5,cols=3", quantity="total_cycles", published="1",
        unit="times", run=MLP, over_chip="systolic:rows=2,cols=2",
    )  # fmt: skip
    ours, theirs = (hwsim.simulate(MLP, on=f"systolic:{size}") for size in ("rows=5,cols=3", "rows=2,cols=2"))
    quotient = ours.total["total_cycles"] / theirs.total["total_cycles"]
    (one,) = published_records(read(path))
    assert one.simulated == pytest.approx(quotient)
    (pair,) = compare([theirs, ours], path)
    assert pair.simulated == pytest.approx(quotient)
    with pytest.raises(UsageError):
        compare(ours, path)  # nothing to divide by


def test_a_quantity_that_a_run_does_not_have_is_named(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", network=NAME, chip="systolic", quantity="warp_cycles", unit="cycles", run=MLP)
    with pytest.raises(InputError, match="table 't' has warp_cycles of mlp-17-31-7, which mlp-17-31-7 on systolic"):
        list(published_records(read(path)))


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"over_format": "fp32"}, "over_format is 'fp32', and no over_chip says whose run that is"),
        ({"over_chip": "eie"}, "unit is 'MACs', and a value over another run's is in times"),
        ({"tolerance_kind": "factor", "tolerance": "0.5"}, "tolerance is '0.5', and a factor is at least 1"),
        ({"why_not": "calibrated"}, "why_not is 'calibrated', and the row is scored"),
        ({"scored": "no", "why_not": "calibratd"}, "did you mean 'calibrated'?"),
    ],
)
def test_a_malformed_row_is_one_sentence(tmp_path: Path, cells: dict[str, str], said: str) -> None:
    path = table(tmp_path / "t.csv", **{"network": "n", "chip": "c", "quantity": "macs", "unit": "MACs", **cells})
    with pytest.raises(InputError) as raised:
        read(path)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("direction", "simulated", "met"),
    [("within", 4.0, True), ("within", 3.9, False), ("within", 9.0, True), ("within", 9.1, False),
     ("at_least", 3.9, False), ("at_least", 100.0, True), ("at_most", 9.1, False), ("at_most", 0.1, True)],
)  # fmt: skip
def test_a_factor_allows_as_much_above_as_below(tmp_path: Path, direction: str, simulated: float, met: bool) -> None:
    # 6 within a factor of 1.5: from 6 / 1.5 = 4 to 6 * 1.5 = 9
    cells = {"network": "n", "chip": "c", "quantity": "speed", "unit": "m/s", "published": "6"}
    (row,) = read(table(tmp_path / "t.csv", tolerance_kind="factor", tolerance="1.5", direction=direction, **cells))
    assert row.is_met_by(simulated) is met


def test_every_shipped_row_says_what_is_run_and_every_unscored_one_why_not() -> None:
    rows = expectations()
    assert [row for row in rows if not row.run or not row.metric] == []
    assert [row for row in rows if not row.scored and not row.why_not] == []
    assert all(row.unit == "times" for row in rows if row.over)


def test_machines_are_chips_without_parameters_but_for_a_presets_name() -> None:
    assert machine_of("dadiannao:nodes=64,tile_edram_mib=16") == "dadiannao"
    assert machine_of("cpu:haswell_e5_2699v3,caches=warm") == "cpu:haswell_e5_2699v3"


def test_a_step_of_training_inside_a_network_has_the_gradient_by_its_inputs() -> None:
    (row,) = (
        row for row in expectations("dadiannao_growth") if row.run == "dadiannao_layers:layer=CLASS1,training=inputs"
        and row.quantity == "inferences_per_s"
    )  # fmt: skip
    network = training(catalog.network("dadiannao_layers:layer=CLASS1"), of_inputs=True)
    many, one = (hwsim.simulate(network, on=chip, format="fixed32") for chip in (row.chip, row.over.chip))  # type: ignore[union-attr]
    (found,) = published_records([row])
    assert found.simulated == pytest.approx(one.total["total_cycles"] / many.total["total_cycles"])


def test_no_row_is_scored_of_a_shape_that_calibrated() -> None:
    for found in gpu_tables():
        for part in found.parts:
            chosen, tested = tables.split(part)
            assert len(chosen) == part.shapes
            assert {row.known_shape for row in chosen}.isdisjoint(row.known_shape for row in tested)


def test_which_rows_calibrate_is_told_by_a_hash_of_seed_and_shape() -> None:
    part = next(found for found in gpu_tables() if found.name == "GEMM bf16 H100").parts[0]
    keys = [hashlib.sha256(f"0|gemm,{','.join(map(str, row.shape))}".encode()).hexdigest() for row in part.rows]
    fortieth = sorted(keys)[39]
    assert sum(key <= fortieth for key in keys) == 40
    assert {id(row) for row in tables.split(part)[0]} == {
        id(row) for row, key in zip(part.rows, keys, strict=True) if key <= fortieth
    }


def test_shipped_kernels_are_small_and_say_where_they_are_from() -> None:
    paths = sorted(FOLDER.glob("*.csv"))
    assert sum(path.stat().st_size for path in paths) < 2**20
    for path in paths:
        with path.open(newline="", encoding="utf-8") as file:
            assert all("@" in row["source"] and float(row["ms"]) > 0 for row in csv.DictReader(file))


def test_networks_that_constants_were_fitted_on_are_not_among_those_told() -> None:
    runs = cpu.recorded()
    assert runs
    assert not any(run.network.startswith("calibration") for run in runs)
    assert {run.threads for run in runs} == {"2"}


def test_a_roofline_is_the_slower_of_peak_rate_and_memory() -> None:
    # 2 cores of 32 multiply-accumulates at 3.64 GHz, 36 GB/s: 4 x 4 x 1009 x 1013 bytes of weights are what takes time
    result = hwsim.simulate("mlp:hidden=1009,inputs=1013,classes=11", on="cpu:sapphire_rapids_vm_2c", format="fp32")
    first = next(layer for layer in result.layers if layer.layer.is_mac)
    assert cpu.roofline_seconds(first) == pytest.approx(4 * (1009 * 1013 + 1013 + 1009) / 36e9, rel=2e-3)


def test_claims_are_told_with_their_source() -> None:
    assert {one.comparable for one in claims()} >= {"tpu_v1", "eyeriss", "gpu", "cpu"}
    assert all(one.claim and one.source.work and one.source.locator for one in claims())


def test_numbers_are_written_as_people_read_them() -> None:
    assert [percent(one) for one in (None, 0.0, 0.204, 12.345, 466.2)] == ["", "0 %", "0.20 %", "12.3 %", "466 %"]
    assert (percent(5.73, True, True), percent(-7.6, signed=True)) == ("+5.7 points", "-7.6 %")
    assert (value(1.27e-3, "s"), value(0.127, "fraction"), value(2.18, "times")) == ("1.27 ms", "12.7 %", "2.18 times")
    assert [in_short(Source(work, 2016, "")) for work in ("Han et al., EIE, ISCA", "Chen, Emer and Sze, Eyeriss")] == [
        "Han et al. 2016", "Chen, Emer and Sze 2016",
    ]  # fmt: skip


def test_the_readme_is_written_between_its_marks_and_nowhere_else(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(f"above\n{readme.BEGIN}\nold\n{readme.END}\nbelow\n", encoding="utf-8")
    readme.insert(path, "new\n")
    assert path.read_text(encoding="utf-8") == f"above\n{readme.BEGIN}\nnew\n{readme.END}\nbelow\n"
    path.write_text("no marks", encoding="utf-8")
    with pytest.raises(InputError, match="has no lines '<!-- scoreboard -->'"):
        readme.insert(path, "new\n")
    with pytest.raises(UsageError, match="cannot read"):
        readme.insert(tmp_path / "none.md", "new\n")
