"""The clock of a processor, as a chain of instructions shows it of which each waits for the last."""

from __future__ import annotations

import time

from numba import njit

LINKS, TRIALS = 4_000_000, 9

CYCLES_PER_LINK = 2
"""An addition and an exclusive or, of one cycle each in every processor numba is for (Fog, "Instruction tables")."""


@njit(cache=True)  # type: ignore[untyped-decorator]
def chain(links: int, mask: int) -> int:
    """Return a number that can only be had by `links` additions and exclusive ors, one after the other."""
    value = mask
    for index in range(links):
        value = (value + index) ^ mask
    return value


def clock_hz() -> int:
    """Return the clock [Hz] of one busy core: the shortest of some trials, since interruptions only lengthen them.

    Wide vector instructions can lower it; a measurement of it says nothing of those.
    """
    chain(LINKS, 3)  # compiles, and lets the clock rise
    shortest_ns = min(_trial_ns() for _ in range(TRIALS))
    return round(LINKS * CYCLES_PER_LINK * 1e9 / shortest_ns)


def _trial_ns() -> int:
    started = time.perf_counter_ns()
    chain(LINKS, 3)
    return max(1, time.perf_counter_ns() - started)
