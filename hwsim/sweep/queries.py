"""What a sweep keeps in a study's file beside its points, and asks of it: plans, values by key, failures, the front."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import InputError

from .connection import READ, WRITE, spoken, to_read, to_write
from .objectives import OBJECTIVES, front, losses
from .schema import ERROR, KEY, SETTINGS
from .search import Plan
from .space import Space

PLAN = "plan:"
"""Of a study's keys that hold plans, before the digests of their spaces."""

TEXTS = SETTINGS[:4]
"""Those columns of what names a point in which a file may be named."""

AT_ONCE = 500
"""Keys in one question; SQLite takes 32,766 parameters at most."""


class Failures(NamedTuple):
    """How many points of a study failed: for each reason, the most frequent first, and by bugs of ours."""

    reasons: dict[str, int]
    bugs: int


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    with spoken(path, READ), closing(to_read(path)) as connection:
        yield connection


@contextmanager
def _numbers(path: Path) -> Iterator[None]:
    """Raise `InputError` where a column of numbers holds something else."""
    try:
        yield
    except (TypeError, ValueError):
        raise InputError(f"study '{path}' is damaged: a number in it is none") from None


def keep_plan(path: Path, space: Space, plan: Plan) -> None:
    """Keep in the study how `space` is searched, so that it can be resumed without any option."""
    text = plan.to_json()
    with spoken(path, WRITE), closing(to_write(path)) as connection:
        name = f"{PLAN}{space.digest}:{text}"
        connection.execute("INSERT OR IGNORE INTO study VALUES(?, ?)", (name, text))


def plans(path: Path) -> list[tuple[str, Plan]]:
    """Return the plans that were kept, each with the digest of its space, in that order."""
    statement = f"SELECT key, value FROM study WHERE key GLOB '{PLAN}*' ORDER BY rowid"
    with _reading(path) as connection:
        rows = connection.execute(statement).fetchall()
    try:
        return [(key.split(":")[1], Plan.from_json(value)) for key, value in rows]
    except InputError as error:
        raise InputError(f"study '{path}' is damaged: {error}") from None


def values(path: Path, keys: Sequence[bytes], objectives: Sequence[str]) -> NDArray[np.float64]:
    """Return the objectives of the points with `keys`, shape (keys, objectives), less is better.

    A point that failed, is not there, or has no such number has NaN.
    """
    names = [OBJECTIVES[one].column for one in objectives]
    found: dict[bytes, tuple[float | None, ...]] = {}
    with _reading(path) as connection:
        for first in range(0, len(keys), AT_ONCE):
            asked = keys[first : first + AT_ONCE]
            marks = ", ".join("?" * len(asked))
            statement = f"SELECT {KEY}, {', '.join(names)} FROM points WHERE {KEY} IN ({marks})"
            found |= {key: rest for key, *rest in connection.execute(statement, asked)}
    rows = [found.get(key) or (None,) * len(names) for key in keys]
    with _numbers(path):
        return losses(dict(zip(names, zip(*rows, strict=True), strict=True)), objectives)


def failures(path: Path) -> Failures:
    """Return why points of the study failed."""
    statement = f"SELECT {ERROR}, count(*) FROM points WHERE {ERROR} IS NOT NULL GROUP BY {ERROR} ORDER BY 2 DESC, 1"
    with _reading(path) as connection:
        reasons = {str(reason): count for reason, count in connection.execute(statement)}
    return Failures(reasons, sum(count for reason, count in reasons.items() if reason.startswith("bug: ")))


def networks(path: Path, most: int) -> list[str]:
    """Return the networks of points that did not fail; where there are more than `most`, one more than that."""
    statement = f"SELECT DISTINCT network FROM points WHERE {ERROR} IS NULL LIMIT ?"
    with _reading(path) as connection:
        return sorted(str(name) for (name,) in connection.execute(statement, (most + 1,)))


def namesakes(path: Path) -> int:
    """Return how many points have the names of others; only those of files may mean something else later."""
    files = " OR ".join(f"{name} GLOB '*[/\\]*' OR {name} GLOB '*.[a-z]*'" for name in TEXTS)
    same = f"SELECT count(*) AS count FROM points WHERE {files} GROUP BY {', '.join(SETTINGS)}"
    statement = f"SELECT ifnull(sum(count - 1), 0) FROM ({same})"
    with _reading(path) as connection:
        return int(connection.execute(statement).fetchone()[0])


def front_size(path: Path, objectives: Sequence[str]) -> int:
    """Return how many points no other of the same network beats in all of the objectives."""
    names = list(dict.fromkeys(OBJECTIVES[one].column for one in objectives))
    with _reading(path) as connection:
        rows = connection.execute(f"SELECT network, {', '.join(names)} FROM points WHERE {ERROR} IS NULL").fetchall()
    if not rows:
        return 0
    networks, *columns = zip(*rows, strict=True)
    with _numbers(path):
        table = losses(dict(zip(names, columns, strict=True)), objectives)
    _, which = np.unique(np.array(list(map(str, networks))), return_inverse=True)
    order = np.argsort(which, kind="stable")
    parts = np.split(table[order], np.flatnonzero(np.diff(which[order])) + 1)
    return sum(int(front(part).sum()) for part in parts)
