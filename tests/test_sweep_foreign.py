"""A file that is no study is refused as it is, and somebody else's study runs nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import studies
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hwsim
from hwsim.errors import HwsimError, InputError, UsageError
from hwsim.sweep import connection, queries, schema
from hwsim.sweep.database import Study


def put(path: Path, *statements: str) -> Path:
    studies.ask(path, *statements)
    return path


FOREIGN: dict[str, tuple[Callable[[Path], object], str]] = {
    "text": (lambda path: path.write_text("point,key\n" * 20), "it is not a SQLite file"),
    "half a header": (lambda path: path.write_bytes(schema.MAGIC), "it is not a SQLite file"),
    "of nobody": (lambda path: put(path, "CREATE TABLE points(a)"), "a SQLite file of another program"),
    "of another": (lambda path: put(path, "PRAGMA application_id=1", "CREATE TABLE a(a)"), "of another program"),
    "newer": (lambda path: put(studies.filled(path), "PRAGMA user_version=2"), "schema version 2; this hwsim reads 1"),
    "a folder": (lambda path: path.mkdir(), "is not a file"),
    "a view": (
        lambda path: put(studies.filled(path), "DROP TABLE claims", "CREATE VIEW claims AS SELECT 1"),
        "its table 'claims' is none that hwsim made",
    ),
    "computed": (
        lambda path: put(studies.filled(path), "ALTER TABLE points ADD COLUMN chip_a AS (zeroblob(9))"),
        "its table 'points' is none that hwsim made",
    ),
    "defaults": (
        lambda path: put(studies.filled(path), "ALTER TABLE points ADD COLUMN chip_a TEXT DEFAULT 'aaaaaaaa'"),
        "its table 'points' is none that hwsim made",
    ),
    "a trigger": (
        lambda path: put(
            studies.filled(path), "CREATE TRIGGER gone AFTER INSERT ON points BEGIN DELETE FROM points; END"
        ),
        "has a trigger, 'gone', which hwsim would run",
    ),
}  # fmt: skip


@pytest.mark.parametrize("readonly", [True, False])
@pytest.mark.parametrize("what", FOREIGN)
def test_a_file_that_is_no_study_is_refused_as_it_is(tmp_path: Path, what: str, readonly: bool) -> None:
    make, fault = FOREIGN[what]
    path = tmp_path / "other.sqlite"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(InputError, match=fault):
        Study.open(path, create=not readonly, readonly=readonly)
    assert (path.read_bytes() if path.is_file() else b"") == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["other.sqlite"]


def test_points_of_another_version_are_read_and_not_added_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = studies.filled(tmp_path / "study.sqlite")
    before = path.read_bytes()
    monkeypatch.setattr(hwsim, "__version__", "7.5.3")
    with pytest.raises(InputError, match=r"those of hwsim 0\.1\.0, not of 7\.5\.3"):
        Study.open(path, create=True)
    assert path.read_bytes() == before
    with Study.open(path, create=False, readonly=True) as study:
        assert study.counts() == (77, 6)


def test_an_empty_file_becomes_a_study_and_is_none_to_read(tmp_path: Path) -> None:
    path = tmp_path / "study.sqlite"
    path.touch()
    for readonly in (False, True):
        with pytest.raises(InputError, match="is no study: it is empty"):
            Study.open(path, create=False, readonly=readonly)
    with pytest.raises(UsageError, match="no study at"):
        Study.open(tmp_path / "missing.sqlite", create=False)
    assert studies.filled(path).stat().st_size > 0


def test_folders_of_a_new_study_are_made(tmp_path: Path) -> None:
    assert studies.filled(tmp_path / "a" / "b" / "study.sqlite").is_file()


@pytest.mark.parametrize("name", ["a?b.sqlite", "a#b%20.sqlite", "a b.sqlite", "ä.sqlite", "file:x?mode=memory"])
def test_a_name_is_that_of_the_file(tmp_path: Path, name: str) -> None:
    studies.filled(tmp_path / name)
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_a_connection_runs_nothing_of_a_file(tmp_path: Path) -> None:
    with Study.open(studies.filled(tmp_path / "a.sqlite"), create=False, readonly=True) as study:
        with pytest.raises(sqlite3.OperationalError, match="not authorized"):
            study._db.execute("SELECT load_extension('x')")
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            study._db.execute("DELETE FROM points")
        assert study._db.execute("PRAGMA trusted_schema").fetchone() == (0,)
        assert study._db.getlimit(sqlite3.SQLITE_LIMIT_LENGTH) == connection.MAX_CELL_BYTES


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE points SET energy_pj = 'much'", "column 'energy_pj' holds something that is no number"),
        ("UPDATE points SET total_cycles = 'many'", "column 'total_cycles' holds something that is no number"),
        ("UPDATE points SET network = CAST(x'ff' AS TEXT)", "is damaged: Could not decode to UTF-8"),
        ("UPDATE points SET key = 'short'", "a key in it has not 16 bytes"),
        ("UPDATE study SET value = x'00' WHERE key GLOB 'space:*'", "a space in it is no text"),
        ("UPDATE study SET value = '[' WHERE key GLOB 'space:*'", "space of this study is malformed"),
    ],
)
def test_what_is_none_of_ours_in_a_study_is_said_when_it_is_read(tmp_path: Path, statement: str, fault: str) -> None:
    path = put(studies.filled(tmp_path / "a.sqlite"), statement)
    with pytest.raises(InputError, match=fault):
        read(path)


def read(path: Path) -> None:
    """Read all that a study holds."""
    with Study.open(path, create=False, readonly=True) as study:
        study.frame()
        study.frame(layers=True)
        study.known([])
        study.spaces()
        study.best(("latency",), "a network")
    queries.networks(path, 3)
    queries.namesakes(path)
    queries.front_size(path, ("latency", "energy"))
    with Study.open(path, create=True) as study:
        study.known([])


def test_quotes_in_the_names_of_columns_stay_names() -> None:
    assert schema.quoted('chip_"; DROP TABLE points; --') == '"chip_""; DROP TABLE points; --"'


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_is_a_sentence_or_a_table(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "whole.sqlite"
    content = bytearray((path if path.exists() else studies.filled(path)).read_bytes())
    places = st.integers(0, len(content) - 1)
    for place in data.draw(st.lists(st.one_of(st.integers(0, 200), places), min_size=1, max_size=20)):
        content[place] = data.draw(st.integers(0, 255))
    damaged = tmp_path / "damaged.sqlite"
    damaged.write_bytes(content[: data.draw(st.one_of(st.just(len(content)), places))])
    with suppress(HwsimError):  # any other exception would be a bug
        read(damaged)
