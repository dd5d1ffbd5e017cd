"""Who works on a slice: a process by its host, its number and its start, so that a number used again is another."""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from functools import cache
from pathlib import Path

LEASE_S = 900.0
"""How long a claim of another host holds that commits nothing."""

PROC = Path("/proc")
STATE, START = 0, 19
"""Places of a process's state and start time in /proc/PID/stat, behind its name (man proc)."""

GONE = "ZX"
"""States of a process that ended and was not yet waited for."""


def this_process() -> str:
    """Return the owner that this process is: `host:pid:start`."""
    return f"{platform.node()}:{os.getpid()}:{_start(os.getpid()) or ''}"


def is_dead(owner: str) -> bool:
    """Whether `owner` is a process of this host that is no more; of another host, and in doubt, it is not."""
    host, _, rest = owner.rpartition(":")[0].rpartition(":")
    if host != platform.node() or not rest.isdecimal() or os.name != "posix":
        return False
    start = owner.rpartition(":")[2]
    if start and PROC.joinpath("self", "stat").exists():
        return _start(int(rest)) != start
    try:
        os.kill(int(rest), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _start(pid: int) -> str | None:
    """Return when a process started, in a boot of the machine: None where there is none, or no /proc."""
    try:
        fields = (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[STATE] in GONE else f"{_boot()}.{fields[START]}"


@cache
def _boot() -> str:
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def take(connection: sqlite3.Connection, name: str, owner: str) -> bool:
    """Claim slice `name`, within a transaction; False where another owner has it, is alive and within its lease."""
    found = connection.execute("SELECT owner, until FROM claims WHERE slice = ?", (name,)).fetchone()
    if found is not None and found[0] != owner and not _free(*found):
        return False
    connection.execute("INSERT OR REPLACE INTO claims VALUES(?, ?, ?)", (name, owner, time.time() + LEASE_S))
    return True


def _free(owner: object, until: object) -> bool:
    """Whether a claim is void: its owner died, or is of another host and late."""
    if not isinstance(owner, str) or not isinstance(until, float) or is_dead(owner):
        return True
    here = owner.rpartition(":")[0].rpartition(":")[0] == platform.node()
    return not here and time.time() > until


def renew(connection: sqlite3.Connection, owner: str) -> None:
    """Put off the end of all claims of `owner`, within a transaction."""
    connection.execute("UPDATE claims SET until = ? WHERE owner = ?", (time.time() + LEASE_S, owner))


def drop(connection: sqlite3.Connection, *, name: str | None = None, owner: str | None = None) -> None:
    """Give up the claim of slice `name`, or all of `owner`, within a transaction."""
    connection.execute("DELETE FROM claims WHERE slice = ? OR owner = ?", (name, owner))
