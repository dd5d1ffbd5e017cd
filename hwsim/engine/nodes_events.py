"""Nodes as processes in simulated time (simpy): a few events per message, none per cycle.

Every node has a functional unit that computes on one block at a time, and a link to each neighbour that carries one
message at a time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import simpy

from hwsim.engine.clock import Clock, Steps
from hwsim.engine.nodes_closed import LEFT, RIGHT, hops, rounds
from hwsim.mapping.nodes_grid import Nodes
from hwsim.mapping.nodes_stages import Border, Compute, Feed, Gather, Stage


class Log(NamedTuple):
    """What happened: the cycle in which each stage was over at all nodes, the messages, all events."""

    ends: list[int]
    messages: int
    events: int


def run(stages: Iterable[Stage], nodes: Nodes) -> Log:
    """Return what happens when all nodes go through `stages`, one after the other."""
    ends, messages, events, now = [], 0, 0, 0
    for stage in stages:
        machine = _Machine(nodes)
        machine.start(stage)
        machine.clock.run()
        now += int(machine.clock.now)
        ends.append(now)
        messages, events = messages + machine.messages, events + machine.clock.events
    return Log(ends, messages, events)


class _Machine:
    """The nodes, number row * columns + column, with their functional units and links, for one stage."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes, self.clock, self.messages = nodes, Clock(), 0
        self.units = [simpy.Resource(self.clock) for _ in range(nodes.count)]
        self.links: dict[tuple[int, int, int], simpy.Resource] = {}
        self.missing = [0] * nodes.count
        self.complete = [self.clock.event() for _ in range(nodes.count)]

    def start(self, stage: Stage) -> None:
        """Let every node begin with `stage`."""
        for node in range(self.nodes.count):
            if isinstance(stage, Compute | Feed):
                self.clock.process(self._compute(node, stage.cycles))
            elif isinstance(stage, Border):
                if self._place(node, stage.axis) or self.nodes.axes[stage.axis].wraps:
                    self.clock.process(self._exchange(node, stage))
            else:
                cycles = stage.cycles if isinstance(stage, Gather) else 0
                self.clock.process(self._gather(node, stage.bits, cycles))

    def _exchange(self, node: int, stage: Border) -> Steps:
        for _ in range(stage.messages):
            yield from self._send(node, stage.axis, LEFT, self.nodes.message_cycles(stage.bits, stage.hops))

    def _gather(self, node: int, bits: int, cycles: int) -> Steps:
        """Compute on the own block, then send it along each axis, with all that came along the one before."""
        yield from self._compute(node, cycles)
        for number, axis, blocks in rounds(self.nodes):
            self.missing[node], self.complete[node] = axis.size - 1, self.clock.event()
            message = self.nodes.message_cycles(blocks * bits)
            for way, left in enumerate(hops(axis, self._place(node, number))):
                if left:
                    self.clock.process(self._forward(node, number, way, left, message, blocks * cycles))
            yield self.complete[node]

    def _forward(self, node: int, axis: int, way: int, left: int, message: int, cycles: int) -> Steps:
        """Carry a block over `left` links; every node on the way computes on it and then forwards it."""
        for _ in range(left):
            yield from self._send(node, axis, way, message)
            node = self._neighbour(node, axis, way)
            if way == LEFT:
                # behind what comes from the other side in the same cycle
                yield self.clock.timeout(0)
            yield from self._compute(node, cycles)
            self.missing[node] -= 1
            if not self.missing[node]:
                self.complete[node].succeed()

    def _compute(self, node: int, cycles: int) -> Steps:
        with self.units[node].request() as turn:
            yield turn
            yield self.clock.timeout(cycles)

    def _send(self, node: int, axis: int, way: int, cycles: int) -> Steps:
        link = self.links.setdefault((node, axis, way), simpy.Resource(self.clock))
        with link.request() as turn:
            yield turn
            yield self.clock.timeout(cycles)
        self.messages += 1

    def _place(self, node: int, axis: int) -> int:
        columns = self.nodes.axes[0].size
        return node // columns if axis else node % columns

    def _neighbour(self, node: int, axis: int, way: int) -> int:
        columns, rows = (one.size for one in self.nodes.axes)
        row, column = divmod(node, columns)
        step = 1 if way == RIGHT else -1
        return (row + step) % rows * columns + column if axis else row * columns + (column + step) % columns
