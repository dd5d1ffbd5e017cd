"""What the system says of the machine that this runs on: its processor, cores, instruction set and caches."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

CPUINFO, CPUS = Path("/proc/cpuinfo"), Path("/sys/devices/system/cpu")

TYPICAL_MHZ = 2500.0
"""The clock of a machine whose system does not say it."""


def detect() -> dict[str, Any]:
    """Return cores, instruction set and clock as the system says; typical values where it does not."""
    values = cpuinfo(text_of(CPUINFO))
    try:
        mhz = float(values.get("cpu MHz", 0))
    except ValueError:
        mhz = 0.0
    cores = len(one_per_core(allowed_cpus()))
    return {"cores": cores, "isa": _isa(f" {values.get('flags', '')} "), "clock_mhz": mhz or TYPICAL_MHZ}


def identity() -> dict[str, Any]:
    """Return what tells this machine from another: its processor, instruction set, cores and caches."""
    values, found = cpuinfo(text_of(CPUINFO)), detect()
    names = ("vendor_id", "model name", "cpu family", "model", "stepping")
    sizes = [text_of(folder / "size").strip() for folder in sorted((CPUS / "cpu0/cache").glob("index*"))]
    said = {name: values.get(name, "") for name in names}
    return {**said, "processor": platform.machine(), "isa": found["isa"], "cores": found["cores"], "caches": sizes}


def cpuinfo(text: str) -> dict[str, str]:
    """Return what /proc/cpuinfo says of its first processor."""
    pairs = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def allowed_cpus() -> tuple[int, ...]:
    """Return the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def one_per_core(cpus: Iterable[int]) -> tuple[int, ...]:
    """Return the first of the processors of each core, so that no two of them share its arithmetic units."""
    firsts: dict[object, int] = {}
    for cpu in sorted(cpus):
        siblings = text_of(CPUS / f"cpu{cpu}" / "topology/thread_siblings_list").strip()
        firsts.setdefault(siblings or cpu, cpu)
    return tuple(firsts.values())


def text_of(path: Path) -> str:
    """Return what a file of the system says; nothing where it cannot be read."""
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
