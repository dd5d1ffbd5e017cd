"""Changes of layout as ONNX operators, which are the same for numbers of all types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from hwsim.functional.layouts import SAME_ORDER
from hwsim.functional.operators import joined_axis
from hwsim.measure.moves import move

from .onnx_place import Place, refused


def concatenation(place: Place) -> None:
    """Add a concatenation."""
    place.node("Concat", axis=joined_axis(place.layer))


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
    """Add a transposition or a slice, with the changes of shape before and after it that it needs."""
    view = move(place.layer, place.network, place.parameters)
    if view is None:
        raise refused(place.layer)
    shape, steps = place.layer.input_shapes[0], list[Step]()
    if view.before not in ((), shape):
        steps.append(Step("Reshape", {"before": view.before}))
        shape = view.before
    if view.order:
        steps.append(Step("Transpose", {}, {"perm": view.order}))
        shape = tuple(shape[axis] for axis in view.order)
    for axis, bounds in enumerate(view.part):
        if bounds != slice(None):
            steps.append(Step("Slice", {"start": [bounds.start], "end": [bounds.stop], "axis": [axis]}))
            shape = (*shape[:axis], bounds.stop - bounds.start, *shape[axis + 1 :])
    if shape != view.after or not steps:
        steps.append(Step("Reshape", {"shape": view.after}))
    _in_turn(place, steps)


class Step(NamedTuple):
    """An operator with constants and attributes of its own."""

    operator: str
    constants: Mapping[str, Sequence[int]]
    attributes: Mapping[str, Sequence[int]] = {}


def _in_turn(place: Place, steps: Sequence[Step]) -> None:
    """Add operators one after the other, from the one input to the output."""
    name, last = place.inputs[0], len(steps) - 1
    for index, (operator, constants, attributes) in enumerate(steps):
        given = [place.constant(key, np.asarray(value, np.int64)) for key, value in constants.items()]
        output = place.output if index == last else place.part(operator)
        name = place.node(operator, [name, *given], output, **attributes)
