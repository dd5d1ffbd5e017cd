"""Who takes the cycles of a machine with one matrix unit: by layer, and by what that unit does or waits for.

The causes are those of Table 3 of Jouppi et al., ISCA 2017: the unit is active, waits for weights from memory, waits
for them to shift in, or has nothing to multiply, because results are awaited (RAW), or inputs from the host.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum


class Cause(IntEnum):
    """What the matrix unit does in a cycle."""

    ACTIVE = 0
    WEIGHT_STALL = 1
    WEIGHT_SHIFT = 2
    RAW_STALL = 3
    INPUT_STALL = 4
    OTHER = 5


class Ledger:
    """Cycles by layer and cause; every cycle up to `now` has been given to one.

    A wait for results is given to the layers whose results they are, in the order in which they come.
    """

    def __init__(self, layers: int) -> None:
        self.now = 0
        self.cycles = [[0] * len(Cause) for _ in range(layers)]
        self._results: deque[tuple[int, int]] = deque()

    def result(self, layer: int, at: int) -> None:
        """Note that a result of `layer` is there at cycle `at`; results come in order."""
        self._results.append((at, layer))

    def wait(self, until: int, layer: int, cause: Cause) -> None:
        """Give the cycles until `until` to the results that come meanwhile, and what is left to `layer`."""
        while self._results and self._results[0][0] <= until:
            at, producer = self._results.popleft()
            self._give(at, producer, Cause.RAW_STALL)
        self._give(until, layer, cause)

    def tile(self, layer: int, fetched: int, shifted: int, start: int, end: int) -> None:
        """Give the cycles of one tile: until its weights are fetched, shifted in, used from `start` to `end`."""
        self._give(fetched, layer, Cause.WEIGHT_STALL)
        self._give(shifted, layer, Cause.WEIGHT_SHIFT)
        self._give(start, layer, Cause.OTHER)
        self._give(end, layer, Cause.ACTIVE)

    def repeat(self, layer: int, before: list[int], times: int) -> None:
        """Give `layer` what it got since its cycles were `before`, `times` more."""
        row = self.cycles[layer]
        gained = [(now - then) * times for now, then in zip(row, before, strict=True)]
        self.cycles[layer] = [have + more for have, more in zip(row, gained, strict=True)]
        self.now += sum(gained)

    def _give(self, until: int, layer: int, cause: Cause) -> None:
        if until > self.now:
            self.cycles[layer][cause] += until - self.now
            self.now = until
