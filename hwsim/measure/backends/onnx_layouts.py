"""Changes of layout as ONNX operators, which are the same for numbers of all types."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from hwsim.functional.layouts import SAME_ORDER, rearranged
from hwsim.ir.layer import Layer

from .onnx_place import Place, refused


def concatenation_axis(layer: Layer) -> int:
    """Return the dimension along which operands are joined: the one in which the result is longer."""
    longer = (axis for axis, size in enumerate(layer.output_shape) if size != layer.input_shapes[0][axis])
    return next(longer, 0)


def concatenation(place: Place) -> None:
    """Add a concatenation."""
    place.node("Concat", axis=concatenation_axis(place.layer))


def reshape(place: Place) -> None:
    """Add a change of layout, which is the same for numbers of all types."""
    layer, name = place.layer, place.layer.function
    shape = np.asarray(layer.output_shape, np.int64)
    if name in SAME_ORDER:
        place.node("Reshape", [*place.inputs, place.constant("shape", shape)])
    elif name == "expand":
        place.node("Expand", [*place.inputs, place.constant("shape", shape)])
    elif name == "embedding":
        table = place.parameters.given(layer, 0)
        if table is None:
            raise refused(layer)
        indices = place.node("Cast", place.inputs, place.part("indices"), to=7)
        rows = place.node("Gather", [place.constant("table", table), indices], place.part("rows"))
        place.node("Reshape", [rows, place.constant("shape", shape)])
    else:
        _moved(place)


def _moved(place: Place) -> None:
    """Add a transposition or a slice, read off where it puts the numbers 0, 1, 2, ..."""
    layer = place.layer
    before, after = layer.input_shapes[0], layer.output_shape
    numbers: Any = np.arange(prod(before)).reshape(before)
    moved = rearranged(layer, numbers, place.network, place.parameters)
    first = int(moved.reshape(-1)[0])
    starts = np.unravel_index(first, before)
    if layer.function == "transpose":
        place.node("Transpose", _squeezed(place, before), place.part("turned"), perm=_order(before, moved))
        target = place.constant("shape", np.asarray(after, np.int64))
        place.node("Reshape", [place.part("turned"), target])
        return
    axis = next((axis for axis, size in enumerate(after) if size != before[axis]), 0)
    start = int(starts[axis])
    bounds = {"starts": [start], "ends": [start + after[axis]], "axes": [axis]}
    names = [place.constant(name, np.asarray(value, np.int64)) for name, value in bounds.items()]
    place.node("Slice", [*place.inputs, *names])


def _squeezed(place: Place, before: Sequence[int]) -> list[str]:
    sizes = [size for size in before if size > 1]
    if len(sizes) == len(before):
        return list(place.inputs)
    shape = place.constant("squeezed", np.asarray(sizes, np.int64))
    return [place.node("Reshape", [*place.inputs, shape], place.part("squeezed"))]


def _order(before: Sequence[int], moved: Any) -> list[int]:
    """Return which dimension above 1 of `before` each one above 1 of the result is."""
    sizes = [size for size in before if size > 1]
    strides = [prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
    kept = np.squeeze(moved)
    corner = (0,) * kept.ndim
    steps = [int(kept[(*corner[:axis], 1, *corner[axis + 1 :])] - kept[corner]) for axis in range(kept.ndim)]
    return [strides.index(step) for step in steps]
