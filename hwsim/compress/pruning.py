"""Magnitude pruning: the smallest weights become zero (Han et al., NIPS 2015)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.compress.report import FLOAT_BITS, Compressed, LayerReport, relative_error, sparse_bits
from hwsim.compress.weights import matrix_of, weighted, with_matrices
from hwsim.errors import InputError
from hwsim.ir.layer import Layer
from hwsim.ir.network import Network

Array = NDArray[Any]

INDEX_BITS = 4
"""Bits of a relative index, as in EIE."""


def prune(
    network: Network,
    *,
    density: float | Mapping[str, float] | None = None,
    threshold: float | None = None,
    together: bool = False,
    balance: int = 1,
    layers: Iterable[str] = (),
) -> Compressed:
    """Return the network with its smallest weights set to zero, in `layers` or everywhere.

    What is kept is either a share of the weights, `density` (of every layer, or by its name), or what is not below
    `threshold` in magnitude. With `together` one threshold gives all layers together the density. With `balance` of
    more than 1, every one of so many processing elements, with rows interleaved over them, keeps the same share of its
    own rows, so that none waits for another. Raises `InputError` for a density outside (0, 1].
    """
    if (density is None) == (threshold is None):
        raise InputError("pruning takes a density or a threshold, and not both")
    if balance < 1 or (balance > 1 and (threshold is not None or together)):
        raise InputError(f"pruning cannot balance over {balance} processing elements with one threshold for all")
    chosen = weighted(network, layers)
    if isinstance(density, Mapping):
        chosen = [layer for layer in weighted(network, density) if layer in chosen]
    matrices = {layer.name: matrix_of(network, layer) for layer in chosen}
    if together and density is not None:
        threshold = _cut(np.concatenate([np.abs(matrix).ravel() for matrix in matrices.values()]), _of(density, ""))
    pruned = {layer.name: _pruned(matrices[layer.name], layer, density, threshold, balance) for layer in chosen}
    reports = (_report(name, matrices[name], matrix) for name, matrix in pruned.items())
    return Compressed(with_matrices(network, pruned), tuple(reports))


def _pruned(
    matrix: Array, layer: Layer, density: float | Mapping[str, float] | None, threshold: float | None, balance: int
) -> Array:
    """Return the weights of a layer with the small ones set to zero."""
    if threshold is not None:
        return np.where(np.abs(matrix) >= threshold, matrix, 0)
    assert density is not None
    share = _of(density, layer.name)
    kept = np.zeros_like(matrix)
    for pe in range(min(balance, len(matrix))):
        rows = matrix[pe::balance]
        magnitudes = np.abs(rows)
        kept[pe::balance] = np.where(magnitudes >= _cut(magnitudes.ravel(), share), rows, 0)
    return kept


def _of(density: float | Mapping[str, float], layer: str) -> float:
    """Return the density of a layer; raises `InputError` unless it is above 0 and at most 1."""
    share = density.get(layer, 1.0) if isinstance(density, Mapping) else density
    if not 0 < share <= 1:
        raise InputError(
            f"a density of {share:g}{f' for layer {layer!r}' if layer else ''} is not above 0 and at most 1"
        )
    return share


def _cut(magnitudes: Array, density: float) -> float:
    """Return the least magnitude that is kept."""
    kept = max(1, round(density * magnitudes.size))
    return float(np.partition(magnitudes, magnitudes.size - kept)[magnitudes.size - kept])


def _report(name: str, before: Array, after: Array) -> LayerReport:
    bits = sparse_bits(after, FLOAT_BITS, INDEX_BITS)
    nonzeros = int(np.count_nonzero(after))
    return LayerReport(name, after.size, nonzeros, before.size * FLOAT_BITS, bits, relative_error(before, after))
