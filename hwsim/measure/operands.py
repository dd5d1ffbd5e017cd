"""What a network is run on: seeded inputs and weights, made once; and whether they fit this machine's memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hwsim.errors import InputError
from hwsim.functional.inputs import RANDOM, inputs_of
from hwsim.functional.parameters import Array, Parameters
from hwsim.ir.layer import Kind, Layer, Shape
from hwsim.ir.network import Network
from hwsim.measure.machine import available_bytes

COPIES = 3
"""Tensors in fp32 are held at most so many times: as they are, packed or unrolled for a kernel, and in its format."""

SHARE = 0.5
"""Of the memory that is free; the rest is other programs'."""

EMBEDDING = "embedding"


@dataclass(frozen=True)
class Prepared(Parameters):
    """Parameters that are looked up, drawn and converted once, before anything is timed."""

    found: dict[tuple[str, str, int], Array | None] = field(default_factory=dict)

    def given(self, layer: Layer, index: int, shapes: Any = None) -> Array | None:
        """Return the tensor at `index` of those a layer names, or None where it is not there."""
        key = ("given", layer.name, index)
        if key not in self.found:
            self.found[key] = super().given(layer, index, shapes)
        return self.found[key]

    def weight(self, layer: Layer, shapes: Any) -> Array:
        """Return the weights of a product, seeded where they are not given."""
        key = ("weight", layer.name, 0)
        if key not in self.found:
            self.found[key] = super().weight(layer, shapes)
        found = self.found[key]
        assert found is not None  # a product always has weights
        return found


def tensors(network: Network, seed: int) -> dict[str, Any]:
    """Return what a program starts from: seeded inputs, standard normal, and of each state a list with its zeros."""
    states = {one.name: [np.zeros(one.shape, np.float32)] for one in network.inputs if one.name in network.states}
    return {**inputs_of(network, RANDOM, seed), **states}


def bytes_needed(network: Network) -> int:
    """Return an upper bound of the bytes that a run of `network` holds: all tensors, and the largest one unrolled."""
    convolutions = [layer for layer in network.layers if layer.kind is Kind.CONV]
    unrolled = max((layer.positions * layer.reduction for layer in convolutions), default=0)
    weights = sum(max(layer.parameters, layer.weight_elements) for layer in network.layers)
    return 4 * (COPIES * (network.activation_elements + weights) + unrolled)


def require_memory(network: Network) -> None:
    """Raise `InputError` where a run of `network` would take more than half of the memory that is free."""
    needed, free = bytes_needed(network), available_bytes()
    if free and needed > SHARE * free:
        raise InputError(
            f"network '{network.name}' takes up to {needed / 1e9:.3g} GB of weights and activations, more than half of "
            f"the {free / 1e9:.3g} GB of memory that are free"
        )


def require_consistent(layer: Layer) -> None:
    """Raise `InputError` unless a convolution's or pool's loop bounds are those of its tensors: kernels trust them."""
    if layer.kind is Kind.CONV:
        expected: Shape = (layer.N, layer.G * layer.K, layer.P, layer.Q)
        channels = layer.G * layer.C
    elif layer.kind is Kind.POOL and len(layer.output_shape) == 4:
        expected, channels = (*layer.output_shape[:2], layer.P, layer.Q), layer.output_shape[1]
    else:
        return
    if layer.output_shape != expected or layer.input_shapes[0][:2] != (expected[0], channels):
        raise InputError(
            f"layer '{layer.name}' reads {layer.input_shapes[0]} and makes {layer.output_shape}, but its loops are "
            f"over {channels} channels and {expected}"
        )
