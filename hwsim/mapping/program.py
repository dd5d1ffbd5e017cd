"""A network as instructions of a machine with one matrix unit, as TPU v1 has them.

The instructions and what they do: Jouppi et al., ISCA 2017, Sec. 2. A `Block` is a run of like instructions:

| unit         | instructions of one block                                                                           |
|--------------|-----------------------------------------------------------------------------------------------------|
| `host_in`    | one Read_Host_Memory                                                                                |
| `tiles`      | `repeat` times Read_Weights and MatrixMultiply (or Convolve), each of one tile of weights            |
| `activation` | one Activate: sums leave the accumulators, or activations pass the vector lanes                     |
| `host_out`   | one Write_Host_Memory                                                                               |

A block begins once the blocks it names are complete. Those in `waits` stand behind an explicit synchronisation; those
in `needs` the unit itself watches for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

from hwsim.mapping.unified_buffer import Placement, peak_bits

Unit = Literal["host_in", "tiles", "activation", "host_out"]

FILLS: dict[Unit, tuple[str, ...]] = {
    "host_in": ("Read_Host_Memory",),
    "tiles": ("Read_Weights", "MatrixMultiply"),
    "activation": ("Activate",),
    "host_out": ("Write_Host_Memory",),
}
"""The instructions of each kind of block; every one of them is issued `repeat` times."""


class Block(NamedTuple):
    """`repeat` like instructions of layer number `layer`, each of `cycles`; `bits` pass the host link in all."""

    unit: Unit
    layer: int
    cycles: int
    repeat: int = 1
    waits: tuple[int, ...] = ()
    needs: tuple[int, ...] = ()
    bits: int = 0


class Instruction(NamedTuple):
    """One instruction of block number `block`."""

    name: str
    block: int


@dataclass(frozen=True)
class Program:
    """Blocks in program order, and what of the machine they depend on.

    `fetch_cycles` is the time of a tile of weights from weight memory, `shift_cycles` that into the array,
    `drain_cycles` that of the last sum through the array, `fifo_tiles` how many tiles the weight FIFO holds. With
    `in_order` issue nothing behind a synchronisation is issued before it is over; otherwise only the matrix unit waits.
    """

    blocks: tuple[Block, ...]
    fetch_cycles: int
    shift_cycles: int
    drain_cycles: int
    fifo_tiles: int
    in_order: bool
    placements: tuple[Placement, ...] = ()

    @cached_property
    def tiles_by_layer(self) -> Counter[int]:
        """How many tiles of weights each layer reads."""
        found: Counter[int] = Counter()
        for block in self.blocks:
            if block.unit == "tiles":
                found[block.layer] += block.repeat
        return found

    @property
    def buffer_peak_bits(self) -> int:
        """The most that the unified buffer holds at a time."""
        return peak_bits(self.placements)

    def instructions(self, convolutions: frozenset[int] = frozenset()) -> Iterator[Instruction]:
        """Yield every instruction in program order; layers in `convolutions` convolve."""
        for number, block in enumerate(self.blocks):
            if block.waits:
                yield Instruction("Synchronize", number)
            for _ in range(block.repeat):
                for name in FILLS[block.unit]:
                    convolves = name == "MatrixMultiply" and block.layer in convolutions
                    yield Instruction("Convolve" if convolves else name, number)

    def without_host(self) -> Program:
        """Return the program with a host link that takes no time."""
        blocks = tuple(block._replace(cycles=0) if block.unit.startswith("host") else block for block in self.blocks)
        return replace(self, blocks=blocks)
