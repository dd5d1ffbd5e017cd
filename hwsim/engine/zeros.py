"""How many zeros the results of a layer have, told from those that the next products read."""

from __future__ import annotations

from collections.abc import Mapping

from hwsim.ir.layer import Kind, Layer
from hwsim.ir.network import Network

PASSING = frozenset({Kind.ACTIVATION, Kind.NORMALISATION, Kind.POOL, Kind.RESHAPE, Kind.CONCATENATION})
"""Kinds behind which a product's inputs still tell of the zeros before."""


def output_densities(network: Network, inputs: Mapping[str, float | None]) -> dict[str, float]:
    """Return, for each matrix product, which fraction of its results, activated and not yet pooled, is not zero.

    `inputs` are the densities of what the products read, None where it is not known. A product's results are as dense
    as what the next one reads of them. A pooled value of K x K is zero where all of its window are: K rows, taken to be
    independent, whose own values are taken to be alike, so that zeros before pooling are z^(1/K) of z behind it; where
    the pooling layer has a density below 1 of its own, that is taken. What no product reads is dense; with unknown
    inputs behind, results are as dense as the layer's own inputs.
    """
    readers: dict[str, list[Layer]] = {}
    for layer in network.layers:
        for name in layer.inputs:
            readers.setdefault(name, []).append(layer)
    found = {}
    for layer in network.layers:
        if layer.is_mac:
            density = _read_density(layer.name, readers, inputs)
            found[layer.name] = (inputs[layer.name] if density is None else density) or 1.0
    return found


def _read_density(name: str, readers: Mapping[str, list[Layer]], inputs: Mapping[str, float | None]) -> float | None:
    """Return the density of tensor `name` from the first product behind it, 1 where there is none."""
    pool = 1
    while True:
        behind = readers.get(name, [])
        product = next((layer for layer in behind if layer.is_mac and layer.inputs[0] == name), None)
        if product is not None:
            density = inputs[product.name]
            return None if density is None else _before_pooling(density, pool)
        onward = next((layer for layer in behind if layer.kind in PASSING), None)
        if onward is None:
            return 1.0
        if onward.kind is Kind.POOL:
            if onward.input_density < 1:
                return _before_pooling(onward.input_density, pool)
            pool *= onward.R
        name = onward.name


def _before_pooling(density: float, rows: int) -> float:
    """Return the density of what windows of `rows` rows pool to `density`."""
    zeros: float = (1 - density) ** (1 / rows)
    return 1 - zeros
