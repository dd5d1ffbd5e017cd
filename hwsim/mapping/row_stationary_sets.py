"""Which PE does what: the sets of a row-stationary mapping on the physical array."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from hwsim.units import ceil_div


class PE(NamedTuple):
    """A PE that computes: its place, its set among those of channels and of filters, its filter row and ofmap row."""

    row: int
    col: int
    channel_set: int
    filter_set: int
    filter_row: int
    ofmap_row: int


def pe_sets(rows: int, cols: int, set_rows: int, e: int, r: int, t: int) -> Iterator[PE]:
    """Yield the PEs of r x t sets of `set_rows` x `e` on an array of `rows` x `cols`.

    The r sets of one filter set stand on top of each other, because their sums add up along the columns. A filter set
    wider than the array is folded into pieces of equal width. Blocks of a filter set's piece lie side by side where
    they fit, then one band of rows below the other (Chen et al., JSSC 52(1), 2017, Fig. 6).
    """
    pieces = ceil_div(e, cols)
    width = ceil_div(e, pieces)
    beside = cols // width
    for block in range(t * pieces):
        filter_set, piece = divmod(block, pieces)
        top, left = block // beside * set_rows * r, block % beside * width
        for ofmap_row in range(piece * width, min(e, (piece + 1) * width)):
            for channel_set in range(r):
                for filter_row in range(set_rows):
                    row, col = top + channel_set * set_rows + filter_row, left + ofmap_row - piece * width
                    yield PE(row, col, channel_set, filter_set, filter_row, ofmap_row)
