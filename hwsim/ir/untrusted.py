"""Reads a file that somebody else wrote: it must exist, be a file, and be no larger than it may be."""

from __future__ import annotations

from pathlib import Path

from hwsim.errors import InputError, UsageError


def read_bounded(path: Path, what: str, limit_bytes: int) -> bytes:
    """Return the bytes of the `what` at `path`.

    Raises `UsageError` where nothing is there, `InputError` for what is no regular file (a device could be read for
    ever), cannot be read, is empty or exceeds `limit_bytes`.
    """
    try:
        if not path.exists():
            raise UsageError(f"no {what} at '{path}'")
        if not path.is_file():
            raise InputError(f"{what} '{path}' is not a file")
        with path.open("rb") as file:
            data = file.read(limit_bytes + 1)
    except OSError as error:
        raise InputError(f"{what} '{path}' cannot be read: {error.strerror}") from None
    if not data:
        raise InputError(f"{what} '{path}' is empty")
    if len(data) > limit_bytes:
        raise InputError(f"{what} '{path}' is larger than the {limit_bytes} bytes that are read")
    return data
