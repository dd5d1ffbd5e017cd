"""Layers in fp32 by this project's kernels: a call per layer on buffers that are made once."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from hwsim.functional.forward import computed
from hwsim.functional.kernels import elements, images
from hwsim.functional.operators import LRN_ALPHA, LRN_BETA, LRN_K, LRN_SIZE, joined_axis
from hwsim.ir.layer import Kind, Layer
from hwsim.ir.network import Network
from hwsim.measure.backends.numba_products import F32, conv, matmul
from hwsim.measure.backends.numba_tensors import (
    Array,
    Buffer,
    by_channel,
    channels_last,
    dense,
    flat,
    is_channels_last,
    view,
)
from hwsim.measure.operands import Prepared
from hwsim.measure.program import Compute

UNARY: dict[str, Callable[[Array, Array], None]] = {
    "relu": lambda x, y: elements.clip(x, F32(0), F32(np.inf), y),
    "relu6": lambda x, y: elements.clip(x, F32(0), F32(6), y),
    "sigmoid": elements.sigmoid,
    "tanh": elements.tanh,
    "silu": elements.swish,
    "swish": elements.swish,
    "gelu": elements.gelu,
}

BINARY: dict[str, Callable[[Array, Array, Array], None]] = {
    "add": elements.add,
    "sum": elements.add,
    "multiply": elements.multiplied,
}


def compute(layer: Layer, network: Network, parameters: Prepared, by_numpy: list[str]) -> Compute:
    """Return a layer's call; one without a kernel is run by numpy's operators, and joins `by_numpy`."""
    make = MAKERS.get(layer.kind)
    made = make(layer, network, parameters) if make else None
    if made is not None:
        return made
    by_numpy.append(layer.name)

    def call(operands: list[Array], step: int) -> Array:
        with np.errstate(all="ignore"):
            return computed(layer, operands, network, parameters)

    return call


def pool(layer: Layer, network: Network, parameters: Prepared) -> Compute | None:
    """Return a largest element or a mean by window."""
    if layer.function not in ("max", "average") or len(layer.output_shape) != 4:
        return None
    bounds, buffer = bounds_of(layer), Buffer(layer.output_shape, F32)
    kernel = images.average_pool if layer.function == "average" else images.max_pool

    def call(operands: list[Array], step: int) -> Array:
        y = buffer.image(step)
        kernel(channels_last(operands[0]), *bounds, y.transpose(0, 2, 3, 1))
        return y

    return call


def bounds_of(layer: Layer) -> tuple[tuple[int, int], ...]:
    """Return a window's taps, stride, dilation and the padding before the image."""
    return (layer.R, layer.S), layer.stride, layer.dilation, (layer.padding[0], layer.padding[1])


def activation(layer: Layer, network: Network, parameters: Prepared) -> Compute | None:
    """Return a function of each element."""
    kernel, buffer = UNARY.get(layer.function), Buffer(layer.output_shape, F32)
    if kernel is None:
        return None

    def call(operands: list[Array], step: int) -> Array:
        x = dense(operands[0])
        y = buffer.like(x, step)
        kernel(flat(x), flat(y))
        return y

    return call


def elementwise(layer: Layer, network: Network, parameters: Prepared) -> Compute | None:
    """Return a sum or product of operands of one shape."""
    kernel, buffer = BINARY.get(layer.function), Buffer(layer.output_shape, F32)
    if kernel is None or layer.weights or len(layer.inputs) < 2 or set(layer.input_shapes) != {layer.output_shape}:
        return None

    def call(operands: list[Array], step: int) -> Array:
        x = dense(operands[0])
        y = buffer.like(x, step)
        for other in operands[1:]:
            kernel(flat(x), flat(in_order_of(x, other)), flat(y))
            x = y
        return y

    return call


def in_order_of(x: Array, other: Array) -> Array:
    """Return `other`, copied where it does not lie as `x` does."""
    if not is_channels_last(x):
        return np.ascontiguousarray(other)
    return channels_last(other).transpose(0, 3, 1, 2)


def normalisation(layer: Layer, network: Network, parameters: Prepared) -> Compute | None:
    """Return a normalisation by channel, by row or over neighbouring channels."""
    make = {"batch": batch, "layer": over_last, "rms": over_last, "local_response": local_response}.get(layer.function)
    return make(layer, parameters) if make else None


def batch(layer: Layer, parameters: Prepared) -> Compute:
    """Return batch normalisation with its statistics folded into a factor and a shift by channel."""
    factor, shift = parameters.folded(layer)
    return over_channels(layer, lambda x, y: elements.scale_shift(x, factor, shift, y))


def local_response(layer: Layer, parameters: Prepared) -> Compute | None:
    """Return AlexNet's normalisation; the kernel's power is 3/4."""
    if LRN_BETA != 0.75:
        return None
    return over_channels(layer, lambda x, y: elements.local_response(x, LRN_SIZE // 2, F32(LRN_K), F32(LRN_ALPHA), y))


def over_channels(layer: Layer, kernel: Callable[[Array, Array], None]) -> Compute:
    """Return the call of a kernel on (positions, channels)."""
    buffer = Buffer(layer.output_shape, F32)

    def call(operands: list[Array], step: int) -> Array:
        x = by_channel(operands[0])
        if operands[0].ndim in (2, 4):
            y = buffer.image(step)
            kernel(x, by_channel(y))
            return y
        out = np.empty_like(x)
        kernel(x, out)
        n, channels, *rest = layer.output_shape
        return np.moveaxis(out.reshape(n, *rest, channels), -1, 1)

    return call


def over_last(layer: Layer, parameters: Prepared) -> Compute:
    """Return layer or root-mean-square normalisation of each row."""
    centred, shape = layer.function == "layer", layer.input_shapes[0]
    scale, shift = parameters.given(layer, 0), parameters.given(layer, 1) if centred else None
    sizes = shape[-max(1, scale.ndim if scale is not None else 1) :]
    factors, shifts = (
        np.full(prod(sizes), default, F32) if one is None else np.broadcast_to(one, sizes).flatten()
        for one, default in ((scale, 1), (shift, 0))
    )
    return over_rows(layer, prod(sizes), lambda x, y: elements.normalise(x, factors, shifts, centred, y))


def softmax(layer: Layer, network: Network, parameters: Prepared) -> Compute | None:
    """Return the softmax of each row."""
    return None if layer.function else over_rows(layer, layer.output_shape[-1], elements.softmax)


def over_rows(layer: Layer, columns: int, kernel: Callable[[Array, Array], None]) -> Compute:
    """Return the call of a kernel on (rows, columns)."""
    buffer = Buffer(layer.output_shape, F32)

    def call(operands: list[Array], step: int) -> Array:
        y = buffer.plain(step)
        kernel(np.ascontiguousarray(operands[0]).reshape(-1, columns), y.reshape(-1, columns))
        return y

    return call


def layout(layer: Layer, network: Network, parameters: Prepared) -> Compute:
    """Return a change of layout."""
    change = view(layer, network, parameters)
    return lambda operands, step: change(operands[0])


def joined(layer: Layer, network: Network, parameters: Prepared) -> Compute:
    """Return operands joined; images have their channels last."""
    buffer = Buffer(layer.output_shape, F32)

    def call(operands: list[Array], step: int) -> Array:
        y = buffer.image(step)
        join(layer, operands, y)
        return y

    return call


def join(layer: Layer, operands: list[Array], y: Array) -> None:
    """Write operands behind one another into y, along the dimension in which it is longer."""
    axis, at = joined_axis(layer), 0
    for one in operands:
        y[(*(slice(None),) * axis, slice(at, at + one.shape[axis]))] = one
        at += one.shape[axis]


MAKERS: dict[Kind, Callable[[Layer, Network, Prepared], Compute | None]] = {
    Kind.CONV: conv,
    Kind.MATMUL: matmul,
    Kind.POOL: pool,
    Kind.ACTIVATION: activation,
    Kind.ELEMENTWISE: elementwise,
    Kind.NORMALISATION: normalisation,
    Kind.SOFTMAX: softmax,
    Kind.CONCATENATION: joined,
    Kind.RESHAPE: layout,
}
