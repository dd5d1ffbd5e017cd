"""A sweep on a dask cluster: the same bytes, also when a worker is killed midway."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command import hwsim
from sweeps import MLP, claimed, count, exported, slow_chip, start, wait_for

from hwsim.errors import HardwareError
from hwsim.sweep import executors, sweep
from hwsim.sweep.executors import workers
from hwsim.sweep.run import Progress

distributed = pytest.importorskip("distributed", reason="a cluster is dask's")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Yield a real scheduler with two worker processes on this machine."""
    with executors.deaf_children():
        found = distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", silence_logs=50
        )
    with found:
        yield found


def test_a_cluster_gives_the_bytes_of_one_process_a_worker_killed_midway_included(tmp_path: Path, cluster: Any) -> None:
    on = f"{slow_chip(tmp_path, 0.03)}:rows=2:60:1"
    with distributed.Client(cluster) as client:
        pids = list(client.run(os.getpid).values())
    killed: list[int] = []

    def kill(progress: Progress) -> None:
        if progress.done > 15 and not killed:
            killed.append(pids[0])
            os.kill(pids[0], signal.SIGKILL)

    done = sweep(MLP, on, out=tmp_path / "dask", cluster=cluster.scheduler_address, on_progress=kill)
    assert killed
    assert (done.computed, done.failed, done.in_study, done.faults) == (59, 0, 59, {})
    one = sweep(MLP, on, out=tmp_path / "one", jobs=1)
    for layers in (False, True):
        assert exported(done.path, layers) == exported(one.path, layers)


@pytest.mark.slow
def test_a_cluster_of_its_own_gives_the_bytes_of_a_pool(tmp_path: Path) -> None:
    words = ("--networks", MLP, "--on", "systolic:rows=2:40:1,eyeriss:rows={3,5}", "--density", "1.0,0.5", "--jobs", 2)
    for name, more in (("pool", ()), ("dask", ("--cluster", "local"))):
        ran = hwsim("sweep", *words, *more, "--out", tmp_path / f"{name}.sqlite")
        assert ran.code == 0, ran.err
    assert count(tmp_path / "dask.sqlite") == (39 + 2) * 2
    assert exported(tmp_path / "dask.sqlite") == exported(tmp_path / "pool.sqlite")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="signals to groups of processes are POSIX")
def test_an_interruption_of_a_cluster_of_its_own_is_as_quiet_as_any(tmp_path: Path) -> None:
    on, path = f"{slow_chip(tmp_path, 0.05)}:rows=2:200:1", tmp_path / "s.sqlite"
    with start("--networks", MLP, "--on", on, "--jobs", 2, "--cluster", "local", "--out", path) as process:
        wait_for(path, 8, process)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert [line.startswith("hwsim: ") for line in err.splitlines()] == [True, True], err
    assert claimed(path) == 0


def test_a_scheduler_that_does_not_answer_is_exit_code_5_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert executors.CONNECT_S <= 10
    monkeypatch.setattr(executors, "CONNECT_S", 0.5)
    before = time.monotonic()
    ran = hwsim(
        "sweep", "--networks", MLP, "--on", "systolic", "--cluster", "tcp://127.0.0.1:9", "--out", tmp_path / "s.sqlite"
    )
    assert ran.code == 5
    assert "no scheduler answers at tcp://127.0.0.1:9" in ran.err
    assert len(ran.err.splitlines()) == 1
    assert time.monotonic() - before < 5


def test_workers_of_another_version_are_refused(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import hwsim as package

    monkeypatch.setattr(package, "__version__", "0.0.7")
    with pytest.raises(HardwareError, match=r"this process 0\.0\.7"), workers(2, cluster.scheduler_address):
        pass


def test_a_scheduler_without_workers_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "CONNECT_S", 1)
    empty = distributed.LocalCluster(
        n_workers=0, dashboard_address="127.0.0.1:0", silence_logs=50, processes=False, protocol="tcp"
    )
    with empty, pytest.raises(HardwareError, match="has no workers"), workers(2, empty.scheduler_address):
        pass
