"""The tables of a study, and whether a file is one: opening somebody else's runs nothing that it holds."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from hwsim.errors import InputError, UsageError

from .metrics import INDEX, LAYERS, METRICS, TEXTS, WHOLE
from .space import CHIP, NETWORK, Point

VERSION = 1
"""Of the schema, `PRAGMA user_version`."""

APPLICATION = 0x6877_7377
""""hwsw", `PRAGMA application_id`: what tells a study from other SQLite files."""

MAGIC = b"SQLite format 3\0"
HEADER_BYTES, VERSION_AT, APPLICATION_AT = 100, 60, 68
"""Of a SQLite file's header and two numbers in it (sqlite.org/fileformat2.html, Sec. 1.3)."""

MAX_PARAMETERS = 1000
"""Columns of parameters; SQLite has 2000 columns at most."""

SETTINGS = Point._fields
"""Columns that name a point."""

KEY, POINT, ERROR = "key", "point", "error"

DECLARED = {int: "INTEGER", float: "REAL", str: "TEXT"}


def _declared(name: str) -> str:
    """Return a column with its type, as it stands in CREATE TABLE."""
    return f"{name} {'TEXT' if name in TEXTS else 'INTEGER' if name in WHOLE else 'REAL'}"


_SETTINGS = ", ".join(f"{name} {'REAL' if name.endswith('_density') else 'TEXT'}" for name in SETTINGS)

TABLES = {
    "study": "CREATE TABLE study(key TEXT PRIMARY KEY, value TEXT)",
    "points": f"CREATE TABLE points({POINT} INTEGER PRIMARY KEY, {KEY} BLOB NOT NULL, {_SETTINGS}, "
    f"{', '.join(map(_declared, METRICS))}, {ERROR} TEXT)",
    "layers": f"CREATE TABLE layers({POINT} INTEGER REFERENCES points, {INDEX} INTEGER, "
    f"{', '.join(map(_declared, LAYERS))}, PRIMARY KEY({POINT}, {INDEX})) WITHOUT ROWID",
    "claims": "CREATE TABLE claims(slice TEXT PRIMARY KEY, owner TEXT, until REAL)",
}
"""What creates them. `points` grows by a column per parameter.

Keys have no index: at random places of a tree it trebled what a million points write. `Study` keeps them unique, under
the lock that every commit holds.
"""

_PARAMETER = rf'"(?:{NETWORK}|{CHIP})\w*" (?:{"|".join(DECLARED.values())})'
_POINTS = re.compile(rf"{re.escape(TABLES['points'][:-1])}(?:, {_PARAMETER})*\)")


def create(connection: sqlite3.Connection) -> None:
    """Make the tables of a new study; call it within a transaction."""
    from hwsim import __version__

    connection.execute(f"PRAGMA application_id={APPLICATION}")
    connection.execute(f"PRAGMA user_version={VERSION}")
    for statement in TABLES.values():
        connection.execute(statement)
    connection.execute("INSERT INTO study VALUES('hwsim', ?), ('created', datetime('now'))", (__version__,))


def check_file(path: Path) -> bool:
    """Return whether the file is empty, to become a study; raises `InputError` unless that or one of this schema.

    Only the header is read: SQLite would take up, and change, what is not ours.
    """
    try:
        if not path.is_file():
            raise InputError(f"'{path}' is not a file")
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
    except OSError as error:
        raise InputError(f"study '{path}' cannot be read: {error.strerror}") from None
    if not header:
        return True
    if not header.startswith(MAGIC) or len(header) < HEADER_BYTES:
        raise InputError(f"'{path}' is no study: it is not a SQLite file")
    application, version = (int.from_bytes(header[at : at + 4], "big") for at in (APPLICATION_AT, VERSION_AT))
    if application != APPLICATION:
        raise InputError(f"'{path}' is no study: it is a SQLite file of another program")
    if version != VERSION:
        raise InputError(f"study '{path}' has schema version {version}; this hwsim reads {VERSION}")
    return False


def is_sqlite(path: Path) -> bool:
    """Whether a regular file begins as SQLite's do."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except (OSError, ValueError):
        return False


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `InputError` where tables are not as `TABLES` makes them, or something would run when they are written."""
    found = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE type IN ('table', 'view', 'trigger')")
    statements = {name: (kind, text or "") for kind, name, text in found}
    for name, statement in TABLES.items():
        kind, text = statements.get(name, ("", ""))
        if kind != "table" or not (_POINTS.fullmatch(text) if name == "points" else text == statement):
            raise InputError(f"study '{path}' is malformed: its table '{name}' is none that hwsim made")
    triggers = [name for name, (kind, _) in statements.items() if kind == "trigger"]
    if triggers:
        raise InputError(f"study '{path}' has a trigger, '{triggers[0]}', which hwsim would run; drop it first")


def check_version(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `InputError` where the points are those of another hwsim."""
    from hwsim import __version__

    found = connection.execute("SELECT value FROM study WHERE key = 'hwsim'").fetchone()
    if found != (__version__,):
        other = found[0] if found else "unknown"
        raise InputError(
            f"the points of '{path}' are those of hwsim {other}, not of {__version__}, and would not go together: "
            "choose another file (hwsim export still reads this one)"
        )


def quoted(name: str) -> str:
    """Return a column's name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def columns(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    """Return the columns of `table` with their types."""
    return {name: kind for _, name, kind, *_ in connection.execute(f"PRAGMA table_info({table})")}


def parameters(connection: sqlite3.Connection) -> dict[str, str]:
    """Return the columns of parameters with their types, those of networks first, each in the alphabet's order."""
    own = {POINT, KEY, ERROR, *SETTINGS, *METRICS}
    found = {name: kind for name, kind in columns(connection, "points").items() if name not in own}
    return dict(sorted(found.items(), key=lambda item: (item[0].startswith(CHIP), item[0])))


def add_parameters(connection: sqlite3.Connection, kinds: Mapping[str, type]) -> None:
    """Add those columns that are not there yet; raises `UsageError` for names that no table can have."""
    there = {name.lower(): name for name in columns(connection, "points")}
    for name, kind in kinds.items():
        if there.get(name.lower(), name) != name:
            raise UsageError(f"parameters '{there[name.lower()]}' and '{name}' of a study differ in case alone")
        if name in there.values():
            continue
        statement = f"{quoted(name)} {DECLARED[kind]}"
        if not re.fullmatch(_PARAMETER, statement):
            raise UsageError(f"parameter '{name}' of a study is no name of letters, digits and _")
        if len(there) >= MAX_PARAMETERS:
            raise UsageError(f"a study has {MAX_PARAMETERS} columns at most")
        connection.execute(f"ALTER TABLE points ADD COLUMN {statement}")
        there[name.lower()] = name
