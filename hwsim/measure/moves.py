"""Changes of layout as views, looked up once: the same for tensors of numpy and of torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hwsim.functional.layouts import SAME_ORDER, rearranged
from hwsim.functional.parameters import Parameters
from hwsim.ir.layer import Layer, Shape
from hwsim.ir.network import Network

TRANSPOSE, PARTS = "transpose", ("slice", "from")


class Move(NamedTuple):
    """A view: seen as `before`, its dimensions in `order`, a `part` of them, seen as `after`; () changes nothing."""

    after: Shape
    before: Shape = ()
    order: tuple[int, ...] = ()
    part: tuple[slice, ...] = ()

    def of(self, x: Any, ordered: Callable[[Any, tuple[int, ...]], Any]) -> Any:
        """Return the view of `x`; `ordered` puts a tensor's dimensions in an order."""
        if self.before:
            x = x.reshape(self.before)
        if self.order:
            x = ordered(x, self.order)
        if self.part:
            x = x[self.part]
        return x if x.shape == self.after else x.reshape(self.after)


def move(layer: Layer, network: Network, parameters: Parameters) -> Move | None:
    """Return a layer's change of layout as a view, or None for one that is none: embeddings, repetitions.

    Raises `InputError` where the network does not say how the elements move.
    """
    name, shape, out = layer.function, layer.input_shapes[0], layer.output_shape
    if name in SAME_ORDER:
        return Move(out)
    if name.startswith((TRANSPOSE, *PARTS)):
        # a tensor of places, of one byte's memory, shows whether the network says where elements go, and from where
        probe = np.broadcast_to(np.int8(0), shape)
        if name.startswith(TRANSPOSE):
            rearranged(layer, probe, network, parameters)  # type: ignore[arg-type]
            return ordered(layer)
        return part(layer, network, parameters)
    return None


def ordered(layer: Layer) -> Move:
    """Return a transposition: in the order that the name says, or in the only one that gives the shape."""
    shape, out = layer.input_shapes[0], layer.output_shape
    digits = layer.function.removeprefix(TRANSPOSE)
    if digits:
        return Move(out, order=tuple(map(int, digits)))
    sizes = tuple(size for size in shape if size > 1)
    return Move(out, before=sizes, order=tuple(sizes.index(size) for size in out if size > 1))


def part(layer: Layer, network: Network, parameters: Parameters) -> Move:
    """Return a slice: the place of its first element says where it begins."""
    shape, out = layer.input_shapes[0], layer.output_shape
    axes = [axis for axis, (a, b) in enumerate(zip(shape, out, strict=False)) if a != b]
    axis = axes[0] if axes else 0
    places = np.arange(shape[axis]).reshape([-1 if at == axis else 1 for at in range(len(shape))])
    found = rearranged(layer, np.broadcast_to(places, shape), network, parameters)
    start = int(found.flat[0])
    return Move(out, part=(*(slice(None),) * axis, slice(start, start + out[axis])))
