"""Weight-stationary tiles whose partial sums stay in accumulators.

A column tile's sums over all row tiles stay in one half of the accumulators while the other half is read out, as on
TPU v1 (Jouppi et al., ISCA 2017, Sec. 2: 4096 accumulators, so that the compiler can use double buffering at peak
speed). Streams that are longer are cut into equal chunks, at whole images where one fits. Fewer chunks in both halves
at once read fewer tiles, but must be read out before the next product begins; two chunks of what would fit one let its
first half be read out early. The chunk of the fewest cycles, by an estimate for the layer alone, is chosen, and of
those the longest.
"""

from __future__ import annotations

from math import ceil

from hwsim.arch.accelerator import Accelerator
from hwsim.errors import InputError
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Layer
from hwsim.mapping.folding import Folding
from hwsim.mapping.loops import ArrayMapping
from hwsim.mapping.passes import unstalled
from hwsim.mapping.systolic import whole_stream
from hwsim.units import BITS_PER_BYTE, ceil_div


def place_tiled(layer: Layer, chip: Accelerator, fmt: NumberFormat, dataflow: str) -> ArrayMapping:
    """Return the mapping of `layer` in chunks whose sums fit the accumulators, half of them where that saves time."""
    whole = whole_stream(layer, chip, fmt, "weight", chip.array.rows, chip.array.cols)
    folding = whole.but(chunk=_chunk(whole, layer, chip, fmt))
    return ArrayMapping(layer, dataflow, folding, unstalled(folding))


def _chunk(whole: Folding, layer: Layer, chip: Accelerator, fmt: NumberFormat) -> int:
    """Return the positions of a chunk."""
    room = accumulator_rows(chip, fmt)
    one_half = chunk_rows(layer, room)
    tried = {one_half, chunk_rows(layer, buffers(chip) * room)}
    if one_half == layer.positions:
        tried.add(chunk_rows(layer, ceil_div(one_half, 2)))
    return min(tried, key=lambda chunk: (_cycles(whole.but(chunk=chunk), layer, room, chip, fmt), -chunk))


def _cycles(f: Folding, layer: Layer, room: int, chip: Accelerator, fmt: NumberFormat) -> float:
    """Return about how long a folding takes with nothing before and behind it."""
    products, rows = layer.G * f.col_folds, f.chunk / chip.array.macs_per_cycle[fmt.name]
    loading, shift = max(fetch_cycles(chip, fmt), shift_cycles(chip, fmt)), shift_cycles(chip, fmt)
    reading_out = chip.array.rows + chip.array.cols + f.chunk * fmt.bits / BITS_PER_BYTE
    if f.chunk > room:
        product = f.row_folds * max(rows, shift) + reading_out
        return f.chunks * products * max(product, f.row_folds * loading)
    return f.chunks * products * f.row_folds * max(rows, loading) + reading_out * min(products, room // f.chunk)


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


def shift_cycles(chip: Accelerator, fmt: NumberFormat) -> int:
    """Return how long a tile of weights takes to shift into the array: a byte of each column per cycle."""
    return chip.array.rows * ceil_div(fmt.operand_bits("weight"), BITS_PER_BYTE)


def chunk_rows(layer: Layer, room: int) -> int:
    """Return how many output positions pass a tile before the next one: equal parts of at most `room`."""
    image = layer.P * layer.Q
    if layer.positions <= room or image > room:
        return ceil_div(layer.positions, ceil_div(layer.positions, room))
    return image * ceil_div(layer.N, ceil_div(layer.N, room // image))
