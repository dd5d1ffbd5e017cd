"""The loop of a sweep: claim a slice, have it computed, commit it; until all are done, or someone says stop.

Slices are always the same runs of points. One that another living process works on is passed over, and looked at again
at the end. What a kill loses is the slices in work, a few of some 2,000.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from hwsim.errors import HardwareError, printable

from .database import Study
from .evaluate import Rows, Task, evaluate
from .executors import Workers
from .interruption import GRACE_S, Stop
from .metrics import METRICS, NOTHING, columns
from .objectives import losses
from .search import Shares
from .space import Ordinals, Space

LOOK_S = 0.1
"""How often progress is told while nothing comes back."""

TOGETHER_S = 0.1
"""How long slices that came back wait for others: to make a commit durable takes as long as many rows."""

TOGETHER = 4
"""Slices that wait so at most, or one for each worker: a kill loses them."""

LOOK_AGAIN_S = 0.25
"""How often slices of other processes are looked at."""

DEATHS_OF_A_POINT = 3
"""After so many deaths of the processes that computed it a point has failed."""

DEATHS_IN_A_ROW = 25
"""After so many, without one slice that came back, something else is wrong than a point."""

DIED = f"the process that computed it died, {DEATHS_OF_A_POINT} times: killed from outside, out of memory, or crashed"


class Work(NamedTuple):
    """Points that are computed together: a slice, or a piece of one that killed its process; `deaths` counts those.

    `lane` is which of the executors has it.
    """

    slice: str
    ordinals: Ordinals
    keys: list[bytes]
    deaths: int = 0
    lane: int = 0


@dataclass
class Progress:
    """How far a sweep is. `evaluated` counts points that came back, `computed` those of them that were new.

    `best` is the least loss of each objective among those; `faults` says why slices had to be computed again in pieces.
    """

    total: int
    objectives: tuple[str, ...]
    done: int = 0
    evaluated: int = 0
    computed: int = 0
    failed: int = 0
    best: dict[str, float] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    started: float = field(default_factory=time.monotonic)

    def take(self, rows: Rows, new: int) -> None:
        """Count rows that came back."""
        self.done += len(rows.ordinals)
        self.evaluated += len(rows.ordinals)
        self.computed += new
        self.failed += len(rows.errors)
        table = losses(rows.points, self.objectives)
        for name, column in zip(self.objectives, table.T, strict=True):
            least = np.min(column, initial=np.inf, where=~np.isnan(column))
            if least < self.best.get(name, np.inf):
                self.best[name] = float(least)

    def points_per_s(self) -> float:
        """Return how many points were evaluated in a second so far."""
        return self.evaluated / max(time.monotonic() - self.started, 1e-9)


class Run:
    """A sweep in work. `complete` returns when all of its slices are in the study, or it was asked to stop."""

    def __init__(
        self,
        study: Study,
        space: Space,
        layers: bool,
        open_workers: Callable[[], Workers],
        stop: Stop,
        progress: Progress,
        tell: Callable[[Progress], None],
    ) -> None:
        self.study, self.space, self.layers, self.stop = study, space, layers, stop
        self.progress, self._tell, self._open = progress, tell, open_workers
        self._opened = False
        self._flying: dict[Future[Rows], Work] = {}
        self._suspects: deque[Work] = deque()
        self._passed: list[Ordinals] = []
        self._pieces: Counter[str] = Counter()
        self._deaths_in_a_row = 0
        self._ready: list[tuple[Work, Rows]] = []
        self._committed = time.monotonic()

    @cached_property
    def workers(self) -> Workers:
        """Return what computes; it is started when there is something to compute."""
        self._opened = True
        return self._open()

    def complete(self, slices: Sequence[Ordinals]) -> None:
        """Have all points of `slices` computed and committed that are not known."""
        left = slices
        try:
            while len(left) and not self.stop.asked:
                self._complete(left)
                self._commit()
                before, left, self._passed = len(left), self._passed, []
                if len(left) == before:
                    self._tell(self.progress)
                    time.sleep(LOOK_AGAIN_S)
        finally:
            self._commit()

    def _complete(self, slices: Sequence[Ordinals]) -> None:
        """Have slices computed, but for those that another process works on."""
        shares = Shares(len(slices))
        while not self.stop.asked:
            self._fill(slices, shares)
            if not self._flying and not self._suspects:
                return
            self._collect(LOOK_S)
            enough = len(self._ready) >= max(TOGETHER, self.workers.slots)
            if enough or time.monotonic() >= self._committed + TOGETHER_S:
                self._commit()
            self._tell(self.progress)
        self._drain()

    def _fill(self, slices: Sequence[Ordinals], shares: Shares) -> None:
        """Submit what workers have room for."""
        while not self.stop.asked and (lane := self._lane()) is not None:
            if self._suspects:
                # alone, so that a death has one culprit
                if not self._flying:
                    self._submit(self._suspects.popleft(), lane)
                return
            place = shares.next(lane)
            if place is None:
                return
            work = self._claimed(slices[place])
            if work is not None:
                self._submit(work, lane)

    def _lane(self) -> int | None:
        """Return the executor that has the least to do, None where all have enough."""
        if not self._opened:
            return 0
        counts = Counter(work.lane for work in self._flying.values())
        lane = min(range(len(self.workers.executors)), key=counts.__getitem__)
        return lane if counts[lane] < self.workers.limit else None

    def _claimed(self, ordinals: Ordinals) -> Work | None:
        """Return what is to be computed of a slice, None where nothing is or another process does it."""
        keys = self.space.keys(ordinals)
        unknown = ~self.study.known(keys)
        if unknown.any():
            name = f"{self.space.digest}:{blake2b(ordinals.tobytes(), digest_size=8).hexdigest()}"
            if not self.study.claim(name):
                self._passed.append(ordinals)
                return None
            # whoever had it before may have committed it since
            unknown = ~self.study.known(keys)
        self.progress.done += len(ordinals) - int(unknown.sum())
        if not unknown.any():
            return None
        self._pieces[name] = 1
        return Work(name, ordinals[unknown], [key for key, new in zip(keys, unknown, strict=True) if new])

    def _submit(self, work: Work, lane: int) -> None:
        future = self.workers.submit(lane, evaluate, Task(self.space, work.ordinals, self.layers))
        self._flying[future] = work._replace(lane=lane)

    def _collect(self, timeout_s: float) -> None:
        """Take what came back, after waiting for something to."""
        for future in wait(self._flying, timeout_s, FIRST_COMPLETED).done:
            if future not in self._flying:
                continue
            error = CancelledError() if future.cancelled() else future.exception()
            if error is None:
                self._take(self._flying.pop(future), future.result())
            elif isinstance(error, self.workers.lost):
                self._mourn(future)
            elif isinstance(error, self.workers.gone) or not isinstance(error, Exception):
                raise self._gone(error)
            else:
                self._narrow(self._flying.pop(future), printable(f"bug: {type(error).__name__}: {error}"))

    def _take(self, work: Work, rows: Rows) -> None:
        self._ready.append((work, rows))
        self._deaths_in_a_row = 0

    def _commit(self) -> None:
        """Commit all that came back as one."""
        ready, self._ready = self._ready, []
        added = []
        if ready:
            with self.study.together():
                for work, rows in ready:
                    self._pieces[work.slice] -= 1
                    done = None if self._pieces[work.slice] else work.slice
                    added.append(self.study.commit(self.space, rows, work.keys, done))
        for (_, rows), new in zip(ready, added, strict=True):
            self.progress.take(rows, new)
        self._committed = time.monotonic()

    def _gone(self, error: BaseException) -> HardwareError:
        """Return the error for the user."""
        return HardwareError(
            f"the cluster is gone ({': '.join(filter(None, (type(error).__name__, str(error))))}); "
            f"{self.study.resume} goes on from what was committed"
        )

    def _mourn(self, future: Future[Rows]) -> None:
        """Take back work whose process died: all that waited for it too, in an executor that dies as one."""
        lane = self._flying[future].lane
        of_lane = [one for one, work in self._flying.items() if work.lane == lane]
        together = of_lane if self.workers.dies_as_one else [future]
        wait(together, GRACE_S)
        lost = [self._flying.pop(one) for one in together if not _came_back(one)]
        if self.stop.asked:
            return
        self._deaths_in_a_row += 1
        if self._deaths_in_a_row > DEATHS_IN_A_ROW:
            raise HardwareError(
                f"{self._deaths_in_a_row} processes that computed points died one after the other; is there memory "
                f"for them? {self.study.resume} --jobs 1 goes on in one"
            )
        for work in lost:
            self._suspect(work._replace(deaths=work.deaths + 1), alone=len(lost) == 1 and not self._flying)
        self.workers.renew(lane)

    def _suspect(self, work: Work, alone: bool) -> None:
        """Compute work again whose process died, unless it is known to be the culprit."""
        if not alone or (len(work.ordinals) == 1 and work.deaths < DEATHS_OF_A_POINT):
            self._suspects.append(work)
        else:
            self._narrow(work, DIED)

    def _narrow(self, work: Work, reason: str) -> None:
        """Compute work that cannot be computed in halves, until the one point of which that is true has failed."""
        if len(work.ordinals) == 1:
            (ordinal,) = work.ordinals.tolist()
            self._take(work, Rows(work.ordinals, columns(METRICS, [NOTHING]), {ordinal: reason}, None))
            return
        self.progress.faults[reason] += 1
        middle = len(work.ordinals) // 2
        for part in (slice(middle), slice(middle, None)):
            self._suspects.append(work._replace(ordinals=work.ordinals[part], keys=work.keys[part]))
        self._pieces[work.slice] += 1

    def _drain(self) -> None:
        """Commit what still comes back within `GRACE_S`, and leave the rest."""
        end = time.monotonic() + GRACE_S
        for future in list(self._flying):
            if future.cancel():
                del self._flying[future]
        while self._flying and time.monotonic() < end:
            self._collect(LOOK_S)
        if self._flying:
            self.workers.leave()


def _came_back(future: Future[Rows]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None
