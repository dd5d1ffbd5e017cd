"""Builds a `Network` operator by operator: shapes are inferred, loop bounds and parameters derived.

Every method takes the name of the layer and of what it reads, and returns the name of what it computes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING

from hwsim.errors import InputError
from hwsim.ir import shapes
from hwsim.ir.layer import Kind, Layer, Shape
from hwsim.ir.network import Network, Tensor

if TYPE_CHECKING:
    import numpy as np

MAX_SIZE = 2**31 - 1
"""Largest size of a dimension: products of a few stay exact in int64."""


class NetworkBuilder:
    """A network under construction. `shape_of(name)` tells what has been inferred so far."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._inputs: list[Tensor] = []
        self._layers: list[Layer] = []
        self._shapes: dict[str, Shape] = {}
        self._carried: dict[str, str] = {}

    def shape_of(self, name: str) -> Shape:
        """Return the shape of an input or layer."""
        if name not in self._shapes:
            raise InputError(f"'{name}' is read before anything computes it")
        return self._shapes[name]

    def input(self, name: str, shape: Sequence[int]) -> str:
        """Declare a tensor that the network is given."""
        self._claim(name, tuple(shape))
        self._inputs.append(Tensor(name, tuple(shape)))
        return name

    def state(self, name: str, shape: Sequence[int]) -> str:
        """Declare a tensor that a recurrent layer carries from step to step; close it with `carry`."""
        return self.input(name, shape)

    def carry(self, state: str, value: str) -> None:
        """Say that `state` in the next step is `value` of this one."""
        self.shape_of(state)
        self._carried[state] = value

    def conv(  # the operator's own parameters, named as in the frameworks
        self,
        name: str,
        x: str,
        channels: int,
        kernel: int | Sequence[int],
        *,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] | str = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        bias: bool = True,
        weights: tuple[str, ...] = (),
    ) -> str:
        """Add a 2-D convolution of an image (N, C, H, W); `padding="same"` gives ceil(H / stride) rows."""
        batch, depth, *extent = self._image(name, x)
        taps_r, taps_s = shapes.pair(kernel, f"kernel of layer '{name}'")
        steps = shapes.pair(stride, f"stride of layer '{name}'")
        spread, size = shapes.pair(dilation, f"dilation of layer '{name}'"), (extent[0], extent[1])
        if groups < 1 or depth % groups or channels % groups:
            raise InputError(
                f"layer '{name}': {depth} input and {channels} output channels do not divide into {groups} groups"
            )
        pad = self._padding(name, padding, size, (taps_r, taps_s), steps, spread)
        rows, cols = shapes.window_outputs(name, size, (taps_r, taps_s), steps, spread, pad)
        per_group, inputs = channels // groups, depth // groups
        return self._add(
            Kind.CONV,
            name,
            (x,),
            (batch, channels, rows, cols),
            N=batch,
            G=groups,
            K=per_group,
            C=inputs,
            P=rows,
            Q=cols,
            R=taps_r,
            S=taps_s,
            stride=steps,
            dilation=spread,
            padding=pad,
            weights=weights,
            parameters=channels * inputs * taps_r * taps_s + (channels if bias else 0),
        )

    def linear(
        self,
        name: str,
        x: str,
        features: int,
        *,
        bias: bool = True,
        steps: int = 1,
        weights: tuple[str, ...] = (),
        tied: bool = False,
    ) -> str:
        """Add a fully connected layer over the last dimension of (..., C), giving (..., features).

        With `tied` its matrix is that of another layer of the same `weights`, which counts it.
        """
        *lead, depth = self._dimensions(name, x)
        return self._add(
            Kind.MATMUL,
            name,
            (x,),
            (*lead, features),
            N=prod(lead),
            K=features,
            C=depth,
            steps=steps,
            weights=weights,
            parameters=(0 if tied else depth * features) + (features if bias else 0),
        )

    def embedding(
        self,
        name: str,
        x: str,
        rows: int,
        features: int,
        *,
        weights: tuple[str, ...] = (),
        tied: bool = False,
    ) -> str:
        """Add a look-up in a table of (rows, features) by indices (...), giving (..., features).

        The table counts as parameters, unless it is `tied`: that of another layer of the same `weights`.
        """
        shape = (*self.shape_of(x), features)
        parameters = 0 if tied else rows * features
        return self._add(Kind.RESHAPE, name, (x,), shape, function="embedding", parameters=parameters, weights=weights)

    def matmul(self, name: str, a: str, b: str, *, steps: int = 1) -> str:
        """Add the product of two activations (..., M, C) and (..., C, K), as attention has two of."""
        left, right = self.shape_of(a), self.shape_of(b)
        if len(left) < 2 or len(right) < 2 or left[-1] != right[-2]:
            raise InputError(f"layer '{name}': no matrix product of shapes {left} and {right}")
        lead = shapes.broadcast(name, (left[:-2], right[:-2]))
        return self._add(
            Kind.MATMUL,
            name,
            (a, b),
            (*lead, left[-2], right[-1]),
            G=prod(lead),
            N=left[-2],
            C=left[-1],
            K=right[-1],
            steps=steps,
        )

    def pool(
        self,
        name: str,
        x: str,
        kernel: int | Sequence[int],
        *,
        function: str = "max",
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] | str = 0,
        dilation: int | Sequence[int] = 1,
        ceil_mode: bool = False,
    ) -> str:
        """Add "max" or "average" pooling of an image; the stride defaults to the kernel."""
        batch, depth, *extent = self._image(name, x)
        taps, size = shapes.pair(kernel, f"kernel of layer '{name}'"), (extent[0], extent[1])
        steps = taps if stride is None else shapes.pair(stride, f"stride of layer '{name}'")
        spread = shapes.pair(dilation, f"dilation of layer '{name}'")
        pad = self._padding(name, padding, size, taps, steps, spread)
        rows, cols = shapes.window_outputs(name, size, taps, steps, spread, pad, ceil_mode)
        return self._add(
            Kind.POOL,
            name,
            (x,),
            (batch, depth, rows, cols),
            function=function,
            N=batch,
            G=depth,
            P=rows,
            Q=cols,
            R=taps[0],
            S=taps[1],
            stride=steps,
            dilation=spread,
            padding=pad,
        )

    def global_pool(self, name: str, x: str, *, function: str = "average") -> str:
        """Add pooling of each channel to one value: (N, C, H, W) to (N, C, 1, 1)."""
        return self.pool(name, x, self._image(name, x)[2:], function=function)

    def elementwise(self, name: str, *operands: str, function: str = "add", steps: int = 1) -> str:
        """Add an operator ("add", "multiply", ...) on one or more tensors that broadcast."""
        shape = shapes.broadcast(name, [self.shape_of(operand) for operand in operands])
        return self._add(Kind.ELEMENTWISE, name, operands, shape, function=function, steps=steps)

    def normalisation(self, name: str, x: str, function: str = "batch", *, parameters: int | None = None) -> str:
        """Add "batch", "layer", "group", "instance" or "local_response" normalisation.

        Learned by default: a scale and a shift per channel, or per feature for "layer"; none for "local_response".
        """
        shape = self._dimensions(name, x)
        learned = {"local_response": 0, "layer": 2 * shape[-1]}.get(function, 2 * shape[1 if len(shape) > 1 else 0])
        return self._add(
            Kind.NORMALISATION,
            name,
            (x,),
            shape,
            function=function,
            parameters=learned if parameters is None else parameters,
        )

    def activation(self, name: str, x: str, function: str = "relu", *, parameters: int = 0, steps: int = 1) -> str:
        """Add a function of each element ("relu", "sigmoid", "tanh", "gelu", ...)."""
        return self._add(
            Kind.ACTIVATION, name, (x,), self.shape_of(x), function=function, parameters=parameters, steps=steps
        )

    def softmax(self, name: str, x: str, function: str = "", *, steps: int = 1) -> str:
        """Add a softmax over the last dimension."""
        return self._add(Kind.SOFTMAX, name, (x,), self.shape_of(x), function=function, steps=steps)

    def concatenation(self, name: str, *operands: str, axis: int = 1, steps: int = 1) -> str:
        """Join tensors along `axis`."""
        shape = shapes.concatenated(name, [self.shape_of(operand) for operand in operands], axis)
        return self._add(Kind.CONCATENATION, name, operands, shape, function="concatenation", steps=steps)

    def reshape(self, name: str, x: str, target: Sequence[int], *, steps: int = 1) -> str:
        """Give the elements of `x` another shape; one size may be -1."""
        return self.layout(name, x, shapes.reshaped(name, self.shape_of(x), target), "reshape", steps=steps)

    def transpose(self, name: str, x: str, order: Sequence[int]) -> str:
        """Put the dimensions of `x`, at most ten, in `order`; the function's name says which: "transpose0213"."""
        shape = self._dimensions(name, x)
        if sorted(order) != list(range(len(shape))):
            raise InputError(f"layer '{name}': order {tuple(order)} is none of the {len(shape)} dimensions of '{x}'")
        return self.layout(name, x, [shape[axis] for axis in order], f"transpose{''.join(map(str, order))}")

    def flatten(self, name: str, x: str) -> str:
        """Flatten (N, ...) to (N, features)."""
        return self.reshape(name, x, (self._dimensions(name, x)[0], -1))

    def layout(self, name: str, x: str, shape: Sequence[int], function: str, *, steps: int = 1) -> str:
        """Add a change of layout (transpose, slice, ...) whose output shape the caller knows."""
        return self._add(Kind.RESHAPE, name, (x,), tuple(shape), function=function, steps=steps)

    def unsupported(self, name: str, operands: Sequence[str], shape: Sequence[int], operator: str) -> str:
        """Add an operator that is listed by name and not simulated."""
        return self._add(Kind.UNSUPPORTED, name, tuple(operands), tuple(shape), function=operator)

    def build(
        self,
        *,
        source: str = "",
        notes: Sequence[str] = (),
        format: str = "",  # noqa: A002 - the field's name
        tensors: Mapping[str, np.ndarray] | None = None,
    ) -> Network:
        """Return the finished network."""
        if not self._layers:
            raise InputError(f"network '{self.name}' has no layers")
        inputs = tuple(Tensor(t.name, t.shape, self._carried.get(t.name)) for t in self._inputs)
        return Network(self.name, inputs, tuple(self._layers), source, tuple(notes), format, tensors=tensors or {})

    def _padding(
        self,
        name: str,
        padding: int | Sequence[int] | str,
        extent: shapes.Pair,
        kernel: shapes.Pair,
        stride: shapes.Pair,
        dilation: shapes.Pair,
    ) -> shapes.Padding:
        if not isinstance(padding, str):
            return shapes.padding(padding, f"padding of layer '{name}'")
        if padding != "same":
            raise InputError(f"layer '{name}': padding '{padding}' is neither numbers nor 'same'")
        shapes.require_window(name, kernel, stride, dilation)
        return shapes.same_padding(extent, kernel, stride, dilation)

    def _dimensions(self, name: str, x: str) -> Shape:
        shape = self.shape_of(x)
        if not shape:
            raise InputError(f"layer '{name}' needs at least one dimension, but '{x}' is a scalar")
        return shape

    def _image(self, name: str, x: str) -> Shape:
        shape = self.shape_of(x)
        if len(shape) != 4:
            raise InputError(f"layer '{name}' needs an image (N, C, H, W), but '{x}' has shape {shape}")
        return shape

    def _add(
        self,
        kind: Kind,
        name: str,
        operands: Sequence[str],
        shape: Shape,
        *,
        function: str = "",
        N: int = 1,
        G: int = 1,
        K: int = 1,
        C: int = 1,
        P: int = 1,
        Q: int = 1,
        R: int = 1,
        S: int = 1,
        stride: shapes.Pair = (1, 1),
        dilation: shapes.Pair = (1, 1),
        padding: shapes.Padding = (0, 0, 0, 0),
        parameters: int = 0,
        weights: tuple[str, ...] = (),
        steps: int = 1,
    ) -> str:
        read = tuple(self.shape_of(operand) for operand in operands)
        self._claim(name, shape)
        self._layers.append(
            Layer(
                name=name,
                kind=kind,
                inputs=tuple(operands),
                input_shapes=read,
                output_shape=shape,
                function=function,
                N=N,
                G=G,
                K=K,
                C=C,
                P=P,
                Q=Q,
                R=R,
                S=S,
                stride=stride,
                dilation=dilation,
                padding=padding,
                parameters=parameters,
                weights=weights,
                steps=steps,
            )
        )
        return name

    def _claim(self, name: str, shape: Shape) -> None:
        if name in self._shapes:
            raise InputError(f"two layers or inputs are named '{name}'")
        if any(not 1 <= size <= MAX_SIZE for size in shape):
            raise InputError(f"'{name}' has shape {shape}; every size must lie between 1 and {MAX_SIZE}")
        self._shapes[name] = shape
