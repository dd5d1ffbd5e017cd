"""What layers have learned: the tensors that are given, or seeded values in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod, sqrt
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import InputError
from hwsim.ir.layer import Kind, Layer, Shape

Array = NDArray[np.float32]

EPSILON = np.float32(1e-5)
"""Added to variances: the default of ONNX and of torch."""

SUFFIXES = {Kind.NORMALISATION: ("weight", "bias", "running_mean", "running_var")}
"""What the tensors of a layer that names none are called behind its own name and a dot, as in torch's state_dict."""


@dataclass(frozen=True)
class Parameters:
    """Tensors by name, and the seed of the weights that are not among them."""

    tensors: Mapping[str, Any]
    seed: int

    def given(self, layer: Layer, index: int, shapes: Sequence[Shape] | None = None) -> Array | None:
        """Return the tensor at `index` of those a layer names, or None where it is not there.

        Raises `InputError` where it has none of `shapes`, or holds integers, whose scale the network does not know.
        """
        name = _name(layer, index)
        if name not in self.tensors:
            return None
        tensor = np.asarray(self.tensors[name])
        if shapes is not None and tensor.shape not in shapes:
            raise InputError(
                f"layer '{layer.name}': tensor '{name}' has shape {tensor.shape}, but {shapes[0]} is needed"
            )
        if tensor.dtype.kind in "iub":
            raise InputError(f"layer '{layer.name}': tensor '{name}' holds {tensor.dtype}, whose scale is not known")
        return tensor.astype(np.float32)

    def weight(self, layer: Layer, shapes: Sequence[Shape]) -> Array:
        """Return the weights of a product, of one of `shapes`, or seeded ones of the first of them.

        Those are normal with variance 2 / fan-in, which keeps the scale of activations behind ReLU (He, Zhang, Ren and
        Sun, "Delving deep into rectifiers", ICCV 2015, Eq. 10); layers that share a weight's name share its values.
        """
        found = self.given(layer, 0, shapes)
        if found is not None:
            return found
        generator = np.random.default_rng([self.seed, crc32(_name(layer, 0).encode())])
        values = generator.standard_normal(shapes[0], dtype=np.float32)
        return values * np.float32(sqrt(2 / layer.reduction))

    def filters(self, layer: Layer) -> Array:
        """Return the filters (G K, C, R, S) of a convolution; those of sequences may be given as (G K, C, S)."""
        whole = (layer.G * layer.K, layer.C, layer.R, layer.S)
        return self.weight(layer, [whole, *([(*whole[:2], layer.S)] if layer.R == 1 else [])]).reshape(whole)

    def matrix(self, layer: Layer) -> Array:
        """Return the matrix (K, C) of a product by weights, or one for each of its groups, (..., K, C)."""
        if layer.G == 1:
            return self.weight(layer, [(layer.K, layer.C)])
        lead = layer.input_shapes[0][:-2]
        shapes = [(*lead[index:], layer.K, layer.C) for index in range(len(lead))]
        return self.weight(layer, [shape for shape in shapes if prod(shape[:-2]) == layer.G])

    def statistics(self, layer: Layer) -> tuple[Array, Array, Array, Array]:
        """Return a batch normalisation's scale, shift, mean and variance by channel, by default 1, 0, 0, 1 - 1e-5."""
        channels = layer.input_shapes[0][1:2]
        scale, shift, mean, variance = (
            np.full(channels, default, np.float32) if found is None else found
            for default, found in zip(
                (1, 0, 0, 1 - float(EPSILON)),
                (self.given(layer, index, (channels,)) for index in range(4)),
                strict=True,
            )
        )
        return scale, shift, mean, variance

    def folded(self, layer: Layer) -> tuple[Array, Array]:
        """Return the factor and the shift by channel that a batch normalisation is."""
        scale, shift, mean, variance = self.statistics(layer)
        factor = scale / np.sqrt(variance + EPSILON)
        return factor, shift - mean * factor

    def bias(self, layer: Layer) -> Array | None:
        """Return the bias of a product, flat, or None where there is none; what is not given is zero."""
        outputs = layer.G * layer.K if layer.kind is Kind.CONV else layer.K
        found = self.given(layer, 1, ((outputs,), (1, outputs)))
        return None if found is None else found.reshape(-1)


def _name(layer: Layer, index: int) -> str:
    """Return the name of a layer's tensor, "" where it has none at `index`."""
    suffixes = SUFFIXES.get(layer.kind, ("weight", "bias"))
    names = layer.weights or tuple(f"{layer.name}.{suffix}" for suffix in suffixes)
    return names[index] if index < len(names) else ""
