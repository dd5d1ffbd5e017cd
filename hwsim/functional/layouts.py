"""Changes of layout, as far as a network says which: it has their names and shapes.

A name may say more: "transpose0213" the order of the dimensions, "slice1" which of the parts along the one dimension
that is shorter in the result, "from7" where in that dimension the result begins.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np

from hwsim.errors import InputError
from hwsim.functional.parameters import Array, Parameters
from hwsim.ir.layer import Kind, Layer
from hwsim.ir.network import Network

SAME_ORDER = frozenset(
    {"reshape", "flatten", "squeeze", "unsqueeze", "identity", "cast", "castlike", "dropout", "stack", "reversed_stack"}
)
"""Functions that keep all elements in their order; of a stack, the steps have been put together before."""

SLICE = "slice"

ORDER, FROM = re.compile("transpose([0-9]+)"), re.compile("from([0-9]+)")


def rearranged(layer: Layer, x: Array, network: Network, parameters: Parameters) -> Any:
    """Return the elements of `x` as the layer gives them; raises `InputError` where the network does not say how."""
    name = layer.function
    if name in SAME_ORDER:
        return x.reshape(layer.output_shape)
    if name == "transpose":
        return _transposed(layer, x)
    if order := ORDER.fullmatch(name):
        return _in_order(layer, x, tuple(map(int, order[1])))
    if start := FROM.fullmatch(name):
        axis = _shortened(layer, x)
        return x if axis is None else _taken(layer, x, axis, int(start[1]))
    if name == "expand":
        return _expanded(layer, x)
    if name == "embedding":
        return _embedded(layer, x, network, parameters)
    if name.startswith(SLICE) and name.removeprefix(SLICE).isdigit():
        return _sliced(layer, x, network)
    raise _unknown(layer, f"how '{name}' moves its elements")


def _transposed(layer: Layer, x: Array) -> Any:
    """Return `x` with its dimensions in the one order that gives the result's shape; those of size 1 do not matter."""
    before = tuple(size for size in x.shape if size > 1)
    after = tuple(size for size in layer.output_shape if size > 1)
    if len(before) == len(after) and len(set(before)) == len(before) <= 8:
        for order in permutations(range(len(before))):
            if tuple(before[axis] for axis in order) == after:
                return x.reshape(before).transpose(order).reshape(layer.output_shape)
    raise _unknown(layer, f"which of its dimensions {x.shape} become {layer.output_shape}")


def _in_order(layer: Layer, x: Array, order: tuple[int, ...]) -> Any:
    if sorted(order) != list(range(x.ndim)):
        raise _unknown(layer, f"which of its dimensions {x.shape} are in the order of '{layer.function}'")
    return x.transpose(order)


def _expanded(layer: Layer, x: Array) -> Any:
    try:
        return np.broadcast_to(x, layer.output_shape)
    except ValueError:
        raise _unknown(layer, f"how {x.shape} is repeated to {layer.output_shape}") from None


def _embedded(layer: Layer, x: Array, network: Network, parameters: Parameters) -> Any:
    """Return the row of the table for each index; a table that is not given is drawn, of the size it is counted by."""
    table = parameters.given(layer, 0)
    if table is None:
        rows, features = rows_of_table(layer, network), layer.output_shape[-1]
        if not rows:
            raise _unknown(layer, "the table of its embedding")
        # the scale of products that share the table, whose fan-in is its features
        table = parameters.weight(replace(layer, C=features), [(rows, features)])
    indices = x.astype(np.int64)
    if indices.min() < -len(table) or indices.max() >= len(table):
        raise InputError(f"layer '{layer.name}': indices {indices.min()} to {indices.max()} exceed {len(table)} rows")
    return table[indices].reshape(layer.output_shape)


def rows_of_table(layer: Layer, network: Network) -> int:
    """Return the rows of an embedding's table, as its parameters are counted; 0 where they are not."""
    counted = (one.parameters for one in network.layers if one.name == layer.name or _same_table(one, layer))
    return max(counted, default=0) // layer.output_shape[-1]


def _same_table(one: Layer, layer: Layer) -> bool:
    return one.function == "embedding" and one.weights[:1] == layer.weights[:1] != ()


def _sliced(layer: Layer, x: Array, network: Network) -> Any:
    """Return one of the parts into which `x` is split, as long as those before it are layers of the network."""
    axis = _shortened(layer, x)
    if axis is None:
        return x
    sizes = _sizes_before(layer, int(layer.function.removeprefix(SLICE)), axis, network)
    if any(len(found) != 1 for found in sizes):
        raise _unknown(layer, "where its slice begins")
    return _taken(layer, x, axis, sum(size for found in sizes for size in found))


def _shortened(layer: Layer, x: Array) -> int | None:
    """Return the one dimension in which the result differs from `x`, None where there is none."""
    if x.shape == layer.output_shape:
        return None
    axes = [axis for axis, (a, b) in enumerate(zip(x.shape, layer.output_shape, strict=False)) if a != b]
    if len(axes) != 1 or x.ndim != len(layer.output_shape):
        raise _unknown(layer, f"along which dimension {x.shape} is split into {layer.output_shape}")
    return axes[0]


def _taken(layer: Layer, x: Array, axis: int, start: int) -> Any:
    stop = start + layer.output_shape[axis]
    if stop > x.shape[axis]:
        raise _unknown(layer, f"what the elements {start} to {stop - 1} of {x.shape[axis]} are")
    return x.take(range(start, stop), axis=axis)


def _sizes_before(layer: Layer, index: int, axis: int, network: Network) -> list[set[int]]:
    """Return of each slice of the same tensor before `index` the sizes that layers have."""
    sizes: list[set[int]] = [set() for _ in range(index)]
    for other in network.layers:
        number = other.function.removeprefix(SLICE)
        if other.kind is not Kind.RESHAPE or other.inputs != layer.inputs or not number.isdigit():
            continue
        if int(number) < index and len(other.output_shape) == len(layer.output_shape):
            sizes[int(number)].add(other.output_shape[axis])
    return sizes


def _unknown(layer: Layer, what: str) -> InputError:
    return InputError(f"layer '{layer.name}': the network does not say {what}")
