"""A network as a serialised ONNX model in int8: operators on uint8 activations and int8 weights, a scale per tensor.

Batch normalisation behind a convolution is folded into its weights, ReLU and ReLU6 into the rounding of what they
read; operators without an integer form run on dequantised values. Scales are those of one pass in fp32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from hwsim.functional.operators import joined_axis
from hwsim.functional.parameters import Array, Parameters
from hwsim.ir.layer import Kind, Layer
from hwsim.ir.network import Network

from . import onnx_layouts as layouts
from . import onnx_operators as plain
from .onnx_export import Export, Written, given, last_in_order, write
from .onnx_graph import CONTRIBUTED
from .onnx_place import Place, refused

LEVELS, LARGEST = 255, 127
"""Steps of a uint8 from its least value to its largest, and the largest int8."""

RECTIFIERS = frozenset({"relu", "relu6"})

KEEP_SCALE = frozenset({Kind.RESHAPE})

Range = tuple[float, float]


class Scale(NamedTuple):
    """What a step of a tensor's uint8 is worth, and the uint8 that stands for 0."""

    scale: float
    zero: int

    def quantised(self, values: Any) -> Any:
        """Return values as uint8."""
        return np.clip(np.rint(np.asarray(values) / self.scale) + self.zero, 0, LEVELS).astype(np.uint8)

    def dequantised(self, values: Any) -> Array:
        """Return uint8 as values."""
        return ((np.asarray(values, np.float32) - self.zero) * np.float32(self.scale)).astype(np.float32)


def scale_of(values: Range) -> Scale:
    """Return the scale of values in a range: from 0 where none is below it, else as far to both sides."""
    low, high = values
    if low >= 0:
        return Scale(max(high, 1e-6) / LEVELS, 0)
    return Scale(max(-low, high) / LARGEST, LARGEST + 1)


def export_int8(
    network: Network, parameters: Parameters, ranges: Mapping[str, Range]
) -> tuple[Export, Mapping[str, Scale], Mapping[str, str]]:
    """Return the network in int8, the scales of its tensors, and the layers folded into others, with those."""
    folded = fold(network)
    scales = _scales(network, ranges, folded)
    quantiser = _Quantiser(network, folded, scales)
    written: Written = write(network, parameters, quantiser.emit, np.uint8, lambda state: np.uint8(scales[state].zero))
    unread = {layer.name for layer in network.layers if layer.name not in network.consumers}
    outputs: dict[str, str] = {}
    for name in last_in_order(network, unread):
        found = written.names[name]
        outputs[name] = found if isinstance(found, str) else found[-1]
    return Export(written.graph.model(list(outputs.values()), np.uint8), given(network), outputs), scales, folded


def fold(network: Network) -> dict[str, str]:
    """Return, for each layer that is done as another's results are rounded, that other layer."""
    carried = set(network.states.values())
    kinds = {layer.name: layer for layer in network.layers}
    folded: dict[str, str] = {}
    done: set[str] = set()
    for layer in network.layers:
        source = layer.inputs[0] if len(layer.inputs) == 1 else ""
        if source not in kinds or network.consumers[source] != 1 or source in carried or source in done:
            continue
        base = kinds[folded.get(source, source)]
        if base.steps != layer.steps:
            continue
        if layer.kind is Kind.ACTIVATION and layer.function in RECTIFIERS and _rounds(base):
            folded[layer.name] = base.name
            done.add(layer.name)
        elif (layer.kind, layer.function) == (Kind.NORMALISATION, "batch") and base.kind is Kind.CONV:
            folded[layer.name] = base.name
    return folded


def _rounds(layer: Layer) -> bool:
    return layer.is_mac or (layer.kind is Kind.ELEMENTWISE and layer.function == "add" and len(layer.inputs) == 2)


def _scales(network: Network, ranges: Mapping[str, Range], folded: Mapping[str, str]) -> dict[str, Scale]:
    """Return the scale of every tensor: a folded layer and what it is folded into have that of the last of them."""
    scales = {name: scale_of(found) for name, found in ranges.items()}
    for layer in network.layers:
        if layer.kind is Kind.SOFTMAX and not layer.function:
            scales[layer.name] = Scale(1 / (LEVELS + 1), 0)
        if layer.kind is Kind.POOL and layer.function == "max":
            scales[layer.name] = scales[layer.inputs[0]]
        if layer.kind in KEEP_SCALE:
            scales[layer.name] = scales[layer.inputs[0]]
        if layer.name in folded:
            scales[folded[layer.name]] = scales[layer.name]
    return scales


class _Quantiser:
    """Adds layers as integer operators."""

    def __init__(self, network: Network, folded: Mapping[str, str], scales: Mapping[str, Scale]) -> None:
        self.folded, self.scales = folded, scales
        self.batch = {
            base: layer
            for layer in network.layers
            if (base := folded.get(layer.name)) and layer.kind is Kind.NORMALISATION
        }

    def emit(self, place: Place) -> str:
        """Add a layer, or nothing where it is folded into the one it reads."""
        layer = place.layer
        if layer.name in self.folded:
            return place.inputs[0]
        special = {
            Kind.CONV: self._conv,
            Kind.MATMUL: self._matmul,
            Kind.POOL: self._pool,
            Kind.ELEMENTWISE: self._elementwise,
            Kind.CONCATENATION: self._concatenation,
            Kind.RESHAPE: self._reshape,
            Kind.SOFTMAX: self._softmax,
            Kind.ACTIVATION: self._activation,
        }.get(layer.kind)
        if special is None or not special(place):
            self._island(place)
        return place.output

    def _pair(self, place: Place, tensor: str) -> list[str]:
        """Return the constants that hold the scale and the zero of a tensor of the network."""
        scale, zero = self.scales[tensor]
        return self._constants(place, f"scale.{scale!r}", scale, f"zero.{zero}", np.uint8(zero))

    def _constants(self, place: Place, first: str, scale: float, second: str, zero: Any) -> list[str]:
        return [place.graph.constant(first, np.float32(scale)), place.graph.constant(second, zero)]

    def _read(self, place: Place) -> list[list[str]]:
        """Return each operand with its scale and zero."""
        pairs = zip(place.inputs, place.layer.inputs, strict=True)
        return [[name, *self._pair(place, tensor)] for name, tensor in pairs]

    def _weights(self, place: Place, weights: Array, bias: Array | None) -> tuple[list[str], list[str]]:
        """Return the constants of int8 weights with their scale and zero, and of the bias in int32, if there is one."""
        scale = max(float(np.abs(weights).max()), 1e-6) / LARGEST
        values = np.rint(weights / np.float32(scale)).astype(np.int8)
        stored = [
            place.constant("weight", values),
            *self._constants(place, f"scale.{scale!r}", scale, "zero.s", np.int8(0)),
        ]
        if bias is None:
            return stored, []
        summed = np.rint(bias / (self.scales[place.layer.inputs[0]].scale * scale)).astype(np.int32)
        return stored, [place.constant("bias", summed)]

    def _conv(self, place: Place) -> bool:
        layer = place.layer
        weights, bias = place.parameters.filters(layer), plain.bias_of(layer, place.parameters)
        if layer.name in self.batch:
            weights, bias = _with_batch(weights, bias, self.batch[layer.name], place.parameters)
        stored, summed = self._weights(place, weights, bias)
        (x,), y = self._read(place), self._pair(place, layer.name)
        place.node("QLinearConv", [*x, *stored, *y, *summed], **plain.conv_attributes(layer))
        return True

    def _matmul(self, place: Place) -> bool:
        layer, y = place.layer, self._pair(place, place.layer.name)
        if len(place.inputs) == 2:
            a, b = self._read(place)
            place.node("QLinearMatMul", [*a, *b, *y])
            return True
        weights, bias = place.parameters.matrix(layer), plain.bias_of(layer, place.parameters)
        if layer.G > 1:
            if bias is not None:
                raise refused(layer)
            stored, _ = self._weights(place, weights.swapaxes(-1, -2), None)
            place.node("QLinearMatMul", [*self._read(place)[0], *stored, *y])
            return True
        stored, summed = self._weights(place, weights, bias)
        (x,) = self._read(place)
        rows = len(layer.input_shapes[0]) != 2
        if rows:
            flat = place.constant("rows", np.asarray([layer.N, layer.C], np.int64))
            x[0] = place.node("Reshape", [x[0], flat], place.part("rows_in"))
        operands = [*x, *stored, *(summed or [""]), *y]
        output = place.part("product") if rows else ""
        place.node("QGemm", operands, output, domain=CONTRIBUTED, transB=1)
        if rows:
            shape = place.constant("shape", np.asarray(layer.output_shape, np.int64))
            place.node("Reshape", [place.part("product"), shape])
        return True

    def _pool(self, place: Place) -> bool:
        layer = place.layer
        if layer.function == "max":
            place.node("MaxPool", **plain.pool_attributes(layer))
            return True
        if layer.function != "average":
            return False
        operands = [*self._read(place)[0], *self._pair(place, layer.name)]
        if plain.is_global(layer):
            place.node("QLinearGlobalAveragePool", operands, domain=CONTRIBUTED)
            return True
        attributes = plain.pool_attributes(layer)
        if attributes.pop("dilations") != [1, 1]:
            return False
        place.node("QLinearAveragePool", operands, domain=CONTRIBUTED, **attributes)
        return True

    def _elementwise(self, place: Place) -> bool:
        layer = place.layer
        operator = {"add": "QLinearAdd", "multiply": "QLinearMul"}.get(layer.function)
        if operator is None or len(place.inputs) != 2 or layer.weights:
            return False
        a, b = self._read(place)
        place.node(operator, [*a, *b, *self._pair(place, layer.name)], domain=CONTRIBUTED)
        return True

    def _concatenation(self, place: Place) -> bool:
        layer = place.layer
        operands = [name for operand in self._read(place) for name in operand]
        given = [*self._pair(place, layer.name), *operands]
        place.node("QLinearConcat", given, domain=CONTRIBUTED, axis=joined_axis(layer))
        return True

    def _reshape(self, place: Place) -> bool:
        if place.layer.function == "embedding":
            raise refused(place.layer)
        layouts.reshape(place)
        return True

    def _softmax(self, place: Place) -> bool:
        layer = place.layer
        if layer.function:
            return False
        operands = [*self._read(place)[0], *self._pair(place, layer.name)]
        place.node("QLinearSoftmax", operands, domain=CONTRIBUTED, axis=-1, opset=13)
        return True

    def _activation(self, place: Place) -> bool:
        if place.layer.function != "sigmoid":
            return False
        operands = [*self._read(place)[0], *self._pair(place, place.layer.name)]
        place.node("QLinearSigmoid", operands, domain=CONTRIBUTED)
        return True

    def _island(self, place: Place) -> None:
        """Add a layer as it is in fp32, between a dequantisation of what it reads and a rounding of what it gives."""
        reads = [
            place.node("DequantizeLinear", operand, place.part(f"in{index}"))
            for index, operand in enumerate(self._read(place))
        ]
        plain.add_layer(place._replace(inputs=reads, output=place.part("real")))
        place.node("QuantizeLinear", [place.part("real"), *self._pair(place, place.layer.name)])


def _with_batch(weights: Array, bias: Array | None, layer: Layer, parameters: Parameters) -> tuple[Array, Array]:
    """Return weights and bias with a batch normalisation's factors in them."""
    factor, shift = parameters.folded(layer)
    return weights * factor.reshape(-1, 1, 1, 1), shift if bias is None else bias * factor + shift
