"""What was committed is there, whoever is killed, writes beside, or runs out of room."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import studies

from hwsim.sweep.database import Study
from hwsim.sweep.space import Space

SPACE = studies.space()
ALL = np.arange(SPACE.size, dtype=np.int64)

posix = pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")


@posix
def test_what_was_committed_is_there_when_the_process_is_killed(tmp_path: Path) -> None:
    path, space, chance = tmp_path / "killed.sqlite", studies.space(53), random.Random(7)
    safe: set[int] = set()
    for _ in range(4):
        with studies.process("write", path, 1) as running:
            assert running.stdout is not None
            assert running.stdout.readline() == "open\n"
            for line, _ in zip(running.stdout, range(chance.randrange(13)), strict=False):
                safe.add(int(line.split()[0]))
            time.sleep(chance.random() / 100)
            running.send_signal(signal.SIGKILL)
            safe.update(int(line.split()[0]) for line in running.stdout if line.endswith("\n"))
        assert studies.ask(path, "PRAGMA integrity_check") == [("ok",)]
        with Study.open(path, create=False, readonly=True) as study:
            known = study.known(space.keys(np.arange(space.size, dtype=np.int64)))
            there = {start for start in range(0, space.size, studies.SIZE) if known[start]}
            assert safe <= there
            assert study.counts()[0] == len(there) * studies.SIZE
    assert len(safe) > 4
    assert {line.split()[1] for line in finished(path)} == {"7"}
    assert_whole(path, space)


def finished(path: Path) -> list[str]:
    """Return what a process says that finishes a study."""
    out, err = studies.process("write", path, 1).communicate()
    assert err == ""
    return out.splitlines()[1:]


def assert_whole(path: Path, space: Space) -> None:
    """Check that a study is the same as one that nothing disturbed, but for the order of its rows."""
    undisturbed = studies.filled(path.with_name("undisturbed.sqlite"), space)
    with Study.open(path, create=False) as one, Study.open(undisturbed, create=False) as other:
        assert one.frame().equals(other.frame())
        assert one.frame(layers=True).equals(other.frame(layers=True))
        assert one._db.execute("SELECT count(*), count(DISTINCT key) FROM points").fetchone() == (space.size,) * 2
        assert one._db.execute("SELECT count(*) FROM claims").fetchone() == (0,)


# two processes


def test_two_processes_that_commit_the_same_points_lose_none_and_add_none_twice(tmp_path: Path) -> None:
    path, space = tmp_path / "two.sqlite", studies.space(53)
    said = [one.communicate() for one in [studies.process("race", path, order) for order in (1, -1)]]
    assert [err for _, err in said] == ["", ""]
    added = [int(out) for out, _ in said]
    assert sum(added) == space.size
    assert_whole(path, space)


def test_two_processes_share_the_slices_by_their_claims(tmp_path: Path) -> None:
    path, space = tmp_path / "two.sqlite", studies.space(53)
    said = [one.communicate() for one in [studies.process("write", path, 1) for _ in range(2)]]
    assert [err for _, err in said] == ["", ""]
    lines = [line.split() for out, _ in said for line in out.splitlines() if line != "open"]
    assert sorted(int(start) for start, _ in lines) == list(range(0, space.size, studies.SIZE))
    assert_whole(path, space)


# no room, no permission


def in_namespace(tmp_path: Path, script: str) -> list[str]:
    """Return the lines that a script prints where it may mount; $P is Python with these studies, $D a folder."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount in a namespace of their own")
    folder = tmp_path / "mounted"
    folder.mkdir()
    env = {**os.environ, "P": f"{sys.executable} {studies.__file__}", "D": str(folder)}
    ran = subprocess.run(["unshare", "-rm", "sh", "-ec", script], capture_output=True, text=True, env=env, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout.splitlines()


def test_a_full_disk_is_one_sentence_and_what_was_committed_is_safe(tmp_path: Path) -> None:
    script = """
        mount -t tmpfs -o size=400k none $D
        $P fail $D/s.sqlite
        $P look $D/s.sqlite
        mount -o remount,size=40m $D
        $P write $D/s.sqlite 1 | tail -n +2 | wc -l
        $P look $D/s.sqlite
    """
    failed, here, later, slices, whole = in_namespace(tmp_path, script)
    done, code, sentence = failed.split(" ", 2)
    path = tmp_path / "mounted" / "s.sqlite"
    assert (code, sentence) == (
        "5",
        f"cannot write '{path}': no space left on the device; {done} points are safe; "
        f"hwsim sweep --resume {path} goes on from there",
    )
    assert int(done) > 0
    assert here == later == f"{done} ok {done}"
    # 53 slices of 7 points
    assert int(slices) == 53 - int(done) // 7
    assert whole == "371 ok 371"


def test_no_room_for_a_new_study_is_one_sentence(tmp_path: Path) -> None:
    (failed,) = in_namespace(tmp_path, "mount -t tmpfs -o size=8k none $D; $P go_on $D/s.sqlite")
    assert failed == f"5 cannot write '{tmp_path}/mounted/s.sqlite': no space left on the device"


@posix
def test_a_file_that_may_not_grow_is_one_sentence_and_what_was_committed_is_safe(tmp_path: Path) -> None:
    out, err = studies.process("fail", tmp_path / "s.sqlite", 500_000).communicate()
    failed, there = out.splitlines()
    done, code, sentence = failed.split(" ", 2)
    assert (err, code, there) == ("", "5", f"{done} ok {done}")
    assert int(done) > 0
    assert f"disk I/O error (SQLITE_IOERR_WRITE); {done} points are safe; " in sentence


def test_a_folder_that_cannot_be_written_is_one_sentence_and_can_be_read(tmp_path: Path) -> None:
    script = """
        $P write $D/s.sqlite 1 > $D/said
        mount --bind $D $D
        mount -o remount,bind,ro $D
        $P go_on $D/s.sqlite
        $P go_on $D/new.sqlite
        $P go_on $D/folder/new.sqlite
        $P look $D/s.sqlite
    """
    old, new, deep, there = in_namespace(tmp_path, script)
    folder = tmp_path / "mounted"
    assert old == f"5 cannot write '{folder}/s.sqlite': no permission, for the file or for its folder"
    assert new == f"5 cannot write '{folder}/new.sqlite': no permission, for the file or for its folder"
    assert deep == f"5 cannot write '{folder}/folder/new.sqlite': Read-only file system"
    assert there == "371 ok 371"


def test_what_was_not_folded_in_is_not_passed_over_where_nothing_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with Study.open(path, create=True) as study:
        study.add_space(SPACE)
        studies.commit(study, SPACE, ALL)
        for name in (path.name, f"{path.name}-wal"):
            (tmp_path / "mounted").mkdir(exist_ok=True)
            shutil.copy(tmp_path / name, tmp_path / "mounted" / name)
    (tmp_path / "mounted").rename(tmp_path / "copied")
    script = "cp $D/../copied/* $D; mount --bind $D $D; mount -o remount,bind,ro $D; $P look $D/s.sqlite"
    (said,) = in_namespace(tmp_path, script)
    assert said.startswith("5 cannot read ")
    assert said.endswith("; copy both files to one that can")
