"""Reads the published Deep-Compressed SqueezeNet, `compressed_SqueezeNet.net`: real weights, pruned and shared.

Little-endian: for each of 26 layers, a uint32 with its stored entries; then layer by layer 256 float32 of a codebook,
a float32 bias per output channel, a uint8 code per entry, and for each entry 4 bits with the zeros before it, the low
half of a byte first. A code of 0 is a padding zero. Weights are flattened in the order (K, C, R, S).

Iandola et al., SqueezeNet, arXiv:1602.07360, 2016; repository songhan/SqueezeNet-Deep-Compression.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hwsim.compress.sharing import shared_values
from hwsim.compress.weights import Array
from hwsim.errors import InputError
from hwsim.ir.builder import NetworkBuilder
from hwsim.ir.network import Network
from hwsim.ir.untrusted import read_bounded
from hwsim.units import ceil_div

SOURCE = "Iandola et al., SqueezeNet, arXiv:1602.07360, 2016; weights of songhan/SqueezeNet-Deep-Compression"
MAX_BYTES = 16 * 2**20
"""Largest file that is read; the published one has 676 kB."""

LEVELS = 256
IMAGE = 227
WIDTHS = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
"""Channels of the squeezing and of each expanding convolution of fire2 to fire9."""

POOLED_AFTER = ("conv1", "fire4", "fire8")
SPARSE_BELOW = 0.6
"""Layers of a lower density are taken for pruned; the others of the file are nearly dense."""


class Stored(NamedTuple):
    """A layer of the file: its name, (K, C, R) and the size of the image it reads."""

    name: str
    channels: int
    depth: int
    taps: int
    extent: int


def deep_compressed_network(path: Path, *, bits: int = 8, layers: str = "all") -> Network:
    """Return SqueezeNet v1.0 with the weights of the file at `path`, whole or as its pruned layers alone.

    With `layers=sparse` the layers of which less than 0.6 is kept read an input each. Codebooks are shared anew where
    they have more than 2^bits entries, 4 for EIE. Raises `UsageError` where there is no file and `InputError` for one
    that is too short, too long or leads out of a layer.
    """
    if layers not in ("all", "sparse") or not 1 <= bits <= 8:
        raise InputError(f"layers={layers} must be all or sparse, and bits={bits} from 1 to 8")
    tensors: dict[str, Array] = {}
    for stored, weights, bias in _read(path):
        tensors[f"{stored.name}.weight"] = shared_values(weights, bits) if bits < 8 else weights
        tensors[f"{stored.name}.bias"] = bias
    network = _sparse(path.stem, tensors) if layers == "sparse" else _whole(path.stem, tensors)
    changed = []
    for layer in network.layers:
        if layer.weights:
            weights = tensors[layer.weights[0]]
            layer = replace(layer, weight_density=max(1, int(np.count_nonzero(weights))) / weights.size)
        changed.append(layer)
    return replace(network, layers=tuple(changed))


def _read(path: Path) -> Iterator[tuple[Stored, Array, Array]]:
    """Yield every layer with its weights (K, C, R, R) and biases (K)."""
    data = read_bounded(path, "compressed network", MAX_BYTES)
    layout = list(_layout())
    entries = _part(path, data, 0, "<u4", len(layout), "the entries of each layer").tolist()
    at = 4 * len(layout)
    for stored, count in zip(layout, entries, strict=True):
        codebook = _part(path, data, at, "<f4", LEVELS, f"the codebook of '{stored.name}'")
        at += codebook.nbytes
        bias = _part(path, data, at, "<f4", stored.channels, f"the biases of '{stored.name}'")
        at += bias.nbytes
        codes = _part(path, data, at, "u1", count, f"the {count} codes of '{stored.name}'")
        at += codes.nbytes
        packed = _part(path, data, at, "u1", (count + 1) // 2, f"the gaps of '{stored.name}'")
        at += packed.nbytes
        yield stored, _weights(path, stored, codebook, codes, packed), bias
    if at != len(data):
        raise InputError(f"compressed network '{path}' has {len(data)} bytes, {len(data) - at} more than its layers")


def _part(path: Path, data: bytes, at: int, kind: str, count: int, what: str) -> Array:
    """Return `count` numbers from byte `at` on; raises `InputError` where the file ends before."""
    size = count * np.dtype(kind).itemsize
    if at + size > len(data):
        raise InputError(f"compressed network '{path}' ends after {len(data)} bytes, and {what} end at {at + size}")
    return np.frombuffer(data, kind, count, at)


def _weights(path: Path, stored: Stored, codebook: Array, codes: Array, packed: Array) -> Array:
    """Return the weights (K, C, R, R) of a layer."""
    shape = (stored.channels, stored.depth, stored.taps, stored.taps)
    gaps = np.stack([packed & 15, packed >> 4], axis=1).reshape(-1)[: len(codes)].astype(np.int64)
    places = np.cumsum(gaps + 1) - 1
    size = int(np.prod(shape))
    if len(places) and places[-1] >= size:
        raise InputError(f"compressed network '{path}': the entries of '{stored.name}' lead beyond its {size} weights")
    if not np.isfinite(codebook).all():
        raise InputError(f"compressed network '{path}': the codebook of '{stored.name}' has a value that is not finite")
    weights = np.zeros(size, np.float32)
    weights[places] = np.where(codes > 0, codebook[codes], 0)
    return weights.reshape(shape)


def _layout() -> Iterator[Stored]:
    """Yield the 26 layers in the order of the file; a pool halves the image behind some of them."""
    extent, depth = _pooled((IMAGE - 7) // 2 + 1), 96
    yield Stored("conv1", depth, 3, 7, IMAGE)
    for index, (squeezed, expanded) in enumerate(WIDTHS, 2):
        yield Stored(f"fire{index}.squeeze1x1", squeezed, depth, 1, extent)
        yield Stored(f"fire{index}.expand1x1", expanded, squeezed, 1, extent)
        yield Stored(f"fire{index}.expand3x3", expanded, squeezed, 3, extent)
        depth = 2 * expanded
        if f"fire{index}" in POOLED_AFTER:
            extent = _pooled(extent)
    yield Stored("conv_final", 1000, depth, 1, extent)


def _pooled(extent: int) -> int:
    """Return the outputs of windows of 3 rows every 2 rows, the last of which may reach beyond the image."""
    return ceil_div(extent - 3, 2) + 1


def _sparse(name: str, tensors: dict[str, Array]) -> Network:
    """Return the layers that are pruned, each with an input of its own."""
    net = NetworkBuilder(f"{name}_sparse")
    for one in _layout():
        weights = tensors[f"{one.name}.weight"]
        if np.count_nonzero(weights) < SPARSE_BELOW * weights.size and one.name != "conv1":
            _conv(net, one, net.input(f"{one.name}.input", (1, one.depth, one.extent, one.extent)))
    return net.build(source=SOURCE, tensors=tensors)


def _whole(name: str, tensors: dict[str, Array]) -> Network:
    net, layout = NetworkBuilder(name), {one.name: one for one in _layout()}
    x = net.input("images", (1, 3, IMAGE, IMAGE))
    x = net.activation("conv1.relu", net.conv("conv1", x, 96, 7, stride=2, weights=_names("conv1")))
    x = _pool(net, "conv1", x)
    for index in range(2, 2 + len(WIDTHS)):
        squeezed = net.activation(f"fire{index}.squeeze_relu", _conv(net, layout[f"fire{index}.squeeze1x1"], x))
        ends = (_conv(net, layout[f"fire{index}.expand{kernel}"], squeezed) for kernel in ("1x1", "3x3"))
        x = net.concatenation(f"fire{index}", *(net.activation(f"{end}_relu", end) for end in ends))
        x = _pool(net, f"fire{index}", x)
    x = net.activation("conv_final.relu", _conv(net, layout["conv_final"], x))
    net.softmax("softmax", net.flatten("flatten", net.global_pool("pool_final", x)))
    return net.build(source=SOURCE, tensors=tensors)


def _pool(net: NetworkBuilder, behind: str, x: str) -> str:
    return net.pool(f"{behind}.pool", x, 3, stride=2, ceil_mode=True) if behind in POOLED_AFTER else x


def _conv(net: NetworkBuilder, one: Stored, x: str) -> str:
    return net.conv(one.name, x, one.channels, one.taps, padding=one.taps // 2, weights=_names(one.name))


def _names(layer: str) -> tuple[str, str]:
    return f"{layer}.weight", f"{layer}.bias"
