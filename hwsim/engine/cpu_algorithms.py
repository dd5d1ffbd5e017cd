"""Convolutions of a CPU by other algorithms than its library's: a product in transformed space, and transforms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from hwsim.formats import NumberFormat
from hwsim.functional.algorithm_costs import UNIT_ROUNDOFF, spectrum_words
from hwsim.functional.algorithms import ALGORITHMS, Algorithm
from hwsim.ir.layer import Kind, Layer
from hwsim.mapping.cpu.convolution import AUTO, DIRECT
from hwsim.mapping.cpu.machine import Curve, Machine
from hwsim.mapping.cpu.times import overlapped
from hwsim.results.record import Action
from hwsim.units import BITS_PER_BYTE, bits_to_bytes, ceil_div

PARTS = 2
"""Real numbers of a complex one: each of a filter's meets each of an image's."""


class Transformed(NamedTuple):
    """A convolution's `product`, as a layer of its own, and what is around it.

    `operations` are those of transforms, which write the words of `tiles` before the product and read its `sums` behind
    it; a matrix of windows has no transform behind it.
    """

    product: Layer
    operations: int
    tiles: int
    sums: int

    @property
    def words(self) -> int:
        """Words that one pass writes and the next reads, twice."""
        return 2 * (self.tiles + self.sums)


def algorithm_of(layer: Layer, wanted: str, fmt: NumberFormat) -> Algorithm | None:
    """Return the `wanted` algorithm where it computes the layer in the format; None leaves it to the library."""
    if layer.kind is not Kind.CONV or wanted == AUTO:
        return None
    found = ALGORITHMS[wanted]
    carrier = "float32" if fmt.name == "fp32" else fmt.name
    return found if carrier in found.carriers and found.supports(layer) else None


@lru_cache(maxsize=4096)
def transformed(layer: Layer, name: str) -> Transformed | None:
    """Return what an algorithm makes of a convolution; None of the direct one.

    Its product has a group for each point of a tile or part of a frequency, a row for each tile or part of an image.
    """
    one = ALGORITHMS[name]
    if name == DIRECT:
        return None
    points, rows, depth = 1, layer.positions, layer.reduction
    if name == "fft":
        points, rows, depth = spectrum_words(layer), PARTS * layer.N, layer.C
    elif name != "im2col":
        points, depth = one.weight_words(layer) // (layer.G * layer.C * layer.K), layer.C
        rows = one.multiplications(layer) // one.weight_words(layer)
    groups = points * layer.G
    product = replace(
        layer, kind=Kind.MATMUL, G=groups, N=rows, C=depth, P=1, Q=1, R=1, S=1, stride=(1, 1), padding=(0, 0, 0, 0),
        dilation=(1, 1), inputs=layer.inputs[:1], input_shapes=((groups, rows, depth),),
        output_shape=(groups, rows, layer.K),
    )  # fmt: skip
    # what a transform multiplies are operations of vectors, too
    operations = one.additions(layer) + one.multiplications(layer) - product.macs
    words = one.traffic_words(layer) // 2
    tiles = words if name == "im2col" else words * layer.C // (layer.C + layer.K)
    return Transformed(product, operations, tiles, words - tiles)


def transform_seconds(made: Transformed, fmt: NumberFormat, machine: Machine, curve: Curve, exponent: float) -> float:
    """Return the time of the transforms: an operation per lane and cycle, words through the cache that holds them.

    Each is written once and read once, so that half of the traffic is what is held.
    """
    moved = made.words * fmt.bits / BITS_PER_BYTE
    vectors = ceil_div(made.operations, machine.lanes * machine.threads)
    return overlapped(vectors / machine.clock_hz, moved * curve(moved / 2) / machine.threads, exponent)


def transform_counts(layer: Layer, made: Transformed, fmt: NumberFormat, cold: bool) -> dict[Action, int]:
    """Return what transforms do beside the product, which reads tiles and writes its sums: they do the reverse."""
    counts: dict[Action, int] = {("vector", fmt.name, "output"): made.operations}
    for level in ("l3", "dram") if cold else ("l3",):
        counts[level, "read", "input"] = layer.input_elements_used
        counts[level, "write", "input"] = made.tiles
        if made.sums:
            counts[level, "read", "output"] = made.sums
            counts[level, "write", "output"] = layer.output_elements
    return counts


def columns(layer: Layer, one: Algorithm, macs_done: int, fmt: NumberFormat) -> dict[str, Any]:
    """Return the columns of a convolution by an algorithm, as a GPU's rows have them.

    Prepared weights are not among the bytes: a CPU transforms them once, before it sees an image.
    """
    made = transformed(layer, one.name)
    return {
        "algorithm": one.name,
        "macs_done": macs_done,
        "multiplications_saved_fraction": 1 - macs_done / layer.macs,
        "transform_operations": made.operations if made else 0,
        "transform_bytes": bits_to_bytes(made.words * fmt.bits) if made else 0,
        "error_bound": 0.0 if fmt.kind == "int" else UNIT_ROUNDOFF * one.error_growth(layer),
    }


def notes(wanted: str, layers: Iterable[Layer], formats: Mapping[str, NumberFormat]) -> tuple[str, ...]:
    """Return a sentence on the convolutions that `wanted` cannot run."""
    found = [layer for layer in layers if layer.kind is Kind.CONV]
    others = sum(algorithm_of(layer, wanted, formats[layer.name]) is None for layer in found)
    if wanted == AUTO or not others:
        return ()
    return (f"{others} of {len(found)} convolutions cannot be run by {wanted}; they are as the library runs them",)
