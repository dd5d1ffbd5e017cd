"""Connections to the file of a study, and what SQLite refuses as sentences."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from hwsim.errors import HardwareError, HwsimError, InputError, printable

BUSY_S = 60.0
"""How long a commit waits for those of other processes."""

AGAIN_S = 0.02
"""Between tries of what SQLite refuses at once, without waiting, while another process opens the same file."""

CACHE_KIB = 16 * 1024

MAX_CELL_BYTES = 256 * 2**20
"""Largest text in a study that is read or written: a space of ten million values has 200 MB."""

LITTLE_BYTES = 1 << 20
"""A device with less is full, whatever the error says: some come as "disk I/O error"."""

READ, WRITE = "read", "write"

STRANGE = ("unsupported file format", "Could not decode")
"""How errors begin that only a damaged file gives, without a code that says so."""

SAFE = (
    "PRAGMA trusted_schema=OFF", "PRAGMA cell_size_check=ON", "PRAGMA mmap_size=0", f"PRAGMA cache_size=-{CACHE_KIB}",
)  # fmt: skip
"""For files of somebody else's: nothing that their schema calls has side effects, no cell lies outside of its page."""

_FULL, _CANNOT_OPEN = {sqlite3.SQLITE_FULL}, {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}
_FAILED, _HELD = {sqlite3.SQLITE_IOERR}, {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def to_write(path: Path) -> sqlite3.Connection:
    """Return a connection whose commits last, made durable one by one beside readers and other writers."""
    connection = _connect(path, "mode=rwc")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def use_wal(connection: sqlite3.Connection) -> None:
    """Let readers and a writer not wait for one another; the file says so from then on."""
    end = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if code(error) not in _HELD or time.monotonic() > end:
                raise
        time.sleep(AGAIN_S)


def to_read(path: Path) -> sqlite3.Connection:
    """Return a connection that changes nothing, also where nothing can be written.

    Commits stand in a file beside until they are folded in, and an index of that is shared between processes: without
    room for the index one process reads alone, and without leave to, only what is folded in.
    """
    try:
        return _probed(path, "mode=rw")
    except sqlite3.OperationalError as error:
        if code(error) not in _CANNOT_OPEN | _FULL | _FAILED:
            raise
    with suppress(sqlite3.OperationalError):
        return _probed(path, "mode=rw", "PRAGMA locking_mode=EXCLUSIVE")
    beside = f"{path}-wal"
    if os.path.exists(beside) and os.path.getsize(beside):
        raise HardwareError(
            f"cannot read '{path}': '{beside}' holds points that are to be folded in, and the folder cannot be "
            "written; copy both files to one that can"
        )
    return _probed(path, "mode=ro&immutable=1")


def _probed(path: Path, mode: str, *first: str) -> sqlite3.Connection:
    connection = _connect(path, mode)
    try:
        for statement in (*first, "PRAGMA query_only=ON", "SELECT count(*) FROM sqlite_master"):
            connection.execute(statement).fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    where = f"file:{quote(os.path.abspath(path))}?{mode}"
    connection = sqlite3.connect(where, timeout=BUSY_S, isolation_level=None, uri=True)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_CELL_BYTES)
    for statement in SAFE:
        connection.execute(statement)
    return connection


@contextmanager
def spoken(path: Path, verb: str, safe: str = "") -> Iterator[None]:
    """Raise what SQLite refuses as a sentence: it cannot `verb` the file; `safe` is said of a failed write."""
    try:
        yield
    except sqlite3.Error as error:
        sentence = _sentence(error, path, verb, safe)
        if sentence is None:
            raise
        raise sentence from error
    except UnicodeDecodeError as error:
        raise InputError(f"study '{path}' is damaged: a text in it is no UTF-8") from error
    except UnicodeEncodeError as error:
        raise InputError(f"cannot {verb} '{path}': {error.object!r} is no text") from error


def _sentence(error: sqlite3.Error, path: Path, verb: str, safe: str) -> HwsimError | None:
    """Return the error for the user, None for a bug."""
    found, cannot, ending = code(error), f"cannot {verb} '{path}'", f"; {safe}" if safe else ""
    if found in _FULL or (found in _FAILED | _CANNOT_OPEN and verb == WRITE and _is_full(path)):
        return HardwareError(f"{cannot}: no space left on the device{ending}")
    if found in _CANNOT_OPEN:
        return HardwareError(f"{cannot}: no permission, for the file or for its folder{ending}")
    if found in _HELD:
        return HardwareError(f"{cannot}: another process has held it for {BUSY_S:.0f} s{ending}")
    if found in _FAILED:
        name = getattr(error, "sqlite_errorname", "")
        return HardwareError(f"{cannot}: {error} ({name}){ending}")
    strange = isinstance(error, sqlite3.OperationalError) and (verb == READ or str(error).startswith(STRANGE))
    if found in _DAMAGED or strange:
        return InputError(f"study '{path}' is damaged: {printable(str(error))}")
    if isinstance(error, sqlite3.DataError) and found == sqlite3.SQLITE_TOOBIG:
        return InputError(f"{cannot}: a cell has {MAX_CELL_BYTES} bytes at most")
    return None


def code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code of an error, 0 of one that Python found."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _is_full(path: Path) -> bool:
    try:
        found = os.statvfs(path.parent)
    except (OSError, AttributeError):
        return False
    return found.f_bavail * found.f_frsize < LITTLE_BYTES
