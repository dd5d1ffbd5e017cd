"""From a placed network to a `Program`: which instructions, what each waits for, and where every tensor lies."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby
from math import ceil, prod
from typing import Literal, NamedTuple

from hwsim.arch.accelerator import Accelerator, MemoryLevel
from hwsim.errors import InputError
from hwsim.formats import NumberFormat
from hwsim.ir.layer import LAYOUT_KINDS, Kind, Layer, Shape
from hwsim.ir.network import Network
from hwsim.mapping.loops import ArrayMapping
from hwsim.mapping.placed import Placed
from hwsim.mapping.program import Block, Program
from hwsim.mapping.tiled import accumulator_rows, buffers, fetch_cycles, shift_cycles, tile_bits
from hwsim.mapping.unified_buffer import Lifetime, Placement, allocate, peak_bits, rows_of
from hwsim.units import BITS_PER_BYTE, ceil_div

BUFFER, ACCUMULATORS, FIFO = "unified_buffer", "accumulators", "weight_fifo"
"""Levels that a machine with such instructions has."""


class Part(NamedTuple):
    """Images `first` to `last` - 1 of a tensor of `images`, ready once `block` is complete; `images` 0 is any."""

    images: int
    first: int
    last: int
    block: int


def compile_network(network: Network, placed: Sequence[Placed], chip: Accelerator, fmt: NumberFormat) -> Program:
    """Return the instructions that run `placed` layers, one after the other, on a chip with one matrix unit.

    Inputs come from the host, results go to it, everything between stays in the unified buffer. Raises `InputError`
    where the activations do not fit the buffer, or a tile of weights its FIFO.
    """
    _require_loops(network, placed)
    compiler = _Compiler(network, chip, fmt)
    compiler.read_inputs()
    for steps, group in groupby(enumerate(placed), key=lambda pair: pair[1].layer.steps):
        members = list(group)
        for _ in range(steps):
            for index, one in members:
                compiler.add(index, one)
    compiler.write_outputs(placed)
    placements = tuple(allocate(compiler.lifetimes.values()))
    _require_fit(network, placements, chip.level[BUFFER])
    return Program(
        tuple(compiler.blocks),
        fetch_cycles=fetch_cycles(chip, fmt),
        shift_cycles=shift_cycles(chip, fmt),
        drain_cycles=chip.array.rows + chip.array.cols - 2,
        fifo_tiles=_fifo_tiles(chip, fmt),
        in_order=chip.options.get("issue") != "decoupled",
        placements=placements,
    )


class _Compiler:
    """The blocks so far, which of them each tensor waits for, and from when to when each tensor lives.

    `freed` has the Activate that frees each half of the accumulators, the earliest first.
    """

    def __init__(self, network: Network, chip: Accelerator, fmt: NumberFormat) -> None:
        self.network, self.chip, self.fmt = network, chip, fmt
        self.blocks: list[Block] = []
        self.parts: dict[str, list[Part]] = {}
        self.stored: dict[str, tuple[str, ...]] = {}
        self.lifetimes: dict[str, Lifetime] = {}
        self.states = {tensor.name: tensor.carried_from for tensor in network.inputs if tensor.carried_from}
        self.room = accumulator_rows(chip, fmt)
        self.freed: list[int | None] = [None] * buffers(chip)
        self.cycles_per_row = 1 / Fraction(chip.array.macs_per_cycle[fmt.name])
        self.lane_cycles: dict[int, int] = {}

    def read_inputs(self) -> None:
        """Read what the host gives; states are on the chip from the start."""
        for tensor in self.network.inputs:
            self._keep(tensor.name, tensor.shape)
            if tensor.carried_from is None:
                block = self._transfer_to_host("host_in", 0, prod(tensor.shape))
                self.parts[tensor.name] = [Part(1, 0, 1, block)]

    def add(self, index: int, placed: Placed) -> None:
        """Add the instructions of one step of layer number `index`."""
        layer = placed.layer
        if layer.kind in LAYOUT_KINDS or layer.kind is Kind.UNSUPPORTED or placed.fused_into:
            self._rename(layer)
            return
        parts = [self._pass_lanes(index, layer)] if placed.mapping is None else self._multiply(index, placed)
        self.parts[layer.name] = parts
        self._keep(layer.name, layer.output_shape)
        for name in layer.inputs:
            self._use(name)

    def write_outputs(self, placed: Sequence[Placed]) -> None:
        """Write to the host what no layer reads; where all of that is carried to the next run, the last result."""
        layers, carried = self.network.layers, set(self.states.values())
        index = {one.layer.name: number for number, one in enumerate(placed)}
        results = [one for one in layers if one.name not in carried and not self.network.consumers.get(one.name)]
        computed = [one.layer for one in placed if one.layer.kind not in LAYOUT_KINDS]
        for layer in results or computed[-1:]:
            waits = tuple(sorted({part.block for part in self._parts_of(layer.name)}))
            producer = next((name for name in self._stored_as(layer.name) if name in index), layer.name)
            self._transfer_to_host("host_out", index[producer], prod(layer.output_shape), waits)
            self._use(layer.name)
        for name in carried:
            self._use(name)

    def _multiply(self, index: int, placed: Placed) -> list[Part]:
        """Add a matrix product chunk by chunk; return the parts of its result.

        Of each chunk, as many column tiles as half of the accumulators hold are followed by one Activate; the half is
        free again once that is complete. A longer chunk has both halves.
        """
        layer, mapping, parts = placed.layer, placed.mapping, []
        assert isinstance(mapping, ArrayMapping), "this machine multiplies tiles"
        f, image = mapping.folding, layer.P * layer.Q
        loaded = self._through_host(index, layer) if len(layer.inputs) > 1 else ()
        for start in range(0, f.stream_extent, f.chunk):
            rows = min(f.chunk, f.stream_extent - start)
            first, last = start // image, ceil_div(start + rows, image)
            waits, needs = self._awaited(layer.inputs[0], layer.N, first, last)
            for columns in _groups(layer.G * f.col_folds, max(1, self.room // rows)):
                cycles, count = ceil(rows * self.cycles_per_row), columns * f.row_folds
                taken = 1 if rows <= self.room else len(self.freed)
                held = self.freed[taken - 1]
                needed = needs if held is None else (*needs, held)
                tiles = self._emit(Block("tiles", index, cycles, count, waits + loaded, needed))
                stored = self._emit(Block("activation", index, self._stored_cycles(columns * rows), needs=(tiles,)))
                self.freed = self.freed[taken:] + [stored] * taken
            parts.append(Part(layer.N, first, last, stored))
        return parts

    def _through_host(self, index: int, layer: Layer) -> tuple[int, ...]:
        """Bring a product's second activation where weights come from: only the host writes weight memory."""
        elements = prod(layer.input_shapes[1])
        waits = tuple(sorted({part.block for part in self._parts_of(layer.inputs[1])}))
        if any(self.blocks[block].unit != "host_in" for block in waits):
            waits = (self._transfer_to_host("host_out", index, elements, waits),)
        return (self._transfer_to_host("host_in", index, elements, waits),)

    def _pass_lanes(self, index: int, layer: Layer) -> Part:
        """Add a step of a layer of the activation unit; every step takes as long as the first."""
        if index not in self.lane_cycles:
            self.lane_cycles[index] = self._cycles_on_lanes(layer)
        needs = {part.block for name in layer.inputs for part in self._parts_of(name)}
        block = Block("activation", index, self.lane_cycles[index], needs=tuple(sorted(needs)))
        return Part(1, 0, 1, self._emit(block))

    def _cycles_on_lanes(self, layer: Layer) -> int:
        """Return how long a step is on the lanes: its operations, or its rows out of or into the buffer."""
        lanes, buffer = self.chip.array.cols, self.chip.level[BUFFER]
        read = sum(rows_of(shape, lanes) for shape in layer.input_shapes)
        operations = ceil_div(layer.operations // layer.steps, self.chip.vector_lanes)
        cycles = max(operations, self._row_cycles(read, buffer.read_bits_per_cycle))
        return max(cycles, self._stored_cycles(rows_of(layer.output_shape, lanes)))

    def _awaited(self, tensor: str, images: int, first: int, last: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return what images `first` to `last` - 1 of `images` wait for: results, and what the host sends."""
        blocks = {
            part.block
            for part in self._parts_of(tensor)
            if part.images != images or (part.first < last and first < part.last)
        }
        sent = {block for block in blocks if self.blocks[block].unit == "host_in"}
        return tuple(sorted(blocks - sent)), tuple(sorted(sent))

    def _emit(self, block: Block) -> int:
        self.blocks.append(block)
        return len(self.blocks) - 1

    def _transfer_to_host(
        self, unit: Literal["host_in", "host_out"], index: int, elements: int, waits: tuple[int, ...] = ()
    ) -> int:
        host, bits = self.chip.host, elements * self.fmt.bits
        assert host is not None, "a chip that keeps its activations has a host"
        rate = host.read_bits_per_cycle if unit == "host_in" else host.write_bits_per_cycle
        return self._emit(Block(unit, index, _transfer(bits, rate), waits=waits, bits=bits))

    def _stored_cycles(self, rows: int) -> int:
        return self._row_cycles(rows, self.chip.level[BUFFER].write_bits_per_cycle)

    def _row_cycles(self, rows: int, rate: Fraction | None) -> int:
        return _transfer(rows * self.chip.array.cols * self.fmt.bits, rate)

    def _rename(self, layer: Layer) -> None:
        """Let a layer that moves nothing stand for what it reads; one that gathers more than that has its own room."""
        parts = [part for name in layer.inputs for part in self._parts_of(name)]
        self.parts[layer.name] = parts if _keeps_images(layer) else [part._replace(images=0) for part in parts]
        held = tuple(dict.fromkeys(base for name in layer.inputs for base in self._stored_as(name)))
        self.stored[layer.name] = held
        if layer.output_elements > sum(map(prod, layer.input_shapes)):
            self._keep(layer.name, layer.output_shape)
            first = min((self.lifetimes[base].first for base in held), default=0)
            self.lifetimes[layer.name] = self.lifetimes[layer.name]._replace(first=first)
            self.stored[layer.name] = (*held, layer.name)

    def _parts_of(self, tensor: str) -> list[Part]:
        return self.parts.get(self.states.get(tensor, tensor), [])

    def _stored_as(self, tensor: str) -> tuple[str, ...]:
        return self.stored.get(tensor, (tensor,))

    def _keep(self, tensor: str, shape: Shape) -> None:
        """Give a tensor room from now on; one of an earlier step has it already."""
        if tensor not in self.lifetimes:
            lanes, now = self.chip.array.cols, max(0, len(self.blocks) - 1)
            self.lifetimes[tensor] = Lifetime(tensor, rows_of(shape, lanes) * lanes * self.fmt.bits, now, now)

    def _use(self, tensor: str) -> None:
        for name in self._stored_as(tensor):
            self.lifetimes[name] = self.lifetimes[name]._replace(last=len(self.blocks) - 1)


def _keeps_images(layer: Layer) -> bool:
    """Whether image i of a layer that moves nothing is image i of what it reads."""
    if layer.kind is not Kind.RESHAPE:
        return True
    same = [shape[:1] for shape in layer.input_shapes] == [layer.output_shape[:1]]
    return same and (layer.function == "reshape" or layer.function.startswith("slice"))


def _require_loops(network: Network, placed: Sequence[Placed]) -> None:
    """Raise `InputError` unless the layers that take turns step by step stand together."""
    loop: dict[str, int] = {}
    for number, (_, members) in enumerate(groupby(placed, key=lambda one: one.layer.steps)):
        loop.update((one.layer.name, number) for one in members)
    carried = {tensor.name: tensor.carried_from for tensor in network.inputs if tensor.carried_from}
    for layer in network.layers:
        for name in layer.inputs:
            if layer.steps > 1 and name in carried and loop[carried[name]] != loop[layer.name]:
                raise InputError(
                    f"network '{network.name}': layer '{layer.name}' reads what '{carried[name]}' computed a step "
                    f"before, but layers that do not run in {layer.steps} steps stand between them"
                )


def _groups(count: int, most: int) -> list[int]:
    """Return `count` things in groups of `most`, the last one smaller."""
    return [min(most, count - done) for done in range(0, count, most)]


def _transfer(bits: int, rate: Fraction | None) -> int:
    """Return the cycles that `bits` take at `rate` per cycle."""
    return 0 if rate is None else ceil(bits / rate)


def _fifo_tiles(chip: Accelerator, fmt: NumberFormat) -> int:
    capacity = chip.level[FIFO].capacity_bits
    assert capacity is not None, "a FIFO is bounded"
    tiles = capacity // tile_bits(chip, fmt)
    if not tiles:
        raise InputError(f"chip '{chip.name}': its weight FIFO does not hold one tile of {fmt.name} weights")
    return tiles


def _require_fit(network: Network, placements: Sequence[Placement], buffer: MemoryLevel) -> None:
    peak, capacity = peak_bits(placements), buffer.capacity_bits
    if capacity is not None and peak > capacity:
        needed, held = _told_apart(*(bits / BITS_PER_BYTE / 2**20 for bits in (peak, capacity)))
        layers = {layer.name for layer in network.layers}
        of_layers = [place.lifetime for place in placements if place.lifetime.tensor in layers]
        largest = max(of_layers, key=lambda life: life.size_bits).tensor
        raise InputError(
            f"network '{network.name}' needs {needed} MiB for activations at batch {network.batch}, most of all for "
            f"layer '{largest}', but the unified buffer holds {held} MiB"
            + ("; a smaller batch needs less" if network.batch > 1 else "")
        )


def _told_apart(more: float, less: float) -> tuple[str, str]:
    """Return two sizes [MiB] in as few decimals, at least one, as show that they differ; a bit shows in seven."""
    written = [(f"{more:.{decimals}f}", f"{less:.{decimals}f}") for decimals in range(1, 8)]
    return next((pair for pair in written if pair[0] != pair[1]), written[-1])
