"""The weights of a network: given ones by layer, and seeded ones for layers that have none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import InputError, near_match
from hwsim.ir.layer import Layer
from hwsim.ir.network import Network

Array = NDArray[Any]


def with_weights(network: Network, seed: int = 0, layers: Iterable[str] = ()) -> Network:
    """Return the network with a tensor for every layer of `layers` (all, if empty) that has weights and no tensor.

    They are drawn from a Laplace distribution, whose many small and few large values trained weights have, with the
    variance 2 / fan-in that keeps activations at one scale (He et al., ICCV 2015). Biases stay unknown. A layer with a
    weight density keeps that many of its weights at random places.
    """
    tensors, changed = dict(network.tensors), []
    chosen = {layer.name for layer in weighted(network, layers)}
    for layer in network.layers:
        if layer.name not in chosen or (layer.weights and layer.weights[0] in tensors):
            changed.append(layer)
            continue
        name = layer.weights[0] if layer.weights else f"{layer.name}.weight"
        tensors[name] = _seeded(layer, seed)
        changed.append(replace(layer, weights=(name, *layer.weights[1:])))
    return replace(network, layers=tuple(changed), tensors=tensors)


def weighted(network: Network, layers: Iterable[str] = ()) -> list[Layer]:
    """Return the layers that multiply with weights: those named, or all. Raises `InputError` for other names."""
    able = [layer for layer in network.layers if layer.is_mac and len(layer.inputs) == 1]
    names = list(layers)
    known = {layer.name for layer in able}
    for name in names:
        if name not in known:
            raise InputError(f"network '{network.name}' has no layer '{name}' with weights{near_match(name, known)}")
    return [layer for layer in able if not names or layer.name in names]


def matrix_of(network: Network, layer: Layer) -> Array:
    """Return the weights of `layer` as (G K, C R S); raises `InputError` where the network has none for it."""
    tensor = network.tensors.get(layer.weights[0]) if layer.weights else None
    if tensor is None or tensor.size != layer.weight_elements:
        raise InputError(
            f"layer '{layer.name}' has no weights to compress; give it some with hwsim.compress.with_weights"
        )
    return np.asarray(tensor).reshape(layer.G * layer.K, layer.reduction)


def with_matrices(network: Network, matrices: Mapping[str, Array]) -> Network:
    """Return the network with other weights (G K, C R S) for the layers named, and their densities."""
    tensors, layers = dict(network.tensors), []
    for layer in network.layers:
        matrix = matrices.get(layer.name)
        if matrix is None:
            layers.append(layer)
            continue
        shape = network.tensors[layer.weights[0]].shape
        tensors[layer.weights[0]] = matrix.reshape(shape)
        density = max(1, int(np.count_nonzero(matrix))) / matrix.size
        layers.append(replace(layer, weight_density=density))
    return replace(network, layers=tuple(layers), tensors=tensors)


def _seeded(layer: Layer, seed: int) -> Array:
    generator = np.random.default_rng([seed, crc32(layer.name.encode())])
    values = generator.standard_exponential((layer.G * layer.K, layer.reduction), dtype=np.float32)
    values *= np.float32(layer.reduction**-0.5)
    signs = generator.integers(0, 2, values.shape, dtype=np.int8)
    np.negative(values, out=values, where=signs == 0)
    if layer.weight_density < 1:
        values[generator.random(values.shape, dtype=np.float32) >= layer.weight_density] = 0
    shape = (layer.G * layer.K, layer.C, layer.R, layer.S)
    return values.reshape(shape if layer.kind == "conv" else shape[:2])
