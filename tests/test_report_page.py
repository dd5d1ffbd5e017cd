"""`hwsim report --html`: one page that needs nothing else, says what the folders say, and runs nothing of theirs."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import matplotlib as mpl
import pytest
import studies
from command import answer, hwsim
from report_pages import HOSTILE, LARGE, MLP, SMALL, Parsed, changed, folder, hostile, parsed

mpl.use("agg")

from hwsim import catalog, simulate
from hwsim.results import page, page_figures, page_glossary, page_layers, page_results, page_runs, store
from hwsim.results.frame import read_frame
from hwsim.results.page import Cell, Column, Page, Section, Table

EYERISS = "eyeriss:mapping=published"
"""A chip that tables have values of."""

PLAIN = {"what", "value", "source", "used by", "table", "rows", "run", "note"}
"""Headings that say what they mean."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def text(run: Path) -> str:
    """A page without figures."""
    return page.html(page_results.page(page_runs.read([run]), []))


@pytest.fixture(scope="module")
def hostile_text(tmp_path_factory: pytest.TempPathFactory) -> str:
    return page.html(page_results.page(page_runs.read([hostile(tmp_path_factory.mktemp("hostile"))]), []))


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def numbers(found: Table, column: str) -> list[float | None]:
    place = [one.title for one in found.columns].index(column)
    return [cells[place].value for cells in found.rows]


def test_a_page_loads_nothing_and_allows_only_its_own_style_and_script(text: str) -> None:
    found = parsed(text)
    policy = next(one["content"] for one in found.all("meta") if "http-equiv" in one)
    assert policy is not None
    allowed = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert allowed == {
        "default-src": "'none'", "img-src": "data:", "style-src": digest(found.texts["style"][0]),
        "script-src": digest(found.texts["script"][0]), "base-uri": "'none'", "form-action": "'none'",
    }  # fmt: skip
    assert len(found.all("style")) == len(found.all("script")) == 1
    assert all((one["href"] or "").startswith("#") for one in found.all("a"))
    assert not {"link", "iframe", "object", "embed", "form", "base", "svg"} & {tag for tag, _ in found.elements}
    assert "url(" not in found.texts["style"][0]
    assert "@import" not in found.texts["style"][0]


def test_no_element_has_a_style_or_a_handler_that_the_policy_would_refuse(text: str, hostile_text: str) -> None:
    for found in (parsed(text), parsed(hostile_text)):
        names = {name for _, attributes in found.elements for name in attributes}
        assert not [name for name in names if name == "style" or name.startswith("on")]


def test_hostile_texts_add_no_element_and_are_shown_as_they_are(text: str, hostile_text: str) -> None:
    clean, found = parsed(text), parsed(hostile_text)
    assert {tag for tag, _ in found.elements} <= {tag for tag, _ in clean.elements}
    assert len(found.all("script")) == len(found.all("style")) == len(found.all("title")) == 1
    shown = "".join(piece for pieces in found.texts.values() for piece in pieces)
    assert "49" not in found.texts["title"][0]
    for name in HOSTILE:
        assert name.replace("\u202e", "\\u202e") in shown


def test_a_text_that_is_too_long_is_cut_and_says_so() -> None:
    assert page.shortened("x" * 5000) == "x" * 4000 + "… (5000 characters)"


def test_totals_are_those_of_the_runs_and_the_best_of_each_column_is_marked(run: Path) -> None:
    found = page_runs.summary(page_runs.read([run]))
    small, large = (simulate(MLP, on=chip).total for chip in (SMALL, LARGE))
    assert numbers(found, "latency") == [small["seconds"], large["seconds"]]
    assert numbers(found, "energy") == [small["energy_pj"] / 1e12, large["energy_pj"] / 1e12]
    assert numbers(found, "EDP") == [one["seconds"] * (one["energy_pj"] / 1e12) for one in (small, large)]
    titles = [one.title for one in found.columns]
    marked = [[title for title, cell in zip(titles, cells, strict=True) if cell.best] for cells in found.rows]
    # the larger array is faster, and so has the higher throughput; its energy is the lower or not
    assert {"latency", "throughput"} <= set(marked[1])
    assert sorted([*marked[0], *marked[1]]) == sorted(titles[1:])


def test_runs_of_other_networks_or_batches_are_not_compared(run: Path, tmp_path: Path) -> None:
    other = folder(tmp_path, f"{MLP},batch=3", (SMALL,))
    changed_one = json.loads((other / store.RESULT).read_text("utf-8"))
    assert changed_one["layers"][0]["batch"] == 3
    found = page_runs.summary(page_runs.read([run, other]))
    assert [one.title for one in found.columns][:2] == ["chip", "batch"]
    assert not any(cell.best for cell in found.rows[2])
    assert any(cell.best for cell in found.rows[0])


def test_an_energy_that_was_not_measured_is_a_dash_and_never_the_best(run: Path, tmp_path: Path) -> None:
    other = folder(tmp_path)
    whole = json.loads((other / store.RESULT).read_text("utf-8"))
    whole["results"][0]["total"]["energy_pj"] = 0.0
    (other / store.RESULT).write_text(json.dumps(whole), encoding="utf-8")
    found = page_runs.summary(page_runs.read([other]))
    place = [one.title for one in found.columns].index("energy")
    assert found.rows[0][place].text == page.UNKNOWN
    assert not any(cells[place].best for cells in found.rows)


def test_a_measured_network_is_as_fast_as_it_was_timed_without_its_layers(tmp_path: Path) -> None:
    run = folder(tmp_path, chips=(SMALL,))
    whole = json.loads((run / store.RESULT).read_text("utf-8"))
    whole["inputs"]["fidelity"] = "measured"
    whole["total"] |= {"network_seconds": 7.0, "energy_pj": 3e12, "utilisation": None}
    (run / store.RESULT).write_text(json.dumps(whole), encoding="utf-8")
    one = page_runs.read([run])[0]
    found = page_runs.summary([one])
    assert found.rows[0][0].text == f"{SMALL} (measured)"
    assert (numbers(found, "latency"), numbers(found, "EDP")) == ([7.0], [21.0])
    assert "utilisation" not in [column.title for column in found.columns]
    (table,) = page_layers.layers(one).tables
    titles = [column.title for column in table.columns]
    assert not {"cycles", "waiting", "utilisation"} & set(titles)
    assert table.total[titles.index("share of time")].value == pytest.approx(1)


@pytest.mark.parametrize("wrong", [None, 7, "text", {"a": 1}, [None, 7, "text", [1]], [{"area_mm2": "x", "what": 3}]])
def test_parts_of_the_wrong_kind_are_left_out(wrong: object, tmp_path: Path) -> None:
    found = page_runs.read([changed(folder(tmp_path), notes=wrong, sources=wrong, hwsim=wrong, not_simulated=wrong)])
    assert "<h1>mlp-17-31-13-7 on" in page.html(page_results.page(found, []))


@pytest.mark.parametrize("value", ["Infinity", 1e400, True, None, [1], 10**400])
def test_what_is_no_finite_number_is_a_dash(value: object) -> None:
    assert page.numeral(value, str) == Cell(page.UNKNOWN)


def test_layers_are_listed_in_order_with_the_sums_below(run: Path) -> None:
    one = page_runs.read([run])[0]
    (table,) = page_layers.layers(one).tables
    rows = [row for row in simulate(MLP, on=SMALL).rows if row["seconds"]]
    assert [cells[0].text for cells in table.rows] == [row["layer"] for row in rows]
    assert numbers(table, "cycles") == [row["total_cycles"] for row in rows]
    assert numbers(table, "DRAM traffic") == [row["dram_read_bytes"] + row["dram_write_bytes"] for row in rows]
    total = dict(zip((column.title for column in table.columns), table.total, strict=True))
    assert total["cycles"].value == sum(row["total_cycles"] for row in rows)
    assert total["share of time"].value == pytest.approx(1)
    assert total["share of energy"].value == pytest.approx(1)
    assert total["waiting"].value == sum(row["stall_cycles"] for row in rows) / sum(row["total_cycles"] for row in rows)


def test_of_too_many_layers_the_longest_are_listed_and_the_rest_are_counted(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_layers, "MOST_LAYERS", 2)
    one = page_runs.read([run])[0]
    (table,) = page_layers.layers(one).tables
    times = sorted((row["seconds"] for row in one.layers), reverse=True)[:2]
    assert sorted(filter(None, numbers(table, "time")), reverse=True) == times
    assert table.note == f"Not shown: {len(one.layers) - 2} layers that take less time than those listed."


def test_published_values_stand_beside_those_simulated(tmp_path: Path) -> None:
    runs = page_runs.read([folder(tmp_path, "alexnet:batch=4", (EYERISS,))])
    section = next(one for one in page_results.page(runs, []).sections if one.title == "Beside published values")
    rows = [cells for fold in section.folds for table in fold.tables for cells in table.rows]
    assert section.tables[0].rows
    assert len(rows) == sum(cells[1].value or 0 for cells in section.tables[0].rows)
    simulated, published, error = (cell.value for cell in rows[0][2:5])  # behind layer and quantity
    assert simulated is not None
    assert published is not None
    assert error == pytest.approx(100 * (simulated / published - 1))


def test_sources_say_which_chips_use_them_and_assumptions_stand_apart(tmp_path: Path) -> None:
    runs = page_runs.read([folder(tmp_path, chips=(SMALL, "tpu_v1"))])
    section = next(one for one in page_results.page(runs, []).sections if one.title.startswith("Sources"))
    published, assumed = (fold.tables[0].rows for fold in section.folds)
    assert all(cells[2].text.startswith("assumed") for cells in assumed)
    assert not any(cells[2].text.startswith("assumed") for cells in published)
    assert {SMALL, "tpu_v1", f"{SMALL}, tpu_v1"} >= {cells[3].text for cells in (*published, *assumed)}


def test_the_glossary_explains_every_column_that_is_shown(tmp_path: Path) -> None:
    runs = page_runs.read([folder(tmp_path, "alexnet:batch=4", (EYERISS, SMALL))])
    found = page_results.page(runs, [])
    explained = {term.word for term in found.sections[-1].terms}
    tables = [table for one in found.sections for part in (one, *one.folds) for table in part.tables]
    for title in {column.title for table in tables for column in table.columns} - PLAIN:
        assert explained & set(page_results.words(title)), title


def test_columns_of_layers_say_their_units() -> None:
    columns = page_glossary.columns(["glb_read_bytes", "energy_pe_control_pj", "seconds", "active_pes"])
    assert [(one.unit, one.meaning) for one in columns] == [
        ("B", "read from the memory 'glb'"),
        ("pJ", "energy of the component 'pe control'"),
        ("s", "time of the layer"),
        ("", "active pes"),
    ]


def test_a_page_of_the_same_folders_is_the_same_text(run: Path, tmp_path: Path) -> None:
    pages = []
    for name in ("one.html", "two.html"):
        answer("report", "matrix_unit", folder(tmp_path / "run", chips=("tpu_v1",)), "--html", tmp_path / name)
        pages.append((tmp_path / name).read_bytes())
    assert pages[0] == pages[1]
    (image,) = parsed(pages[0].decode()).all("img")
    assert (image["src"] or "").startswith(("data:image/svg+xml;base64,", "data:image/png;base64,"))
    assert catalog.describe("report", "matrix_unit") in (image["alt"] or "")


def test_all_draws_each_report_that_the_columns_allow(tmp_path: Path) -> None:
    run = folder(tmp_path / "run", chips=("tpu_v1",))
    printed = answer("report", "all", run, "--out", tmp_path / "pictures").splitlines()
    possible = page_figures.possible(read_frame(run))
    assert {"matrix_unit", "layers"} <= set(possible)
    assert {Path(line).stem for line in printed} <= set(possible)
    assert {"matrix_unit", "layers"} <= {Path(line).stem for line in printed}
    assert all(Path(line).is_file() for line in printed)


def test_a_study_has_a_page_of_its_best_points_and_its_front(tmp_path: Path) -> None:
    study = studies.filled(tmp_path / "study.sqlite")
    assert answer("report", "pareto", study, "--html", tmp_path / "page.html") == f"{tmp_path / 'page.html'}\n"
    found = parsed((tmp_path / "page.html").read_text("utf-8"))
    assert found.texts["h1"] == ["Study study"]
    assert len(found.all("img")) == 1
    assert "Pareto front" in found.texts["h2"]
    # of 77 points those with an ordinal that 13 divides failed: 0, 13, 26, 39, 52, 65
    assert "71 points of 1 network and" in "".join(found.texts["p"])
    assert "which is a multiple of 13" in "".join(found.texts["li"])


def test_a_page_that_cannot_be_made_says_why(run: Path, tmp_path: Path) -> None:
    study = studies.filled(tmp_path / "study.sqlite")
    (tmp_path / "broken").mkdir()
    for words, code, said in (
        (("all", run, "--html", tmp_path / "p.html", "--out", tmp_path), 2, "give one of them"),
        (("matrix_unit", run, "--html", tmp_path / "p.html"), 3, "needs the columns useful_macs_fraction"),
        (("layer", run, "--html", tmp_path / "p.html"), 2, "did you mean 'layers'?"),
        (("all", tmp_path / "broken", "--html", tmp_path / "p.html"), 2, "is no result folder"),
        (("all", run, study, "--html", tmp_path / "p.html"), 2, "of result folders or of one study"),
    ):
        ran = hwsim("report", *words)
        assert (ran.code, said in ran.err) == (code, True), ran.err
        assert not (tmp_path / "p.html").exists()


def test_chips_that_were_left_out_are_told_with_the_reason(tmp_path: Path) -> None:
    store.write_tables([simulate(MLP, on=SMALL)], tmp_path / "run", 0.0, {"eie": "why"})
    manifest = tmp_path / "run" / store.MANIFEST
    assert json.loads(manifest.read_text("utf-8"))["left_out"] == [{"chip": "eie", "why": "why"}]
    for told, said in (([{"chip": "eie", "why": HOSTILE[0]}], HOSTILE[0]), ("none", ""), ([3, {"chip": "eie"}], "")):
        manifest.write_text(json.dumps({"left_out": told}), encoding="utf-8")
        answer("report", "layers", tmp_path / "run", "--html", tmp_path / "p.html")
        items = parsed((tmp_path / "p.html").read_text("utf-8")).texts["li"]
        assert [item for item in items if "was left out" in item] == ([f"eie was left out: {said}"] if said else [])


def test_a_malformed_result_is_refused(tmp_path: Path) -> None:
    run = changed(folder(tmp_path / "run"), layers=[{"layer": 3}])
    ran = hwsim("report", "layers", run, "--html", tmp_path / "p.html")
    assert (ran.code, "has no 'layer' that is a text" in ran.err) == (3, True), ran.err


def test_thousands_of_rows_are_written_in_a_second() -> None:
    import time

    rows = tuple(
        (Cell(f"layer {place}"), *(Cell(f"{place}", float(place)) for _ in range(10))) for place in range(5000)
    )
    columns = (Column("layer"), *(Column(f"c{place}", True) for place in range(10)))
    started = time.process_time()
    written = page.html(Page("many", (), (Section("Layers", tables=(Table("all", columns, rows),)),)))
    assert time.process_time() - started < 3
    assert written.count("<tr>") == 5001
    assert len(written) < 4e6


def test_parsed_sees_what_it_should() -> None:
    found: Parsed = parsed("<p onclick='x'>a<b>c</b></p>")
    assert found.all("p") == [{"onclick": "x"}]
    assert found.texts == {"p": ["a"], "b": ["c"]}
