"""A CPU as its operators see it: what a core multiplies per cycle, and how fast each level of its memory is."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from math import exp, inf, log
from typing import Any, NamedTuple

from hwsim.units import mhz_to_hz

LEAVES_AT, GONE_AT = 0.75, 1.5
"""Data up to this part of a cache stay in it, and beyond this multiple of it come from the next: in between, both."""


RATES: Mapping[str, Mapping[str, int]] = {
    "sse": {"fp32": 4},
    "avx2": {"fp32": 16, "int8": 32},
    "avx512": {"fp32": 32, "int8": 128},
    "amx": {"fp32": 32, "bf16": 64, "fp16": 64, "int8": 128},
}
"""Multiply-accumulates per cycle and core in vector units: two of 128, 256 or 512 bits; int8 in fours, where it can."""

MATRIX_RATES: Mapping[str, Mapping[str, int]] = {"amx": {"bf16": 512, "int8": 1024}}
"""The same in AMX: 16 x 16 sums of 32 or 64 products in 16 cycles."""

LANES = {"sse": 4, "avx2": 8, "avx512": 16, "amx": 16}

L3_BYTES_PER_CYCLE = 8.0

LINE_BYTES = 64


class Core(NamedTuple):
    """A core's own memory: L1 and L2 [KiB], the bytes per cycle that it reads of them, the latter sustained.

    Its L2 waits for `lines` of 64 bytes at most, `latency_ns` for each, which bounds one core's bandwidth off-chip.
    """

    l1_kib: float
    l2_kib: float
    l1_bytes_per_cycle: float
    l2_bytes_per_cycle: float
    lines: int
    latency_ns: float

    @property
    def off_chip_bytes_s(self) -> float:
        """The most that one core reads off-chip [bytes/s]."""
        return self.lines * LINE_BYTES / self.latency_ns * 1e9


CORE = {
    "sse": Core(32.0, 256.0, 16.0, 16.0, 10, 80.0),
    "avx2": Core(32.0, 256.0, 64.0, 25.0, 16, 68.0),
    "avx512": Core(32.0, 1024.0, 128.0, 48.0, 24, 90.0),
    "amx": Core(48.0, 2048.0, 128.0, 48.0, 48, 165.0),
}


class Cache(NamedTuple):
    """A level of memory as one thread has it: bytes, and bytes/s."""

    size_bytes: float
    bytes_s: float


class Machine(NamedTuple):
    """A CPU on which `threads` cores work.

    `macs_per_cycle` is a core's rate by format in vector units, `matrix_macs_per_cycle` in a matrix unit, if any;
    `lanes` the outputs in a vector. `caches` are those of a thread from the core outward; `memory_bytes_s` is what all
    threads get off-chip, `core_bytes_s` the most that one of them does.
    `keep_s` is how long a shared last cache keeps data that nobody reads, for ever on a machine of one's own.
    """

    threads: int
    clock_hz: int
    macs_per_cycle: Mapping[str, float]
    matrix_macs_per_cycle: Mapping[str, float]
    lanes: int
    caches: tuple[Cache, ...]
    memory_bytes_s: float
    core_bytes_s: float
    keep_s: float = inf
    cold: bool = False

    @property
    def memory_share_bytes_s(self) -> float:
        """What each of the threads gets off-chip [bytes/s]."""
        return min(self.core_bytes_s, self.memory_bytes_s / self.threads)


class Curve:
    """Seconds per byte and thread, by the bytes that a thread comes back to."""

    def __init__(self, machine: Machine) -> None:
        self.outside = 1 / machine.memory_share_bytes_s
        self.threads = machine.threads
        points: list[tuple[float, float]] = []
        levels = [(one.size_bytes, 1 / one.bytes_s) for one in machine.caches]
        following = [*(cost for _, cost in levels[1:]), self.outside]
        for (size, cost), beyond in zip(levels, following, strict=True):
            points += [(log(LEAVES_AT * size), cost), (log(GONE_AT * size), max(cost, beyond))]
        self.sizes, self.costs = [at for at, _ in points], [cost for _, cost in points]
        self.last = self.costs[-2] if levels else self.outside
        if machine.cold:
            self.sizes, self.costs = [], []

    def __call__(self, held_bytes: float) -> float:
        """Return [s/byte] of each thread where all of them come back to `held_bytes` between them."""
        if not self.sizes:
            return self.outside
        at = log(max(held_bytes / self.threads, 1.0))
        index = bisect_right(self.sizes, at)
        if index == 0:
            return self.costs[0]
        if index == len(self.sizes):
            return max(self.costs[-1], self.outside)
        low, high = self.sizes[index - 1], self.sizes[index]
        part = (at - low) / (high - low) if high > low else 1.0
        return self.costs[index - 1] + part * (self.costs[index] - self.costs[index - 1])

    def kept(self, held_bytes: float, away_s: float, keep_s: float) -> float:
        """Return the same of data that are read every `away_s`: others drive it out of a cache that they share."""
        cost = self(held_bytes)
        if keep_s == inf or cost >= self.outside or cost < 0.999 * self.last:
            return cost
        stays = exp(-((away_s / keep_s) ** 2))
        return stays * cost + (1 - stays) * self.outside


def core_of(facts: Mapping[str, Any], threads: int, cold: bool = False, datasheet: bool = False) -> Machine:
    """Return a machine from its facts: `isa`, `clock_mhz`, `bandwidth_gb_s`, `l3_mib`, and what was measured of it.

    With `datasheet`, products run at the rate of the matrix unit, where there is one.
    """
    isa, clock_hz = facts["isa"], mhz_to_hz(facts["clock_mhz"])
    matrix = MATRIX_RATES.get(isa, {})
    of_vectors = matrix if datasheet else {name: rate for name, rate in matrix.items() if name == "bf16"}
    return Machine(
        threads=threads,
        clock_hz=clock_hz,
        macs_per_cycle={**RATES[isa], **of_vectors},
        matrix_macs_per_cycle=dict(matrix),
        lanes=LANES[isa],
        caches=_caches(facts, threads, clock_hz),
        memory_bytes_s=facts["bandwidth_gb_s"] * 1e9,
        core_bytes_s=facts.get("core_bytes_s", CORE[isa].off_chip_bytes_s),
        keep_s=float(facts.get("keep_s", inf)),
        cold=cold,
    )


def _caches(facts: Mapping[str, Any], threads: int, clock_hz: int) -> tuple[Cache, ...]:
    """Return the caches of each thread: its own, and its part of the last, but twice its own at least."""
    core = CORE[facts["isa"]]
    shared = facts.get("l3_bytes", facts["l3_mib"] * 2**20)
    return (
        Cache(core.l1_kib * 1024, facts.get("l1_bytes_s", core.l1_bytes_per_cycle * clock_hz)),
        Cache(core.l2_kib * 1024, facts.get("l2_bytes_s", core.l2_bytes_per_cycle * clock_hz)),
        Cache(max(shared / threads, 2 * core.l2_kib * 1024), facts.get("l3_bytes_s", L3_BYTES_PER_CYCLE * clock_hz)),
    )
