"""A study's points as CSV and Parquet: the same bytes whatever the order of work, and the very numbers back."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
import studies
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.cli.export import export
from hwsim.cli.report import report
from hwsim.errors import HardwareError, HwsimError, InputError, UsageError
from hwsim.sweep.database import Study
from hwsim.sweep.space import Axis

pa = pytest.importorskip("pyarrow", reason="Parquet is written by pyarrow")

FORMATS = ("csv", "parquet")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return studies.filled(tmp_path_factory.mktemp("study") / "study.sqlite")


def run(command: Any, *words: object) -> str:
    """Return what a verb prints; raises what it raises."""
    return CliRunner().invoke(command, list(map(str, words)), catch_exceptions=False, standalone_mode=False).stdout


def written(study: Path, out: Path, *words: object) -> bytes:
    """Return the bytes that `hwsim export` writes."""
    run(export, study, "--out", out, *words)
    return out.read_bytes()


def frame(path: Path, layers: bool = False) -> pd.DataFrame:
    with Study.open(path, create=False, readonly=True) as study:
        return study.frame(layers)


def read_csv(path: Path, like: pd.DataFrame) -> pd.DataFrame:
    """Return a CSV as any user of pandas reads it who knows which columns are texts."""
    texts = [name for name in like if like[name].dtype == "str"]
    exact: Any = {} if tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1) else {"float_precision": "round_trip"}
    found: pd.DataFrame = pd.read_csv(
        path, dtype=dict.fromkeys(texts, "str"), keep_default_na=False, na_values=[""], **exact
    )
    return found.fillna(dict.fromkeys(texts, ""))


@pytest.mark.parametrize("layers", [(), ("--layers",)])
@pytest.mark.parametrize("suffix", FORMATS)
def test_studies_of_the_same_points_give_the_same_bytes_whatever_came_first(
    path: Path, tmp_path: Path, suffix: str, layers: tuple[str, ...]
) -> None:
    backwards = studies.filled(tmp_path / "backwards.sqlite", order=-1)
    both = [written(one, tmp_path / f"{one.stem}.{suffix}", *layers) for one in (path, backwards)]
    assert both[0] == both[1]


def test_rows_are_sorted_by_what_names_a_point(path: Path) -> None:
    found = frame(path)
    names = ["network", "chip", "dataflow", "format", "weight_density"]
    assert found.equals(found.sort_values(names, ignore_index=True))
    assert list(found)[:8] == [*names, "input_density", "network_depth", "chip_rows"]
    assert "point" not in found
    layers = frame(path, layers=True)
    assert layers["layer_index"].tolist() == [0, 1] * (len(layers) // 2)
    assert {"format", "layer_format", "layer_index", "layer"} <= set(layers)


@pytest.mark.parametrize("layers", [False, True])
def test_a_csv_is_read_as_the_frame(path: Path, tmp_path: Path, layers: bool) -> None:
    written(path, tmp_path / "a.csv", *["--layers"] * layers)
    expected = frame(path, layers)
    pd.testing.assert_frame_equal(read_csv(tmp_path / "a.csv", expected), expected)


@pytest.mark.parametrize("layers", [False, True])
def test_a_parquet_is_read_as_the_frame(path: Path, tmp_path: Path, layers: bool) -> None:
    written(path, tmp_path / "a.parquet", *["--layers"] * layers)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), frame(path, layers))


def test_whole_numbers_are_whole_in_parquet_also_where_points_failed(path: Path, tmp_path: Path) -> None:
    written(path, tmp_path / "a.parquet")
    table = pa.parquet.read_table(tmp_path / "a.parquet")
    cycles = table.column("total_cycles")
    assert (str(cycles.type), cycles.null_count) == ("int64", 6)
    assert max(one for one in cycles.to_pylist() if one is not None) == 77 * 2**33 + len("total_cycles")


@settings(max_examples=15, deadline=None)
@given(
    numbers=st.lists(st.floats(allow_nan=False), min_size=3, max_size=3),
    whole=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3),
    text=st.text(st.characters(exclude_categories=("C", "Z")), min_size=1),
)
def test_any_numbers_and_texts_are_read_again(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float], whole: list[int], text: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    space, ordinals = studies.space(), np.array([1, 2, 3], np.int64)
    block = space.blocks[0]
    space = type(space)((block._replace(axes=(*block.axes[:1], Axis("dataflow", (text,)), *block.axes[2:])),), ())
    rows = studies.rows(ordinals)
    rows.points.update(seconds=np.array(numbers), macs=np.array(whole))
    with Study.open(folder / "a.sqlite", create=True) as study:
        study.add_space(space)
        study.commit(space, rows, space.keys(ordinals))
        expected = study.frame()
    # SQLite has no -0.0
    assert sorted(map(repr, expected["seconds"])) == sorted(repr(one + 0.0) for one in numbers)
    for suffix in FORMATS:
        written(folder / "a.sqlite", folder / f"a.{suffix}")
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "a.parquet"), expected)
    pd.testing.assert_frame_equal(read_csv(folder / "a.csv", expected), expected)


def with_texts(path: Path, *texts: str) -> Path:
    """Return the path of a study with a dataflow of each of these names."""
    block = studies.space().blocks[0]
    space = type(studies.space())(
        (block._replace(axes=(*block.axes[:1], Axis("dataflow", texts), *block.axes[2:])),), ()
    )
    return studies.filled(path, space)


def test_control_characters_do_not_reach_a_terminal(tmp_path: Path) -> None:
    path = with_texts(tmp_path / "a.sqlite", "red\x1b[31m", "two\nlines", 'a "quoted", one')
    found = run(export, path)
    assert len(found.splitlines()) == 1 + 3 * 77
    assert found.replace("\n", "").isprintable()
    assert "red\\x1b[31m" in found
    assert '"a ""quoted"", one"' in found


def test_standard_output_has_the_bytes_of_the_file(path: Path, tmp_path: Path) -> None:
    assert run(export, path).encode() == written(path, tmp_path / "a.csv")
    assert run(export, path, "--layers").encode() == written(path, tmp_path / "a.csv", "--layers")


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_study_without_points_is_a_header(tmp_path: Path, suffix: str) -> None:
    with Study.open(tmp_path / "a.sqlite", create=True) as study:
        study.add_space(studies.space())
        expected = study.frame()
    assert len(expected) == 0
    written(tmp_path / "a.sqlite", out := tmp_path / f"a.{suffix}")
    found = pd.read_csv(out) if suffix == "csv" else pd.read_parquet(out)
    assert (list(found), len(found)) == (list(expected), 0)
    written(tmp_path / "a.sqlite", out, "--layers")


# readers of the file itself


def test_pandas_reads_the_file_directly(path: Path) -> None:
    connection = sqlite3.connect(path)
    try:
        found = pd.read_sql("SELECT chip_rows, min(seconds) AS seconds FROM points GROUP BY chip_rows", connection)
        layers = pd.read_sql("SELECT * FROM layers JOIN points USING (point)", connection)
    finally:
        connection.close()
    expected = frame(path).groupby("chip_rows")["seconds"].min()
    assert dict(zip(found["chip_rows"], found["seconds"], strict=True)) == expected.to_dict()
    assert len(layers) == len(frame(path, layers=True))


def test_duckdb_reads_what_is_exported(path: Path, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    expected = frame(path).groupby("chip_rows")["energy_pj"].sum().to_dict()
    for suffix in FORMATS:
        written(path, out := tmp_path / f"a.{suffix}")
        found = duckdb.sql(f"SELECT chip_rows, sum(energy_pj) FROM '{out}' GROUP BY chip_rows").fetchall()
        assert dict(found) == pytest.approx(expected)


def test_duckdb_reads_the_file_directly(path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    connection = duckdb.connect(config={"autoinstall_known_extensions": False})
    try:
        connection.execute("LOAD sqlite")
    except duckdb.Error:
        pytest.skip("duckdb's sqlite extension is not here; INSTALL sqlite downloads it")
    connection.execute(f"ATTACH '{path}' AS study (TYPE sqlite, READ_ONLY)")
    found = connection.execute("SELECT chip_rows, sum(energy_pj) FROM study.points GROUP BY chip_rows").fetchall()
    assert dict(found) == pytest.approx(frame(path).groupby("chip_rows")["energy_pj"].sum().to_dict())


# what is refused


def test_without_pyarrow_the_extra_is_named(path: Path, tmp_path: Path) -> None:
    missing = patch.dict(sys.modules, {"pyarrow": None, "pyarrow.parquet": None})
    with missing, pytest.raises(UsageError, match=r"pip install 'hwsim\[sweep\]'"):
        written(path, tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a", "a.txt", "a.sqlite", "a.csv.gz"])
def test_a_suffix_that_is_none_is_refused_before_the_study_is_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"is neither a \.csv nor a \.parquet"):
        run(export, tmp_path / "missing.sqlite", "--out", tmp_path / name)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is a full disk of Linux's")
@pytest.mark.parametrize("suffix", FORMATS)
def test_an_export_to_a_full_disk_is_a_sentence_and_leaves_what_was_there(
    path: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"a.{suffix}"
    out.write_text("before")
    out.with_name(f".{out.name}.part").symlink_to("/dev/full")
    with pytest.raises(HardwareError, match=r"cannot write '.*a\.\w+': No space left on device"):
        written(path, out)
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [(out.name, "before")]


def test_a_number_that_is_none_is_a_sentence_in_every_form(tmp_path: Path) -> None:
    path = studies.filled(tmp_path / "a.sqlite")
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE points SET seconds = 'soon'")
    connection.close()
    with pytest.raises(InputError, match="column 'seconds' holds something that is no number"):
        written(path, tmp_path / "a.parquet")
    assert [one.name for one in tmp_path.iterdir()] == ["a.sqlite"]


def test_help_imports_no_pandas() -> None:
    code = (
        "import sys; from hwsim.cli import export; print({'pandas', 'numpy', 'sqlite3', 'pyarrow'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"


# reports

REPORT = """
from matplotlib.figure import Figure

NEEDS = ("chip_rows", "energy_pj")


def mine(frame):
    assert len(frame) == {points}
    figure = Figure()
    figure.subplots().plot(frame["chip_rows"], frame["energy_pj"])
    return figure
"""


def test_a_report_draws_the_points_of_a_study_that_did_not_fail(tmp_path: Path) -> None:
    path = studies.filled(tmp_path / "study.sqlite")
    mine = tmp_path / "mine.py"
    mine.write_text(REPORT.format(points=77 - 6))
    with patch("hwsim.catalog._find", lambda noun, spec: loaded(mine)):
        said = run(report, "mine", path)
    folder = tmp_path / "study" / "figures"
    assert said.splitlines() == [str(folder / "mine.png"), str(folder / "mine.svg")]
    assert all(one.is_file() for one in folder.iterdir())


def loaded(path: Path) -> Any:
    from hwsim import catalog

    return catalog._from_file("report", path)


def test_a_report_of_layers_says_what_a_study_lacks(path: Path) -> None:
    with pytest.raises(InputError, match="report 'pe_sets' needs the columns"):
        run(report, "pe_sets", path)
    with pytest.raises(InputError, match="report 'layers' needs the columns layer, which these results do not have"):
        run(report, "layers", path)


def test_a_study_of_failures_alone_has_nothing_to_draw(tmp_path: Path) -> None:
    space, ordinals = studies.space(), np.array([0, 13], np.int64)
    with Study.open(tmp_path / "a.sqlite", create=True) as study:
        study.add_space(space)
        study.commit(space, studies.rows(ordinals), space.keys(ordinals))
    with pytest.raises(InputError, match="has no points that were computed"):
        run(report, "pe_sets", tmp_path / "a.sqlite")


def test_a_file_of_another_program_is_a_sentence_to_a_report(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "a.sqlite")
    connection.execute("CREATE TABLE a(a)")
    connection.close()
    with pytest.raises(HwsimError, match="of another program"):
        run(report, "pe_sets", tmp_path / "a.sqlite")
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(HwsimError, match="is no result folder"):
        run(report, "layers", tmp_path / "a.txt")
