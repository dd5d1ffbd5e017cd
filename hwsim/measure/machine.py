"""This machine: processor, caches, memory, clock, what it runs under; and the fingerprint of what makes it fast."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from hwsim.measured.system import CPUINFO, CPUS, allowed_cpus, cpuinfo, one_per_core, text_of
from hwsim.units import BYTES_PER_KIB

DMI = Path("/sys/class/dmi/id")

ISA_FLAGS = (
    "sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16",
    "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16", "asimd", "asimddp", "i8mm", "bf16", "sve",
)  # fmt: skip
"""Instruction sets that change how fast products are, as Linux spells them, of x86 and of ARM."""

LIBRARIES = ("numpy", "numba", "llvmlite", "onnxruntime", "torch", "threadpoolctl")

FINGERPRINT_DIGITS = 10


class CacheLevel(NamedTuple):
    """One cache: its capacity and how many of the processors that may be used share it."""

    level: int
    kind: str
    bytes: int
    shared_by: int


@dataclass(frozen=True)
class Machine:
    """A processor and what it runs under. `clock_hz` is measured, and "" or 0 is what the system does not say."""

    model: str
    vendor: str
    family: int
    model_number: int
    stepping: int
    isa: tuple[str, ...]
    cores: int
    threads: int
    cpus: tuple[int, ...]
    caches: tuple[CacheLevel, ...]
    memory_bytes: int
    clock_hz: int
    hypervisor: str
    governor: str
    system: str
    libraries: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """Short SHA-256 of the hardware and what it runs under: no name of a host, clock as read, or library."""
        said = asdict(self)
        for key in ("clock_hz", "libraries", "cpus", "system", "memory_bytes"):
            del said[key]
        said["memory_gib"] = round(self.memory_bytes / BYTES_PER_KIB**3)
        text = json.dumps(said, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:FINGERPRINT_DIGITS]

    @property
    def last_level_bytes(self) -> int:
        """Capacity of the largest cache."""
        return max((level.bytes for level in self.caches), default=0)

    def as_dict(self) -> dict[str, object]:
        """Return all that is known, with the fingerprint."""
        return {"fingerprint": self.fingerprint, **asdict(self), "caches": [one._asdict() for one in self.caches]}


@cache
def this_machine() -> Machine:
    """Return the machine that this process runs on, as far as its system says; the clock is measured (0.1 s)."""
    from hwsim.measure.clock import clock_hz

    info, cpus = cpuinfo(text_of(CPUINFO)), allowed_cpus()
    flags = f"{info.get('flags', '')} {info.get('Features', '')}".split()
    return Machine(
        model=info.get("model name") or platform.processor() or platform.machine(),
        vendor=info.get("vendor_id", info.get("CPU implementer", "")),
        family=_number(info.get("cpu family", "")),
        model_number=_number(info.get("model", "")),
        stepping=_number(info.get("stepping", "")),
        isa=tuple(flag for flag in ISA_FLAGS if flag in flags),
        cores=len(one_per_core(cpus)),
        threads=len(cpus),
        cpus=cpus,
        caches=caches(cpus[0], cpus),
        memory_bytes=memory_bytes(),
        clock_hz=clock_hz(),
        hypervisor=hypervisor(flags),
        governor=text_of(CPUS / f"cpu{cpus[0]}" / "cpufreq/scaling_governor").strip(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        libraries=libraries(),
    )


def caches(cpu: int, cpus: Iterable[int]) -> tuple[CacheLevel, ...]:
    """Return the data caches of `cpu`, the smallest first."""
    found = []
    for folder in sorted((CPUS / f"cpu{cpu}" / "cache").glob("index*")):
        kind = text_of(folder / "type").strip()
        shared = listed(text_of(folder / "shared_cpu_list")) & set(cpus)
        if kind != "Instruction":
            level, size = _number(text_of(folder / "level")), sized(text_of(folder / "size"))
            found.append(CacheLevel(level, kind.lower(), size, max(1, len(shared))))
    return tuple(sorted(found))


def listed(text: str) -> set[int]:
    """Return the numbers of a list as Linux writes it: "0-2,5" is 0, 1, 2 and 5."""
    spans = [part.partition("-") for part in text.strip().split(",") if part]
    return {cpu for first, _, last in spans for cpu in range(_number(first), _number(last or first) + 1)}


def sized(text: str) -> int:
    """Return bytes of a size as Linux writes it: "48K" is 49152."""
    match = re.fullmatch(r"(\d+)([KMG]?)", text.strip())
    return int(match[1]) * BYTES_PER_KIB ** " KMG".index(match[2] or " ") if match else 0


def memory_bytes() -> int:
    """Return the bytes of main memory, or 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def available_bytes() -> int:
    """Return the bytes of memory that can be had, within what the process's group may have; 0 is unknown."""
    found = re.search(r"MemAvailable:\s+(\d+) kB", text_of(Path("/proc/meminfo")))
    free = int(found[1]) * BYTES_PER_KIB if found else memory_bytes()
    group = Path("/sys/fs/cgroup")
    limit, used = text_of(group / "memory.max").strip(), text_of(group / "memory.current").strip()
    return min(free, max(0, int(limit) - _number(used))) if limit.isdigit() else free


def hypervisor(flags: Iterable[str]) -> str:
    """Return what the machine is a guest of, "unknown" where it only says that it is one, "" where it is none."""
    if "hypervisor" not in flags:
        return ""
    return text_of(Path("/sys/hypervisor/type")).strip() or text_of(DMI / "sys_vendor").strip() or "unknown"


def libraries() -> dict[str, str]:
    """Return the versions of the libraries that compute, of those that are installed."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _number(text: str) -> int:
    return int(text) if text.strip().isdigit() else 0
