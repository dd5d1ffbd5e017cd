"""Times sweeps and holds them against what they promise: sizes, kills, executors, and reading a study again.

Run as `python benchmarks/sweep.py [PART...]`, of `grid million kills executors guided`; all without any. It asserts
counts and equal exports, and prints times, on the clock and of processors, and peaks of memory, which are those of the
sweep and its workers together. On a machine with other work the processors' time says what the clock would.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

HWSIM = [sys.executable, "-m", "hwsim"]

NETWORKS = "alexnet,vgg,resnet:depth=18,mobilenet,mlp"
DENSITIES = ("--density", "0.05:1:0.05", "--input-density", "0.1:1:0.1")
ARRAYS = "systolic:rows={16,32,64,128},cols={16,32,64,128},gpu:{h100,a100,v100,k20m}"
EYERISS = "eyeriss:rows={8,12,16},glb_kib={50,75,100,125,150,200},isca2016,dadiannao:nodes=16"
GRID = (
    (("--on", ARRAYS, "--format", "int8,fp16,fp32,bf16"), 5 * 20 * 4 * 200),
    (("--on", EYERISS, "--format", "fixed16"), 5 * 20 * 1 * 200),
)
"""Networks x chips x formats x densities: arrays and GPUs, which compute zeros, and chips that gain by them."""

MILLION = ("--networks", "alexnet", "--on", "systolic:rows=1:100:1,cols=1:100:1,bandwidth_gb_s=1:100:1", "--no-layers")

MEDIUM = (
    "--networks", "alexnet,mlp", "--on", "systolic:rows=1:20:1,cols=1:25:1,eyeriss:rows=3:12:1,glb_kib=10:500:10",
    "--density", "1.0,0.5", "--input-density", "1.0,0.6", "--format", "fixed16,int8",
)  # fmt: skip
MEDIUM_POINTS = 2 * (20 * 25 + 10 * 50) * 2 * 2 * 2

KILLS, SEED = 10, 0

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class Swept(NamedTuple):
    """What `hwsim sweep --json` printed, its times, and the most memory of all its processes at once."""

    summary: dict[str, Any]
    seconds: float
    cpu_seconds: float
    peak_mb: float


def main() -> None:
    """Run the parts that are named."""
    parts: dict[str, Callable[[Path], None]] = {
        "grid": grid, "million": million, "kills": kills, "executors": executors, "guided": guided,
    }  # fmt: skip
    for name in sys.argv[1:] or parts:
        with tempfile.TemporaryDirectory() as folder:
            print(f"{name}", flush=True)
            parts[name](Path(folder))


def grid(folder: Path) -> None:
    """100,000 points with their layers, then the study read again and its front drawn."""
    path, seconds, cpu, peak_mb, points = folder / "grid.sqlite", 0.0, 0.0, 0.0, 0
    for words, size in GRID:
        found = swept("--networks", NETWORKS, *words, *DENSITIES, "--out", path)
        assert found.summary["points"] == found.summary["computed"] == size, found.summary
        assert not found.summary["faults"], found.summary["faults"]
        seconds, cpu, points = seconds + found.seconds, cpu + found.cpu_seconds, points + size
        peak_mb = max(peak_mb, found.peak_mb)
    assert points == 100_000 == count(path)
    said(f"{points:,} points, {found.summary['failed']:,} failed", seconds, cpu, peak_mb, path)
    started, before = time.perf_counter(), cpu_seconds()
    run("report", "pareto", path, "--out", folder / "figures")
    said("loaded and its Pareto front drawn", time.perf_counter() - started, cpu_seconds() - before)
    assert any((folder / "figures").iterdir())


def million(folder: Path) -> None:
    """A million points of one chip, without layers."""
    path = folder / "million.sqlite"
    found = swept(*MILLION, "--out", path)
    assert found.summary["computed"] == count(path) == 10**6
    said("1,000,000 points", found.seconds, found.cpu_seconds, found.peak_mb, path)


def kills(folder: Path) -> None:
    """A sweep that is killed ten times at random moments, with all its processes."""
    whole, path, chance = folder / "whole.sqlite", folder / "killed.sqlite", random.Random(SEED)
    undisturbed = swept(*MEDIUM, "--out", whole)
    assert undisturbed.summary["evaluated"] == MEDIUM_POINTS
    lost, size = 0, max(MEDIUM_POINTS // 2000, 1)
    for moment in sorted(chance.sample(range(1, MEDIUM_POINTS), KILLS)):
        process = started_sweep(*MEDIUM, "--out", path)
        while count(path) < moment and process.poll() is None:
            time.sleep(0.002)
        time.sleep(chance.random() / 50)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        lost += size * count(path, "claims")
    resumed = swept("--resume", path)
    assert resumed.summary["in_study"] == MEDIUM_POINTS
    for layers in (False, True):
        assert exported(path, layers) == exported(whole, layers)
    assert lost < 0.05 * MEDIUM_POINTS, lost
    print(f"  {KILLS} kills: the same bytes; work that was lost: {lost:,} of {MEDIUM_POINTS:,} points at most, "
          f"{lost / MEDIUM_POINTS:.1%}")  # fmt: skip


def executors(folder: Path) -> None:
    """The same sweep in one process, in two, and on a dask cluster of two workers."""
    ways = {"1 process": ("--jobs", 1), "2 processes": ("--jobs", 2), "dask": ("--jobs", 2, "--cluster", "local")}
    digests = set()
    for name, words in ways.items():
        path = folder / f"{name.replace(' ', '_')}.sqlite"
        found = swept(*MEDIUM, *words, "--out", path)
        assert found.summary["computed"] == MEDIUM_POINTS
        said(f"{MEDIUM_POINTS:,} points, {name}", found.seconds, found.cpu_seconds, found.peak_mb, path)
        digests.add((exported(path, False), exported(path, True)))
    assert len(digests) == 1
    print("  the same bytes, points and layers")


def guided(folder: Path) -> None:
    """Guided and random search of a tenth of a space: how many points of the true front each finds."""
    sizes = "{8,12,16,24,32,48,64,96}"
    on = f"systolic:rows={sizes},cols={sizes},ifmap_kib={{16,64,256}},ofmap_kib={{16,64,256}},bandwidth_gb_s={{4,16}}"
    flows = "weight_stationary,output_stationary"
    words = ("--networks", "alexnet", "--on", on, "--dataflow", flows, "--objective", "latency,area", "--no-layers")
    whole = swept(*words, "--out", folder / "whole.sqlite").summary
    true = front(folder / "whole.sqlite")
    for which in ("guided", "random"):
        shares, seconds = [], 0.0
        for seed in range(3):
            path = folder / f"{which}{seed}.sqlite"
            found = swept(*words, "--search", which, "--samples", whole["points"] // 10, "--seed", seed, "--out", path)
            assert found.summary["computed"] == whole["points"] // 10
            shares.append(len(front(path) & true) / len(true))
            seconds += found.seconds / 3
        print(f"  {which}: {sum(shares) / 3:.0%} of the {len(true)} points of the front of {whole['points']:,}, "
              f"with a tenth of them, {seconds:.1f} s")  # fmt: skip


def front(path: Path) -> set[tuple[float, float]]:
    """Return the time and area of the points that no other beats."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT seconds, area_mm2 FROM points WHERE error IS NULL ORDER BY 1, 2").fetchall()
    found: set[tuple[float, float]] = set()
    least = float("inf")
    for seconds, area in rows:
        if area < least:
            found.add((seconds, area))
            least = area
    return found


def started_sweep(*words: object) -> subprocess.Popen[str]:
    """Return a sweep of two jobs at work, in a group of its own."""
    jobs = () if "--jobs" in words else ("--jobs", "2")
    command = [*HWSIM, "sweep", *map(str, words), *jobs, "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def swept(*words: object) -> Swept:
    """Return what a sweep came to; points that fail are no reason to stop."""
    started, cpu_before, peak_bytes = time.perf_counter(), cpu_seconds(), 0
    process = started_sweep(*words)
    while process.poll() is None:
        peak_bytes = max(peak_bytes, resident_bytes(process.pid))
        time.sleep(0.05)
    seconds = time.perf_counter() - started
    out, err = process.communicate()
    assert process.returncode in (0, 3), err
    return Swept(json.loads(out), seconds, cpu_seconds() - cpu_before, peak_bytes / 1e6)


def cpu_seconds() -> float:
    """Return the time of processors that children have taken so far, their own included."""
    times = os.times()
    return times.children_user + times.children_system


def resident_bytes(group: int) -> int:
    """Return the memory of all processes of a group, pages that they share counted for each; 0 without /proc."""
    found = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            fields = stat.read_text().rpartition(")")[2].split()
            found += int(fields[21]) * PAGE_BYTES if int(fields[2]) == group else 0
    return found


def count(path: Path, table: str = "points") -> int:
    """Return how many rows a table of a study has."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    return 0


def exported(path: Path, layers: bool) -> str:
    """Return a digest of a study's export."""
    return hashlib.sha256(run("export", path, *(["--layers"] if layers else []))).hexdigest()


def run(*words: object) -> bytes:
    """Return what a verb prints."""
    return subprocess.run([*HWSIM, *map(str, words)], check=True, capture_output=True).stdout


def said(what: str, seconds: float, cpu: float = 0, peak_mb: float = 0, path: Path | None = None) -> None:
    """Print a line of figures."""
    parts = [f"{seconds:.1f} s"]
    parts += [f"{cpu:.1f} s of processors"] if cpu else []
    parts += [f"{peak_mb:.0f} MB"] if peak_mb else []
    parts += [f"file of {path.stat().st_size / 1e6:.0f} MB"] if path else []
    print(f"  {what}: {', '.join(parts)}", flush=True)


if __name__ == "__main__":
    main()
