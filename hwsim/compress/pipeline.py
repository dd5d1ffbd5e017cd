"""Deep Compression: pruning, weight sharing and Huffman coding in one go (Han, Mao and Dally, ICLR 2016)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hwsim.compress.huffman import huffman_bits
from hwsim.compress.pruning import INDEX_BITS, prune
from hwsim.compress.report import FLOAT_BITS, Compressed, LayerReport, relative_error, relative_gaps
from hwsim.compress.sharing import share
from hwsim.compress.weights import Array, matrix_of, with_weights
from hwsim.ir.layer import Kind
from hwsim.ir.network import Network

ALEXNET_DENSITY = {"fc6": 0.09, "fc7": 0.09, "fc8": 0.25}
"""The weights that pruning AlexNet 9 times leaves in its fully connected layers (Han et al., NIPS 2015, Table 4)."""


def deep_compress(
    network: Network, density: float | Mapping[str, float], bits: int = 4, balance: int = 1, seed: int = 0
) -> Compressed:
    """Return the network pruned to `density`, by layer if it is a mapping, with codebooks of `bits` for what is left.

    Layers that have no weights get seeded ones. The reported sizes are those of codes and relative indices, each under
    its layer's Huffman code, and the codebook; errors are those of pruning and sharing together. With AlexNet,

        deep_compress(catalog.network("alexnet"), ALEXNET_DENSITY)

    prunes the fully connected layers 9 times and shares 16 weights in each. Raises `InputError` as `prune` and `share`.
    """
    names = tuple(density) if isinstance(density, Mapping) else fully_connected(network)
    given = with_weights(network, seed, names)
    pruned = prune(given, density=density, balance=balance, layers=names)
    shared = share(pruned.network, bits, names)
    reports = []
    for layer in (layer for layer in given.layers if layer.name in names):
        before, after = matrix_of(given, layer), matrix_of(shared.network, layer)
        size = coded_bits(after) + (1 << bits) * FLOAT_BITS
        kept, error = int(np.count_nonzero(after)), relative_error(before, after)
        reports.append(LayerReport(layer.name, after.size, kept, before.size * FLOAT_BITS, size, error))
    return Compressed(shared.network, tuple(reports))


def fully_connected(network: Network) -> tuple[str, ...]:
    """Return the names of the layers that are matrix products with weights."""
    return tuple(one.name for one in network.layers if one.kind is Kind.MATMUL and len(one.inputs) == 1)


def coded_bits(matrix: Array) -> int:
    """Return the bits of a shared matrix: Huffman-coded values and Huffman-coded relative indices, padding included."""
    gaps = relative_gaps(matrix)
    padding = gaps >> INDEX_BITS
    total = int(padding.sum())
    filler = np.full(total, (1 << INDEX_BITS) - 1)
    indices = np.concatenate([gaps & ((1 << INDEX_BITS) - 1), filler])
    values = np.concatenate([matrix[matrix != 0], np.zeros(total, matrix.dtype)])
    return huffman_bits(values) + huffman_bits(indices)
