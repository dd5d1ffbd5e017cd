"""What a library's operator does for a layer: multiply-accumulates of whole tiles, and bytes.

Convolutions in fp32 are direct, on channels in blocks of a vector: a tile is 6 columns of outputs by up to 4 vectors of
filters, and the 16 channels of a block are summed per visit (onnxruntime's MLAS, `sconv.h` and `snchwc.cpp`). In int8
channels go in fours, and images whose channels do not, or in groups, are copied into a matrix first (`qlinearconv.cc`).
"""

from __future__ import annotations

from functools import lru_cache
from math import inf, prod
from typing import NamedTuple

from hwsim.ir.layer import Kind, Layer
from hwsim.units import BITS_PER_BYTE, ceil_div

from .around import NOTHING, Around

TILE_COLUMNS, TILE_VECTORS = 6, 4
"""Outputs of one channel, and vectors of channels, whose sums stay in registers: 24 of 32."""

SET_COST = {"fp32": (0.0, 4 / 3, 2.0, 3.0), "int8": (0.0, 5 / 3, 2.0, 3.0)}
"""What a last set of 0 to 3 vectors of filters costs, in vectors: 6 sums do not hide the latency of 4 or 5 cycles."""

DEPTHWISE_VECTORS = 4
"""Vectors of channels that a depthwise convolution of integers sums at once, whether there are so many or not."""

MATRIX_ROWS = 16
"""Rows of a tile of AMX (Intel 64 and IA-32 Architectures Optimization Reference Manual)."""

POINTWISE_CHANNELS = 128
"""Channels that a 1x1 convolution sums per visit of a tile."""

PER_DOT = {"fp32": 1, "bf16": 2, "fp16": 1, "int8": 4}
"""Products that one lane sums at once."""

MATRIX_DEPTH = 64
"""Products that a tile of AMX sums at once, in int8."""

SUM_BYTES = 4
"""What a sum of integer products takes before it is rounded."""

COPY_ELEMENTS = 4
"""What starting to copy the channels of one tap costs, in elements."""

START_CYCLES, THREAD_CYCLES, ROUNDED_UP = 100_000, 100_000, 0.9
LINE_CYCLES = 11 / 64
"""By what the library chooses threads for operators that are no products: each takes so many cycles, beyond those
of a start; a byte read or written counts as an 11th of a line of 64 (`threadpool.cc`, Eigen's `TensorCostModel`)."""

SOFTMAX_ELEMENTS = 16384
"""Elements for which a softmax in floating point takes a thread (MLAS, `compute.cpp`)."""

VECTORS = frozenset({"elementwise", "step", "behind"})

INTEGER_FUNCTIONS = frozenset({"add", "multiply", "sigmoid", "relu", "relu6"})
"""Functions of vectors that the library has for integers; others are taken of numbers made real, and rounded again."""


class Sets(NamedTuple):
    """The vectors of filters of one group: whole sets of them, and what the last one costs, in vectors."""

    whole: int = 0
    last: float = 0.0

    @property
    def number(self) -> int:
        """How many sets there are, the last one included."""
        return self.whole + (self.last > 0)

    @property
    def cost(self) -> float:
        """What all sets cost, in vectors."""
        return self.whole * TILE_VECTORS + self.last


class Work(NamedTuple):
    """One step of an operator: `macs` in whole tiles, or operations, and the bytes it reads and writes.

    `single` is the part of columns outside whole tiles, `row` and `visit` are rows and products in one visit of a
    tile (0: all at once), `gathered` and `rounded` elements that are copied and rounded apart. `sets` are of
    one image and group, over `repeats` of these: threads share rows of all sets evenly by number. `passes` is how often
    every thread reads all weights, one image after the other; 0 where threads share them. `scratch_bytes` are written
    and read between, of one image.
    `pieces` are tensors put together or taken apart, or operands of integers, each with a scale, or operators in a row.
    `estimate` are the cycles by which the library chooses threads, infinite where it takes all.
    """

    op_class: str
    macs: int
    input_bytes: float
    weight_bytes: float
    output_bytes: float
    steps: int
    single: float = 0.0
    row: int = 0
    visit: int = 0
    gathered: int = 0
    rounded: int = 0
    sets: Sets = Sets()
    repeats: int = 0
    passes: int = 0
    scratch_bytes: float = 0.0
    pieces: int = 1
    matrix: bool = False
    estimate: float = inf


@lru_cache(maxsize=65536)
def work_of(layer: Layer, fmt: str, bits: int, lanes: int, around: Around = NOTHING, matrix: bool = False) -> Work:
    """Return the work of one step of a layer in `fmt` of `bits`, on vectors of `lanes` sums, in its surroundings.

    `matrix` says that products of matrices go to a unit that takes 16 rows at once; direct convolutions in int8 do not.
    """
    read = sum(prod(shape) for shape in layer.input_shapes) * bits / BITS_PER_BYTE
    written = layer.output_elements * bits / BITS_PER_BYTE
    if layer.kind is Kind.CONV:
        return _conv(layer, fmt, lanes, read, layer.weight_elements * bits / BITS_PER_BYTE, written)
    if layer.kind is Kind.MATMUL:
        shared = len(layer.inputs) == 1
        weights = layer.weight_elements * bits / BITS_PER_BYTE if shared else 0.0
        rows = ceil_div(layer.N, MATRIX_ROWS) * MATRIX_ROWS if matrix else layer.N
        macs = layer.G * rows * ceil_div(layer.K, lanes) * lanes * layer.C
        op_class = "gemm" if shared else "bmm"
        return Work(op_class, macs, read, weights, written, layer.steps, row=rows, matrix=matrix)
    op_class = CLASS_OF.get(layer.kind, "layout")
    if op_class == "pool" and around.planar:
        # one output at a time, whatever its window
        return Work("planar_pool", layer.output_elements, read, 0.0, written, layer.steps)
    if op_class == "elementwise" and layer.steps > 1:
        op_class = "behind" if around.behind else "step"
    pieces = around.pieces
    if fmt == "int8" and op_class in VECTORS:
        pieces = len(layer.inputs) if layer.function in INTEGER_FUNCTIONS else 3
    return Work(
        op_class, layer.operations // layer.steps, read, 0.0, written, layer.steps,
        pieces=pieces, estimate=_estimate(layer, op_class, fmt, bits // BITS_PER_BYTE),
    )  # fmt: skip


def _estimate(layer: Layer, op_class: str, fmt: str, size: int) -> float:
    """Return the cycles that the library expects of an operator on elements of `size` bytes."""
    elements = layer.output_elements
    if op_class in VECTORS:
        return elements * (2 * size * LINE_CYCLES + 1)
    if op_class == "softmax":
        each = 2 * size * LINE_CYCLES + 1 if fmt == "int8" else 2 * THREAD_CYCLES / SOFTMAX_ELEMENTS
        return elements * each
    return inf


def threads_of(work: Work, threads: int) -> int:
    """Return how many of the threads the library takes."""
    if work.estimate == inf:
        return threads
    wanted = (work.estimate - START_CYCLES) / THREAD_CYCLES + ROUNDED_UP
    return min(threads, max(1, int(min(wanted, threads))))


CLASS_OF = {
    Kind.POOL: "pool",
    Kind.ELEMENTWISE: "elementwise",
    Kind.ACTIVATION: "elementwise",
    Kind.NORMALISATION: "normalisation",
    Kind.SOFTMAX: "softmax",
}
"""Classes of operators that are no products; what is not here is a change of layout."""


def _conv(layer: Layer, fmt: str, lanes: int, read: float, weights: float, written: float) -> Work:
    taps = layer.R * layer.S
    if layer.G > 1 and layer.C == 1:
        block = lanes * (DEPTHWISE_VECTORS if fmt == "int8" else 1)
        macs = layer.N * ceil_div(layer.G * layer.K, block) * block * layer.P * layer.Q * taps
        return Work("depthwise", macs, read, weights, written, layer.steps)
    op_class = "pointwise" if taps == 1 else "conv"
    whole_sets, vectors_left = divmod(ceil_div(layer.K, lanes), TILE_VECTORS)
    sets = Sets(whole_sets, SET_COST["int8" if fmt == "int8" else "fp32"][vectors_left])
    filters = lanes * sets.cost
    if fmt == "int8":
        return _int8_conv(layer, op_class, lanes, filters, (read, weights, written))
    depth = layer.C if lanes > layer.C else ceil_div(layer.C, lanes) * lanes
    flat = taps == 1 and layer.stride == (1, 1)
    positions = layer.P * layer.Q
    whole, single = (positions - positions % TILE_COLUMNS, positions % TILE_COLUMNS) if flat else columns(layer)
    return Work(
        op_class, round(layer.G * filters * depth * taps * layer.positions), read, weights, written, layer.steps,
        single=single / (whole + single),
        visit=min(depth, POINTWISE_CHANNELS) if taps == 1 else min(layer.C, lanes) * taps,
        sets=sets, repeats=layer.N * layer.G,
    )  # fmt: skip


def _int8_conv(layer: Layer, op_class: str, lanes: int, filters: float, moved: tuple[float, float, float]) -> Work:
    """Return the work of a convolution of integers: direct, or, of groups or channels that are no fours, gathered."""
    taps = layer.R * layer.S
    if layer.C % PER_DOT["int8"] == 0 and layer.G == 1:
        macs = round(filters * layer.C * taps * layer.positions)
        return Work(
            op_class, macs, *moved, layer.steps, visit=layer.C, rounded=layer.output_elements, passes=layer.N
        )  # fmt: skip
    depth = ceil_div(layer.reduction, MATRIX_DEPTH) * MATRIX_DEPTH
    macs = layer.G * ceil_div(layer.K, lanes) * lanes * depth * layer.positions
    return Work(
        "gathered", macs, *moved, layer.steps, gathered=layer.G * layer.positions * taps * (layer.C + COPY_ELEMENTS),
        rounded=layer.output_elements, passes=layer.N, matrix=True,
        scratch_bytes=layer.G * layer.P * layer.Q * (layer.reduction + SUM_BYTES * layer.K),
    )  # fmt: skip


def columns(layer: Layer) -> tuple[int, int]:
    """Return the columns of outputs in whole tiles, and those beside them: at the padding, and what is left over."""
    left = min(layer.Q, ceil_div(layer.padding[1], layer.stride[1]))
    reach = (layer.Q - 1) * layer.stride[1] + layer.dilation[1] * (layer.S - 1) + 1 - layer.padding[1]
    right = min(layer.Q - left, max(0, ceil_div(reach - layer.input_shapes[0][3], layer.stride[1])))
    inner = layer.Q - left - right
    whole = inner - inner % TILE_COLUMNS
    return whole, layer.Q - whole


def heaviest_share(work: Work, threads: int) -> float:
    """Return the part of the work that the busiest thread has: rows of all sets are dealt in equal numbers."""
    sets = work.sets
    if threads == 1 or not sets.number:
        return 1 / threads
    images, rest = divmod(work.repeats * sets.number / threads, sets.number)
    part = min(rest, sets.whole) * TILE_VECTORS + max(0.0, rest - sets.whole) * sets.last
    return (images * sets.cost + part) / (work.repeats * sets.cost)
