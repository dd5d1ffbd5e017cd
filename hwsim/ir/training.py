"""Training: a network with the layers of a backward pass and of the update of its parameters behind its own.

What is computed with d(x), the gradient of the loss by a tensor x; a layer's own name prefixes those of its gradients:

| of a layer     | `.input_gradient`                                  | `.weight_gradient`, then `.update`          |
|----------------|----------------------------------------------------|---------------------------------------------|
| convolution    | convolution of d(y), zeros between its elements if | convolution of x by d(y), images as input   |
|                | the stride is above 1, by the kernels turned round | channels, with the stride as dilation       |
| matrix product | d(y) by the weights transposed                     | d(y) transposed by x                        |
| pooling        | d(y) sent to where its windows were read           |                                             |
| normalisation  | d(y) through the same windows, with x              |                                             |
| function, sum  | d(y) times the derivative                          |                                             |

Backward products have as many multiply-accumulates as the forward one, but for the zeros of strides, which are in the
layer's `input_density`. The loop nests are the usual ones of `Layer`, so that every chip and dataflow runs them; their
functions, "input_gradient" and "weight_gradient", tell who looks for them. The first layer passes nothing back.

Rumelhart, Hinton & Williams, Nature 323 (1986); the convolutions as in Goodfellow, Bengio & Courville, Deep Learning,
2016, Sec. 9.5. The gradient at an output is the output less its target. A step is plain gradient descent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

from hwsim.errors import InputError
from hwsim.ir.layer import Kind, Layer, Shape
from hwsim.ir.network import Network

INPUT_GRADIENT, WEIGHT_GRADIENT, UPDATE = "input_gradient", "weight_gradient", "update"


def training(network: Network, of_inputs: bool = False) -> Network:
    """Return one step of gradient descent on `network`: its own layers, the gradients backward, an update per weight.

    `of_inputs` asks for the gradient by the network's own inputs too, as layers inside another network need it.
    Raises `InputError` for layers whose gradients are not known: recurrent ones and products of two activations.
    """
    backward = _Backward(network, of_inputs)
    for layer in network.layers:
        if not network.consumers.get(layer.name):
            backward.begin(layer)
    for layer in reversed(network.layers):
        backward.through(layer)
    layers = (*network.layers, *backward.layers)
    return replace(network, name=f"{network.name}_training", layers=layers, format="", spec="")


class _Backward:
    """The layers so far, in order, and which of them make up the gradient by each tensor."""

    def __init__(self, network: Network, of_inputs: bool) -> None:
        self.layers: list[Layer] = []
        self.parts: dict[str, list[str]] = {}
        self.shapes: dict[str, Shape] = {
            **{tensor.name: tensor.shape for tensor in network.inputs},
            **{layer.name: layer.output_shape for layer in network.layers},
        }
        self.wanted = {tensor.name for tensor in network.inputs} if of_inputs else set[str]()
        for layer in network.layers:
            if layer.parameters or self.wanted & set(layer.inputs):
                self.wanted.add(layer.name)

    def begin(self, layer: Layer) -> None:
        """Add the gradient of the loss by an output of the network."""
        self._element(f"{layer.name}.loss_gradient", (layer.name,), layer.output_shape, "loss_gradient")
        self.parts[layer.name] = [f"{layer.name}.loss_gradient"]

    def through(self, layer: Layer) -> None:
        """Add the gradients by what a layer reads, and the update of what it learns."""
        if layer.name not in self.wanted:
            return
        if layer.steps > 1 or layer.kind not in GRADIENTS or (layer.is_mac and len(layer.inputs) > 1):
            raise InputError(
                f"layer '{layer.name}' cannot be trained: the gradient of {layer.function or layer.kind}"
                f"{' over steps' if layer.steps > 1 else ''}"
                f"{' of two activations' if layer.is_mac and len(layer.inputs) > 1 else ''} is not known"
            )
        gradient = self._sum(layer)
        GRADIENTS[layer.kind](self, layer, gradient)

    def _sum(self, layer: Layer) -> str:
        """Return the gradient by a layer's result, summed over all that read it."""
        parts = self.parts[layer.name]
        if len(parts) == 1:
            return parts[0]
        return self._element(f"{layer.name}.gradient_sum", tuple(parts), layer.output_shape, "add")

    def convolution(self, layer: Layer, gradient: str) -> None:
        """Add what a convolution passes back and learns; see the table of the module."""
        N, G, K, C = layer.N, layer.G, layer.K, layer.C
        height, width = layer.input_shapes[0][2:]
        if layer.inputs[0] in self.wanted:
            spread = self._spread(layer, gradient)
            reach = [d * (taps - 1) for d, taps in zip(layer.dilation, (layer.R, layer.S), strict=True)]
            top, left = reach[0] - layer.padding[0], reach[1] - layer.padding[1]
            rows, cols = self.shapes[spread][2:]
            padding = (top, left, height + reach[0] - rows - top, width + reach[1] - cols - left)
            if min(padding) < 0:
                raise InputError(f"layer '{layer.name}' cannot be trained: it pads by more than its kernel reaches")
            zeros = prod(self.shapes[gradient]) / prod(self.shapes[spread])
            one = replace(layer, K=C, C=K, P=height, Q=width, stride=(1, 1), padding=padding, input_density=zeros)
            self._pass(layer, one, spread)
        x = self._layout(f"{layer.name}.input_by_channel", layer.inputs[0], (C, G * N, height, width))
        dy = self._layout(f"{layer.name}.gradient_by_channel", gradient, (G * K, N, layer.P, layer.Q))
        self._learn(
            layer,
            replace(
                layer,
                N=C,
                C=N,
                P=layer.R,
                Q=layer.S,
                R=layer.P,
                S=layer.Q,
                stride=layer.dilation,
                dilation=layer.stride,
                output_shape=(C, G * K, layer.R, layer.S),
            ),
            x,
            dy,
        )

    def product(self, layer: Layer, gradient: str) -> None:
        """Add what a matrix product by weights passes back and learns."""
        if layer.inputs[0] in self.wanted:
            self._pass(layer, replace(layer, K=layer.C, C=layer.K), gradient)
        across = replace(layer, N=layer.K, C=layer.N, K=layer.C)
        lead = (layer.G,) if layer.G > 1 else ()
        x = self._layout(f"{layer.name}.input_by_row", layer.inputs[0], (*lead, layer.N, layer.C))
        dy = self._layout(f"{layer.name}.gradient_by_column", gradient, (*lead, layer.K, layer.N))
        self._learn(layer, replace(across, output_shape=(*lead, layer.K, layer.C)), dy, x)

    def function(self, layer: Layer, gradient: str) -> None:
        """Add what an operator on elements passes back: its gradient times a derivative, from each of its operands."""
        for index, name in enumerate(layer.inputs):
            if name in self.wanted:
                factors = (gradient,) if layer.function == "add" else (gradient, layer.name)
                self._element(f"{layer.name}.input_gradient{index or ''}", factors, self.shapes[name], "gradient")
                self._part(name)

    def windows(self, layer: Layer, gradient: str) -> None:
        """Add what pooling or a normalisation passes back, over as many elements as it read; a maximum needs them."""
        needed = (gradient,) if layer.function == "average" else (gradient, layer.inputs[0])
        if layer.inputs[0] in self.wanted:
            kind = Kind.NORMALISATION if layer.kind is Kind.NORMALISATION else Kind.ELEMENTWISE
            self._element(f"{layer.name}.{INPUT_GRADIENT}", needed, layer.input_shapes[0], layer.function, kind)
            self._part(layer.inputs[0])
        if layer.parameters:
            self._element(f"{layer.name}.{WEIGHT_GRADIENT}", needed, layer.output_shape, "multiply")
            sums = self._layout(f"{layer.name}.sums", f"{layer.name}.{WEIGHT_GRADIENT}", (layer.parameters,))
            self._update(layer, sums)

    def layout(self, layer: Layer, gradient: str) -> None:
        """Add the change back of a layout; of several tensors joined, each gets its part."""
        for index, name in enumerate(layer.inputs):
            if name in self.wanted:
                self._layout(f"{layer.name}.{INPUT_GRADIENT}{index or ''}", gradient, self.shapes[name])
                self._part(name)

    def _spread(self, layer: Layer, gradient: str) -> str:
        """Return the gradient with zeros between its elements, as the stride has left places out."""
        if layer.stride == (1, 1):
            return gradient
        rows, cols = (
            (extent - 1) * stride + 1 for extent, stride in zip((layer.P, layer.Q), layer.stride, strict=True)
        )
        return self._layout(f"{layer.name}.gradient_spread", gradient, (layer.N, layer.G * layer.K, rows, cols))

    def _pass(self, layer: Layer, backward: Layer, gradient: str) -> None:
        """Add the product that gives the gradient by the input; its weights are the layer's own."""
        self._add(
            replace(
                backward,
                name=f"{layer.name}.{INPUT_GRADIENT}",
                inputs=(gradient,),
                input_shapes=(self.shapes[gradient],),
                output_shape=layer.input_shapes[0],
                function=INPUT_GRADIENT,
                parameters=0,
            )
        )
        self._part(layer.inputs[0])

    def _learn(self, layer: Layer, backward: Layer, a: str, b: str) -> None:
        """Add the product of two activations that gives the gradient by the weights, and their update."""
        name = f"{layer.name}.{WEIGHT_GRADIENT}"
        shapes = (self.shapes[a], self.shapes[b])
        self._add(
            replace(
                backward,
                name=name,
                inputs=(a, b),
                input_shapes=shapes,
                function=WEIGHT_GRADIENT,
                parameters=0,
                weight_density=1.0,
                weights=(),
            )
        )
        self._update(layer, name)

    def _update(self, layer: Layer, gradient: str) -> None:
        self._element(f"{layer.name}.{UPDATE}", (gradient,), self.shapes[gradient], UPDATE)

    def _element(
        self, name: str, inputs: tuple[str, ...], shape: Shape, function: str, kind: Kind = Kind.ELEMENTWISE
    ) -> str:
        shapes = tuple(self.shapes[one] for one in inputs)
        return self._add(
            Layer(name=name, kind=kind, inputs=inputs, input_shapes=shapes, output_shape=shape, function=function)
        )

    def _layout(self, name: str, x: str, shape: Shape) -> str:
        if self.shapes[x] == shape:
            return x
        return self._element(name, (x,), shape, "transpose", Kind.RESHAPE)

    def _part(self, name: str) -> None:
        """Note that the layer added last is part of the gradient by `name`."""
        self.parts.setdefault(name, []).append(self.layers[-1].name)

    def _add(self, layer: Layer) -> str:
        self.layers.append(layer)
        self.shapes[layer.name] = layer.output_shape
        return layer.name


GRADIENTS: dict[Kind, Callable[[_Backward, Layer, str], None]] = {
    Kind.CONV: _Backward.convolution,
    Kind.MATMUL: _Backward.product,
    Kind.POOL: _Backward.windows,
    Kind.NORMALISATION: _Backward.windows,
    Kind.ACTIVATION: _Backward.function,
    Kind.SOFTMAX: _Backward.function,
    Kind.ELEMENTWISE: _Backward.function,
    Kind.RESHAPE: _Backward.layout,
    Kind.CONCATENATION: _Backward.layout,
}
"""How each kind of layer passes a gradient back."""
