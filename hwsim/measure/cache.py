"""Caches filled with other data, so that a run finds none of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numba import njit, prange

from hwsim.measure.machine import Machine, this_machine

TIMES, LEAST_BYTES, MOST_BYTES = 2, 32 * 2**20, 256 * 2**20
"""The buffer is this many times the last level, within these bounds: machines in a cloud report caches that they share
with others, and a pass over twice 480 MiB before each layer would last longer than the layers."""

LINE_BYTES = 64

EACH_LAYER = "each run, and before each layer's first step"


@njit(parallel=True, cache=True)  # type: ignore[untyped-decorator]
def touch(buffer: Any) -> None:
    """Read and write every line of `buffer`, each thread a part of it, so that every core's own caches are filled."""
    for line in prange(buffer.shape[0]):
        buffer[line, 0] += 1


@dataclass(frozen=True)
class Evictor:
    """A buffer (lines, bytes of a line) that is larger than the caches, and what a reader must know of it."""

    buffer: Any
    note: str = ""

    @classmethod
    def of_host(cls, when: str = EACH_LAYER) -> Evictor:
        """Return one for this machine's caches; `when` they are filled is for readers to know."""
        return cls.of_bytes(buffer_bytes(this_machine()), note(this_machine(), when))

    @classmethod
    def of_bytes(cls, size: int, said: str = "") -> Evictor:
        """Return one of `size` bytes."""
        import numpy as np

        return cls(np.zeros((size // LINE_BYTES, LINE_BYTES), np.uint8), said)

    def evict(self) -> None:
        """Read and write the whole buffer."""
        touch(self.buffer)


def buffer_bytes(machine: Machine) -> int:
    """Return the bytes that fill all caches of `machine`, bounded."""
    return min(max(TIMES * machine.last_level_bytes, LEAST_BYTES), MOST_BYTES)


def note(machine: Machine, when: str = EACH_LAYER) -> str:
    """Return the sentence that says what a cold run finds in the caches."""
    size, last = buffer_bytes(machine) >> 20, machine.last_level_bytes >> 20
    said = f"cold: {size} MiB of other data pass through the caches before {when}"
    if size >= TIMES * last:
        return said
    return f"{said}; the last level reports {last} MiB, shared with other users, and may keep some of the network's"
