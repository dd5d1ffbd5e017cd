"""The exceptions a user can cause. Each carries the exit code of the command line (0 done, 1 a bug, 2 ... 5 below)."""

from __future__ import annotations

from collections.abc import Iterable


class HwsimError(Exception):
    """Base of every error that is the input's fault: one sentence with the value, the rule and the near match."""

    exit_code = 2


class UsageError(HwsimError):
    """A name, option or parameter that does not exist or cannot be read (exit code 2)."""

    exit_code = 2


class InputError(HwsimError):
    """Input understood but impossible: contradicting shapes, malformed file, unsupported format (exit code 3)."""

    exit_code = 3


class LimitError(HwsimError):
    """A comparison whose error is above the limit that was set for it (exit code 4)."""

    exit_code = 4


class HardwareError(HwsimError):
    """Hardware, a package or a permission that this machine lacks (exit code 5)."""

    exit_code = 5


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the ending of an error sentence: ``; did you mean 'alexnet'?``, or nothing where no name is close."""
    from difflib import get_close_matches

    close = get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""


def near_match(name: str, known: Iterable[str]) -> str:
    """Return the ending of an error sentence: the nearest name, or all there are."""
    names = sorted(known)
    return did_you_mean(name, names) or (f"; there are: {', '.join(names)}" if names else "")


def printable(text: str) -> str:
    """Return `text` with control characters escaped: names in a file must not steer the terminal they are shown on."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def reason(error: BaseException) -> str:
    """Return the first line of what an error says; some say nothing, and are told by their names."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def counted(count: int, one: str, several: str = "") -> str:
    """Return a count with what is counted, in the number that it has: `1 layer`, `3 layers`."""
    return f"{count} {one if count == 1 else several or one + 's'}"


def unknown_name(noun: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a name that is not in `known`, with its near match."""
    return UsageError(f"no {noun} named '{name}'{near_match(name, known)}")
