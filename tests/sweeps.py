"""Sweeps as processes that can be interrupted and killed, and chips that take their time, fail or die."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from textwrap import dedent

from hwsim.sweep.database import Study
from hwsim.sweep.export import csv_parts

MLP = "mlp:hidden=31-13,inputs=17,classes=7"

SLOW = dedent(
    """\
    import time

    from hwsim import Accelerator
    from hwsim.chips.systolic import systolic


    def slow(rows: int = 5) -> Accelerator:
        time.sleep({seconds})
        return systolic(rows=rows, cols=3)
    """
)
"""A user's chip that takes its time."""

DEADLY = dedent(
    """\
    import os
    import signal

    from hwsim import Accelerator
    from hwsim.chips.systolic import systolic


    def deadly(rows: int = 5) -> Accelerator:
        if rows == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return systolic(rows=rows, cols=3)
    """
)
"""A user's chip that kills its process with 7 rows, as the kernel does when memory is short."""


def slow_chip(folder: Path, seconds: float = 0.02) -> Path:
    """Write a chip of which each number of rows takes `seconds`."""
    path = folder / "slow.py"
    path.write_text(SLOW.format(seconds=seconds), encoding="utf-8")
    return path


def deadly_chip(folder: Path) -> Path:
    """Write a chip that 7 rows kill."""
    path = folder / "deadly.py"
    path.write_text(DEADLY, encoding="utf-8")
    return path


def start(*words: object) -> subprocess.Popen[str]:
    """Return `hwsim sweep WORDS` as a process with a group of its own."""
    command = [sys.executable, "-m", "hwsim", "sweep", *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def count(path: Path) -> int:
    """Return how many points are in a study, 0 for none."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM points").fetchone()[0])
    return 0


def claimed(path: Path) -> int:
    """Return how many slices are in work, or were when their process was killed."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM claims").fetchone()[0])
    return 0


def wait_for(path: Path, points: int, process: subprocess.Popen[str], seconds: float = 30) -> None:
    """Wait until a study has so many points, or its process ended."""
    end = time.monotonic() + seconds
    while count(path) < points and process.poll() is None:
        assert time.monotonic() < end, f"{count(path)} points after {seconds} s"
        time.sleep(0.01)


def kill_group(process: subprocess.Popen[str]) -> None:
    """Kill a process with all its children, as a loss of power does."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)


def exported(path: Path, layers: bool = False) -> str:
    """Return a study as CSV."""
    with Study.open(path, create=False, readonly=True) as study:
        return "".join(csv_parts(study.table(layers)))
