"""A program run by its units as processes in simulated time (simpy): a few events per tile, none per cycle."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import simpy

from hwsim.engine.clock import Clock, Steps
from hwsim.engine.ledger import Ledger
from hwsim.engine.tiles_closed import Schedule, settle, waits_of_matrix_unit, weights_wait_for
from hwsim.mapping.program import Program


class Tile(NamedTuple):
    """When a tile's weights were fetched, when shifted in, and from when to when the matrix unit used them."""

    fetched: int
    shifted: int
    start: int
    end: int


class Log(NamedTuple):
    """What happened: the cycle in which each block began and was complete, the tiles of each block, all events."""

    began: list[int]
    complete: list[int]
    tiles: dict[int, list[Tile]]
    events: int


def run(program: Program, layers: int) -> Schedule:
    """Return when the blocks of `program` are complete, as its units find it."""
    log = observe(program)
    return Schedule(log.complete, account(program, log, layers))


def observe(program: Program) -> Log:
    """Run `program` and return what happened."""
    return _Machine(program).run()


def account(program: Program, log: Log, layers: int) -> Ledger:
    """Return who takes the cycles of what happened."""
    ledger = Ledger(layers)
    for number, block in enumerate(program.blocks):
        if block.unit == "activation":
            ledger.result(block.layer, log.complete[number])
        elif block.unit == "tiles":
            waits_of_matrix_unit(program, block, log.complete, ledger)
            for tile in log.tiles[number]:
                ledger.tile(block.layer, *tile)
    settle(program, log.complete, ledger)
    return ledger


class _Machine:
    """Units and what lies between them: queues of blocks, slots of the weight FIFO, the place behind the used tile."""

    def __init__(self, program: Program) -> None:
        self.program, self.clock = program, Clock()
        self.done = [self.clock.event() for _ in program.blocks]
        self.began, self.tiles = [0] * len(program.blocks), defaultdict[int, list[Tile]](list)
        self.queue = {
            name: simpy.Store(self.clock) for name in ("host_in", "activation", "host_out", "fetch", "matrix")
        }
        self.slots = simpy.Container(self.clock, program.fifo_tiles, program.fifo_tiles)
        self.behind = simpy.Container(self.clock, 1, 1)
        self.fetched, self.shifted = simpy.Store(self.clock), simpy.Store(self.clock)

    def run(self) -> Log:
        """Run all units until the last block is complete."""
        for process in (self._issue(), self._fetch(), self._shift(), self._multiply()):
            self.clock.process(process)
        for name in ("host_in", "activation", "host_out"):
            self.clock.process(self._serve(self.queue[name]))
        self.clock.run()
        complete = [int(event.value or 0) for event in self.done]
        return Log(self.began, complete, dict(self.tiles), self.clock.events)

    def _issue(self) -> Steps:
        """Hand each block to its unit in program order; with in-order issue, after what it waits for."""
        for number, block in enumerate(self.program.blocks):
            if self.program.in_order:
                yield self._all(block.waits)
            for name in ("fetch", "matrix") if block.unit == "tiles" else (block.unit,):
                yield self.queue[name].put(number)

    def _serve(self, queue: simpy.Store) -> Steps:
        while True:
            number = yield queue.get()
            block = self.program.blocks[number]
            yield self._all(block.waits + block.needs)
            self.began[number] = self._now()
            yield self.clock.timeout(block.cycles)
            self.done[number].succeed(self._now())

    def _fetch(self) -> Steps:
        while True:
            number = yield self.queue["fetch"].get()
            block = self.program.blocks[number]
            yield self._all(weights_wait_for(self.program, block))
            for _ in range(block.repeat):
                yield self.slots.get(1)
                yield self.clock.timeout(self.program.fetch_cycles)
                yield self.fetched.put(self._now())

    def _shift(self) -> Steps:
        while True:
            fetched = yield self.fetched.get()
            yield self.behind.get(1)
            yield self.clock.timeout(self.program.shift_cycles)
            yield self.slots.put(1)
            yield self.shifted.put((fetched, self._now()))

    def _multiply(self) -> Steps:
        while True:
            number = yield self.queue["matrix"].get()
            block = self.program.blocks[number]
            yield self._all(block.waits + block.needs)
            for _ in range(block.repeat):
                fetched, shifted = yield self.shifted.get()
                yield self.behind.put(1)
                start = self._now()
                yield self.clock.timeout(block.cycles)
                self.tiles[number].append(Tile(fetched, shifted, start, self._now()))
            self.began[number] = self.tiles[number][0].start
            self.clock.process(self._drain(number))

    def _drain(self, number: int) -> Steps:
        yield self.clock.timeout(self.program.drain_cycles)
        self.done[number].succeed(self._now())

    def _all(self, numbers: tuple[int, ...]) -> simpy.Event:
        return self.clock.all_of([self.done[number] for number in numbers])

    def _now(self) -> int:
        return int(self.clock.now)
