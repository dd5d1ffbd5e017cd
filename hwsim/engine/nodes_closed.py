"""How long the stages of a layer take on nodes, without running all of them: every line of nodes behaves like the next.

Of a gather, one line of nodes is worked out block by block. Where computing on a block takes less than a message, n
nodes in a line need (n - 1) (message + block) + 2 blocks, one block less for two nodes: every block is computed on
before it is forwarded, and blocks that come from both sides wait for each other once.
"""

from __future__ import annotations

from functools import lru_cache
from heapq import heappop, heappush

from hwsim.mapping.nodes_grid import Axis, Nodes
from hwsim.mapping.nodes_stages import Border, Compute, Feed, Gather, Stage

RIGHT, LEFT = 0, 1


def stage_cycles(stage: Stage, nodes: Nodes) -> int:
    """Return the cycles until the last node is done with a stage that all nodes begin at once."""
    if isinstance(stage, Compute | Feed):
        return stage.cycles
    if isinstance(stage, Border):
        return stage.messages * nodes.message_cycles(stage.bits, stage.hops)
    if isinstance(stage, Gather):
        return stage.cycles + sum(
            line_cycles(axis, nodes.message_cycles(blocks * stage.bits), blocks * stage.cycles)
            for _, axis, blocks in rounds(nodes)
        )
    return sum(line_cycles(axis, nodes.message_cycles(blocks * stage.bits), 0) for _, axis, blocks in rounds(nodes))


def rounds(nodes: Nodes) -> list[tuple[int, Axis, int]]:
    """Return number and size of each axis with more than one node, and how many nodes' blocks go as one along it."""
    along, across = nodes.axes
    return [one for one in ((0, along, 1), (1, across, along.size)) if one[1].size > 1]


def hops(axis: Axis, position: int) -> tuple[int, int]:
    """Return how far the block of the node at `position` goes to the right and to the left; in a circle both ways."""
    if axis.wraps:
        return axis.size // 2, (axis.size - 1) // 2
    return axis.size - 1 - position, position


@lru_cache(maxsize=4096)
def line_cycles(axis: Axis, message: int, block: int) -> int:
    """Return when the last node of a line or circle has every block, and has computed on each for `block` cycles.

    Every node begins with its own block, computed. A node computes on blocks as they come, those from the left first
    where two come at once, and forwards each when it is done with it and the link is free.
    """
    node_free = [0] * axis.size
    link_free = {(node, way): 0 for node in range(axis.size) for way in (RIGHT, LEFT)}
    coming: list[tuple[int, int, int, int]] = []

    def send(node: int, way: int, left: int, ready: int) -> None:
        if not left:
            return
        at = max(ready, link_free[node, way]) + message
        link_free[node, way] = at
        heappush(coming, (at, way, (node + (1 if way == RIGHT else -1)) % axis.size, left - 1))

    for node in range(axis.size):
        for way, left in enumerate(hops(axis, node)):
            send(node, way, left, 0)
    while coming:
        at, way, node, left = heappop(coming)
        node_free[node] = max(at, node_free[node]) + block
        send(node, way, left, node_free[node])
    return max(node_free)
