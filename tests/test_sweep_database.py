"""A study keeps every point once, gives numbers back as they were, and lets one process work on a slice."""

from __future__ import annotations

import platform
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import studies
from hypothesis import given
from hypothesis import strategies as st

from hwsim.errors import HardwareError, UsageError
from hwsim.sweep import claims
from hwsim.sweep.database import Study
from hwsim.sweep.evaluate import Rows
from hwsim.sweep.known import RECENT, Keys
from hwsim.sweep.metrics import METRICS
from hwsim.sweep.space import Axis, Ordinals

SPACE = studies.space()
ALL = np.arange(SPACE.size, dtype=np.int64)
OTHER_HOST = "elsewhere:1:boot.5"


@pytest.fixture
def study(tmp_path: Path) -> Study:
    opened = Study.open(tmp_path / "study.sqlite", create=True)
    opened.add_space(SPACE)
    return opened


def test_a_commit_is_a_row_per_point_and_per_layer_with_a_column_per_parameter(study: Study) -> None:
    assert studies.commit(study, SPACE, ALL[:14]) == 14
    found = study.frame()
    points = SPACE.points(ALL[:14])
    assert set(zip(found["network"], found["chip"], found["weight_density"], strict=True)) == {
        (point.network, point.chip, point.weight_density) for point in points
    }
    # eleven numbers of rows from 3 in steps of 2, seven densities each: the first 14 points have 3 rows and 5
    assert found["chip_rows"].tolist() == [3] * 7 + [5] * 7
    assert found["network_depth"].tolist() == [50] * 14
    # of the first 14 points, 0 and 13 failed; the others have two layers
    assert study.counts() == (14, 2)
    assert len(study.frame(layers=True)) == 12 * 2
    assert set(found["error"]) == {"", *(f"point {one}, which is a multiple of 13" for one in (0, 13))}


def test_numbers_come_back_as_they_were(study: Study) -> None:
    rows = studies.rows(ALL[1:8])
    study.commit(SPACE, rows, SPACE.keys(ALL[1:8]))
    found = study.frame().sort_values("total_cycles")
    for name in set(METRICS) - {"area_mm2"}:
        assert found[name].tolist() == rows.points[name].tolist(), name
    assert found["total_cycles"].dtype == np.int64
    assert found["area_mm2"].isna().all()


def test_whole_numbers_beyond_64_bits_are_kept_as_floats(study: Study) -> None:
    rows = studies.rows(ALL[1:3])
    rows.points["total_cycles"] = np.array([2**70, 3], object)
    rows.points["macs"] = np.array([np.int64(5), 2**63 - 1], object)
    study.commit(SPACE, rows, SPACE.keys(ALL[1:3]))
    found = study.frame()
    assert sorted(found["total_cycles"]) == [3.0, float(2**70)]
    assert sorted(found["macs"]) == [5, 2**63 - 1]


def test_a_point_is_added_once_with_its_layers_whatever_batch_it_comes_in(study: Study) -> None:
    assert studies.commit(study, SPACE, ALL[:10]) == 10
    assert studies.commit(study, SPACE, ALL[5:17]) == 7
    twice = np.concatenate([ALL[15:20], ALL[15:20]])
    assert studies.commit(study, SPACE, twice, layers=False) == 3
    assert study.counts()[0] == 20
    # 0 and 13 failed, and the last three came without layers
    assert len(study.frame(layers=True)) == (17 - 2) * 2


@pytest.mark.parametrize("known", [[], [1], [1, 2], [3], [1, 2, 3, 4, 5]])
def test_layers_that_points_share_are_kept_for_each_whichever_are_known(study: Study, known: list[int]) -> None:
    all_, before = np.arange(1, 6), np.array(known, np.int64)
    if known:
        study.commit(SPACE, shared_layers(before), SPACE.keys(before))
    study.commit(SPACE, shared_layers(all_), SPACE.keys(all_))
    layers = study.frame(layers=True)
    # points 1 to 3 have the layers of point 1, 4 and 5 those of point 4: two each
    assert len(layers) == 5 * 2
    expected = studies.rows(np.array([1, 4])).layers
    assert expected is not None
    of_one, of_four = expected["total_cycles"][:2].tolist(), expected["total_cycles"][2:].tolist()
    assert sorted(layers["total_cycles"]) == sorted(3 * of_one + 2 * of_four)


def shared_layers(ordinals: Ordinals) -> Rows:
    """Return rows of some of the points 1 to 5, of which 1 to 3 share their layers, and 4 and 5."""
    heads = np.where(ordinals < 4, 1, 4)
    first = {int(head): int(one) for one, head in zip(ordinals[::-1], heads[::-1], strict=True)}
    rows = studies.rows(np.array(sorted(first), np.int64))
    assert rows.layers is not None
    under = np.array([first[int(one)] for one in rows.layers["ordinal"]], np.int64)
    like = np.array([first[int(head)] for head in heads], np.int64)
    return studies.rows(ordinals)._replace(layers={**rows.layers, "ordinal": under}, like=like)


def test_a_point_of_another_space_is_known(study: Study) -> None:
    studies.commit(study, SPACE, ALL)
    more = studies.space(rows=13)
    study.add_space(more)
    known = study.known(more.keys(np.arange(more.size, dtype=np.int64)))
    assert (int(known.sum()), known.size) == (11 * 7, 13 * 7)
    assert studies.commit(study, more, np.arange(more.size, dtype=np.int64)) == 2 * 7


def test_a_study_grows_by_the_parameters_of_another_space(study: Study) -> None:
    studies.commit(study, SPACE, ALL[:5])
    block = SPACE.blocks[0]
    more = replace(
        SPACE, blocks=(block._replace(chip="eyeriss", axes=(Axis("chip_kind", ("a", "b")), *block.axes[1:])),)
    )
    study.add_space(more)
    studies.commit(study, more, np.array([0, 7], np.int64))
    found = study.frame()
    assert sorted(found["chip_kind"]) == [""] * 5 + ["a", "b"]
    assert sorted(found["chip_rows"].dropna()) == [3] * 5
    assert study.spaces() == [SPACE, more]


def test_parameters_that_differ_in_case_alone_are_refused_in_a_sentence(study: Study) -> None:
    block = SPACE.blocks[0]
    more = replace(SPACE, blocks=(block._replace(axes=(Axis("chip_Rows", ("1", "2")), *block.axes[1:])),))
    with pytest.raises(UsageError, match="'chip_rows' and 'chip_Rows' of a study differ in case alone"):
        study.add_space(more)
    assert study.spaces() == [SPACE]


def test_the_best_point_is_that_of_the_least_value_and_of_the_first_name(study: Study) -> None:
    assert study.best(("latency", "area")) == {}
    studies.commit(study, SPACE, ALL)
    best = study.best(("latency", "throughput", "area"))
    assert best.keys() == {"latency", "throughput"}
    # numbers grow with ordinals; of the 77 points, 0 failed and 76 did not
    assert best["latency"]["chip"] == SPACE.point(1).chip
    assert best["latency"]["weight_density"] == SPACE.point(1).weight_density
    assert best["throughput"]["chip"] == SPACE.point(76).chip


@given(st.lists(st.binary(min_size=16, max_size=16), max_size=30), st.lists(st.binary(min_size=16, max_size=16)))
def test_keys_are_a_set_of_bytes_zeros_at_their_ends_included(first: list[bytes], asked: list[bytes]) -> None:
    zeros = [bytes(16), b"a" + bytes(15), bytes(15) + b"a", b"a" * 15 + bytes(1)]
    keys = Keys()
    keys.add([*first, *zeros[:2]])
    keys._fold()
    keys.add(asked[:3])
    wanted = [*asked, *first, *zeros]
    assert keys.among(wanted).tolist() == [one in {*first, *zeros[:2], *asked[:3]} for one in wanted]


def test_many_keys_are_kept_in_an_array() -> None:
    keys, many = Keys(), [one.to_bytes(16, "little") for one in range(RECENT + 5)]
    keys.add(many)
    assert (len(keys), len(keys._recent)) == (RECENT + 5, 0)
    assert keys.among(many).all()
    assert not keys.among([bytes(15) + b"x"]).any()


def test_every_commit_is_made_durable_beside_readers(study: Study) -> None:
    pragmas = {name: study._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}  # 2 is FULL
    study.claim("a")
    assert study._db.execute("PRAGMA synchronous").fetchone() == (2,)
    with Study.open(study.path, create=False, readonly=True) as reader:
        assert reader.counts() == (0, 0)
        studies.commit(study, SPACE, ALL)
        assert reader.counts() == (77, 6)


# claims


def test_a_slice_is_claimed_by_one_and_given_up_with_its_commit(study: Study) -> None:
    assert study.claim("a")
    assert study.claim("a")
    with Study.open(study.path, create=False) as other:
        assert not other.claim("a", OTHER_HOST)
        studies.commit(study, SPACE, ALL[:3], "a")
        assert other.claim("a", OTHER_HOST)


def test_leaving_a_study_gives_up_what_it_claimed(tmp_path: Path) -> None:
    with Study.open(tmp_path / "a.sqlite", create=True) as one, Study.open(tmp_path / "a.sqlite", create=False) as two:
        assert two.claim("b", OTHER_HOST)
        assert one.claim("a")
        one.close()
        assert studies.ask(tmp_path / "a.sqlite", "SELECT slice FROM claims") == [("b",)]


def test_a_lease_of_another_host_ends_unless_commits_renew_it(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(claims, "time", type("Clock", (), {"time": staticmethod(lambda: now)}))
    with Study.open(study.path, create=False) as other:
        assert other.claim("a", OTHER_HOST)
        assert other.claim("b", OTHER_HOST)
        now += claims.LEASE_S - 1
        assert not study.claim("a")
        studies.commit(other, SPACE, ALL[:3], "b")
        now += claims.LEASE_S - 1
        assert not study.claim("a")
        now += 2
        assert study.claim("a")


def test_a_lease_of_this_host_lasts_as_long_as_its_process(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True) as alive:
        name, _, _ = claims.this_process().rsplit(":", 2)
        owner = f"{name}:{alive.pid}:{claims._start(alive.pid) or ''}"
        assert study.claim("a", owner)
        monkeypatch.setattr(claims, "LEASE_S", -1e9)
        assert not study.claim("a")
        alive.kill()
        while not claims.is_dead(owner):  # what was killed is a zombie, until it is waited for
            time.sleep(0.01)
        assert study.claim("a")


@pytest.mark.skipif(not claims.PROC.joinpath("self/stat").exists(), reason="start times are read in /proc")
def test_a_process_with_the_number_of_a_dead_one_is_another() -> None:
    host, pid, start = claims.this_process().rsplit(":", 2)
    assert not claims.is_dead(f"{host}:{pid}:{start}")
    assert claims.is_dead(f"{host}:{pid}:{start}1")
    assert claims.is_dead(f"{host}:{2**22 + 1}:{start}")  # the largest number of a process on Linux is 2**22
    assert not claims.is_dead(f"other{host}:{2**22 + 1}:{start}")


@pytest.mark.parametrize("owner", ["", ":", "::", f"{platform.node()}:x:1", f"{platform.node()}:-1:1"])
def test_an_owner_that_is_none_is_not_dead(owner: str) -> None:
    assert not claims.is_dead(owner)


def test_a_file_that_another_process_holds_is_waited_for_and_said(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies.commit(study, SPACE, ALL[:5])
    study._db.execute("PRAGMA busy_timeout=10")
    other = sqlite3.connect(study.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(HardwareError, match=r"another process has held it for 60 s; 5 points are safe; .* --resume "):
        studies.commit(study, SPACE, ALL[5:9])
    other.execute("ROLLBACK")
    other.close()
    assert studies.commit(study, SPACE, ALL[5:9]) == 4
