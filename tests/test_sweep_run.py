"""A sweep computes each point once, whatever happens to it: processes, kills, interruptions, points that fail."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import Terminal, hwsim
from hypothesis import given
from hypothesis import strategies as st
from sweeps import MLP, claimed, count, deadly_chip, exported, kill_group, slow_chip, start, wait_for

import hwsim as package
from hwsim import catalog
from hwsim.errors import HardwareError, UsageError
from hwsim.sweep import evaluate as evaluation
from hwsim.sweep import interruption, queries, search, sweep
from hwsim.sweep import run as loop
from hwsim.sweep import start as begin
from hwsim.sweep.axes import space as space_of
from hwsim.sweep.database import Study
from hwsim.sweep.executors import Workers, workers
from hwsim.sweep.interruption import Stop
from hwsim.sweep.run import DIED, Progress, Run
from hwsim.sweep.search import Plan
from hwsim.sweep.space import Space
from hwsim.sweep.terminal import Rate, line, span
from hwsim.sweep.terminal import shown as shown_as

LINUX = pytest.mark.skipif(not hasattr(os, "killpg"), reason="signals to groups of processes are POSIX")
GRID = (
    "--networks",
    MLP,
    "--on",
    "systolic:rows={2,3,5,7},cols={3,5}",
    "--density",
    "1.0,0.5",
    "--format",
    "int8,fp16",
)
GRID_POINTS = 4 * 2 * 2 * 2


def small_space() -> Space:
    return space_of(MLP, "systolic:rows={2,3,5,7,11,13}", objectives=("latency", "energy"))


def test_the_verb_is_the_function_of_the_package() -> None:
    assert package.sweep is sweep
    assert callable(package.sweep)


def test_a_point_computed_once_is_never_computed_again(tmp_path: Path) -> None:
    first = sweep(MLP, "systolic:rows={2,3,5}", out=tmp_path / "study", jobs=1)
    again = sweep(MLP, "systolic:rows={2,3,5}", out=tmp_path / "study", jobs=1)
    more = sweep(MLP, "systolic:rows={2,3,5,7,11}", density=[1.0, 0.5], out=tmp_path / "study", jobs=1)
    assert (first.points, first.computed, first.evaluated) == (3, 3, 3)
    assert (again.done, again.computed, again.evaluated) == (3, 0, 0)
    assert (more.computed, more.in_study) == (10, 13)  # density 1.0 is said, where it was the network's own before
    assert first.path == tmp_path / "study.sqlite"
    assert len(more.frame) == 13


def test_numbers_are_those_of_simulate(tmp_path: Path) -> None:
    frame = sweep(
        MLP, ["eyeriss:rows=3", "systolic:rows={2,3,5,7,11}"], density="1.0,0.5", out=tmp_path / "s", jobs=1
    ).frame
    assert len(frame) == (1 + 5) * 2
    for row in frame.to_dict("records"):
        network = catalog.network(row["network"]).with_density(row["weight_density"], None)
        total = package.simulate(network, on=row["chip"]).total
        assert {name: row[name] for name in ("total_cycles", "seconds", "energy_pj")} == {
            name: total[name] for name in ("total_cycles", "seconds", "energy_pj")
        }


@pytest.mark.parametrize("slices", [1, 2000])
def test_layers_are_those_of_simulate_whatever_else_is_in_the_slice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slices: int
) -> None:
    monkeypatch.setattr(search, "SLICES", slices)
    done = sweep(MLP, "systolic:rows={2,3,5,7,11}", density="1.0,0.5", format="int8,fp16", out=tmp_path / "s", jobs=1)
    assert done.faults == {}
    with Study.open(done.path, create=False, readonly=True) as study:
        layers = study.frame(layers=True)
    for (chip, fmt), rows in layers.groupby(["chip", "format"]):
        found = package.simulate(MLP, on=str(chip), format=str(fmt)).rows
        expected = [row["total_cycles"] for row in found if row["total_cycles"] or row["energy_pj"]]
        assert rows["total_cycles"].tolist() == expected * 2
    assert len(layers.groupby(["chip", "format"])) == 10


def test_one_process_and_two_export_the_same_bytes(tmp_path: Path) -> None:
    for jobs in (1, 2):
        ran = hwsim("sweep", *GRID, "--jobs", jobs, "--out", tmp_path / f"{jobs}.sqlite")
        assert ran.code == 0, ran.err
    for layers in (False, True):
        assert exported(tmp_path / "1.sqlite", layers) == exported(tmp_path / "2.sqlite", layers)


def test_the_summary_says_what_came_of_it_and_what_is_next(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    ran = hwsim("sweep", *GRID, "--jobs", 1, "--out", path)
    assert ran.code == 0
    assert f"{GRID_POINTS} of {GRID_POINTS} points in {path}" in " ".join(ran.out.split())
    assert "Pareto front" in ran.out
    assert "hwsim export" in ran.out
    assert f"{GRID_POINTS}/{GRID_POINTS} points" in ran.err
    found = json.loads(hwsim("sweep", "--resume", path, "--json").out)
    assert (found["schema"], found["points"], found["computed"], found["failed"]) == (1, GRID_POINTS, 0, 0)
    assert set(found["best"]) == {"latency", "energy"}
    assert found["best"]["latency"]["chip"] == "systolic:cols=5,rows=7"


def test_the_summary_tells_the_best_of_each_network_and_of_equals_the_densest(tmp_path: Path) -> None:
    path = tmp_path / "a study.sqlite"
    ran = hwsim("sweep", *GRID, "--networks", f"{MLP},rnn", "--jobs", 1, "--out", path)
    table = [row.split() for row in ran.out.splitlines() if row.strip().startswith(("latency", "energy"))]
    assert [row[0] for row in table] == ["latency", "energy"] * 2
    assert {row[-1] for row in table} == {"1"}  # the array computes zeros: weights 1, not 0.5
    assert "dataflow" not in ran.out
    assert f"next: hwsim export '{path}' --out" in ran.out


def test_points_of_before_a_file_was_edited_are_told(tmp_path: Path) -> None:
    chip, path = tmp_path / "mine.py", tmp_path / "s.sqlite"
    for rows in (2, 3):
        chip.write_text(
            f"from hwsim.chips.systolic import systolic\n\n\ndef mine(cols: int = 2):\n"
            f"    return systolic(rows={rows}, cols=cols)\n"
        )
        done = sweep(MLP, f"{chip}:cols={{2,5,7}}", out=path, jobs=1)
        assert done.computed == 3
    assert (done.points, done.in_study, done.namesakes) == (3, 6, 3)


@given(st.integers(0, 40), st.lists(st.integers(0, 5), max_size=200))
def test_lanes_share_slices_out_without_one_left_or_twice(count: int, asked: list[int]) -> None:
    shares, given_out = search.Shares(count), list[int]()
    for lane in [*asked, *range(6)] * (count + 1):
        place = shares.next(lane)
        given_out += [] if place is None else [place]
    assert sorted(given_out) == list(range(count))


def test_a_lane_goes_on_with_the_neighbour_of_its_last_slice() -> None:
    shares = search.Shares(8)
    # the second lane takes the upper half of the rest, 1 to 7
    assert [shares.next(lane) for lane in (0, 1, 0, 1, 0, 1, 1, 1)] == [0, 4, 1, 5, 2, 6, 7, 3]
    assert shares.next(0) is None


def test_a_terminal_shows_a_bar(tmp_path: Path) -> None:
    screen = Terminal()
    ran = hwsim("sweep", *GRID, "--jobs", 1, "--out", tmp_path / "s.sqlite", err=screen)
    assert ran.code == 0
    assert f"/{GRID_POINTS} points" in screen.getvalue()


def test_progress_says_rate_time_left_failures_and_the_best_so_far() -> None:
    progress = Progress(
        1000, ("latency", "throughput"), done=400, failed=3, best={"latency": 0.0021, "throughput": -470}
    )
    assert line(progress, 5.0) == "400/1,000 points, 5/s, 2:00 left, 3 failed, latency 2.1 ms, throughput 470 1/s"
    assert [span(7), span(187.4), span(3605)] == ["0:07", "3:07", "1:00:05"]
    assert [shown_as("energy", 3.1e9), shown_as("area", 12.34)] == ["3.1 mJ", "12.34 mm2"]
    rate = Rate()
    # ten a second, then nothing for 38 s, of which the last 20 and the point before them count
    told = [rate.at(now, done) for now, done in ((0.0, 0), (1.0, 10), (2.0, 20), (40.0, 20))]
    assert told[1:] == [10.0, 10.0, 10 / 39]


def test_a_study_file_says_the_same_as_options(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(
        f'[sweep]\nnetworks = ["{MLP}"]\ndensity = [1.0, 0.5]\nformat = ["int8", "fp16"]\n\n'
        '[[chip]]\nname = "systolic"\nrows = [2, 3, 5, 7]\ncols = [3, 5]\n',
        encoding="utf-8",
    )
    assert hwsim("sweep", file, "--jobs", 1, "--out", tmp_path / "a.sqlite").code == 0
    assert hwsim("sweep", *GRID, "--jobs", 1, "--out", tmp_path / "b.sqlite").code == 0
    assert exported(tmp_path / "a.sqlite") == exported(tmp_path / "b.sqlite")


def test_points_that_fail_are_kept_with_their_error_while_the_rest_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    ran = hwsim("sweep", "--networks", MLP, "--on", "systolic:rows={2,0,3},eyeriss", "--jobs", 1, "--out", path)
    assert ran.code == 3
    assert "1 point of 4 failed" in ran.out
    with Study.open(path, create=False, readonly=True) as study:
        errors = study.frame()["error"]
    assert [bool(error) for error in errors] == [False, True, False, False]
    assert hwsim("sweep", "--resume", path).code == 3


def test_a_bug_in_one_point_is_exit_code_1_and_the_others_are_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(network: Any, chip: Any, **options: Any) -> Any:
        if chip.array.rows == 23:
            raise ZeroDivisionError("rows")
        return package.simulate(network, chip, **options)

    monkeypatch.setattr(evaluation, "simulate", faulty)
    path = tmp_path / "s.sqlite"
    ran = hwsim("sweep", "--networks", MLP, "--on", "systolic:rows={2,23,3}", "--jobs", 1, "--out", path)
    assert ran.code == 1
    assert "bug: ZeroDivisionError: rows" in ran.out
    assert count(path) == 3


def test_a_bug_that_points_meet_together_is_told_and_they_are_computed_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(task: evaluation.Task) -> evaluation.Rows:
        if len(task.ordinals) > 1:
            raise IndexError("two")
        return evaluation.evaluate(task)

    monkeypatch.setattr(search, "SLICES", 1)
    monkeypatch.setattr(loop, "evaluate", faulty)
    done = sweep(MLP, "systolic:rows={2,3,5}", out=tmp_path / "s", jobs=1)
    assert (done.computed, done.failed) == (3, 0)
    assert done.faults == {"bug: IndexError: two": 2}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--on", "systolic"), 2, "name them with --networks"),
        (("--networks", MLP, "--search", "grind"), 2, "did you mean 'grid'?"),
        (("--networks", MLP, "--samples", "5"), 2, "a grid computes every point"),
        (("--networks", MLP, "--resume", "x.sqlite"), 2, "takes no networks"),
        (("--resume", "nowhere.sqlite"), 2, "no study at 'nowhere.sqlite'"),
        (("--networks", "alexnt"), 2, "did you mean 'alexnet'?"),
        (("--networks", MLP, "--cluster", "here"), 2, "nor an address like tcp://host:8786"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(
    tmp_path: Path, monkeypatch: Any, words: Any, code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = hwsim("sweep", *words)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err
    assert ran.err.startswith("hwsim: ")
    assert len(ran.err.splitlines()) == 1


def test_a_folder_that_cannot_be_written_is_exit_code_5(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = hwsim("sweep", *GRID, "--out", tmp_path / "file" / "s.sqlite")
    assert ran.code == 5
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("module", "words", "extra"),
    [("optuna", ("--search", "guided", "--samples", 2), "sweep"), ("distributed", ("--cluster", "local"), "cluster")],
)
def test_a_missing_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, words: tuple[object, ...], extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    ran = hwsim("sweep", *GRID, *words, "--jobs", 1, "--out", tmp_path / "s.sqlite")
    assert ran.code == 2
    assert f"pip install 'hwsim[{extra}]'" in ran.err


class Fragile(Executor):
    """A pool of one process that dies of certain points, as `ProcessPoolExecutor` reports it."""

    def __init__(self, deadly: set[int]) -> None:
        self.deadly, self.broken, self.waiting = deadly, False, list[tuple[Future[Any], Any, Any]]()

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.broken |= bool(self.deadly & set(args[0].ordinals.tolist()))
        self.waiting.append((future, fn, args))
        if self.broken:
            for one, _, _ in self.waiting:
                one.set_exception(BrokenProcessPool("died"))
            self.waiting = []
        elif len(self.waiting) == 3:
            self.flush()
        return future

    def flush(self) -> None:
        for one, fn, args in self.waiting:
            one.set_result(fn(*args))
        self.waiting = []


def fragile_run(path: Path, deadly: set[int], size: int) -> tuple[Progress, int]:
    """Return the progress of a sweep in slices of `size`, and how many pools it used."""
    space, pools = small_space(), list[Fragile]()

    def fresh(lane: int) -> Fragile:
        pools.append(Fragile(deadly))
        return pools[-1]

    progress = Progress(space.size, space.objectives)
    flying = Workers([fresh(0)], 2, 4, fresh, lambda: None, (BrokenProcessPool,), dies_as_one=True)
    with Study.open(path, create=True) as study:
        study.add_space(space)
        run = Run(study, space, True, lambda: flying, Stop(), progress, lambda progress: pools[-1].flush())
        run.complete(search.Slices(np.arange(space.size), size))
    return progress, len(pools)


def test_a_point_that_kills_its_process_thrice_has_failed_and_its_neighbours_have_not(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    progress, pools = fragile_run(path, {4}, 1)
    assert (progress.computed, progress.failed, progress.done) == (6, 1, 6)
    assert pools == 1 + 3
    assert queries.failures(path).reasons == {DIED: 1}
    assert claimed(path) == 0


def test_a_slice_that_kills_its_process_is_halved_until_one_point_has_failed(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    progress, _ = fragile_run(path, {4}, 6)
    assert (progress.computed, progress.failed, progress.done) == (6, 1, 6)
    assert queries.failures(path).reasons == {DIED: 1}


def test_when_every_process_dies_the_sweep_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "DEATHS_IN_A_ROW", 2)
    with pytest.raises(HardwareError, match="is there memory"):
        fragile_run(tmp_path / "s.sqlite", set(range(6)), 1)


@LINUX
@pytest.mark.slow
def test_a_real_worker_that_dies_takes_only_its_point_along(tmp_path: Path) -> None:
    chip, path = deadly_chip(tmp_path), tmp_path / "s.sqlite"
    with start("--networks", MLP, "--on", f"{chip}:rows={{2,3,7,5}}", "--jobs", 2, "--out", path) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert "1 x the process that computed it died" in " ".join(out.split())
    assert count(path) == 4


@LINUX
@pytest.mark.parametrize(
    ("number", "jobs"), [(signal.SIGINT, 1), pytest.param(signal.SIGTERM, 2, marks=pytest.mark.slow)]
)
def test_an_interrupted_sweep_keeps_its_points_says_how_to_resume_and_can(
    tmp_path: Path, number: signal.Signals, jobs: int
) -> None:
    on, path = f"{slow_chip(tmp_path)}:rows=2:50:1", tmp_path / "s.sqlite"
    with start("--networks", MLP, "--on", on, "--jobs", jobs, "--out", path) as process:
        wait_for(path, 5, process)
        os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
        before = time.monotonic()
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert time.monotonic() - before < interruption.GRACE_S + 2
    kept = count(path)
    assert f"interrupted: {kept} of 49 points are kept; hwsim sweep --resume {path} goes on" in err
    assert "Traceback" not in err
    assert claimed(path) == 0
    done = sweep(resume=path, jobs=1)
    assert 5 <= kept < 49
    assert (done.computed, done.in_study) == (49 - kept, 49)


@LINUX
def test_a_second_interruption_leaves_at_once(tmp_path: Path) -> None:
    on, path = f"{slow_chip(tmp_path, 3)}:rows={{2,3,5}}", tmp_path / "s.sqlite"
    with start("--networks", MLP, "--on", on, "--jobs", 1, "--out", path) as process:
        while not claimed(path):
            time.sleep(0.01)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)
        before = time.monotonic()
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert time.monotonic() - before < 2
    assert "Traceback" not in err


@LINUX
def test_a_killed_sweep_leaves_no_workers_and_resumes(tmp_path: Path) -> None:
    chip = slow_chip(tmp_path)
    words = ("--networks", MLP, "--on", f"{chip}:rows=2:40:1")
    assert hwsim("sweep", *words, "--jobs", 1, "--out", tmp_path / "whole.sqlite").code == 0
    path = tmp_path / "s.sqlite"
    with start(*words, "--jobs", 2, "--out", path) as process:
        wait_for(path, 8, process)
        process.kill()  # the sweep alone: its workers must notice
        process.communicate(timeout=30)
    assert members(process.pid) == []
    done = sweep(resume=path, jobs=1)
    assert done.in_study == 39
    assert exported(path) == exported(tmp_path / "whole.sqlite")


def members(group: int, seconds: float = 5) -> list[str]:
    """Return the processes of a group that are left after so long."""
    end = time.monotonic() + seconds
    while True:
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _, of = stat.read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(of) == group and state != "Z":
                found.append(stat.parent.name)
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.05)


@LINUX
@pytest.mark.slow
def test_killed_ten_times_the_study_is_that_of_an_undisturbed_sweep_for_little_more_work(tmp_path: Path) -> None:
    chip, points = slow_chip(tmp_path, 0.004), 2 * 2000
    words = ("--networks", MLP, "--on", f"{chip}:rows=1:2000:1", "--density", "1.0,0.5")
    assert hwsim("sweep", *words, "--jobs", 2, "--out", tmp_path / "whole.sqlite").code == 0
    path, chance, lost = tmp_path / "s.sqlite", random.Random(7), 0
    moments = sorted(chance.sample(range(1, points), 10))
    for moment in moments:
        process = start(*words, "--jobs", 2, "--out", path)
        wait_for(path, moment, process, 60)
        time.sleep(chance.random() / 20)
        kill_group(process)
        lost += claimed(path) * 2
    done = sweep(resume=path, jobs=2)
    assert done.in_study == points
    assert exported(path) == exported(tmp_path / "whole.sqlite")
    assert exported(path, layers=True) == exported(tmp_path / "whole.sqlite", layers=True)
    assert lost < 0.05 * points


@LINUX
def test_two_processes_share_a_study_and_compute_nothing_twice(tmp_path: Path) -> None:
    on, path = f"{slow_chip(tmp_path)}:rows=2:50:1", tmp_path / "s.sqlite"
    both = [start("--networks", MLP, "--on", on, "--jobs", 1, "--json", "--out", path) for _ in range(2)]
    ended = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    found = [json.loads(out) for out, _ in ended]
    assert count(path) == 49
    assert sum(one["evaluated"] for one in found) == 49
    assert min(one["computed"] for one in found) > 0
    assert [one["done"] for one in found] == [49, 49]


def test_a_random_sample_is_without_replacement_and_the_same_for_its_seed() -> None:
    space = space_of(MLP, "systolic:rows=1:1000:1,cols=1:1000:1,bandwidth_gb_s=1:1000:1")
    assert space.size == 10**9
    drawn = [np.concatenate(list(search.slices(space, Plan(search.RANDOM, 5000, seed)))) for seed in (0, 0, 1)]
    assert len(np.unique(drawn[0])) == 5000
    assert (drawn[0] == drawn[1]).all()
    assert not np.isin(drawn[0], drawn[2]).all()
    assert 0.4e9 < drawn[0].mean() < 0.6e9


def test_slices_are_a_two_thousandth_of_the_space() -> None:
    assert [search.slice_size(size) for size in (7, 3999, 4000, 100_000, 10**9)] == [1, 1, 2, 50, 2048]


OBJECTIVES = "latency,area"
SIZES = "{8,12,16,24,32,48,64,96}"
ARRAYS = f"systolic:rows={SIZES},cols={SIZES},ifmap_kib={{16,64,256}},ofmap_kib={{16,64,256}},bandwidth_gb_s={{4,16}}"
ARRAY_POINTS = 8 * 8 * 3 * 3 * 2 * 2


def searched(path: Path, **options: Any) -> Path:
    """Sweep arrays by their time and area."""
    flows = "weight_stationary,output_stationary"
    found = sweep("alexnet", ARRAYS, dataflow=flows, objective=OBJECTIVES, layers=False, out=path, **options)
    assert found.failed == 0
    return found.path


def volume(path: Path, corner: np.ndarray[Any, Any], origin: np.ndarray[Any, Any]) -> float:
    """Return the share of the box between `origin` and `corner` that points beat, in logarithms."""
    with Study.open(path, create=False, readonly=True) as study:
        frame = study.frame()
    scaled = np.log(frame[["seconds", "area_mm2"]].to_numpy() / origin) / np.log(corner / origin)
    covered, best = 0.0, 1.0
    for x, y in scaled[np.lexsort(scaled.T[::-1])]:
        covered += (1 - x) * max(0.0, best - y)
        best = min(best, y)
    return covered


@pytest.mark.slow
def test_a_guided_search_finds_more_of_the_front_with_a_tenth_of_the_points_than_chance(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="guided search is optuna's")
    whole = searched(tmp_path / "whole")
    with Study.open(whole, create=False, readonly=True) as study:
        table = study.frame()[["seconds", "area_mm2"]].to_numpy()
    assert len(table) == ARRAY_POINTS
    corner, origin = table.max(axis=0), table.min(axis=0)
    all_of_it = volume(whole, corner, origin)
    shares: dict[str, list[float]] = {}
    for which in ("guided", "random"):
        for seed in range(3):
            path = searched(tmp_path / f"{which}{seed}", search=which, samples=ARRAY_POINTS // 10, seed=seed)
            assert count(path) == ARRAY_POINTS // 10
            shares.setdefault(which, []).append(volume(path, corner, origin) / all_of_it)
    print(shares)
    assert min(shares["guided"]) > 0.95
    assert np.mean(shares["guided"]) > np.mean(shares["random"])


def test_a_guided_search_asks_for_the_same_points_with_two_processes_and_when_resumed(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="guided search is optuna's")
    one = searched(tmp_path / "one", search="guided", samples=60, jobs=1)
    two = searched(tmp_path / "two", search="guided", samples=60, jobs=2)
    assert exported(one) == exported(two)
    again = sweep(resume=one, jobs=1)
    assert (again.done, again.evaluated) == (60, 0)


def test_networks_do_not_compete_in_a_guided_search(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="guided search is optuna's")
    done = sweep(
        [MLP, "alexnet"], "systolic:rows=1:40:1", search="guided", samples=24, objective=OBJECTIVES, jobs=1,
        layers=False, out=tmp_path / "s",
    )  # fmt: skip
    assert done.frame["network"].value_counts().tolist() == [12, 12]


def test_nothing_is_started_when_all_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = sweep(MLP, "systolic:rows={2,3}", out=tmp_path / "s", jobs=1)

    def refuse(*_: object) -> None:
        raise AssertionError("workers were started")

    monkeypatch.setattr(begin, "workers", refuse)
    assert sweep(resume=done.path, jobs=2).done == 2


def test_an_executor_in_this_process_keeps_errors_in_futures() -> None:
    with workers(1, None) as here:
        assert here.submit(0, divmod, 7, 2).result() == (3, 1)
        assert isinstance(here.submit(0, divmod, 7, 0).exception(), ZeroDivisionError)


def test_a_plan_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no number of points"):
        search.plan(small_space(), "random", 0, 0, True)
    assert Plan.from_json(Plan("random", 5, 3, False).to_json()) == Plan("random", 5, 3, False)
