"""What a sparse engine multiplies: given weights in compressed columns, or seeded random ones of a layer's density."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import isclose
from zlib import crc32

import numpy as np

from hwsim.arch.accelerator import Accelerator
from hwsim.compress.columns import Array, Columns, encode, expected_entries
from hwsim.compress.sharing import shared_values
from hwsim.compress.winograd import FILTER_TERMS, INPUT_TERMS, density_of_sums, transformed
from hwsim.engine import sparse_kernels as kernels
from hwsim.errors import InputError
from hwsim.ir.network import Network
from hwsim.mapping.compressed import WINOGRAD_PRODUCTS, CompressedMapping
from hwsim.units import ceil_div

LARGEST_FIXED = 2**15 - 1
"""Largest 16-bit fixed-point number."""

MOST_ENTRIES = 2**30
"""Most entries of a PE, so that cycles and places are 32-bit numbers."""

ROOM = 1.05
"""Entries that are made room for, over those expected; the deviation of a matrix is far below."""

SPREAD = 1000
"""Entries by which small matrices may deviate besides."""


@dataclass(frozen=True, eq=False)
class Matrix:
    """Rows of a layer's matrix that are processed in one pass, from `first_row` on, with their codebook.

    `number` counts a layer's matrices (its groups, and those of Winograd's algorithm), `activations` are the vector
    that is multiplied where the network gives one: one value per column, or None.
    """

    columns: Columns
    codebook: Array
    number: int
    first_row: int
    activations: Array | None = None


def matrices(
    mapping: CompressedMapping, network: Network, chip: Accelerator, seed: int, values: bool
) -> Iterator[Matrix]:
    """Yield a layer's matrices, pass by pass; random ones have entries, not only their counts, where `values` is set.

    Raises `InputError` where weights do not fit the sparse-matrix memories of the PEs, or values the codebook.
    """
    given = _given(mapping, network, chip)
    held = 0
    for number in range(mapping.matrices):
        for index, first in enumerate(range(0, mapping.rows, mapping.pass_rows)):
            rows = min(mapping.pass_rows, mapping.rows - first)
            if given is None:
                this = crc32(f"{mapping.layer.name} {number} {index}".encode()) ^ seed << 32
                columns = _random(mapping, chip, number, rows, this, values)
                codebook = _random_codebook(chip, this) if values else np.zeros(0, np.int16)
                found = Matrix(columns, codebook, number, first)
            else:
                codes, codebook, activations = given
                part = codes[number, first : first + rows]
                columns = encode(part, mapping.pes, chip.options["index_bits"])
                found = Matrix(columns, codebook, number, first, activations)
            held += found.columns.largest
            _require_fits(mapping, chip, held)
            yield found


def require_room(mappings: Iterable[CompressedMapping], network: Network, chip: Accelerator) -> None:
    """Raise `InputError` for the layer that `matrices` would raise it for, where that is sure before any is drawn.

    It is if the first matrix of a layer is expected not to fit, and all layers before are expected to by far.
    """
    capacity, bits = entries_per_pe(chip), chip.options["index_bits"]
    for mapping in () if network.tensors else mappings:
        first = min(mapping.pass_rows, mapping.rows), mapping.cols, matrix_density(mapping, 0), mapping.pes, bits
        _require_likely(mapping, chip, expected_entries(*first))
        if ROOM * entries_expected(mapping, bits) + SPREAD > capacity:
            return


def positions(mapping: CompressedMapping) -> int:
    """Return how many activations of a random vector are not zero, of transformed ones as many as sums of inputs."""
    density = mapping.layer.input_density
    if mapping.is_winograd:
        density = density_of_sums(density, INPUT_TERMS)
    return max(1, round(density * mapping.cols))


def matrix_density(mapping: CompressedMapping, number: int) -> float:
    """Return the share of random matrix `number` that is not zero, of a transformed one that of sums of weights."""
    density = mapping.layer.weight_density
    return density_of_sums(density, FILTER_TERMS[number % WINOGRAD_PRODUCTS]) if mapping.is_winograd else density


def entries_expected(mapping: CompressedMapping, index_bits: int) -> float:
    """Return the entries of the fullest PE that all random matrices of a layer are expected to need."""
    rows, cols, pes = mapping.rows, mapping.cols, mapping.pes
    alike = WINOGRAD_PRODUCTS if mapping.is_winograd else 1
    of_each = (expected_entries(rows, cols, matrix_density(mapping, i), pes, index_bits) for i in range(alike))
    return sum(of_each) * (mapping.matrices // alike)


def vectors_seed(mapping: CompressedMapping, matrix: Matrix, seed: int) -> np.uint64:
    """Return the seed of the random vectors that `matrix` is multiplied with: the same ones in every pass."""
    return np.uint64(crc32(f"{mapping.layer.name} {matrix.number} vectors".encode()) ^ (seed % 2**31) << 32)


def entries_per_pe(chip: Accelerator) -> int:
    """Return the entries that the sparse-matrix memory of a PE holds."""
    capacity = chip.level["spmat_sram"].capacity_bits or 0
    return capacity // int(chip.options["entry_bits"])


def _require_fits(mapping: CompressedMapping, chip: Accelerator, entries: int) -> None:
    capacity = entries_per_pe(chip)
    if entries > capacity:
        needed = max(ceil_div(entries, capacity), 2)
        raise InputError(
            f"layer '{mapping.layer.name}' has {entries} entries on a PE and the sparse-matrix SRAM of chip "
            f"'{chip.name}' holds {capacity}: it would need {needed} passes, or {needed} chips, or a lower "
            f"weight_density than {mapping.layer.weight_density:g}"
        )


def _require_likely(mapping: CompressedMapping, chip: Accelerator, expected: float) -> None:
    """Raise `InputError` where a random matrix of so many entries need not be drawn to know that it does not fit."""
    capacity = entries_per_pe(chip)
    if expected > min(ROOM * capacity, MOST_ENTRIES):
        needed = entries_expected(mapping, chip.options["index_bits"])
        _require_fits(mapping, chip, max(capacity + 1, round(needed)))


def _random(mapping: CompressedMapping, chip: Accelerator, number: int, rows: int, seed: int, values: bool) -> Columns:
    """Return random matrix `number` with `rows`, each element non-zero with the density that it has."""
    density, bits, codebook_bits = matrix_density(mapping, number), *_bits(chip)
    _require_likely(mapping, chip, expected_entries(rows, mapping.cols, density, mapping.pes, bits))
    arguments = (rows, mapping.cols, density, mapping.pes, bits, (1 << codebook_bits) - 1, seed % 2**64)
    return _drawn(*arguments, True) if values else _drawn_once(*arguments)


def _bits(chip: Accelerator) -> tuple[int, int]:
    """Return the bits of an entry's index and of its code."""
    return chip.options["index_bits"], chip.options["codebook_bits"]


@lru_cache(maxsize=12)
def _drawn_once(rows: int, cols: int, density: float, pes: int, bits: int, levels: int, seed: int) -> Columns:
    """Return the counts of a random matrix; they are kept for runs on chips that differ in queue, width or clock."""
    found = _drawn(rows, cols, density, pes, bits, levels, seed, False)
    for array in (found.pointers, found.useful):
        array.setflags(write=False)
    return found


def _drawn(rows: int, cols: int, density: float, pes: int, bits: int, levels: int, seed: int, values: bool) -> Columns:
    """Return a random matrix; its entries, not their counts alone, where `values` is set."""
    room = round(ROOM * expected_entries(rows, cols, density, pes, bits) * pes) + 1024 * pes if values else 0
    pointers, useful = np.zeros((cols + 1, pes), np.int32), np.zeros(cols, np.int64)
    codes, gaps = np.zeros(room, np.uint16), np.zeros(room, np.uint16)
    bounds, guess = _lookup(density, ceil_div(rows, pes))
    total = kernels.random_columns(
        bounds, guess, rows, cols, pes, 1 << bits, levels, np.uint64(seed), MOST_ENTRIES, pointers, useful, codes, gaps
    )
    if total < 0:
        raise RuntimeError(f"a random matrix of {rows} x {cols} has more entries than density {density} lets expect")
    starts = np.concatenate([[0], np.cumsum(pointers[-1], dtype=np.int64)])
    kept = (codes[:total], gaps[:total]) if values else (None, None)
    return Columns(rows, cols, pes, bits, pointers, starts, useful, *kept)


def _lookup(density: float, part: int) -> tuple[Array, Array]:
    """Return the bounds and first guesses by which 64 random bits become the zeros before a non-zero.

    The products of 1 - density are IEEE multiplications, so that every machine draws the same matrix.
    """
    bounds, left = np.zeros(part + 1, np.uint64), 1.0
    for zeros in range(part + 1):
        left *= 1 - density
        bounds[zeros] = min(int((1 - left) * 2.0**64), 2**64 - 1)
    buckets = np.arange(1 << kernels.BUCKET_BITS, dtype=np.uint64) << np.uint64(64 - kernels.BUCKET_BITS)
    return bounds, np.minimum(np.searchsorted(bounds, buckets, side="right"), part)


def _random_codebook(chip: Accelerator, seed: int) -> Array:
    """Return zero and different random 16-bit numbers."""
    generator = np.random.default_rng(seed)
    levels = 1 << chip.options["codebook_bits"]
    magnitudes = generator.choice(np.arange(1, LARGEST_FIXED + 1), size=levels, replace=False)
    signs = generator.choice([-1, 1], size=levels)
    codebook: Array = (magnitudes * signs).astype(np.int16)
    codebook[0] = 0
    return codebook


def _given(mapping: CompressedMapping, network: Network, chip: Accelerator) -> tuple[Array, Array, Array | None] | None:
    """Return (matrices, rows, cols) of codes, codebook and activations of a layer whose weights the network has.

    None where it has none, or where the layer's density was set to another one, which random weights then have.
    Filters that are transformed for Winograd's algorithm have their values shared anew. Where activations are given,
    too, biases whose values are in the codebook are one more column, behind whole rows of PEs, with the activation 1;
    other biases are what the sums begin with, at no cost.
    """
    layer = mapping.layer
    tensors = [network.tensors[name] for name in layer.weights if name in network.tensors]
    if not tensors or tensors[0].size != layer.weight_elements or not _has(tensors[0], layer.weight_density):
        return None
    weights = np.asarray(tensors[0], np.float64).reshape(layer.G, layer.K, layer.C, layer.R, layer.S)
    matrix = weights.reshape(layer.G, layer.K, -1)
    if mapping.is_winograd:
        matrix = shared_values(transformed(weights), chip.options["codebook_bits"])
    bias = np.asarray(tensors[1], np.float64).reshape(-1) if len(tensors) > 1 else np.zeros(0)
    levels = np.unique(matrix[matrix != 0])
    both = np.union1d(levels, bias[bias != 0])
    room = (1 << chip.options["codebook_bits"]) - 1
    if len(levels) > room:
        raise InputError(
            f"layer '{layer.name}' has {len(levels)} different weights, and a codebook of "
            f"{chip.options['codebook_bits']} bits holds {room} beside zero; share them first, as "
            "hwsim.compress.share does"
        )
    activations = _activations(mapping, network)
    if activations is not None and len(bias) == layer.K and len(both) <= room:
        matrix, activations = _with_bias(matrix, bias, mapping.pes, activations)
        levels = both
    codebook = np.concatenate([[0.0], levels])
    codes = np.searchsorted(codebook[1:], matrix) + 1
    codes[matrix == 0] = 0
    return codes.astype(np.uint16), _fixed(codebook), activations


def _has(tensor: Array, density: float) -> bool:
    """Whether a layer's density is that of its tensor, or was left at 1."""
    return density == 1 or isclose(max(1, int(np.count_nonzero(tensor))) / tensor.size, density, rel_tol=1e-9)


def _activations(mapping: CompressedMapping, network: Network) -> Array | None:
    """Return the given vector of a layer that reads a single one, if the network has it."""
    vector = network.tensors.get(mapping.layer.inputs[0])
    if vector is None or mapping.vectors != 1 or vector.size != mapping.cols:
        return None
    if not _has(vector, mapping.layer.input_density):
        return None
    return np.asarray(vector, np.float64).reshape(-1)


def _with_bias(matrix: Array, bias: Array, pes: int, activations: Array) -> tuple[Array, Array]:
    """Return matrix and activations with the biases as a column that begins a new row of PEs."""
    gap = -matrix.shape[2] % pes
    wide = np.concatenate([np.pad(matrix, ((0, 0), (0, 0), (0, gap))), bias[None, :, None]], axis=2)
    return wide, np.concatenate([np.pad(activations, (0, gap)), [1.0]])


def _fixed(values: Array) -> Array:
    """Return values as 16-bit fixed-point numbers, the largest magnitude at full scale."""
    scale = LARGEST_FIXED / max(float(np.abs(values).max()), 1e-300)
    fixed: Array = np.rint(values * scale).astype(np.int16)
    return fixed
