"""What the algorithm of a product saves, adds and errs, as columns of its row; `hwsim.functional` has the bounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hwsim.formats import NumberFormat
from hwsim.functional.algorithm_costs import UNIT_ROUNDOFF, minimal_growth, spectral_growth, summed
from hwsim.ir.layer import Kind, Layer
from hwsim.ir.minimal_filters import minimal_filter
from hwsim.mapping.gpu import transforms
from hwsim.mapping.gpu.convolution import AUTO, runs_as
from hwsim.results.record import Action
from hwsim.units import bits_to_bytes


def columns(layer: Layer, algorithm: str, macs_done: int, fmt: NumberFormat) -> dict[str, Any]:
    """Return the columns of a convolution, done by `algorithm` in `macs_done` multiply-accumulates; none of others.

    `multiplications_saved_fraction` is 1 - done / those of the loop nest, below 0 where tiles reach far beyond the
    outputs. `transform_operations` are of inputs, filters and outputs, `transform_bytes` what one pass writes and the
    next reads. `error_bound` is relative to max |x| max_k sum |w_k|, the sum over filter k: no output is further from
    the convolution of the rounded operands, before it is rounded itself; integers have no error.
    """
    if layer.kind is not Kind.CONV:
        return {}
    transformed = algorithm in transforms.ALGORITHMS
    words = 2 * sum(transforms.words(layer, algorithm)) if transformed else 0
    return {
        "multiplications_saved_fraction": 1 - macs_done / layer.macs,
        "transform_operations": transforms.additions(layer, algorithm) if transformed else 0,
        "transform_bytes": bits_to_bytes(words * fmt.bits),
        "error_bound": 0.0 if fmt.kind == "int" else UNIT_ROUNDOFF * error_growth(layer, algorithm),
    }


def transform_counts(layer: Layer, algorithm: str, fmt: NumberFormat, l2_bits: int) -> dict[Action, int]:
    """Return what the transforms of a convolution do: operations, and words between passes, through L2 or beyond it.

    Blocks of the product read tiles and filters from L2; the words of that are not among them.
    """
    words = dict(zip(("input", "weight", "psum"), transforms.words(layer, algorithm), strict=True))
    counts: dict[Action, int] = {("vector", fmt.name, "output"): transforms.additions(layer, algorithm)}
    counts |= {("l2", "write", operand): several for operand, several in words.items()}
    counts["l2", "read", "psum"] = words["psum"]
    if sum(words.values()) * fmt.bits > l2_bits:
        counts |= {("dram", action, operand): words[operand] for action in ("read", "write") for operand in words}
    return counts


def error_growth(layer: Layer, algorithm: str) -> float:
    """Return c in |error| <= c u max |x| max_k sum |w_k|, with u = 2^-24: sums are of float32 in all formats."""
    if algorithm == "fft":
        return spectral_growth(transforms.FFT_TILE**2, layer.C)
    if algorithm in transforms.ALGORITHMS:
        return minimal_growth(layer, minimal_filter(transforms.ALGORITHMS[algorithm], layer.R))
    return summed(layer)


def notes(wanted: str, ran: Iterable[tuple[Layer, Mapping[str, Any]]]) -> tuple[str, ...]:
    """Return a sentence on the convolutions that `wanted` cannot run, of all layers with their columns."""
    if wanted == AUTO:
        return ()
    found = [extras["algorithm"] for layer, extras in ran if layer.kind is Kind.CONV]
    others = sum(one not in runs_as(wanted) for one in found)
    if not others:
        return ()
    return (f"{others} of {len(found)} convolutions cannot be run by {wanted}; they are by the fastest that can",)
