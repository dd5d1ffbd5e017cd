"""Layers in int8 by this project's kernels: weights scaled by output channel, tensors by their largest value.

Products are summed in 32 bits, functions of one element are tables, and what has no integer kernel is computed in fp32
between two conversions, which count to its time. Scales are those of a run in fp32 on the same inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hwsim.errors import counted
from hwsim.functional.elements import ACTIVATIONS
from hwsim.functional.kernels import images, int8
from hwsim.ir.layer import LAYOUT_KINDS, Kind, Layer
from hwsim.ir.network import Network
from hwsim.measure.backends import numba_fp32
from hwsim.measure.backends.numba_fp32 import bounds_of, in_order_of, join
from hwsim.measure.backends.numba_int8_products import LARGEST, U8, ZERO, Scales, conv, matmul
from hwsim.measure.backends.numba_products import F32
from hwsim.measure.backends.numba_tensors import (
    LAST,
    Array,
    Buffer,
    by_channel,
    channels_last,
    dense,
    flat,
)
from hwsim.measure.backends.numpy_ import sequence
from hwsim.measure.layerwise import LayerwiseRunner
from hwsim.measure.operands import EMBEDDING, Prepared, require_consistent, tensors
from hwsim.measure.program import Compute, plainly, program

NOTES = ("int8: scales are per tensor and per output channel of weights, from a run in fp32 on the same inputs",)


class Int8Runner(LayerwiseRunner):
    """A runner whose tensors are stored in int8 with these scales."""

    scales: Scales


def runner(network: Network, seed: int, keep: bool) -> Int8Runner:
    """Return `network` in int8; with `keep` its tensors stay until the end of a run."""
    parameters, by_fp32 = Prepared(network.tensors, seed), list[str]()
    given = tensors(network, seed)
    scales = scales_of(network, parameters, given)

    def compute(layer: Layer) -> Compute:
        require_consistent(layer)
        make = MAKERS.get(layer.kind)
        made = make(layer, network, parameters, scales) if make else None
        if made is not None:
            return made
        by_fp32.append(layer.name)
        return through_fp32(layer, network, parameters, scales)

    made = program(network, stored(network, given, scales), compute, sequence, keep)
    notes: tuple[str, ...] = NOTES
    if by_fp32:
        layers = counted(len(by_fp32), "layer computes", "layers compute")
        notes += (f"{layers} in fp32 between int8 tensors: {', '.join(by_fp32[:5])}",)
    found = Int8Runner(made, notes)
    found.scales = scales
    return found


def scales_of(network: Network, parameters: Prepared, given: dict[str, Any]) -> Scales:
    """Return every tensor's scale: its largest value in fp32 over 127; a state's is that of what it is carried from.

    Layers that move elements keep the scale of what they read.
    """
    made = program(network, given, lambda layer: numba_fp32.compute(layer, network, parameters, []), sequence, True)
    found = {name: largest(value) for name, value in made.run(plainly).items()}
    same = {layer.name: layer.inputs[0] for layer in network.layers if keeps_scale(layer)}
    same |= network.states
    return {name: found[origin(name, same)] for name in found}


def largest(value: Any) -> np.float32:
    """Return the scale of a tensor, or of one with a value for each step."""
    most = max(float(np.abs(one).max()) for one in (value if isinstance(value, list) else [value]))
    return F32(most / LARGEST) if 0 < most < np.inf else F32(1)


def keeps_scale(layer: Layer) -> bool:
    """Whether a layer's results are elements of what it reads."""
    moved = layer.kind in LAYOUT_KINDS - {Kind.CONCATENATION} and layer.function != EMBEDDING
    return moved or (layer.kind is Kind.POOL and layer.function == "max")


def origin(name: str, same: dict[str, str]) -> str:
    """Return the tensor whose scale `name` has; where they are carried in a circle, any of them does."""
    seen = set()
    while name in same and name not in seen:
        seen.add(name)
        name = same[name]
    return min(seen) if name in seen else name


def stored(network: Network, given: dict[str, Any], scales: Scales) -> dict[str, Any]:
    """Return inputs and states in int8; indices of embeddings stay as they are."""
    indices = {layer.inputs[0] for layer in network.layers if layer.function == EMBEDDING}

    def one(name: str, value: Array) -> Array:
        y = np.empty(value.shape, U8)
        int8.quantise(np.ascontiguousarray(value).reshape(-1), 1 / scales[name], y.reshape(-1))
        return y

    return {
        name: [one(name, each) for each in value] if isinstance(value, list) else one(name, value)
        for name, value in given.items()
        if name not in indices
    } | {name: given[name] for name in indices & given.keys()}


def through_fp32(layer: Layer, network: Network, parameters: Prepared, scales: Scales) -> Compute:
    """Return the call of a layer in fp32, between conversions."""
    made = numba_fp32.compute(layer, network, parameters, [])
    wide = [Buffer(shape, F32) for shape in layer.input_shapes]
    buffer, read = Buffer(layer.output_shape, U8), [scales[name] for name in layer.inputs]

    def call(operands: list[Array], step: int) -> Array:
        values = [widened(x, scale, one, step) for x, scale, one in zip(operands, read, wide, strict=True)]
        return narrowed(made(values, step), F32(1) / scales[layer.name], buffer, step)

    return call


def widened(x: Array, scale: np.float32, buffer: Buffer, step: int) -> Array:
    """Return the values of an int8 tensor in fp32."""
    if x.dtype != U8:
        return x
    x = dense(x)
    y = buffer.like(x, step)
    int8.dequantise(flat(x), scale, flat(y))
    return y


def narrowed(x: Array, factor: np.float32, buffer: Buffer, step: int) -> Array:
    """Return a tensor in fp32 times `factor` in int8."""
    x = dense(np.asarray(x, F32))
    y = buffer.like(x, step)
    int8.quantise(flat(x), factor, flat(y))
    return y


def pool(layer: Layer, network: Network, parameters: Prepared, scales: Scales) -> Compute | None:
    """Return a largest element, in int8, or a mean, summed in fp32."""
    if layer.function not in ("max", "average") or len(layer.output_shape) != 4:
        return None
    bounds, buffer = bounds_of(layer), Buffer(layer.output_shape, U8)
    if layer.function == "max":

        def most(operands: list[Array], step: int) -> Array:
            y = buffer.image(step)
            images.max_pool(channels_last(operands[0]), *bounds, y.transpose(LAST))
            return y

        return most
    wide, mean = Buffer(layer.input_shapes[0], F32), Buffer(layer.output_shape, F32)
    factor = scales[layer.inputs[0]] / scales[layer.name]

    def average(operands: list[Array], step: int) -> Array:
        x, y = widened(operands[0], F32(1), wide, step), mean.image(step)
        images.average_pool(channels_last(x), *bounds, y.transpose(LAST))
        return narrowed(y, factor, buffer, step)

    return average


def activation(layer: Layer, network: Network, parameters: Prepared, scales: Scales) -> Compute | None:
    """Return a function of each element as a table of its 256 values."""
    if layer.function not in ACTIVATIONS:
        return None
    values = (np.arange(256, dtype=F32) - F32(ZERO)) * scales[layer.inputs[0]]
    table, buffer = np.empty(256, U8), Buffer(layer.output_shape, U8)
    with np.errstate(all="ignore"):
        int8.quantise(np.asarray(ACTIVATIONS[layer.function](values), F32), F32(1) / scales[layer.name], table)

    def call(operands: list[Array], step: int) -> Array:
        x = dense(operands[0])
        y = buffer.like(x, step)
        int8.look_up(flat(x), table, flat(y))
        return y

    return call


def elementwise(layer: Layer, network: Network, parameters: Prepared, scales: Scales) -> Compute | None:
    """Return the sum or product of two operands of one shape."""
    added = layer.function in ("add", "sum")
    if layer.weights or len(layer.inputs) != 2 or set(layer.input_shapes) != {layer.output_shape}:
        return None
    if not added and layer.function != "multiply":
        return None
    buffer, (a, b), unit = Buffer(layer.output_shape, U8), (scales[name] for name in layer.inputs), scales[layer.name]

    def call(operands: list[Array], step: int) -> Array:
        x = dense(operands[0])
        y, other = buffer.like(x, step), flat(in_order_of(x, operands[1]))
        if added:
            int8.add_int8(flat(x), a / unit, other, b / unit, flat(y))
        else:
            int8.multiply_int8(flat(x), other, a * b / unit, flat(y))
        return y

    return call


def normalisation(layer: Layer, network: Network, parameters: Prepared, scales: Scales) -> Compute | None:
    """Return batch normalisation of images and matrices; others compute in fp32."""
    if layer.function != "batch" or len(layer.output_shape) not in (2, 4):
        return None
    factor, shift = parameters.folded(layer)
    factor, shift = factor * scales[layer.inputs[0]] / scales[layer.name], shift / scales[layer.name]
    buffer = Buffer(layer.output_shape, U8)

    def call(operands: list[Array], step: int) -> Array:
        y = buffer.image(step)
        int8.scale_shift_int8(by_channel(operands[0]), factor, shift, by_channel(y))
        return y

    return call


def joined(layer: Layer, network: Network, parameters: Prepared, scales: Scales) -> Compute:
    """Return operands joined, each brought to the result's scale by a table."""
    buffer, steps = Buffer(layer.output_shape, U8), (np.arange(256, dtype=F32) - F32(ZERO))
    tables = [np.empty(256, U8) for _ in layer.inputs]
    for name, table in zip(layer.inputs, tables, strict=True):
        int8.quantise(steps, scales[name] / scales[layer.name], table)

    def call(operands: list[Array], step: int) -> Array:
        y = buffer.image(step)
        join(layer, [table[x] for table, x in zip(tables, operands, strict=True)], y)
        return y

    return call


def layout(layer: Layer, network: Network, parameters: Prepared, scales: Scales) -> Compute | None:
    """Return a change of layout."""
    return None if layer.function == EMBEDDING else numba_fp32.layout(layer, network, parameters)


MAKERS: dict[Kind, Callable[[Layer, Network, Prepared, Scales], Compute | None]] = {
    Kind.CONV: conv,
    Kind.MATMUL: matmul,
    Kind.POOL: pool,
    Kind.ACTIVATION: activation,
    Kind.ELEMENTWISE: elementwise,
    Kind.NORMALISATION: normalisation,
    Kind.CONCATENATION: joined,
    Kind.RESHAPE: layout,
}
