"""This machine as `hwsim measure --calibrate` found it: a file in the user's cache, of which nothing is trusted."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple

from hwsim.arch.calibration import Calibration, Case
from hwsim.arch.source import Source
from hwsim.errors import HardwareError, InputError

from .system import detect, identity

HOST = "host"

NAME = "cpu_host.json"

MOST_BYTES = 2**20
"""More than a calibration takes."""

ADVICE = "this machine is not calibrated: `hwsim measure --calibrate` does so; its memory is assumed"

Range = tuple[float, float]

FACTS: Mapping[str, Range] = {
    "cores": (1, 2**16), "clock_mhz": (1, 1e5), "bandwidth_gb_s": (1e-3, 1e6), "tdp_w": (1e-3, 1e5),
    "node_nm": (0.1, 1e4), "l3_mib": (1e-3, 2**20), "l3_bytes": (2**10, 2**40), "l1_bytes_s": (1e3, 1e15),
    "l2_bytes_s": (1e3, 1e15), "l3_bytes_s": (1e3, 1e15), "memory_bytes_s": (1e3, 1e15), "core_bytes_s": (1e3, 1e15),
    "call_s": (0, 1e3), "keep_s": (1e-6, 1e6),
}  # fmt: skip
"""What can be known of a machine, and the numbers that it can be."""

MOST_SHAPES, YEARS = 10**6, (1970, 9999)


class HostFacts(NamedTuple):
    """What is known of this machine: facts by name with their sources, and constants by case, none if not calibrated.

    `note` says why what a calibration found is left out, if it is.
    """

    facts: dict[str, Any]
    sources: dict[str, Source]
    fitted: dict[Case, Calibration]
    note: str = ""


def cache_path() -> Path:
    """Return the file that this machine's calibration is kept in."""
    override = os.environ.get("HWSIM_CACHE")
    if override:
        return Path(override) / NAME
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", home))
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME", home / ".cache"))
    return base / "hwsim" / NAME


def read_host(constants: Mapping[str, Range]) -> HostFacts:
    """Return the calibrated facts of this machine; without a calibration of it, what its system says, and a note.

    A calibration names no other `constants` than these, each in its range. Raises `InputError` for one that is damaged.
    """
    path, detected = cache_path(), detect()
    said = dict.fromkeys(detected, Source.assumed("read from this machine, as its system says"))
    try:
        data = _bytes(path)
        if data is None:
            return HostFacts(detected, said, {}, ADVICE)
        found = _dict(json.loads(data), "it")
        if found.get("identity") != identity():
            return HostFacts(detected, said, {}, f"{ADVICE}; '{path}' is of another machine")
        source = _source(found)
        facts = _facts(_dict(found.get("facts"), "'facts'"), detected)
        fitted = dict(_case(one, constants, source) for one in _list(found.get("cases"), "'cases'"))
    except (ValueError, RecursionError) as error:
        why = "its values are nested too deep" if isinstance(error, RecursionError) else str(error)
        raise InputError(
            f"'{path}' is no calibration: {why}; delete it, or `hwsim measure --calibrate` writes another"
        ) from None
    return HostFacts({**detected, **facts}, {**said, **_sources(facts, fitted, source)}, fitted)


def _bytes(path: Path) -> bytes | None:
    """Return what a file has; None where there is none. Raises `ValueError` for one that cannot be read or is large."""
    if not path.is_file():
        if path.exists():
            raise ValueError("it is not a file")
        return None
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"it cannot be read ({error.strerror})") from None
    if len(data) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES} bytes")
    return data


def _facts(found: Mapping[str, Any], detected: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts, each in its range; raises `ValueError` for others."""
    for name in ("isa", "cores"):
        if name in found and (type(found[name]), found[name]) != (type(detected[name]), detected[name]):
            raise ValueError(f"'{name}' is {_said(found[name])}, and the machine's is {detected[name]}")
    return {name: value if name == "isa" else _number(name, value, FACTS) for name, value in found.items()}


def _case(found: object, constants: Mapping[str, Range], source: Source) -> tuple[Case, Calibration]:
    """Return the constants of one class of operators in one format; raises `ValueError` for what is none."""
    one = _dict(found, "a case")
    case = (_word(one, "library"), _word(one, "op_class"), _word(one, "format"))
    values = _dict(one.get("constants"), "'constants'")
    fitted = {name: _number(name, value, constants) for name, value in values.items()}
    shapes = _whole(one, "shapes", 0, MOST_SHAPES)
    return case, Calibration(HOST, case, fitted, shapes, source)


def _source(found: Mapping[str, Any]) -> Source:
    """Return who measured, and when; raises `ValueError` for what is no date."""
    date = found.get("date")
    if not isinstance(date, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d", date, re.ASCII):
        raise ValueError(f"'date' is {_said(date)}, not of the form 2026-11-22")
    return Source("hwsim measure --calibrate", _whole(found, "year", *YEARS), f"this machine, {date}")


def _sources(facts: Mapping[str, Any], fitted: Mapping[Case, Calibration], source: Source) -> dict[str, Source]:
    """Return the source of every fact of a calibration, of those that are not measured the reason."""
    shapes = max((one.shapes for (_, op_class, _), one in fitted.items() if op_class == "gemm"), default=0)
    apart = {
        "cores": "read from this machine, as its system says",
        "isa": "read from this machine, as its system says",
        "l3_bytes": "as its system says, but no more than 56 MiB a thread, as guests of a shared machine have",
        "l3_mib": "as its system says",
        "keep_s": f"the best of six times, fitted together with gemm on {shapes} shapes ({source})",
    }
    return {name: Source.assumed(apart[name]) if name in apart else source for name in facts}


def _number(name: str, value: object, ranges: Mapping[str, Range]) -> float:
    if name not in ranges:
        raise ValueError(f"{_said(name)} is unknown")
    low, high = ranges[name]
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"'{name}' is {_said(value)}, not a number from {low:g} to {high:g}")
    return value


def _whole(found: Mapping[str, Any], name: str, low: int, high: int) -> int:
    value = found.get(name)
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"'{name}' is {_said(value)}, not a whole number from {low} to {high}")
    return value


def _word(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9_]{1,40}", value):
        raise ValueError(f"'{name}' is {_said(value)}, not a name of small letters")
    return value


def _dict(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} is {_said(value)}, not an object")
    return value


def _list(value: object, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{name} is {_said(value)}, not a list")
    return value


def _said(value: object) -> str:
    """Return a value as errors say it: short, on one line."""
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value) if not isinstance(value, int) or abs(value) < 10**20 else "a huge number"
    return text if len(text) <= 40 else f"{text[:37]}..."


def require_writable() -> None:
    """Raise `HardwareError` where a calibration could not be kept, so that it is known before it is measured."""
    path = cache_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        with NamedTemporaryFile(dir=path.parent, prefix=NAME):
            pass
    except OSError as error:
        raise _unwritable(path, error) from None


def write_host(text: str) -> Path:
    """Write what a calibration found, all of it or nothing; return where. Raises `HardwareError` where it cannot."""
    path = cache_path()
    require_writable()
    beside = ""
    try:
        with NamedTemporaryFile("w", dir=path.parent, prefix=NAME, delete=False, encoding="utf-8") as file:
            beside = file.name
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        if beside:
            Path(beside).unlink(missing_ok=True)
        raise _unwritable(path, error) from None
    return path


def _unwritable(path: Path, error: OSError) -> HardwareError:
    why = error.strerror or type(error).__name__
    return HardwareError(f"'{path}' cannot be written ({why}); HWSIM_CACHE names another folder to keep it in")
