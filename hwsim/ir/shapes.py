"""Shape inference: what shape each operator gives, or why it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from hwsim.errors import InputError
from hwsim.ir.layer import Shape
from hwsim.units import ceil_div

Pair = tuple[int, int]
Padding = tuple[int, int, int, int]


def pair(value: int | Sequence[int], what: str) -> Pair:
    """Return (rows, columns) from one number or two."""
    both = (value, value) if isinstance(value, int) else tuple(value)
    if len(both) != 2:
        raise InputError(f"{what} needs one number or two, not {len(both)}")
    return both[0], both[1]


def padding(value: int | Sequence[int], what: str) -> Padding:
    """Return (top, left, bottom, right) from one number, (rows, columns), or all four."""
    if isinstance(value, int):
        return value, value, value, value
    sides = tuple(value)
    if len(sides) == 2:
        return sides[0], sides[1], sides[0], sides[1]
    if len(sides) == 4:
        return sides[0], sides[1], sides[2], sides[3]
    raise InputError(f"{what} needs one, two or four numbers, not {len(sides)}")


def require_window(name: str, kernel: Pair, stride: Pair, dilation: Pair) -> None:
    """Raise `InputError` unless all sizes of a sliding window are at least 1."""
    for what, values in (("kernel", kernel), ("stride", stride), ("dilation", dilation)):
        if min(values) < 1:
            raise InputError(f"layer '{name}': {what} {values[0]}x{values[1]} must be at least 1")


def same_padding(extent: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> Padding:
    """Return the padding that gives ceil(extent / stride) outputs, an odd one at the end (TensorFlow's SAME)."""
    needed = [
        max(0, (ceil_div(x, u) - 1) * u + d * (k - 1) + 1 - x)
        for x, k, u, d in zip(extent, kernel, stride, dilation, strict=True)
    ]
    rows, cols = needed
    return rows // 2, cols // 2, rows - rows // 2, cols - cols // 2


def window_outputs(  # one operand per argument: they are the symbols of the formula
    name: str, extent: Pair, kernel: Pair, stride: Pair, dilation: Pair, pad: Padding, ceil_mode: bool = False
) -> Pair:
    """Return the output rows and columns (P, Q) of a sliding window.

    P is floor((H + pad - dilation (R - 1) - 1) / stride) + 1, and Q likewise. With `ceil_mode` the last window may
    start inside the input and end beyond it, but may not start in the padding. Raises `InputError` for sizes below 1,
    negative padding, and a filter larger than its padded input (by `stride` or more with `ceil_mode`).
    """
    require_window(name, kernel, stride, dilation)
    if min(pad) < 0:
        raise InputError(f"layer '{name}': padding {pad} must not be negative")
    outputs = []
    for axis in (0, 1):
        padded = extent[axis] + pad[axis] + pad[axis + 2]
        reach = dilation[axis] * (kernel[axis] - 1) + 1
        span = padded - reach
        count = (ceil_div(span, stride[axis]) if ceil_mode else span // stride[axis]) + 1
        if ceil_mode and (count - 1) * stride[axis] >= extent[axis] + pad[axis]:
            count -= 1
        if count < 1:
            raise InputError(
                f"layer '{name}': the filter reaches over {reach} {('rows', 'columns')[axis]}, "
                f"more than its padded input's {padded}"
            )
        outputs.append(count)
    return outputs[0], outputs[1]


def broadcast(name: str, shapes: Sequence[Shape]) -> Shape:
    """Return the shape of an elementwise operator by NumPy's broadcasting rule."""
    rank = max(len(shape) for shape in shapes)
    aligned = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    result = []
    for sizes in zip(*aligned, strict=True):
        distinct = set(sizes) - {1}
        if len(distinct) > 1:
            raise InputError(f"layer '{name}': shapes {' and '.join(map(str, shapes))} do not broadcast")
        result.append(distinct.pop() if distinct else 1)
    return tuple(result)


def concatenated(name: str, shapes: Sequence[Shape], axis: int) -> Shape:
    """Return the shape of `shapes` joined along `axis`; all other sizes must agree."""
    first = shapes[0]
    if not -len(first) <= axis < len(first):
        raise InputError(f"layer '{name}': axis {axis} does not exist in shape {first}")
    axis %= len(first)
    for shape in shapes[1:]:
        if len(shape) != len(first) or any(
            a != b for i, (a, b) in enumerate(zip(first, shape, strict=True)) if i != axis
        ):
            raise InputError(f"layer '{name}': shapes {first} and {shape} do not join along axis {axis}")
    return (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])


def reshaped(name: str, shape: Shape, target: Sequence[int]) -> Shape:
    """Return `target` with one -1 replaced so that the number of elements stays."""
    sizes, elements = list(target), prod(shape)
    if sizes.count(-1) == 1:
        rest = -prod(sizes)
        sizes[sizes.index(-1)] = elements // rest if rest > 0 else 0
    if min(sizes, default=1) < 1 or prod(sizes) != elements:
        raise InputError(f"layer '{name}': {elements} elements of shape {shape} do not fill {tuple(target)}")
    return tuple(sizes)
