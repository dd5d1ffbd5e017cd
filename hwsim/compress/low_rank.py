"""Low-rank factors: a fully connected layer becomes two thinner ones, by its largest singular values.

Denton et al., Exploiting linear structure within convolutional networks, NIPS 2014, Sec. 3.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.compress.report import FLOAT_BITS, Compressed, LayerReport
from hwsim.compress.weights import matrix_of, weighted
from hwsim.errors import InputError
from hwsim.ir.layer import Kind, Layer
from hwsim.ir.network import Network

Array = NDArray[Any]


def factorise(
    network: Network, *, rank: int | None = None, energy: float | None = None, layers: Iterable[str] = ()
) -> Compressed:
    """Return the network with fully connected layers, those of `layers` or all, as products of two matrices.

    Layer W (K, C) becomes a layer "W.rows" (rank, C) and W (K, rank). The rank is given, or the least one that keeps
    the share `energy` of the squared singular values. A layer whose factors would not be smaller stays as it is. Raises
    `InputError` for a rank below 1 and an energy outside (0, 1].
    """
    if (rank is None) == (energy is None):
        raise InputError("a factorisation takes a rank or an energy, and not both")
    if (rank is not None and rank < 1) or (energy is not None and not 0 < energy <= 1):
        raise InputError(
            f"a factorisation of rank {rank} and energy {energy}: rank from 1, energy above 0 and at most 1"
        )
    chosen = {layer.name for layer in weighted(network, layers) if layer.kind is Kind.MATMUL and layer.G == 1}
    changed: list[Layer] = []
    tensors, reports = dict(network.tensors), []
    for layer in network.layers:
        found = _factors(matrix_of(network, layer), rank, energy) if layer.name in chosen else None
        if found is None:
            changed.append(layer)
            continue
        rows, cols, error = found
        changed += _split(layer, len(cols))
        tensors[f"{layer.weights[0]}.rows"], tensors[layer.weights[0]] = cols, rows
        size = rows.size + cols.size
        reports.append(LayerReport(layer.name, layer.weight_elements, size, *_bits(layer.weight_elements, size), error))
    return Compressed(replace(network, layers=tuple(changed), tensors=tensors), tuple(reports))


def _bits(before: int, after: int) -> tuple[int, int]:
    return before * FLOAT_BITS, after * FLOAT_BITS


def _factors(matrix: Array, rank: int | None, energy: float | None) -> tuple[Array, Array, float] | None:
    """Return factors (K, rank) and (rank, C) and the relative error, or None where they are not smaller."""
    u, singular, v = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)
    squares = singular**2
    total = max(float(squares.sum()), np.finfo(float).tiny)
    if rank is None:
        rank = 1 + int(np.searchsorted(np.cumsum(squares), (energy or 1.0) * total * (1 - 1e-12)))
    rank = min(rank, len(singular))
    if rank * sum(matrix.shape) >= matrix.size:
        return None
    root = np.sqrt(singular[:rank])
    error = float(np.sqrt(squares[rank:].sum() / total))
    return (u[:, :rank] * root).astype(np.float32), (root[:, None] * v[:rank]).astype(np.float32), error


def _split(layer: Layer, rank: int) -> list[Layer]:
    """Return the two layers that take the place of one; the second has its name and its bias."""
    bias = layer.parameters - layer.weight_elements
    between = (*layer.output_shape[:-1], rank)
    first = replace(
        layer,
        name=f"{layer.name}.rows",
        K=rank,
        output_shape=between,
        parameters=rank * layer.C,
        weights=(f"{layer.weights[0]}.rows",),
        weight_density=1.0,
    )
    second = replace(
        layer,
        inputs=(first.name,),
        input_shapes=(between,),
        C=rank,
        parameters=rank * layer.K + bias,
        weight_density=1.0,
        input_density=1.0,
    )
    return [first, second]
