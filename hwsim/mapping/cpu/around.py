"""What a network says of its operators that their layers do not: how an input lies, and what runs together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hwsim.ir.layer import Kind, Layer
from hwsim.ir.network import Network

STACKS = frozenset({"stack", "reversed_stack"})

SLICE = "slice"
"""How the functions of layouts begin that take a part of a tensor."""


class Around(NamedTuple):
    """The surroundings of an operator.

    `planar`: its input lies channel by channel; `pieces`: tensors that a change of layout puts together or takes apart;
    `behind`: in a step, it reads a product that has just driven all else out of the caches; `into`: the operator whose
    call it runs in, as parts of one tensor are all taken in one.
    """

    planar: bool = False
    pieces: int = 1
    behind: bool = False
    into: str = ""


NOTHING = Around()


def surroundings(network: Network) -> dict[str, Around]:
    """Return the surroundings of the layers that have any."""
    by_name = {layer.name: layer for layer in network.layers}
    slices = _slices(network)
    found: dict[str, Around] = {}
    for layer in network.layers:
        source = by_name.get(layer.inputs[0])
        if layer.kind is Kind.POOL and source is not None and _planar(source):
            found[layer.name] = Around(planar=True)
        elif layer.function in STACKS:
            found[layer.name] = Around(pieces=source.steps if source is not None else 1)
        elif layer.kind is Kind.CONCATENATION:
            found[layer.name] = Around(pieces=len(layer.inputs))
        elif layer.kind is Kind.ELEMENTWISE and layer.steps > 1 and _reads_product(layer, by_name):
            found[layer.name] = Around(behind=True)
        elif several := slices.get((layer.inputs[0], layer.steps)) if layer.function.startswith(SLICE) else None:
            last = several[-1]
            found[layer.name] = Around(pieces=len(several)) if layer.name == last else Around(into=last)
    return found


def _slices(network: Network) -> dict[tuple[str, int], list[str]]:
    """Return the parts that are taken of each tensor, in order; the library takes all of them in one call."""
    found: dict[tuple[str, int], list[str]] = {}
    for layer in network.layers:
        if layer.kind is Kind.RESHAPE and layer.function.startswith(SLICE):
            found.setdefault((layer.inputs[0], layer.steps), []).append(layer.name)
    return found


def _planar(source: Layer) -> bool:
    """Return whether a layer is a normalisation over channels, which lays out images channel by channel."""
    return source.kind is Kind.NORMALISATION and source.function != "batch"


def _reads_product(layer: Layer, by_name: Mapping[str, Layer]) -> bool:
    sources = (by_name.get(name) for name in layer.inputs)
    return any(one is not None and one.kind is Kind.MATMUL and one.steps > 1 for one in sources)


def added_in_place(network: Network) -> dict[str, str]:
    """Return the sums that are done in a convolution's registers, and the activations behind them, with that one."""
    by_name = {layer.name: layer for layer in network.layers}
    found: dict[str, str] = {}
    for layer in network.layers:
        if layer.kind is Kind.ELEMENTWISE and layer.function == "add" and len(layer.inputs) == 2 and layer.steps == 1:
            chief = next((name for name in (_convolution(one, by_name) for one in layer.inputs) if name), "")
            if chief:
                found[layer.name] = chief
        elif layer.kind is Kind.ACTIVATION and layer.inputs[0] in found and network.consumers[layer.inputs[0]] == 1:
            found[layer.name] = found[layer.inputs[0]]
    return found


def _convolution(name: str, by_name: Mapping[str, Layer]) -> str:
    """Return the convolution that a name is, or is the batch normalisation of, and "" otherwise."""
    layer = by_name.get(name)
    if layer is not None and (layer.kind, layer.function) == (Kind.NORMALISATION, "batch"):
        layer = by_name.get(layer.inputs[0])
    return layer.name if layer is not None and layer.kind is Kind.CONV else ""
