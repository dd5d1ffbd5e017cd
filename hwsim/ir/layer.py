"""One operator of a network with its loop bounds, in the nomenclature of Timeloop and of Sze et al.

Loop bounds are ``N G K C P Q R S``: batch, groups, output channels per group, input channels per group, output rows and
columns, filter rows and columns. A matrix product of (M, C) by (C, K) is the layer N=M, C=C, K=K; a batched product of
two activations (attention) has its batch in G.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from math import prod

from hwsim.units import ceil_div

Shape = tuple[int, ...]


class Kind(StrEnum):
    """What a layer computes; the value is what the column `kind` shows."""

    CONV = "conv"
    MATMUL = "matmul"
    POOL = "pool"
    ELEMENTWISE = "elementwise"
    NORMALISATION = "normalisation"
    ACTIVATION = "activation"
    SOFTMAX = "softmax"
    CONCATENATION = "concatenation"
    RESHAPE = "reshape"
    UNSUPPORTED = "unsupported"


LAYOUT_KINDS = frozenset({Kind.CONCATENATION, Kind.RESHAPE})
"""Kinds that change how elements are addressed, not the elements."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One operator of a `Network`, its operands' shapes and its loop bounds.

    `inputs` names the layers or network inputs it reads, `input_shapes` gives their shapes and `output_shape` its
    own: images (N, channels, rows, columns), sequences (N, steps, features), matrices (N, features). `padding` is
    (top, left, bottom, right). `function` tells operators of one kind apart ("max", "relu", "add", "batch").
    `parameters` counts what is learned, bias included. `steps` is how often the layer runs in sequence with the same
    weights, each time on the result of the last (recurrent layers); shapes and loop bounds are those of one step,
    totals cover all steps. Densities are the fractions of non-zero weights and inputs.
    """

    name: str
    kind: Kind
    inputs: tuple[str, ...]
    input_shapes: tuple[Shape, ...]
    output_shape: Shape
    function: str = ""
    N: int = 1
    G: int = 1
    K: int = 1
    C: int = 1
    P: int = 1
    Q: int = 1
    R: int = 1
    S: int = 1
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    parameters: int = 0
    weights: tuple[str, ...] = ()
    steps: int = 1
    weight_density: float = 1.0
    input_density: float = 1.0

    @property
    def is_mac(self) -> bool:
        """Whether the layer is a convolution or a matrix product."""
        return self.kind is Kind.CONV or self.kind is Kind.MATMUL

    @property
    def is_depthwise(self) -> bool:
        """Whether the layer is a convolution in which every channel has one filter of its own."""
        return self.kind is Kind.CONV and self.C == self.K == 1

    @property
    def positions(self) -> int:
        """Output positions N P Q: the rows of the layer seen as a matrix product."""
        return self.N * self.P * self.Q

    @property
    def reduction(self) -> int:
        """Products summed into one output, C R S."""
        return self.C * self.R * self.S

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all steps, padding's zeros included; 0 for layers that are not matrix products."""
        return self.steps * self.G * self.K * self.positions * self.reduction if self.is_mac else 0

    @property
    def weight_elements(self) -> int:
        """Elements of the second operand, G K C R S, without bias; 0 for layers that are not matrix products."""
        return self.G * self.K * self.reduction if self.is_mac else 0

    @property
    def input_elements(self) -> int:
        """Elements of the first operand of one step, padding excluded."""
        return prod(self.input_shapes[0]) if self.input_shapes else 0

    @property
    def output_elements(self) -> int:
        """Elements of the output of one step."""
        return prod(self.output_shape)

    @property
    def input_elements_used(self) -> int:
        """Distinct elements of the first operand of one step that some output needs.

        A stride larger than the filter skips elements and padding is not stored, so this can be below `input_elements`.
        """
        if self.kind is not Kind.CONV:
            return self.input_elements
        top, left, _, _ = self.padding
        rows = extent_used(self.input_shapes[0][2], self.P, self.R, self.stride[0], self.dilation[0], top)
        cols = extent_used(self.input_shapes[0][3], self.Q, self.S, self.stride[1], self.dilation[1], left)
        return self.N * self.G * self.C * rows * cols

    @property
    def operations(self) -> int:
        """Arithmetic operations of all steps of a layer that is not a matrix product, one per element combined."""
        if self.is_mac or self.kind in LAYOUT_KINDS or self.kind is Kind.UNSUPPORTED:
            return 0
        return self.steps * self.output_elements * _operations_per_output(self)


def _operations_per_output(layer: Layer) -> int:
    """Return operations per output element: pooling combines a window, an n-ary operator n operands in n - 1 steps."""
    if layer.kind is Kind.POOL:
        return layer.R * layer.S
    if layer.kind is Kind.ELEMENTWISE:
        return max(1, len(layer.inputs) - 1)
    return OPERATIONS_PER_OUTPUT.get((layer.kind, layer.function), 1)


OPERATIONS_PER_OUTPUT = {
    (Kind.NORMALISATION, "batch"): 2,  # scale and shift, the statistics folded into them at inference
    (Kind.NORMALISATION, "layer"): 5,  # mean, centred square, normalise, scale, shift
    (Kind.NORMALISATION, "instance"): 5,
    (Kind.NORMALISATION, "group"): 5,
    (Kind.NORMALISATION, "local_response"): 7,  # square, 5-channel sum less one add, power, divide: a window of 5
    (Kind.SOFTMAX, ""): 4,  # maximum, exponential, sum, divide
    (Kind.SOFTMAX, "log"): 4,
}
"""Operations per output element by what the operator's definition writes down; one for every function not listed."""


@lru_cache(maxsize=65536)
def extent_used(extent: int, outputs: int, taps: int, stride: int, dilation: int, before: int) -> int:
    """Return how many of `extent` rows are read by `outputs` windows of `taps` rows, `before` rows being padding."""
    if dilation == 1 and taps >= stride:
        first, last = -before, (outputs - 1) * stride + taps - 1 - before
        return max(0, min(extent - 1, last) - max(0, first) + 1)
    return sum(
        _covered(
            [(shift, shift + outputs - 1) for shift in shifts],
            ceil_div(-residue, stride),
            (extent - 1 - residue) // stride,
        )
        for residue, shifts in _by_residue(taps, stride, dilation, before).items()
    )


def _by_residue(taps: int, stride: int, dilation: int, before: int) -> dict[int, list[int]]:
    """Return where each tap first reads, in steps of the stride, by the remainder of its rows modulo the stride."""
    starts: dict[int, list[int]] = {}
    for tap in range(taps):
        shift, residue = divmod(tap * dilation - before, stride)
        starts.setdefault(residue, []).append(shift)
    return starts


def _covered(ranges: list[tuple[int, int]], lowest: int, highest: int) -> int:
    """Return how many numbers from `lowest` to `highest` lie in some of the inclusive `ranges`, sorted by start."""
    count, done = 0, lowest - 1
    for first, last in ranges:
        first, last = max(first, done + 1), min(last, highest)
        if last >= first:
            count, done = count + last - first + 1, last
    return count
