"""A network on real values: what every layer computes, and the densities of what its products read.

Weights are the tensors that are given; layers without get seeded ones (`parameters`). Functions are those of
`operators`, changes of layout those of `layouts`. Recurrent layers run step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from hwsim.errors import InputError
from hwsim.functional.layouts import rearranged
from hwsim.functional.operators import OPERATORS
from hwsim.functional.parameters import Array, Parameters
from hwsim.ir.layer import Kind, Layer
from hwsim.ir.network import Network

Values = dict[str, Array]
"""Every tensor by name; of what runs in several steps, and of states, the values of all steps, in (steps, ...)."""

Compute = Callable[[Layer, Sequence[Array], Network, Parameters], Array]
"""What a layer makes of its operands, as `computed` does."""

STEP, STACK = ("step", "reversed_step"), ("stack", "reversed_stack")
"""Layouts that take one step of a sequence (N, steps, features), and that put all steps together again."""

LONGEST_RUN = 31
"""Zeros before a value that a 5-bit run length counts (Chen et al., JSSC 52(1), 2017, Sec. V-B)."""


class _Work(NamedTuple):
    """What the layers of a pass share."""

    network: Network
    parameters: Parameters
    compute: Compute


class Zeros(NamedTuple):
    """The zeros among `elements` in their order, and the (run, level) pairs that run-length coding makes of them."""

    elements: int
    zeros: int
    longest_run: int
    pairs: int


def forward(
    network: Network,
    inputs: Mapping[str, Any],
    tensors: Mapping[str, Any] | None = None,
    seed: int = 0,
    compute: Compute | None = None,
) -> Values:
    """Return the values of all inputs, states and layers in float32.

    `inputs` gives every input that is no state, in its shape; states start at zero. `tensors` are by the names that
    layers give, or "<layer>.weight" and ".bias" where they give none; the network's own by default. A weight that is
    not there is drawn from `seed`. `compute` says what a layer makes of its operands, `computed` by default. Raises
    `InputError` for inputs or tensors of another shape, and for a layer of which the network does not say what it
    computes.
    """
    parameters = Parameters(network.tensors if tensors is None else tensors, seed)
    work = _Work(network, parameters, compute or computed)
    values, stepped = _given(network, inputs), set(network.states)
    with np.errstate(all="ignore"):
        for steps, run in groupby(network.layers, key=lambda layer: layer.steps):
            layers = list(run)
            if steps > 1:
                values |= _in_steps(layers, steps, values, stepped, work)
                stepped |= {layer.name for layer in layers}
                continue
            for layer in layers:
                operands = [_outside(layer, values[name], name in stepped) for name in layer.inputs]
                values[layer.name] = _one_step(layer, operands, 0, 1, work)
    return values


def computed(layer: Layer, operands: Sequence[Array], network: Network, parameters: Parameters) -> Array:
    """Return what a layer makes of its operands; raises `InputError` where that cannot be computed."""
    if layer.kind is Kind.UNSUPPORTED:
        raise InputError(
            f"layer '{layer.name}': operator {layer.function} is not simulated, and its values are unknown"
        )
    if layer.kind is Kind.RESHAPE:
        y = rearranged(layer, operands[0], network, parameters)
    else:
        y = OPERATORS[layer.kind](layer, operands, parameters)
    if y.shape != layer.output_shape:
        raise InputError(f"layer '{layer.name}' computes shape {y.shape}, but the network says {layer.output_shape}")
    return np.asarray(y, np.float32)


def densities(network: Network, values: Mapping[str, Array]) -> Network:
    """Return the network with the fraction of non-zeros in what each product and pool reads, measured in `values`.

    The second operand of a product of two activations is its weight. Raises `InputError` where values are not finite.
    """
    layers = [
        replace(
            layer,
            input_density=_density(layer, values[layer.inputs[0]]),
            weight_density=_density(layer, values[layer.inputs[1]]) if len(layer.inputs) > 1 else layer.weight_density,
        )
        if layer.is_mac or layer.kind is Kind.POOL
        else layer
        for layer in network.layers
    ]
    return replace(network, layers=tuple(layers))


def zeros(values: Array, longest_run: int = LONGEST_RUN) -> Zeros:
    """Return how many zeros there are, row by row, and how they run.

    A pair is a level and up to `longest_run` zeros before it; a longer run takes pairs whose level is a zero of it.
    """
    flat = np.asarray(values).reshape(-1)
    ends = np.concatenate([[-1], np.flatnonzero(flat), [flat.size]])
    runs = np.diff(ends) - 1
    inner, last = runs[:-1] // (longest_run + 1) + 1, -(-int(runs[-1]) // (longest_run + 1))
    return Zeros(flat.size, int(runs.sum()), int(runs.max()), int(inner.sum()) + last)


def _density(layer: Layer, values: Array) -> float:
    if not np.isfinite(values).all():
        raise InputError(f"layer '{layer.name}' reads values that are not finite; its density says nothing")
    return float(np.count_nonzero(values)) / values.size


def _given(network: Network, inputs: Mapping[str, Any]) -> Values:
    """Return the inputs in float32; raises `InputError` for one that is missing, unknown or of another shape."""
    needed = {tensor.name: tensor.shape for tensor in network.inputs if tensor.name not in network.states}
    states = {tensor.name: np.zeros((1, *tensor.shape), np.float32) for tensor in network.inputs}
    for name in inputs:
        if name not in needed:
            raise InputError(f"network '{network.name}' has no input '{name}'; it has {', '.join(needed) or 'none'}")
    for name, shape in needed.items():
        if name not in inputs:
            raise InputError(f"network '{network.name}' needs a value of shape {shape} for its input '{name}'")
        if np.shape(inputs[name]) != shape:
            raise InputError(f"input '{name}' has shape {np.shape(inputs[name])}, but the network needs {shape}")
    return {**states, **{name: np.asarray(inputs[name], np.float32) for name in needed}}


def _outside(layer: Layer, value: Array, stepped: bool) -> Array:
    """Return an operand as a layer reads it after its steps: all of them for a stack, otherwise the last."""
    if not stepped:
        return value
    if layer.kind is Kind.RESHAPE and layer.function in STACK:
        return np.stack(list(value if layer.function == STACK[0] else value[::-1]), axis=1)
    return np.asarray(value[-1])


def _in_steps(
    layers: Sequence[Layer],
    steps: int,
    values: Values,
    stepped: set[str],
    work: _Work,
) -> Values:
    """Return the values of layers that run step after step, and of the states between them, in (steps, ...)."""
    states = _states(layers, work.network)
    now = {name: values[name][-1] if name in stepped else values[name] for name in _read(layers)}
    history: dict[str, list[Array]] = {name: [] for name in (*states, *(layer.name for layer in layers))}
    for step in range(steps):
        for name in states:
            history[name].append(now[name])
        for layer in layers:
            operands = [now[name] for name in layer.inputs]
            now[layer.name] = _one_step(layer, operands, step, steps, work)
            history[layer.name].append(now[layer.name])
        now |= {name: now[source] for name, source in states.items()}
    return {name: np.stack(found) for name, found in history.items()}


def _one_step(layer: Layer, operands: Sequence[Array], step: int, steps: int, work: _Work) -> Array:
    if layer.kind is Kind.RESHAPE and layer.function in STEP:
        return np.asarray(operands[0][:, step if layer.function == STEP[0] else steps - 1 - step])
    return work.compute(layer, operands, work.network, work.parameters)


def _states(layers: Sequence[Layer], network: Network) -> dict[str, str]:
    """Return the states that these layers read, with the layer each is carried from."""
    read = _read(layers)
    return {name: source for name, source in network.states.items() if name in read}


def _read(layers: Sequence[Layer]) -> set[str]:
    """Return the names that layers read and do not compute."""
    return {name for layer in layers for name in layer.inputs} - {layer.name for layer in layers}
