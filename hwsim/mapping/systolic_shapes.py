"""What the search for foldings reads of a layer, of an array and of a format, in numbers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hwsim.ir.layer import Kind, Layer
from hwsim.mapping.folding import AXES
from hwsim.mapping.loops import extents

if TYPE_CHECKING:
    from hwsim.mapping.folding import Operand


class Shape(NamedTuple):
    """A layer as the search sees it, `of_stationary` one operand.

    `groups` products are done `steps` times. The input is `once` words, if each is fetched once, or `lowered` words as
    a matrix; for the former a buffer holds `reach_words` of each of `channels`, or of those that a tile of rows of
    `taps` touches, where that is not 0.
    """

    row_extent: int
    col_extent: int
    stream_extent: int
    groups: int
    steps: int
    batch: int
    weight_visit: int
    lowered: int
    once: int
    channels: int
    taps: int
    reach_words: int
    outputs: int
    macs: int


def shape_of(layer: Layer, stationary: Operand) -> Shape:
    """Return the numbers of a matrix product, its axes laid out with `stationary` kept in the PEs."""
    extent = extents(layer)
    on_rows, on_cols, streamed = AXES[stationary]
    convolves = layer.kind is Kind.CONV
    reach = min(layer.dilation[0] * (layer.R - 1) + 1, layer.input_shapes[0][2]) if convolves else 0
    lowered = layer.positions * layer.reduction
    return Shape(
        row_extent=extent[on_rows],
        col_extent=extent[on_cols],
        stream_extent=extent[streamed],
        groups=layer.G,
        steps=layer.steps,
        batch=layer.N,
        weight_visit=layer.K * layer.reduction,
        lowered=lowered,
        once=layer.input_elements_used // layer.G if convolves else lowered,
        channels=layer.C,
        taps=layer.R * layer.S if convolves and stationary == "weight" else 0,
        reach_words=reach * layer.input_shapes[0][3] if convolves else 0,
        outputs=layer.steps * layer.G * layer.positions * layer.K,
        macs=layer.macs,
    )


class Machine(NamedTuple):
    """An array as the search sees it. A rate is bits in cycles, 1 in 0 without limit."""

    rows: int
    cols: int
    tight: bool
    overlapped: bool
    input_room_bits: int
    weight_room_bits: int
    output_room_bits: int
    bandwidth: tuple[int, int]


class Words(NamedTuple):
    """A format as the search sees it, and the dataflow."""

    word_bits: int
    output_bits: int
    accumulator_bits: int
    output_stationary: bool
    weight_stationary: bool
