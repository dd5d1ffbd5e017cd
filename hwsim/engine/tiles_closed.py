"""When each block of a program is complete, without stepping through time.

Units work in order, so one pass over the program gives every start as the latest of what it waits for. A run of equal
tiles soon repeats: once every time in the state moves by the same number of cycles, the rest follows at once. On an
idle machine n tiles of B rows take fetch + shift + (n - 1) max(fetch, shift, B) + B cycles, if the FIFO holds two.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from hwsim.engine.ledger import Cause, Ledger
from hwsim.mapping.program import Block, Program


class Schedule(NamedTuple):
    """The cycle in which each block is complete, and who takes the cycles."""

    complete: list[int]
    ledger: Ledger

    @property
    def total_cycles(self) -> int:
        """Cycles from the first instruction to the last result."""
        return self.ledger.now


def run(program: Program, layers: int) -> Schedule:
    """Return when the blocks of `program` are complete."""
    machine = _Machine(program, layers)
    for block in program.blocks:
        machine.add(block)
    settle(program, machine.complete, machine.ledger)
    return Schedule(machine.complete, machine.ledger)


def settle(program: Program, complete: list[int], ledger: Ledger) -> None:
    """Give the cycles after the last tile to the last layer."""
    if program.blocks:
        ledger.wait(max(complete), program.blocks[-1].layer, Cause.OTHER)


def waits_of_matrix_unit(program: Program, block: Block, complete: list[int], ledger: Ledger) -> int:
    """Give the cycles in which a run of tiles waits for anything but weights; return the cycle when that is over."""
    for numbers in (block.waits, block.needs):
        ledger.wait(max((complete[number] for number in numbers), default=0), block.layer, Cause.INPUT_STALL)
    return max((complete[number] for number in (*block.waits, *block.needs)), default=0)


def weights_wait_for(program: Program, block: Block) -> tuple[int, ...]:
    """Return what must be complete before the weights of a run of tiles are read.

    With in-order issue that is all that stands before its synchronisation, otherwise what the host writes to weight
    memory.
    """
    if program.in_order:
        return block.waits
    return tuple(number for number in block.waits if program.blocks[number].unit == "host_in")


class _Machine:
    """When each unit is free: issue, weight fetch, the tile behind the one in use, matrix unit, the others."""

    def __init__(self, program: Program, layers: int) -> None:
        self.program, self.ledger = program, Ledger(layers)
        self.complete: list[int] = []
        self.issued = self.fetched = self.behind_free = self.multiplied = 0
        self.slots: deque[int] = deque(maxlen=program.fifo_tiles)
        self.free = {"host_in": 0, "activation": 0, "host_out": 0}

    def add(self, block: Block) -> None:
        """Run one block, after those before it."""
        if self.program.in_order:
            self.issued = max(self.issued, self._completion(block.waits))
        if block.unit == "tiles":
            self._multiply(block)
            return
        ready = self._completion(block.waits + block.needs)
        at = max(self.issued, ready, self.free[block.unit]) + block.cycles
        self.free[block.unit] = at
        self.complete.append(at)
        if block.unit == "activation":
            self.ledger.result(block.layer, at)

    def _multiply(self, block: Block) -> None:
        reading = max(self.issued, self._completion(weights_wait_for(self.program, block)))
        ready = max(self.issued, waits_of_matrix_unit(self.program, block, self.complete, self.ledger))
        steady, left = 0, block.repeat
        while left:
            before, row = self._state(), list(self.ledger.cycles[block.layer])
            self._tile(block, reading, ready)
            left -= 1
            moved = {now - then for now, then in zip(self._state(), before, strict=False)}
            full = len(self.slots) == self.program.fifo_tiles and len(before) == len(self._state())
            steady = steady + 1 if full and len(moved) == 1 else 0
            if steady > 1 and left:
                # issue and data are long past, so the next tile moves every time by as much as the last one did
                self._jump(moved.pop(), left)
                self.ledger.repeat(block.layer, row, left)
                left = 0
        self.complete.append(self.multiplied + self.program.drain_cycles)

    def _tile(self, block: Block, reading: int, ready: int) -> None:
        slot = self.slots[0] if len(self.slots) == self.program.fifo_tiles else 0
        self.fetched = max(self.fetched, reading, slot) + self.program.fetch_cycles
        shifted = max(self.fetched, self.behind_free) + self.program.shift_cycles
        start = max(shifted, self.multiplied, ready)
        self.slots.append(shifted)
        self.behind_free, self.multiplied = start, start + block.cycles
        self.ledger.tile(block.layer, self.fetched, shifted, start, self.multiplied)

    def _state(self) -> tuple[int, ...]:
        return self.fetched, self.behind_free, self.multiplied, *self.slots

    def _jump(self, moved: int, times: int) -> None:
        self.fetched += moved * times
        self.behind_free += moved * times
        self.multiplied += moved * times
        self.slots = deque((slot + moved * times for slot in self.slots), maxlen=self.program.fifo_tiles)

    def _completion(self, numbers: tuple[int, ...]) -> int:
        return max((self.complete[number] for number in numbers), default=0)
