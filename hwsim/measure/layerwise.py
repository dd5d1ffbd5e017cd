"""Runs of a network by a library that runs one layer at a time: with one timer per call, and without any."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from hwsim.measure.backend import Sample
from hwsim.measure.cache import Evictor
from hwsim.measure.program import Call, Program, plainly

NS_PER_S = 1e9


class Watch(Protocol):
    """Times calls one after the other on the device's own clock."""

    def start(self) -> None:
        """Forget what was timed, and wait until the device is idle."""

    def before(self) -> None:
        """Note that a call begins."""

    def after(self) -> None:
        """Note that it has ended."""

    def seconds(self) -> list[float]:
        """Return the seconds of each call, once all have ended."""


class WallWatch:
    """Times calls that have ended when they return."""

    def __init__(self) -> None:
        self.stamps_ns: list[int] = []

    def start(self) -> None:
        """Forget what was timed."""
        self.stamps_ns = []

    def before(self) -> None:
        """Note that a call begins."""
        self.stamps_ns.append(time.perf_counter_ns())

    after = before

    def seconds(self) -> list[float]:
        """Return the seconds of each call."""
        ends = zip(self.stamps_ns[::2], self.stamps_ns[1::2], strict=True)
        return [(end - begin) / NS_PER_S for begin, end in ends]


@dataclass
class LayerwiseRunner:
    """A `Runner` of a `Program`; `finish` returns when the device is idle, `around` stands about every run."""

    program: Program
    notes: tuple[str, ...] = ()
    watch: Watch = field(default_factory=WallWatch)
    finish: Callable[[], None] = lambda: None
    evictor: Callable[[], Evictor] = Evictor.of_host
    fused: Mapping[str, str] = field(default_factory=dict)

    def samples(self, count: int, cold: bool) -> Sequence[Sample]:
        """Return `count` runs, each once without timers for the whole and once with them for its layers.

        With `cold` the caches are filled with other data before each whole run, and before each layer's first step.
        """
        evict = self._evictor.evict if cold else nothing
        if cold and self._evictor.note not in self.notes:
            self.notes = (*self.notes, self._evictor.note)
        with without_collector():
            return [Sample(self._whole(evict), self._layers(evict)) for _ in range(count)]

    def _whole(self, evict: Callable[[], None]) -> float:
        evict()
        self.finish()
        started = time.perf_counter_ns()
        self.program.run(plainly)
        self.finish()
        return (time.perf_counter_ns() - started) / NS_PER_S

    def _layers(self, evict: Callable[[], None]) -> dict[str, float]:
        """Return seconds by layer, those of all its steps together."""
        watch, names = self.watch, list[str]()

        def timed(call: Call, operands: list[Any], step: int) -> Any:
            if not step:
                evict()
            names.append(call.name)
            watch.before()
            y = call.compute(operands, step)
            watch.after()
            return y

        watch.start()
        self.program.run(timed)
        total = dict.fromkeys(names, 0.0)
        for name, seconds in zip(names, watch.seconds(), strict=True):
            total[name] += seconds
        return total

    @cached_property
    def _evictor(self) -> Evictor:
        return self.evictor()

    def close(self) -> None:
        """Give back the buffer that fills caches."""
        self.__dict__.pop("_evictor", None)


def nothing() -> None:
    """Leave the caches as they are."""


@contextmanager
def without_collector() -> Iterator[None]:
    """Keep the garbage collector out of what is timed, as `timeit` does."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
