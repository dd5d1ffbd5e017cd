"""Bytes per second that threads read of a level of memory, each its own array again and again."""

from __future__ import annotations

import threading
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from numba import njit

MIB, TRIES = 2**20, 3

STREAMED_MIB = 256.0
"""What a thread reads in all, at least, so that starting it counts for little."""


@njit(nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def _read(values: Any, repeats: int) -> Any:
    """Return a sum of all values; in any order, so that additions need not wait for one another."""
    total = np.float32(0)
    for _ in range(repeats):
        for index in range(values.size):
            total += values[index]
        # so that no repetition is left out
        values[0] = total * np.float32(1e-30)
    return total


def stream(mib: float, threads: int) -> float:
    """Return the bytes/s of each of `threads` that come back to `mib` [MiB] each."""
    arrays = [np.ones(max(64, int(mib * MIB / 4)), np.float32) for _ in range(threads)]
    repeats = max(1, round(STREAMED_MIB / mib))
    _read(np.ones(4, np.float32), 1)
    seconds = median(_once(arrays, repeats) for _ in range(TRIES))
    return repeats * arrays[0].nbytes / seconds


def _once(arrays: list[Any], repeats: int) -> float:
    gate = threading.Barrier(len(arrays) + 1)

    def run(own: Any) -> None:
        gate.wait()
        _read(own, repeats)

    workers = [threading.Thread(target=run, args=(one,)) for one in arrays]
    for worker in workers:
        worker.start()
    gate.wait()
    started = perf_counter()
    for worker in workers:
        worker.join()
    return perf_counter() - started
