"""A network in its number formats: every layer on operands of its format, summed and stored as the format says.

A tensor has the format of the layer that computes it, and one scale; a layer that reads it in another format converts
it. Changes of layout and maxima pass on numbers and scale. What runs on single elements before results leave the chip,
conversions among it, reads the sums themselves. Integer products are summed exactly, bias included, and wrap at the
accumulator's width; those of fixed point are rounded to the sum's scale one by one; floating point is summed in
float32. All but products is computed in float32 on what was stored, constants and learned scales and shifts in float32.
In binary and ternary, what no later product reads stays as it was summed: of two or three levels no largest can be
told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import log2
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.formats import NumberFormat
from hwsim.functional import calibration, fixed_point
from hwsim.functional.calibration import Choices
from hwsim.functional.forward import computed
from hwsim.functional.operators import Multiply, conv, matmul
from hwsim.functional.parameters import Parameters
from hwsim.ir.layer import Kind, Layer
from hwsim.ir.network import Network
from hwsim.quantise import Quantisation, quantise, requantised, saturation

Array = NDArray[Any]

HEADROOM_BITS = 1
"""Of sums that wrap at the width of their operands, above the largest that was seen."""


class Written(NamedTuple):
    """Numbers that a layer brought to its format, and how many were beyond it."""

    numbers: int = 0
    beyond: float = 0.0


@dataclass(frozen=True)
class Numbers(Parameters):
    """Weights as numbers of formats, by layer; no biases, which are added to sums."""

    weights: Mapping[str, Array]

    def weight(self, layer: Layer, shapes: Sequence[tuple[int, ...]]) -> Any:
        """Return the weights of a product, as they were made by `Machine`."""
        return self.weights[layer.name]

    def bias(self, layer: Layer) -> None:
        """Return none."""
        return


@dataclass(frozen=True)
class Real(Parameters):
    """Weights as they are, kept in `seen` by layer in the shape that its operator wants them in."""

    seen: dict[str, Array]

    def weight(self, layer: Layer, shapes: Sequence[tuple[int, ...]]) -> Any:
        """Return the weights of a product."""
        self.seen[layer.name] = super().weight(layer, shapes)
        return self.seen[layer.name]


class Machine:
    """Computes the layers of a network in their formats; its `compute` is what `forward` asks for.

    `formats` gives that of a layer, `unstored` are results that only what runs before they leave the chip reads,
    `samples` values of every tensor in fp32. `weights` are the real ones by layer, in the shape that operators want.
    `written` counts, by layer, what was brought to its format, and sums where some wrapped.
    """

    def __init__(
        self,
        network: Network,
        formats: Callable[[str], NumberFormat],
        unstored: Collection[str],
        samples: Mapping[str, Array],
        weights: Mapping[str, Array],
        choices: Choices,
    ) -> None:
        self.samples, self.choices = samples, choices
        self.homes = homes(network)
        self.stored = stored_formats(network, formats)
        self.summed = {*unstored} | {name for name in _after_products(network) if self._has_levels(name)}
        self.written: dict[str, Written] = {}
        self._scales: dict[tuple[str, str], Quantisation] = {}
        self._weights: dict[str, tuple[Array, Quantisation]] = {}
        self._real = weights

    def compute(self, layer: Layer, operands: Sequence[Array], network: Network, parameters: Parameters) -> Any:
        """Return the real numbers that a layer's results stand for."""
        if layer.kind in (Kind.RESHAPE, Kind.UNSUPPORTED):
            return computed(layer, operands, network, parameters)
        fmt = self.stored[layer.name]
        if layer.is_mac:
            y = np.asarray(self._product(layer, operands, parameters, fmt), np.float32)
        else:
            pairs = zip(layer.inputs, operands, strict=True)
            y = computed(layer, [self._read(layer, name, x, fmt) for name, x in pairs], network, parameters)
        return y if layer.name in self.summed else self._requantised(layer, y, self.scale(layer.name, fmt))

    def scale(self, name: str, fmt: NumberFormat) -> Quantisation:
        """Return what numbers of `fmt` stand for in tensor `name`."""
        key = self.homes[name], fmt.name
        if key not in self._scales:
            self._scales[key] = calibration.activations(self.samples[key[0]], fmt, self.choices.scales)
        return self._scales[key]

    def _has_levels(self, name: str) -> bool:
        fmt = self.stored.get(name)
        return fmt is not None and bool(fmt.levels)

    def _is_stored(self, name: str, fmt: NumberFormat) -> bool:
        """Whether a tensor is in `fmt` already, or as it was summed in it."""
        found = self.stored.get(self.homes[name])
        return found is not None and found.name == fmt.name

    def _read(self, layer: Layer, name: str, x: Array, fmt: NumberFormat) -> Array:
        """Return an operand as real numbers of `fmt`."""
        return x if self._is_stored(name, fmt) else self._requantised(layer, x, self.scale(name, fmt))

    def _requantised(self, layer: Layer, values: Array, how: Quantisation) -> Array:
        self._count(layer, values.size, saturation(values, how) * values.size)
        return requantised(values, how)

    def _count(self, layer: Layer, numbers: int, beyond: float) -> None:
        before = self.written.get(layer.name, Written())
        self.written[layer.name] = Written(before.numbers + numbers, before.beyond + beyond)

    def _product(self, layer: Layer, operands: Sequence[Array], parameters: Parameters, fmt: NumberFormat) -> Any:
        """Return the sums of a product, bias added, as real numbers."""
        hows = [self.scale(name, fmt) for name in layer.inputs]
        pairs = list(zip(layer.inputs, operands, hows, strict=True))
        numbers = [_numbers(self._read(layer, name, x, fmt), how) for name, x, how in pairs]
        scale = np.asarray(np.prod([how.scale for how in hows], axis=0, dtype=np.float64))
        held = Numbers(parameters.tensors, parameters.seed, {})
        if len(operands) == 1:
            made, how = self._weight_numbers(layer, fmt)
            held, scale = Numbers(held.tensors, held.seed, {layer.name: made}), _aligned(scale * how.scale, layer)
        bias = parameters.bias(layer) if len(operands) == 1 else None
        real = None if bias is None else _aligned(bias, layer)
        if fmt.kind == "fp":
            y = _operator(layer)(layer, numbers, held)
            y = y if np.all(scale == 1) else y * scale.astype(np.float32)
            return y if real is None else y + real
        multiply, scale = self._arithmetic(layer, fmt, scale)
        sums = _operator(layer)(layer, numbers, held, multiply)
        return self._wrapped(layer, sums if real is None else sums + np.rint(real / scale), fmt) * scale

    def _arithmetic(self, layer: Layer, fmt: NumberFormat, scale: Array) -> tuple[Multiply, Array]:
        """Return what multiplies whole numbers whose products are in units of `scale`, and the unit of the sums."""
        if not calibration.is_fixed_point(fmt):
            return np.matmul, scale  # float64 holds every sum of up to 2^22 products of 16 bits
        largest = float(np.abs(self.samples[layer.name]).max())
        unit = max(float(scale), float(calibration.fixed_point(fmt, largest, HEADROOM_BITS).scale))
        shift = min(62, round(log2(unit / float(scale))))
        return lambda a, b: fixed_point.multiply(a, b, shift), np.asarray(unit)

    def _wrapped(self, layer: Layer, sums: Array, fmt: NumberFormat) -> Array:
        """Return whole sums modulo the width of the accumulator, as real numbers in units of their scale."""
        limits = np.iinfo(fmt.accumulator)
        beyond = (sums > limits.max) | (sums < limits.min)
        if beyond.any():
            self._count(layer, sums.size, int(np.count_nonzero(beyond)))
        return sums.astype(np.int64).astype(fmt.accumulator).astype(np.float64)

    def _weight_numbers(self, layer: Layer, fmt: NumberFormat) -> tuple[Array, Quantisation]:
        """Return a product's weights as numbers that can be multiplied, and what they stand for."""
        if layer.name not in self._weights:
            real = self._real[layer.name]
            axis = 0 if layer.kind is Kind.CONV else real.ndim - 2
            made, how = calibration.weights(real, fmt, axis, self.choices.weight_scales)
            self._weights[layer.name] = made.astype(np.float32 if fmt.kind == "fp" else np.float64), how
        return self._weights[layer.name]


def homes(network: Network) -> dict[str, str]:
    """Return for each tensor the one whose numbers it has: what a state is carried from, or numbers are chosen of."""
    found = {tensor.name: tensor.name for tensor in network.inputs}
    for layer in network.layers:
        chooses = layer.kind is Kind.POOL and layer.function in ("max", "min")
        passes_on = chooses or (layer.kind is Kind.RESHAPE and layer.function != "embedding")
        found[layer.name] = found[layer.inputs[0]] if passes_on else layer.name
    states = network.states
    for name in found:
        while found[name] in states and found[name] != (carried := found[states[found[name]]]):
            found[name] = carried
    return found


def stored_formats(network: Network, formats: Callable[[str], NumberFormat]) -> dict[str, NumberFormat]:
    """Return the format of every layer's results; inputs, tables and what is laid out of them have none.

    Tensors that are joined keep their format where they have one in common.
    """
    found: dict[str, NumberFormat] = {}
    known = {state: formats(layer) for state, layer in network.states.items()}
    for layer in network.layers:
        given = {fmt.name: fmt for name in layer.inputs if (fmt := found.get(name) or known.get(name)) is not None}
        if layer.kind is Kind.RESHAPE:
            found |= {layer.name: next(iter(given.values()))} if given else {}
        elif layer.kind is Kind.CONCATENATION and len(given) == 1:
            found[layer.name] = next(iter(given.values()))
        else:
            found[layer.name] = formats(layer.name)
    return found


def _after_products(network: Network) -> set[str]:
    """Return the layers whose results no later product depends on."""
    states = network.states
    needed: set[str] = set()
    before = -1
    while len(needed) > before:
        before = len(needed)
        for layer in reversed(network.layers):
            if layer.is_mac or layer.name in needed:
                needed |= {*layer.inputs, *(states[name] for name in layer.inputs if name in states)}
    return {layer.name for layer in network.layers} - needed


def _operator(layer: Layer) -> Callable[..., Any]:
    return conv if layer.kind is Kind.CONV else matmul


def _numbers(values: Array, how: Quantisation) -> Array:
    """Return real numbers of a format as numbers that can be multiplied: whole ones less their zero point."""
    if how.fmt.kind == "fp":
        return quantise(values, how)
    return quantise(values, how).astype(np.float64) - how.zero_point


def _aligned(vector: Array, layer: Layer) -> Array:
    """Return one number per output channel in the shape that lies along the channels of a product's result."""
    return np.reshape(vector, (-1, 1, 1)) if layer.kind is Kind.CONV and np.ndim(vector) else vector
