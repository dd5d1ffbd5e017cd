"""This machine as `hwsim measure --calibrate` found it: a file in the user's cache."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterable
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from hwsim.arch.calibration import Calibration, Case
from hwsim.arch.source import Source

HOST = "host"


MOST_BYTES = 2**20
"""More than a calibration takes."""

CPUINFO, CACHES = Path("/proc/cpuinfo"), Path("/sys/devices/system/cpu/cpu0/cache")

ADVICE = "this machine is not calibrated: `hwsim measure --calibrate` does so; its memory is assumed"


class HostFacts(NamedTuple):
    """What is known of this machine: facts by name, and constants by case, none where it was not calibrated.

    `note` says why what a calibration found is left out, if it is.
    """

    facts: dict[str, Any]
    fitted: dict[Case, Calibration]
    note: str = ""


def cache_path() -> Path:
    """Return the file that this machine's calibration is kept in."""
    override = os.environ.get("HWSIM_CACHE")
    if override:
        return Path(override) / "cpu_host.json"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home()))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return base / "hwsim" / "cpu_host.json"


def read_host(constants: Iterable[str]) -> HostFacts:
    """Return the calibrated facts of this machine; without a calibration of it, what its system says, and a note.

    A calibration counts that was made on a machine of the same identity and names no other `constants` than these.
    """
    path, detected = cache_path(), detect()
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError:
        return HostFacts(detected, {}, ADVICE)
    try:
        if len(data) > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES} bytes")
        found = json.loads(data)
        if found["identity"] != identity():
            return HostFacts(detected, {}, f"{ADVICE}; '{path}' is of another machine")
        return HostFacts({**detected, **_facts(found["facts"])}, _fitted(found, set(constants)))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return HostFacts(detected, {}, f"{ADVICE}; '{path}' is damaged ({type(error).__name__})")


def _facts(found: dict[str, Any]) -> dict[str, Any]:
    """Return facts, of which all but words are finite numbers above 0; raises `ValueError` for others."""
    for name, value in found.items():
        if not isinstance(value, str) and not (_is_number(value) and value > 0):
            raise ValueError(name)
    if found["isa"] != detect()["isa"]:
        raise ValueError("isa")
    return dict(found)


def _fitted(found: dict[str, Any], known: set[str]) -> dict[Case, Calibration]:
    source = Source("hwsim measure --calibrate", int(found["year"]), f"this machine, {str(found['date'])[:10]}")
    fitted = {}
    for one in found["cases"]:
        case = (str(one["library"]), str(one["op_class"]), str(one["format"]))
        values = one["constants"]
        if not set(values) <= known or not all(_is_number(value) and value >= 0 for value in values.values()):
            raise ValueError(case)
        fitted[case] = Calibration(HOST, case, dict(values), int(one["shapes"]), source)
    return fitted


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def write_host(text: str) -> Path:
    """Write what a calibration found; return where."""
    path = cache_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def detect() -> dict[str, Any]:
    """Return cores, instruction set and clock as the system says; typical values where it does not."""
    values = _cpuinfo()
    try:
        mhz = float(values.get("cpu MHz", 0))
    except ValueError:
        mhz = 0.0
    return {"cores": _cores(), "isa": _isa(f" {values.get('flags', '')} "), "clock_mhz": mhz or 2500.0}


def identity() -> dict[str, Any]:
    """Return what tells this machine from another: its processor, instruction set, cores and caches."""
    values = _cpuinfo()
    names = ("vendor_id", "model name", "cpu family", "model", "stepping")
    sizes = [_text(folder / "size").strip() for folder in sorted(CACHES.glob("index*"))]
    said = {name: values.get(name, "") for name in names}
    return {**said, "processor": platform.machine(), "isa": detect()["isa"], "cores": _cores(), "caches": sizes}


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpuinfo() -> dict[str, str]:
    """Return what the system says of its first processor."""
    lines = _text(CPUINFO).partition("\n\n")[0].splitlines()
    pairs = (line.partition(":") for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _isa(flags: str) -> str:
    """Return the widest instruction set that `flags` name; AVX2 where nothing is said of an x86 processor."""
    for name, flag in (("amx", " amx_int8 "), ("avx512", " avx512f "), ("avx2", " avx2 ")):
        if flag in flags:
            return name
    return "avx2" if platform.machine().lower() in ("x86_64", "amd64") and not flags.strip() else "sse"
