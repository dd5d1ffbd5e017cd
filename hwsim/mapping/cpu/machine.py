"""A CPU as its operators see it: what a core multiplies per cycle, and how fast each level of its memory is."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from math import exp, inf, log
from typing import Any, NamedTuple

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

CORE = {
    "sse": (32.0, 256.0, 16.0, 16.0), "avx2": (32.0, 256.0, 64.0, 25.0), "avx512": (32.0, 1024.0, 128.0, 48.0),
    "amx": (48.0, 2048.0, 128.0, 48.0),
}  # fmt: skip
"""L1 and L2 of a core [KiB], and bytes per cycle that it reads of them, the latter sustained."""

L3_BYTES_PER_CYCLE = 8.0

OUTSTANDING = {"sse": 10, "avx2": 16, "avx512": 24, "amx": 48}
LINE_BYTES, LATENCY_NS = 64, {"sse": 80.0, "avx2": 68.0, "avx512": 90.0, "amx": 165.0}
"""Lines that a core's L2 waits for at most, and how long for each: what bounds one core's bandwidth off-chip."""


class Machine(NamedTuple):
    """A CPU on which `threads` cores work.

    `macs_per_cycle` is a core's rate by format in vector units, `matrix_macs_per_cycle` in a matrix unit, if any;
    `lanes` the outputs in a vector. `caches` are (bytes that a thread has of it, bytes/s a thread gets) from the core
    outward; `memory_bytes_s` is what all threads get off-chip, `core_bytes_s` the most that one of them does.
    `keep_s` is how long a shared last cache keeps data that nobody reads, for ever on a machine of one's own.
    """

    threads: int
    clock_hz: int
    macs_per_cycle: Mapping[str, float]
    matrix_macs_per_cycle: Mapping[str, float]
    lanes: int
    caches: tuple[tuple[float, float], ...]
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
        levels = [(size, max(1 / rate, 0.0)) for size, rate in machine.caches]
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
    isa, clock_hz = facts["isa"], round(facts["clock_mhz"] * 1e6)
    l1_kib, l2_kib, l1_rate, l2_rate = CORE[isa]
    core_bytes_s = facts.get("core_bytes_s", OUTSTANDING[isa] * LINE_BYTES / LATENCY_NS[isa] * 1e9)
    shared = facts.get("l3_bytes", facts["l3_mib"] * 2**20)
    levels = (
        (l1_kib * 1024, facts.get("l1_bytes_s", l1_rate * clock_hz)),
        (l2_kib * 1024, facts.get("l2_bytes_s", l2_rate * clock_hz)),
        (max(shared / threads, 2 * l2_kib * 1024), facts.get("l3_bytes_s", L3_BYTES_PER_CYCLE * clock_hz)),
    )
    matrix = MATRIX_RATES.get(isa, {})
    of_vectors = matrix if datasheet else {name: rate for name, rate in matrix.items() if name == "bf16"}
    rates: dict[str, float] = {**RATES[isa], **of_vectors}
    return Machine(
        threads, clock_hz, rates, dict(matrix), LANES[isa], levels, facts["bandwidth_gb_s"] * 1e9, core_bytes_s,
        float(facts.get("keep_s", inf)), cold,
    )  # fmt: skip
