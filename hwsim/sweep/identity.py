"""What identifies a point: the texts that name it, with the content of the files among them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from hashlib import file_digest

from hwsim.errors import InputError
from hwsim.spec import MAX_WHOLE

SCHEMA = 1
"""Of keys: with another number nothing that was computed before is found again."""

KEY_BYTES = 16


def stamped(value: object) -> str:
    """Return `value` as text, with a digest of the content behind the name of every file in it.

    A format may name one for some layers: `int8,conv1=./mine.py`.
    """
    if not isinstance(value, str):
        return repr(value)
    if not {".", "/", "\\"}.intersection(value):
        return value
    return ",".join(_item(item) for item in value.split(","))


def _item(text: str) -> str:
    path = text.rpartition("=")[2]
    return f"{text}@{_digest(path)}" if not is_number(path) and os.path.isfile(path) else text


def _digest(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"'{path}' cannot be read: {error.strerror}") from None


def is_number(text: str) -> bool:
    """Whether `text` is that of a number."""
    try:
        return float(text) == float(text)
    except ValueError:
        return False


def cell_type(texts: Iterable[str]) -> type:
    """Return the type of a column of `texts`: int where all are whole numbers of 64 bits, else float or str."""
    kind: type = int
    for text in texts:
        if kind is int and not _is_whole(text):
            kind = float
        if kind is float and not is_number(text):
            return str
    return kind


def _is_whole(text: str) -> bool:
    try:
        return abs(int(text)) <= MAX_WHOLE
    except ValueError:
        return False
