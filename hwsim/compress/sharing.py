"""Weight sharing: every weight becomes the nearest entry of its layer's codebook, found by k-means.

Han, Mao and Dally, Deep Compression, ICLR 2016, Sec. 3: entries begin evenly spaced between the least and the largest
weight. In one dimension a cluster is a range of the sorted weights, so that an iteration is a search for its bounds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.compress.pruning import INDEX_BITS
from hwsim.compress.report import FLOAT_BITS, Compressed, LayerReport, relative_error, sparse_bits
from hwsim.compress.weights import matrix_of, weighted, with_matrices
from hwsim.errors import InputError
from hwsim.ir.network import Network

Array = NDArray[Any]

MAX_ITERATIONS = 100


def share(network: Network, bits: int = 4, layers: Iterable[str] = ()) -> Compressed:
    """Return the network with at most 2^bits different weights, zero being one, in each of `layers`, or in all.

    Zeros stay zeros. Raises `InputError` unless `bits` lies between 1 and 16.
    """
    if not 1 <= bits <= 16:
        raise InputError(f"a codebook of {bits} bits: there must be from 1 to 16")
    matrices = {layer.name: matrix_of(network, layer) for layer in weighted(network, layers)}
    shared = {name: shared_values(matrix, bits) for name, matrix in matrices.items()}
    reports = (_report(name, matrices[name], matrix, bits) for name, matrix in shared.items())
    return Compressed(with_matrices(network, shared), tuple(reports))


def shared_values(values: Array, bits: int) -> Array:
    """Return `values` with those that are not zero replaced by the nearest of at most 2^bits - 1 centroids."""
    at = np.flatnonzero(values)
    out = np.zeros(values.size, values.dtype)
    if len(at):
        nonzero = values.reshape(-1)[at]
        codebook = centroids(nonzero, (1 << bits) - 1)
        middles = (codebook[1:] + codebook[:-1]) / 2
        out[at] = codebook[np.searchsorted(middles, nonzero)]
    return out.reshape(values.shape)


def centroids(values: Array, count: int) -> Array:
    """Return at most `count` centroids of `values`, ascending, by k-means from evenly spaced ones.

    A cluster that is empty keeps its centroid. None is zero, which would prune what it stands for.
    """
    ordered = np.sort(values.astype(np.float64))
    different = np.unique(ordered)
    if len(different) <= count:
        return different
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    found = np.linspace(ordered[0], ordered[-1], count)
    bounds = np.zeros(count + 1, np.int64)
    for _ in range(MAX_ITERATIONS):
        middles = np.searchsorted(ordered, (found[1:] + found[:-1]) / 2)
        moved = np.concatenate([[0], middles, [len(ordered)]])
        if (moved == bounds).all():
            break
        bounds = moved
        sizes = np.diff(bounds)
        means = np.diff(sums[bounds]) / np.maximum(1, sizes)
        found = np.sort(np.where(sizes > 0, means, found))
    return np.where(found == 0, np.finfo(np.float32).tiny, found)


def _report(name: str, before: Array, after: Array, bits: int) -> LayerReport:
    """Return the size with codes, relative indices and the codebook; a layer without zeros needs no indices."""
    nonzeros = int(np.count_nonzero(after))
    dense = nonzeros == after.size
    stored = after.size * bits if dense else sparse_bits(after, bits, INDEX_BITS)
    codebook = (1 << bits) * FLOAT_BITS
    return LayerReport(
        name, after.size, nonzeros, before.size * FLOAT_BITS, stored + codebook, relative_error(before, after)
    )
