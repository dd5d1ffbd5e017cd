"""From when to when each tensor is needed while a network runs layer by layer, and how much that is at once.

A tensor lives from the layer that computes it to its last reader, an input from the start, a result that nothing reads
to the end, a state throughout. Layers of several steps run together, step after step: what they read from outside lives
until the last step, and a tensor of all steps from the first. A change of layout that gives no more elements than it is
given is another view of the same storage, and tensors that are joined are computed where they are joined. Nothing is
overwritten in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, groupby
from math import prod
from typing import TYPE_CHECKING

from hwsim.ir.layer import LAYOUT_KINDS, Layer

if TYPE_CHECKING:
    from hwsim.ir.network import Network

Span = tuple[int, int]
"""First and last of some layers, by their place in the order of execution."""


def peak_elements(network: Network) -> int:
    """Return the largest sum of elements that are needed at once."""
    if not network.layers:
        return sum(prod(tensor.shape) for tensor in network.inputs)
    sizes = {tensor.name: prod(tensor.shape) for tensor in network.inputs}
    sizes |= {layer.name: layer.output_elements for layer in network.layers}
    changes = [0] * (len(network.layers) + 1)
    for name, (first, last) in lifetimes(network).items():
        changes[first] += sizes[name]
        changes[last + 1] -= sizes[name]
    return max(accumulate(changes))


def lifetimes(network: Network) -> dict[str, Span]:
    """Return the first and the last layer during which each tensor with storage of its own is needed."""
    layers, end = network.layers, len(network.layers) - 1
    runs, stored = runs_of(layers), _storage(network)
    place = {layer.name: index for index, layer in enumerate(layers)}
    carried = {tensor.carried_from for tensor in network.inputs}
    lives: dict[str, Span] = {tensor.name: (0, 0 if tensor.carried_from is None else end) for tensor in network.inputs}
    for index, layer in enumerate(layers):
        for read in layer.inputs:
            for name in stored[read]:
                inside = runs[index][0] <= place.get(name, -1)
                first, last = lives[name]
                lives[name] = first, max(last, index if inside else runs[index][1])
        if stored[layer.name] == (layer.name,):
            lives[layer.name] = _born(layer, index, runs, place), index
        if layer.name not in network.consumers and layer.name not in carried:
            for name in stored[layer.name]:
                lives[name] = lives[name][0], end
    return lives


def runs_of(layers: Sequence[Layer]) -> list[Span]:
    """Return, for each layer, which run with it: itself, or all neighbours of as many steps."""
    runs: list[Span] = []
    for steps, group in groupby(layers, key=lambda layer: layer.steps):
        first, count = len(runs), sum(1 for _ in group)
        runs += [(first, first + count - 1)] * count if steps > 1 else [(first + i, first + i) for i in range(count)]
    return runs


def _born(layer: Layer, index: int, runs: Sequence[Span], place: dict[str, int]) -> int:
    """Return when the storage of a layer's result is first written: for a stack of all steps at the first of them."""
    if layer.kind not in LAYOUT_KINDS:
        return index
    stepped = (runs[place[name]] for name in layer.inputs if name in place)
    return min((first for first, last in stepped if last > first), default=index)


def _storage(network: Network) -> dict[str, tuple[str, ...]]:
    """Return in which tensors' storage each tensor lies."""
    stored: dict[str, tuple[str, ...]] = {tensor.name: (tensor.name,) for tensor in network.inputs}
    for layer in network.layers:
        stored[layer.name] = (layer.name,)
        if layer.kind in LAYOUT_KINDS and layer.function != "embedding":
            given = dict(zip(layer.inputs, map(prod, layer.input_shapes), strict=True))
            if layer.output_elements <= sum(given.values()):
                stored[layer.name] = tuple(dict.fromkeys(base for name in given for base in stored[name]))
    return stored
