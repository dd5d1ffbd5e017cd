"""A network: layers in execution order, each naming what it reads, so that they form a directed acyclic graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING

from hwsim.errors import InputError
from hwsim.ir.layer import LAYOUT_KINDS, Kind, Layer, Shape
from hwsim.ir.lifetimes import peak_elements

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Tensor:
    """A tensor the network is given: an input, or the state of a recurrent layer.

    A state's value in step t is the value of layer `carried_from` in step t - 1; it starts at zero.
    """

    name: str
    shape: Shape
    carried_from: str | None = None


@dataclass(frozen=True)
class Network:
    """Layers in execution order over given tensors; every edge goes from an earlier tensor to a later layer.

    `source` says where the architecture is published, `notes` what a reader of the results must know, `format` the
    number format it is published in, if any, `spec` how it was asked for, where that was not by its name, `tensors`
    weights by name where an importer kept them; the last two take no part in comparisons. Raises `InputError` where a
    layer reads a tensor that does not exist or has another shape.
    """

    name: str
    inputs: tuple[Tensor, ...]
    layers: tuple[Layer, ...]
    source: str = ""
    notes: tuple[str, ...] = ()
    format: str = ""
    spec: str = field(default="", compare=False)
    tensors: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        shapes = {tensor.name: tensor.shape for tensor in self.inputs}
        for layer in self.layers:
            check_layer(layer, shapes)
            shapes[layer.name] = layer.output_shape
        for tensor in self.inputs:
            if tensor.carried_from is not None and shapes.get(tensor.carried_from) != tensor.shape:
                raise InputError(
                    f"state '{tensor.name}' {tensor.shape} is carried from '{tensor.carried_from}', "
                    f"which has shape {shapes.get(tensor.carried_from)}"
                )

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of all layers."""
        return sum(layer.macs for layer in self.layers)

    @cached_property
    def parameters(self) -> int:
        """Learned parameters of all layers, biases included."""
        return sum(layer.parameters for layer in self.layers)

    @cached_property
    def activation_elements(self) -> int:
        """Elements of all tensors that are computed or given, those of layout changes excluded (they share storage)."""
        layout = (Kind.RESHAPE, Kind.CONCATENATION)
        given = sum(prod(tensor.shape) for tensor in self.inputs)
        return given + sum(layer.steps * layer.output_elements for layer in self.layers if layer.kind not in layout)

    def activation_bytes(self, bits: int) -> int:
        """Return bytes of all activations at `bits` per element."""
        return -(-self.activation_elements * bits // 8)

    @cached_property
    def peak_activation_elements(self) -> int:
        """Largest sum of the elements of tensors that are needed at once, layer by layer; see `hwsim.ir.lifetimes`.

        What later layers still read counts (branches, residuals), and so do states throughout; parameters do not.
        """
        return peak_elements(self)

    def arithmetic_intensity(self, bits: int, weight_bits: int = 0) -> float:
        """Return multiply-accumulates per byte moved, at `bits` per activation and, where not 0, `weight_bits`.

        Every layer moves each of its operands once: weights for all steps together, inputs and results in each step;
        changes of layout and operators that are not simulated move nothing. Nothing is fused.
        """
        still = LAYOUT_KINDS | {Kind.UNSUPPORTED}
        moving = [layer for layer in self.layers if layer.kind not in still]
        weights = sum(layer.weight_elements for layer in moving if len(layer.inputs) == 1)
        moved = sum(layer.steps * (sum(map(prod, layer.input_shapes)) + layer.output_elements) for layer in moving)
        return 8 * self.macs / max(1, weights * (weight_bits or bits) + moved * bits)

    @cached_property
    def batch(self) -> int:
        """Images or sequences in one run: the first dimension of the first input."""
        return self.inputs[0].shape[0] if self.inputs and self.inputs[0].shape else 1

    @cached_property
    def states(self) -> dict[str, str]:
        """The inputs that are states, with the layer that each is carried from."""
        return {tensor.name: tensor.carried_from for tensor in self.inputs if tensor.carried_from is not None}

    @cached_property
    def consumers(self) -> dict[str, int]:
        """How many layers read each tensor."""
        return dict(Counter(name for layer in self.layers for name in layer.inputs))

    @cached_property
    def unsupported(self) -> dict[str, int]:
        """Operators that are not simulated, by name, with how often each occurs."""
        return dict(Counter(layer.function for layer in self.layers if layer.kind is Kind.UNSUPPORTED))

    def with_density(self, weight: float | None = None, activation: float | None = None) -> Network:
        """Return the network with the given fractions of non-zero weights and inputs in every matrix product.

        None keeps those of the layers. Raises `InputError` for a fraction that is not above 0 and at most 1.
        """
        for name, value in (("weight_density", weight), ("input_density", activation)):
            if value is not None and not 0 < value <= 1:
                raise InputError(f"network '{self.name}': {name}={value:g} is not above 0 and at most 1")
        if weight is None and activation is None:
            return self
        layers = tuple(
            replace(
                layer,
                weight_density=layer.weight_density if weight is None else weight,
                input_density=layer.input_density if activation is None else activation,
            )
            if layer.is_mac
            else layer
            for layer in self.layers
        )
        found = copy(self)  # names and shapes were checked, and what is cached follows from them alone
        object.__setattr__(found, "layers", layers)
        return found


def check_layer(layer: Layer, shapes: Mapping[str, Shape]) -> None:
    """Raise `InputError` unless `layer` has a new name and reads tensors of `shapes` with the shapes it says."""
    if layer.name in shapes:
        raise InputError(f"two layers or inputs are named '{layer.name}'")
    if len(layer.inputs) != len(layer.input_shapes):
        raise InputError(f"layer '{layer.name}' names {len(layer.inputs)} inputs and {len(layer.input_shapes)} shapes")
    for name, shape in zip(layer.inputs, layer.input_shapes, strict=True):
        if name not in shapes:
            raise InputError(f"layer '{layer.name}' reads '{name}', which no earlier layer computes")
        if shapes[name] != shape:
            raise InputError(f"layer '{layer.name}' reads '{name}' as {shape}, but it has shape {shapes[name]}")
    if (
        min((*layer.output_shape, layer.N, layer.G, layer.K, layer.C, layer.P, layer.Q, layer.R, layer.S, layer.steps))
        < 1
    ):
        raise InputError(f"layer '{layer.name}' has a size below 1 in {layer.output_shape}")
