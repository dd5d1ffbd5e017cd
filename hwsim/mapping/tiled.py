"""Weight-stationary tiles whose partial sums stay in accumulators.

A column tile's sums over all row tiles stay in one half of the accumulators while the other half is read out, as on
TPU v1 (Jouppi et al., ISCA 2017, Sec. 2: 4096 accumulators, so that the compiler can use double buffering at peak
speed). Streams that are longer are cut into equal chunks, at whole images where one fits.
"""

from __future__ import annotations

from hwsim.arch.accelerator import Accelerator
from hwsim.errors import InputError
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Layer
from hwsim.mapping.loops import ArrayMapping
from hwsim.mapping.passes import unstalled
from hwsim.mapping.systolic import whole_stream
from hwsim.units import ceil_div


def place_tiled(layer: Layer, chip: Accelerator, fmt: NumberFormat, dataflow: str) -> ArrayMapping:
    """Return the mapping of `layer` with the longest equal chunks whose sums fit half of the accumulators."""
    whole = whole_stream(layer, chip, fmt, "weight", chip.array.rows, chip.array.cols)
    folding = whole.but(chunk=chunk_rows(layer, accumulator_rows(chip, fmt)))
    return ArrayMapping(layer, dataflow, folding, unstalled(folding))


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


def chunk_rows(layer: Layer, room: int) -> int:
    """Return how many output positions pass a tile before the next one: equal parts of at most `room`."""
    image = layer.P * layer.Q
    if layer.positions <= room or image > room:
        return ceil_div(layer.positions, ceil_div(layer.positions, room))
    return image * ceil_div(layer.N, ceil_div(layer.N, room // image))
