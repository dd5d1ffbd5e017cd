"""Weight-stationary tiles whose partial sums stay in accumulators.

A column tile's sums over all row tiles stay in one half of the accumulators while the other half is read out, as on
TPU v1 (Jouppi et al., ISCA 2017, Sec. 2: 4096 accumulators, so that the compiler can use double buffering at peak
speed). Streams that are longer are cut into equal chunks, at whole images where one fits. What is best depends on
whether a chunk lasts as long as a tile of weights takes to come: if not, fewer chunks in both halves at once read fewer
tiles; if even a half would, two chunks let the next layer begin on the first while the second is computed.
"""

from __future__ import annotations

from math import ceil

from hwsim.arch.accelerator import Accelerator
from hwsim.errors import InputError
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Layer
from hwsim.mapping.loops import ArrayMapping
from hwsim.mapping.passes import unstalled
from hwsim.mapping.systolic import whole_stream
from hwsim.units import ceil_div


def place_tiled(layer: Layer, chip: Accelerator, fmt: NumberFormat, dataflow: str) -> ArrayMapping:
    """Return the mapping of `layer` in chunks whose sums fit the accumulators, half of them where that saves time."""
    whole = whole_stream(layer, chip, fmt, "weight", chip.array.rows, chip.array.cols)
    folding = whole.but(chunk=_chunk(layer, chip, fmt))
    return ArrayMapping(layer, dataflow, folding, unstalled(folding))


def _chunk(layer: Layer, chip: Accelerator, fmt: NumberFormat) -> int:
    """Return the positions of a chunk."""
    room, loading = accumulator_rows(chip, fmt), max(fetch_cycles(chip, fmt), chip.array.rows)
    rows, speed = chunk_rows(layer, room), chip.array.macs_per_cycle[fmt.name]
    if rows == layer.positions:
        half = chunk_rows(layer, ceil_div(rows, 2))
        return half if half / speed >= loading else rows
    return rows if rows / speed >= loading else chunk_rows(layer, buffers(chip) * room)


def buffers(chip: Accelerator) -> int:
    """Return into how many parts the accumulators are divided, of which one is in use."""
    return 2 if chip.level["accumulators"].double_buffered else 1


def accumulator_rows(chip: Accelerator, fmt: NumberFormat) -> int:
    """Return the output positions of one column tile whose sums the accumulators in use hold.

    Raises `InputError` where they hold none.
    """
    rows = chip.rooms["output"] // (chip.array.cols * fmt.accumulator_bits)
    if not rows:
        raise InputError(
            f"chip '{chip.name}': its accumulators do not hold {chip.array.cols} sums of {fmt.accumulator_bits} bits"
        )
    return rows


def tile_bits(chip: Accelerator, fmt: NumberFormat) -> int:
    """Return the size of a tile of weights."""
    return chip.array.rows * chip.array.cols * fmt.operand_bits("weight")


def fetch_cycles(chip: Accelerator, fmt: NumberFormat) -> int:
    """Return how long a tile of weights takes from off-chip memory."""
    rate = chip.off_chip.read_bits_per_cycle
    return 0 if rate is None else ceil(tile_bits(chip, fmt) / rate)


def chunk_rows(layer: Layer, room: int) -> int:
    """Return how many output positions pass a tile before the next one: equal parts of at most `room`."""
    image = layer.P * layer.Q
    if layer.positions <= room or image > room:
        return ceil_div(layer.positions, ceil_div(layer.positions, room))
    return image * ceil_div(layer.N, ceil_div(layer.N, room // image))
