"""Attention in one kernel: the scores stay on the chip (Dao et al., FlashAttention, NeurIPS 2022)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from hwsim.arch.source import Source
from hwsim.ir.layer import Kind, Layer
from hwsim.ir.network import Network
from hwsim.mapping.gpu import attention_kernels as kernels
from hwsim.mapping.gpu.constants import Case, array

FORMATS = ("fp16", "bf16", "fp8")
"""Those that libraries have the kernel in."""

SOURCES = {
    "attention": Source.assumed(
        f"fused: scores stay on the chip, in {', '.join(FORMATS)}, as in a graph; separate: a kernel per product"
    ),
    "attention in one kernel": Source.assumed(
        f"blocks of {kernels.QUERIES:g} queries ({kernels.WIDE_QUERIES:g} where heads are wider than {kernels.WIDEST}) "
        f"by {kernels.KEYS:g} keys, as FlashAttention has them; one query per sequence against its keys is split over "
        f"free SMs in parts of {kernels.SPLIT_KEYS} keys and more; either product gets half of the kernel's time"
    ),
}


def prefill_cycles(
    batch: int, queries: int, keys: int, heads: int, kv_heads: int, width: int, word_bytes: float, machine: Any,
    case: Case, *, causal: bool,
) -> float:  # fmt: skip
    """Return the cycles of all `queries` against all `keys`, or with `causal` against those before them."""
    c = array(case.values)
    return float(kernels.prefill(batch, queries, keys, heads, kv_heads, width, word_bytes, causal, machine, c))


def decode_cycles(
    batch: int, keys: int, heads: int, kv_heads: int, width: int, word_bytes: float, machine: Any, case: Case
) -> float:
    """Return the cycles of one query per sequence against `keys` cached ones."""
    return float(kernels.decode(batch, keys, heads, kv_heads, width, word_bytes, machine, array(case.values)))


class Attention(NamedTuple):
    """The layers that one kernel computes: scores, what is done to them up to the softmax, and the weighted sum."""

    scores: Layer
    between: tuple[Layer, ...]
    values: Layer

    @property
    def all_layers(self) -> tuple[Layer, ...]:
        """All of them, in order."""
        return (self.scores, *self.between, self.values)


def found_in(network: Network) -> Iterator[Attention]:
    """Yield every product of two activations whose softmax, behind operators on elements, feeds one other product.

    Everything between is read once, by the next.
    """
    readers: dict[str, list[Layer]] = {}
    for layer in network.layers:
        for name in set(layer.inputs):
            readers.setdefault(name, []).append(layer)
    for layer in network.layers:
        if layer.kind is Kind.MATMUL and len(layer.inputs) == 2 and layer.steps == 1:
            yield from _behind(layer, readers)


def _behind(scores: Layer, readers: dict[str, list[Layer]]) -> Iterator[Attention]:
    between: list[Layer] = []
    at = scores
    while len(readers.get(at.name, [])) == 1:
        (at,) = readers[at.name]
        softmax_seen = any(one.kind is Kind.SOFTMAX for one in between)
        if at.kind is Kind.MATMUL and len(at.inputs) == 2 and softmax_seen and at.inputs[0] == between[-1].name:
            yield Attention(scores, tuple(between), at)
        if at.kind not in (Kind.ELEMENTWISE, Kind.SOFTMAX) or at.output_shape != scores.output_shape:
            return
        between.append(at)
