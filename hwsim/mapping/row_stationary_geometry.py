"""A layer as row stationary cuts it: filter pieces that fit a PE set, and the ifmap rows under strips of the ofmap."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from hwsim.ir.layer import Kind, Layer, extent_used
from hwsim.units import ceil_div


class Axis(NamedTuple):
    """One direction of a convolution: `outputs` windows of `taps` over `extent` elements behind `before` of padding."""

    outputs: int
    taps: int
    stride: int
    dilation: int
    before: int
    extent: int


class Geometry(NamedTuple):
    """A layer's loop bounds, time steps with the groups, and what a PE set takes of its filters.

    A set holds pieces of `set_rows` x `set_taps` of a filter, of which there are `pieces`. A window needs `slide` words
    that the one before did not have. Per ifmap row, a piece spans `columns` words; all pieces side by side move
    `moved_columns` words off-chip, of which `real_columns` are not padding, and send `read_columns` to the array.
    `inside_products` are the multiply-accumulates of the layer whose input is not padding.
    """

    groups: int
    N: int
    K: int
    C: int
    P: int
    Q: int
    R: int
    S: int
    set_rows: int
    set_taps: int
    row_pieces: int
    tap_pieces: int
    slide: int
    columns: int
    moved_columns: int
    real_columns: int
    read_columns: int
    inside_products: int
    vertical: Axis

    @property
    def pieces(self) -> int:
        """Pieces of a filter that take turns."""
        return self.row_pieces * self.tap_pieces

    @property
    def macs(self) -> int:
        """Multiply-accumulates, padding included."""
        return self.groups * self.N * self.K * self.C * self.P * self.Q * self.R * self.S

    @property
    def weights(self) -> int:
        """Words of all filters, those of a recurrent layer once for every step."""
        return self.groups * self.K * self.C * self.R * self.S

    @property
    def outputs(self) -> int:
        """Words of all ofmaps."""
        return self.groups * self.N * self.K * self.P * self.Q


class Strips(NamedTuple):
    """Strips of ofmap rows: how many, the ifmap rows under a full one, and under all; `real_rows` are not padding."""

    number: int
    rows: int
    moved_rows: int
    real_rows: int


def geometry_of(layer: Layer, rows: int, taps: int) -> Geometry:
    """Return a layer cut for PE sets of up to `rows` PEs whose scratchpads hold `taps` words of a filter row."""
    vertical, horizontal = axes(layer)
    row_pieces, tap_pieces = ceil_div(layer.R, rows), ceil_div(layer.S, taps)
    set_rows, set_taps = ceil_div(layer.R, row_pieces), ceil_div(layer.S, tap_pieces)
    row_pieces, tap_pieces = ceil_div(layer.R, set_rows), ceil_div(layer.S, set_taps)
    pieces = pieces_of(layer.S, set_taps)
    groups = layer.G * layer.steps
    products = inside(vertical) * inside(horizontal)
    return Geometry(
        groups=groups,
        N=layer.N,
        K=layer.K,
        C=layer.C,
        P=layer.P,
        Q=layer.Q,
        R=layer.R,
        S=layer.S,
        set_rows=set_rows,
        set_taps=set_taps,
        row_pieces=row_pieces,
        tap_pieces=tap_pieces,
        slide=slide(horizontal, set_taps),
        columns=spanned(horizontal, layer.Q, set_taps),
        moved_columns=sum(spanned(horizontal, layer.Q, length) for _, length in pieces),
        real_columns=sum(covered(horizontal, 0, layer.Q, first, length) for first, length in pieces),
        read_columns=sum(length + (layer.Q - 1) * slide(horizontal, length) for _, length in pieces),
        inside_products=groups * layer.N * layer.K * layer.C * products,
        vertical=vertical,
    )


@lru_cache(maxsize=4096)
def strips_of(g: Geometry, e: int) -> Strips:
    """Return the strips of `e` ofmap rows; the last may be shorter. Pieces of a filter visit their rows each."""
    moved = real = 0
    for first, taps in pieces_of(g.R, g.set_rows):
        for start in range(0, g.P, e):
            outputs = min(e, g.P - start)
            moved += spanned(g.vertical, outputs, taps)
            real += covered(g.vertical, start, outputs, first, taps)
    return Strips(ceil_div(g.P, e), spanned(g.vertical, e, g.set_rows), moved, real)


def spanned(axis: Axis, outputs: int, taps: int) -> int:
    """Return the distinct elements, padding included, under neighbouring windows of `taps`."""
    if axis.dilation == 1 and taps >= axis.stride:
        return (outputs - 1) * axis.stride + taps
    reach = (outputs - 1) * axis.stride + (taps - 1) * axis.dilation + 1
    return extent_used(reach, outputs, taps, axis.stride, axis.dilation, 0)


def covered(axis: Axis, start: int, outputs: int, first_tap: int, taps: int) -> int:
    """Return those of them that are not padding, for windows from number `start` and taps from `first_tap` on."""
    before = axis.before - start * axis.stride - first_tap * axis.dilation
    return extent_used(axis.extent, outputs, taps, axis.stride, axis.dilation, before)


def slide(axis: Axis, taps: int) -> int:
    """Return the words of a window that the one before does not have: where dilation skips them, all."""
    steps, odd = divmod(axis.stride, axis.dilation)
    return taps if odd else min(steps, taps)


def inside(axis: Axis) -> int:
    """Return how many of the products of `outputs` windows and `taps` have an input that is not padding."""
    return sum(
        max(0, min(axis.outputs - 1, last) - max(0, first) + 1)
        for first, last in (
            (ceil_div(axis.before - shift, axis.stride), (axis.extent - 1 + axis.before - shift) // axis.stride)
            for shift in range(0, axis.taps * axis.dilation, axis.dilation)
        )
    )


def axes(layer: Layer) -> tuple[Axis, Axis]:
    """Return the vertical and the horizontal axis; a matrix product is a convolution of single elements."""
    if layer.kind is not Kind.CONV:
        return Axis(1, 1, 1, 1, 0, 1), Axis(1, 1, 1, 1, 0, 1)
    extents, before = layer.input_shapes[0][2:], layer.padding[:2]
    sizes = ((layer.P, layer.R), (layer.Q, layer.S))
    vertical, horizontal = (
        Axis(outputs, taps, layer.stride[i], layer.dilation[i], before[i], extents[i])
        for i, (outputs, taps) in enumerate(sizes)
    )
    return vertical, horizontal


def pieces_of(whole: int, size: int) -> list[tuple[int, int]]:
    """Return (first, length) of the parts of `whole` in parts of `size`."""
    return [(first, min(size, whole - first)) for first in range(0, whole, size)]
