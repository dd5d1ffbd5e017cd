"""This machine as `hwsim measure --calibrate` found it: a file in the user's cache."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any, NamedTuple

from hwsim.arch.calibration import Calibration, Case
from hwsim.arch.source import Source

HOST = "host"


class HostFacts(NamedTuple):
    """What is known of this machine: facts by name, and constants by case, none where it was not calibrated."""

    facts: dict[str, Any]
    fitted: dict[Case, Calibration]


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


def read_host() -> HostFacts:
    """Return the calibrated facts of this machine; without a calibration of it, what its system says."""
    path, detected = cache_path(), detect()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["isa"] != detected["isa"] or found["facts"]["cores"] != detected["cores"]:
            return HostFacts(detected, {})
        source = Source("hwsim measure --calibrate", int(found["year"]), f"this machine, {found['date']}")
        fitted = {
            (one["library"], one["op_class"], one["format"]): Calibration(
                HOST, (one["library"], one["op_class"], one["format"]), one["constants"], one["shapes"], source
            )
            for one in found["cases"]
        }
        return HostFacts(found["facts"], fitted)
    except (OSError, ValueError, KeyError, TypeError):
        return HostFacts(detected, {})


def write_host(text: str) -> Path:
    """Write what a calibration found; return where."""
    path = cache_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def detect() -> dict[str, Any]:
    """Return cores, instruction set and clock as the system says; typical values where it does not."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    flags, mhz = "", 0.0
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
        lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        values = {key.strip(): value.strip() for key, value in lines.items()}
        flags, mhz = f" {values.get('flags', '')} ", float(values.get("cpu MHz", 0))
    except (OSError, ValueError):
        pass
    return {"cores": cores, "isa": _isa(flags), "clock_mhz": mhz or 2500.0}


def _isa(flags: str) -> str:
    """Return the widest instruction set that `flags` name; AVX2 where nothing is said of an x86 processor."""
    for name, flag in (("amx", " amx_int8 "), ("avx512", " avx512f "), ("avx2", " avx2 ")):
        if flag in flags:
            return name
    return "avx2" if platform.machine().lower() in ("x86_64", "amd64") and not flags.strip() else "sse"
