"""Layers as products of a compressed sparse matrix and vectors, its rows interleaved over processing elements.

A fully connected layer is one matrix, a 1x1 convolution one that each position's channels are multiplied with, and a
3x3 convolution, by Winograd's F(2x2, 3x3), 16 matrices for every 2x2 outputs (Han et al., EIE, ISCA 2016, Sec. VII-C).
"""

from __future__ import annotations

from dataclasses import dataclass

from hwsim.arch.accelerator import Accelerator
from hwsim.errors import InputError
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Kind, Layer
from hwsim.mapping.loops import Loop, Mapping
from hwsim.units import ceil_div

WINOGRAD_TAPS, WINOGRAD_OUTPUTS, WINOGRAD_PRODUCTS = 3, 2, 16
"""F(2x2, 3x3): 16 products give 2x2 outputs of a 3x3 filter (Lavin and Gray, CVPR 2016)."""


@dataclass(frozen=True)
class CompressedMapping(Mapping):
    """HOW a layer is placed: `matrices` of (rows, cols), each multiplied by `vectors`, one after the other.

    Rows are interleaved over `pes`. A pass has at most `pass_rows` of them, whose sums the registers hold, and the
    activations come in batches of at most `pass_cols`.
    """

    matrices: int
    vectors: int
    rows: int
    cols: int
    pes: int
    pass_rows: int
    pass_cols: int

    @property
    def is_winograd(self) -> bool:
        """Whether the matrices are those of a transformed filter."""
        return self.layer.R * self.layer.S > 1

    @property
    def passes(self) -> int:
        """How often a vector is broadcast."""
        return ceil_div(self.rows, self.pass_rows)

    @property
    def batches(self) -> int:
        """In how many batches a vector is read into the registers."""
        return ceil_div(self.cols, self.pass_cols)

    @property
    def nest(self) -> tuple[Loop, ...]:
        """Loops from the outermost inward; the last is over the PEs."""
        rows, cols = min(self.rows, self.pass_rows), min(self.cols, self.pass_cols)
        abreast = min(rows, self.pes)
        return (
            Loop("spmat_sram", "G", self.matrices, 1),
            Loop("act_sram", "NPQ", self.vectors, 1),
            Loop("act_sram", "K", self.rows, rows),
            Loop("act_sram", "C", self.cols, cols),
            Loop("act_registers", "C", cols, 1),
            Loop("act_registers", "K", rows, abreast),
            Loop("act_registers", "K", abreast, 1, axis="rows"),
        )

    @property
    def bounds(self) -> dict[str, int]:
        """Matrices, vectors, columns and rows."""
        return {"G": self.matrices, "NPQ": self.vectors, "C": self.cols, "K": self.rows}

    @property
    def sides(self) -> dict[str, int]:
        """The PEs."""
        return {"rows": self.pes}


def place_compressed(layer: Layer, chip: Accelerator, fmt: NumberFormat, dataflow: str) -> CompressedMapping:
    """Return the mapping of `layer` as compressed matrices times vectors.

    The chip's option `act_registers` says how many sums, and how many activations, each PE holds. Raises `InputError`
    for products of two activations, convolutions other than 1x1 and 3x3 with stride 1, and impossible densities.
    """
    for operand in ("weight", "input"):
        density = getattr(layer, f"{operand}_density")
        if not 0 < density <= 1:
            raise InputError(f"layer '{layer.name}': a {operand}_density of {density:g} is not above 0 and at most 1")
    matrices, vectors = _products(layer, chip.name)
    held = chip.array.rows * chip.options["act_registers"]
    return CompressedMapping(
        layer, dataflow, matrices, vectors, layer.K, layer.C, chip.array.rows, min(held, layer.K), min(held, layer.C)
    )


def _products(layer: Layer, chip: str) -> tuple[int, int]:
    """Return the matrices of `layer`, and with how many vectors each is multiplied."""
    if layer.kind is not Kind.CONV:
        if len(layer.inputs) != 1:
            raise InputError(
                f"layer '{layer.name}': chip '{chip}' keeps weights compressed in its memories and cannot multiply two "
                "activations"
            )
        return layer.G, layer.steps * layer.N
    kernel, plain = (layer.R, layer.S), layer.dilation == (1, 1) and not any(layer.padding)
    if kernel == (1, 1) and plain:
        return layer.G, layer.steps * layer.positions
    if kernel == (WINOGRAD_TAPS,) * 2 and layer.stride == (1, 1) == layer.dilation:
        tiles = ceil_div(layer.P, WINOGRAD_OUTPUTS) * ceil_div(layer.Q, WINOGRAD_OUTPUTS)
        return layer.G * WINOGRAD_PRODUCTS, layer.steps * layer.N * tiles
    raise InputError(
        f"layer '{layer.name}': chip '{chip}' runs convolutions of 1x1, without padding, and of 3x3 with stride 1, by "
        f"Winograd's algorithm; this one is {layer.R}x{layer.S} with stride {layer.stride[0]}x{layer.stride[1]}, "
        f"dilation {layer.dilation[0]}x{layer.dilation[1]} and padding {layer.padding}"
    )
