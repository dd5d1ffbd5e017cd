"""A network as calls in order, for libraries that run one layer at a time; recurrent layers run step by step.

Each call takes the operands and the number of the step, and returns the layer's tensor, of whatever type the library
has. Tensors are dropped after their last reader, as a framework does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from hwsim.functional.forward import STACK, STEP
from hwsim.ir.layer import Kind, Layer
from hwsim.ir.network import Network

Compute = Callable[[list[Any], int], Any]
"""A layer on its operands in step t, which is 0 for layers that run once."""

Tensors = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """One layer's call; `dropped` are the tensors that nobody reads after it."""

    name: str
    compute: Compute
    inputs: tuple[str, ...]
    dropped: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """Calls that run `steps` times in order.

    `states` says for each state which tensor it is after a step, `kept` whose values of all steps are read later.
    """

    calls: tuple[Call, ...]
    steps: int
    states: Mapping[str, str]
    kept: tuple[str, ...]


Around = Callable[[Call, list[Any], int], Any]
"""How a call is made: plainly, or with a timer around it."""


@dataclass(frozen=True)
class Program:
    """A network's calls over `given` tensors: its inputs, and its states before the first step."""

    blocks: tuple[Block, ...]
    given: Tensors

    def run(self, around: Around) -> Tensors:
        """Return the tensors that no layer reads; of those that run in steps, a list with each step's."""
        tensors = dict(self.given)
        for block in self.blocks:
            if block.steps > 1:
                _in_steps(block, tensors, around)
                continue
            for call in block.calls:
                tensors[call.name] = around(call, [tensors[name] for name in call.inputs], 0)
                for name in call.dropped:
                    del tensors[name]
        return tensors


def plainly(call: Call, operands: list[Any], step: int) -> Any:
    """Make a call."""
    return call.compute(operands, step)


def program(
    network: Network, given: Tensors, compute: Callable[[Layer], Compute], stack: Callable[[list[Any]], Any],
    keep: bool = False,
) -> Program:  # fmt: skip
    """Return `network` as calls; `compute` makes a layer's, `stack` joins tensors along a new second dimension.

    `given` holds the inputs, and of each state a list with its value before the first step. With `keep` every tensor
    stays until the end.
    """
    last = {name: layer.name for layer in network.layers for name in layer.inputs}
    carried = network.states
    stepped = {layer.name for layer in network.layers if layer.steps > 1} | set(carried)
    blocks = []
    for steps, group in groupby(network.layers, key=lambda layer: layer.steps):
        layers = list(group)
        read = {name for layer in layers for name in layer.inputs}
        states = {name: source for name, source in carried.items() if name in read and steps > 1}
        own = {layer.name for layer in layers} | set(states) if steps > 1 else set()
        calls = tuple(
            Call(
                layer.name,
                _reading(layer, compute, stack, stepped - own, steps),
                layer.inputs,
                () if keep or steps > 1 else tuple(name for name in set(layer.inputs) if last[name] == layer.name),
            )
            for layer in layers
        )
        later = {name for layer in network.layers if layer.name not in own for name in layer.inputs}
        kept = tuple(name for name in own if keep or name in later or name not in last)
        blocks.append(Block(calls, steps, states, kept))
    return Program(tuple(blocks), given)


def _in_steps(block: Block, tensors: Tensors, around: Around) -> None:
    now = tensors | {name: tensors[name][-1] for name in block.states}
    history: dict[str, list[Any]] = {name: [] for name in block.kept}
    for step in range(block.steps):
        for call in block.calls:
            now[call.name] = around(call, [now[name] for name in call.inputs], step)
        for name in block.kept:
            history[name].append(now[name])
        now.update({name: now[source] for name, source in block.states.items()})
    tensors |= history


def _reading(
    layer: Layer, compute: Callable[[Layer], Compute], stack: Callable[[list[Any]], Any], lists: set[str], steps: int
) -> Compute:
    """Return the call of a layer that may read a list of steps: a stack joins them, others take the last."""
    if layer.kind is Kind.RESHAPE and layer.function in STEP:
        return _step_of(layer.function == STEP[1], steps)
    made, from_steps = compute(layer), [name in lists for name in layer.inputs]
    if not any(from_steps):
        return made
    if layer.kind is Kind.RESHAPE and layer.function in STACK:
        return _stacked(made, stack, layer.function == STACK[1])

    def with_last(operands: list[Any], step: int) -> Any:
        return made([one[-1] if many else one for one, many in zip(operands, from_steps, strict=True)], step)

    return with_last


def _step_of(reverse: bool, steps: int) -> Compute:
    """Return the call that takes one step of a sequence (N, steps, features)."""
    return lambda operands, step: operands[0][:, steps - 1 - step if reverse else step]


def _stacked(made: Compute, stack: Callable[[list[Any]], Any], reverse: bool) -> Compute:
    """Return the call that puts all steps together to a sequence."""
    return lambda operands, step: made([stack(operands[0][::-1] if reverse else operands[0])], step)
