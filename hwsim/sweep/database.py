"""One SQLite file per study: a row per point and per layer, each computed once, none lost whatever happens.

A commit is one transaction, on the disk when it returns; it also gives up the claim of the slice that it finishes. Who
commits holds the lock of the file, learns which points others committed meanwhile, and adds none of them again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from shlex import quote
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import HardwareError, InputError, UsageError

from . import claims, insert, schema, tables
from .connection import READ, WRITE, spoken, to_read, to_write, use_wal
from .identity import KEY_BYTES
from .known import Keys
from .metrics import METRICS
from .objectives import OBJECTIVES, Objective
from .schema import KEY, POINT, quoted
from .space import Space

if TYPE_CHECKING:
    import pandas as pd

    from .evaluate import Rows

SPACE = "space:"
"""Of a study's keys that hold spaces, before their digests."""

DENSEST = ("ifnull(weight_density, 1) DESC", "ifnull(input_density, 1) DESC")
"""Order of points that are as good as each other: what the sparser one gains, it gains by nothing."""


class Study:
    """A study's file, opened. A context manager: leaving it gives up this process's claims."""

    def __init__(self, path: Path, connection: sqlite3.Connection, readonly: bool) -> None:
        self.path, self.readonly = path, readonly
        self._db = connection
        self._keys, self._last = Keys(), 0
        self._owner = ""

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, create: bool, readonly: bool = False) -> Study:
        """Return the study at `path`, a new one if there is none and `create`.

        Raises `UsageError` for a missing one, `InputError` for what is none, of another schema or, unless `readonly`,
        with points of another hwsim, `HardwareError` for what cannot be read or written. What is refused is as before.
        """
        where = Path(path)
        if not os.path.exists(where) and not create:
            raise UsageError(f"no study at '{where}'; hwsim sweep ... --out {quote(str(where))} makes one")
        empty = not os.path.exists(where) or schema.check_file(where)
        if empty and (readonly or not create):
            raise InputError(f"'{where}' is no study: it is empty")
        verb = READ if readonly else WRITE
        with spoken(where, verb), _parents_of(where if empty else None):
            study = cls(where, to_read(where) if readonly else to_write(where), readonly)
            try:
                study._begin(empty)
            except BaseException:
                study._db.close()
                raise
        return study

    def _begin(self, empty: bool) -> None:
        """Make the tables of an empty file, check those of another."""
        if empty:
            with self._transaction():
                # another process may have made them since the file was found empty
                if not self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    schema.create(self._db)
        schema.check(self._db, self.path)
        if not self.readonly:
            schema.check_version(self._db, self.path)
            use_wal(self._db)
            with self._transaction():
                pass  # a file that cannot be written says so here, not when there is something to lose

    @property
    def resume(self) -> str:
        """Return the command that goes on with this study."""
        return f"hwsim sweep --resume {quote(str(self.path))}"

    def __enter__(self) -> Study:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give up this process's claims and the file; claims that cannot be given up are void with the process."""
        with suppress(sqlite3.Error, HardwareError):
            if self._owner:
                self.release()
        self._db.close()

    def add_space(self, space: Space) -> None:
        """Keep `space` in the study, and give its parameters columns."""
        firsts = space.axis_values(np.asarray(space.starts, np.int64))
        kinds = {name: next(type(one) for one in values if one is not None) for name, values in firsts.items()}
        with self._writing():
            schema.add_parameters(self._db, kinds)
            self._db.execute("INSERT OR IGNORE INTO study VALUES(?, ?)", (f"{SPACE}{space.digest}", space.to_json()))

    def spaces(self) -> list[Space]:
        """Return the spaces that were added, in that order; raises `InputError` where one is malformed."""
        statement = f"SELECT value FROM study WHERE key GLOB '{SPACE}*' ORDER BY rowid"
        with spoken(self.path, READ):
            texts = [text for (text,) in self._db.execute(statement)]
        if not all(isinstance(text, str) for text in texts):
            raise InputError(f"study '{self.path}' is damaged: a space in it is no text")
        return [Space.from_json(text) for text in texts]

    def known(self, keys: Sequence[bytes]) -> NDArray[np.bool_]:
        """Return which points are in the study, by their keys, those that other processes just committed included.

        Ask again after a claim: who had the slice before may have committed it since.
        """
        with spoken(self.path, READ):
            self._refresh()
        return self._keys.among(keys)

    def _refresh(self) -> None:
        """Take up the keys of points committed since the last time; ids only grow."""
        last = self._db.execute(f"SELECT max({POINT}) FROM points").fetchone()[0] or 0
        if last <= self._last:
            return
        statement = f"SELECT {KEY} FROM points WHERE {POINT} > ? AND {POINT} <= ? ORDER BY {POINT}"
        cursor = self._db.execute(statement, (self._last, last))
        while found := cursor.fetchmany(tables.AT_ONCE):
            keys = [key for (key,) in found]
            if set(map(type, keys)) != {bytes} or set(map(len, keys)) != {KEY_BYTES}:
                raise InputError(f"study '{self.path}' is damaged: a key in it has not {KEY_BYTES} bytes")
            self._keys.add(keys)
        self._last = last

    def claim(self, slice: str, owner: str = "") -> bool:  # noqa: A002 - the word of the file's column
        """Return whether `owner`, by default this process, may work on `slice`: nobody who is alive does."""
        owner = owner or claims.this_process()
        # a claim that a loss of power undoes is void anyway: what commits last is what it is for
        self._db.execute("PRAGMA synchronous=NORMAL")
        try:
            with self._writing():
                taken = claims.take(self._db, slice, owner)
        finally:
            self._db.execute("PRAGMA synchronous=FULL")
        self._owner = owner if taken else self._owner
        return taken

    def release(self) -> None:
        """Give up all claims of the owner who claimed last."""
        with self._writing():
            claims.drop(self._db, owner=self._owner)

    def commit(self, space: Space, rows: Rows, keys: Sequence[bytes], slice: str | None = None) -> int:  # noqa: A002
        """Add those points of `rows` that are new, and their layers; return how many were.

        `keys` are those of the points, in their order. Also gives up the claim of `slice`, and renews the owner's
        others. Raises `HardwareError` where it cannot; then nothing was added.
        """
        with self._writing():
            self._refresh()
            new = _firsts(keys) & ~self._keys.among(keys)
            first = 1 + max(self._max("points"), self._max("layers"))
            ids = np.where(new, first - 1 + np.cumsum(new), 0)
            insert.points(self._db, space, rows, keys, ids)
            insert.layers(self._db, rows, ids)
            if slice is not None:
                claims.drop(self._db, name=slice)
            if self._owner:
                claims.renew(self._db, self._owner)
        added = int(new.sum())
        if added:
            self._keys.add(np.asarray(keys, object)[new].tolist())
            self._last = int(first - 1 + added)
        return added

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make the commits within one, which is made durable once: all of it is there, or nothing."""
        with self._writing():
            yield

    def _max(self, table: str) -> int:
        return int(self._db.execute(f"SELECT max({POINT}) FROM {table}").fetchone()[0] or 0)

    def counts(self) -> tuple[int, int]:
        """Return how many points are in the study, and how many of them failed."""
        with spoken(self.path, READ):
            computed, failed = self._db.execute(f"SELECT count(*), count({schema.ERROR}) FROM points").fetchone()
        return computed, failed

    def best(self, objectives: Sequence[str], network: str = "") -> dict[str, dict[str, Any]]:
        """Return, by objective, the columns of the best point, of all or of one `network`; of equal ones the densest.

        An objective that no point has a number for is left out.
        """
        with spoken(self.path, READ):
            found = {name: self._best(OBJECTIVES[name], network) for name in objectives}
        return {name: row for name, row in found.items() if row is not None}

    def _best(self, sought: Objective, network: str) -> dict[str, Any] | None:
        names = (*schema.SETTINGS, *schema.parameters(self._db), *METRICS)
        order = f"{sought.column}{' DESC' if sought.maximise else ''}, {', '.join(DENSEST)}, {tables.ORDER}"
        statement = (
            f"SELECT {', '.join(map(quoted, names))} FROM points WHERE {schema.ERROR} IS NULL "
            f"AND {sought.column} IS NOT NULL AND ?1 IN ('', network) ORDER BY {order} LIMIT 1"
        )
        row = self._db.execute(statement, (network,)).fetchone()
        return None if row is None else dict(zip(names, row, strict=True))

    def table(self, layers: bool = False) -> tables.Table:
        """Return the points, or their layers, to be read in the order of exports."""
        with spoken(self.path, READ):
            return tables.Table(self._db, self.path, layers)

    def frame(self, layers: bool = False) -> pd.DataFrame:
        """Return the points, or their layers, as a data frame, in the order of exports.

        Texts that are not there are "", numbers NaN, so whole numbers of a column with a gap are floats.
        """
        return self.table(layers).frame()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of what is within, or nothing."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction, or a part of the one in work; raises `HardwareError` that says what is safe."""
        if self._db.in_transaction:
            yield
            return
        try:
            with spoken(self.path, WRITE), self._transaction():
                yield
        except HardwareError as error:
            raise HardwareError(f"{error}; {self._safe()}") from error.__cause__

    def _safe(self) -> str:
        with suppress(sqlite3.Error):
            found = self._db.execute("SELECT count(*) FROM points").fetchone()[0]
            return f"{found} points are safe; {self.resume} goes on from there"
        return f"what was committed is safe; {self.resume} goes on from there"


@contextmanager
def _parents_of(path: Path | None) -> Iterator[None]:
    """Make the folders of a new file."""
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HardwareError(f"cannot write '{path}': {error.strerror or error}") from error
    yield


def _firsts(keys: Sequence[bytes]) -> NDArray[np.bool_]:
    """Return which of `keys` do not occur before."""
    if len(set(keys)) == len(keys):
        return np.ones(len(keys), np.bool_)
    seen: set[bytes] = set()
    found = np.zeros(len(keys), np.bool_)
    for place, key in enumerate(keys):
        found[place] = key not in seen
        seen.add(key)
    return found
