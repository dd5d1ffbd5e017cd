"""Whether nodes hold a network: synapses of all layers at once, and all neurons that are still to be read.

In training those are many: what a layer computes forward waits for the gradient that passes it backward.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from math import isqrt, prod
from types import MappingProxyType

from hwsim.arch.accelerator import Accelerator
from hwsim.errors import InputError
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Kind, Layer
from hwsim.ir.network import Network
from hwsim.ir.training import UPDATE, WEIGHT_GRADIENT
from hwsim.units import BITS_PER_BYTE, BYTES_PER_KIB, ceil_div

Formats = Mapping[str, NumberFormat]
NONE: Formats = MappingProxyType({})
BITS_PER_MIB = BYTES_PER_KIB**2 * BITS_PER_BYTE


def require_capacity(network: Network, chip: Accelerator, fmt: NumberFormat, own: Formats = NONE) -> None:
    """Raise `InputError` with the number of nodes that are needed where those of `chip` do not hold `network`.

    Every synapse is kept once, from the first layer to the last; neurons until the last layer has read them. Layers
    have their `own` formats by name, what the network is given and all others `fmt`.
    """
    synapses = [synapse_bits(layer, own.get(layer.name, fmt)) for layer in network.layers]
    waiting = neuron_bits(network, fmt, own)
    at = max(range(len(waiting)), key=lambda index: synapses[index] + waiting[index])
    total = sum(synapses) + max(waiting)
    count, room = chip.options["nodes"].count, chip.options["node_bits"]
    needed = ceil_div(total, room)
    if needed <= count:
        return
    side = isqrt(needed - 1) + 1
    raise InputError(
        f"chip '{chip.name}': {total / BITS_PER_MIB:.2f} MiB of synapses and neurons of network "
        f"'{network.name}', most of them at layer '{network.layers[at].name}', need {needed} nodes of "
        f"{room / BITS_PER_MIB:g} MiB, {side**2} in a square; there {'is' if count == 1 else 'are'} {count}, see "
        f"{chip.name}:nodes={needed}"
    )


def synapse_bits(layer: Layer, fmt: NumberFormat) -> int:
    """Return the synapses of a layer; a product of two activations has none."""
    if not layer.is_mac or len(layer.inputs) > 1:
        return 0
    return layer.weight_elements * fmt.operand_bits("weight") if layer.parameters else 0


def neuron_bits(network: Network, fmt: NumberFormat, own: Formats = NONE) -> list[int]:
    """Return the neurons that exist while each layer is computed, in the order of layers [bits].

    Results of layers that are no products take the place of what nothing else reads; a change of layout takes none.
    A state that is carried from step to step is there all the time. Layers store results in their `own` formats.
    """
    homes = _homes(network)
    sizes = {tensor.name: prod(tensor.shape) for tensor in network.inputs}
    sizes |= {layer.name: _kept_elements(layer) for layer in network.layers if homes[layer.name] == {layer.name}}
    given_by = {tensor.name: tensor.carried_from or tensor.name for tensor in network.inputs}
    widths = {name: own.get(given_by.get(name, name), fmt).operand_bits("output") for name in sizes}
    sizes = {name: elements * widths[name] for name, elements in sizes.items()}
    born = {layer.name: index for index, layer in enumerate(network.layers) if layer.name in sizes}
    last = dict(born)
    for index, layer in enumerate(network.layers):
        last |= {home: index for name in layer.inputs for home in homes[name]}
    last |= {tensor.name: len(network.layers) for tensor in network.inputs if tensor.carried_from is not None}
    change = [0] * (len(network.layers) + 2)
    for name, bits in sizes.items():
        change[born.get(name, 0)] += bits
        change[last.get(name, 0) + 1] -= bits
    replaced = [
        0 if layer.is_mac else min(sizes.get(layer.name, 0), sum(sizes[home] for home in last_read))
        for layer, last_read in zip(network.layers, _last_reads(network, homes, last), strict=True)
    ]
    return [here - less for here, less in zip(accumulate(change), replaced, strict=False)]


def _homes(network: Network) -> dict[str, set[str]]:
    """Return the tensors in which each tensor is stored: itself, or those that a change of layout presents anew."""
    homes = {tensor.name: {tensor.name} for tensor in network.inputs}
    for layer in network.layers:
        layout = layer.kind in (Kind.RESHAPE, Kind.CONCATENATION) and layer.inputs
        homes[layer.name] = set().union(*(homes[name] for name in layer.inputs)) if layout else {layer.name}
    return homes


def _last_reads(network: Network, homes: dict[str, set[str]], last: dict[str, int]) -> list[set[str]]:
    """Return what each layer is the last one to read."""
    return [
        {home for name in layer.inputs for home in homes[name] if last[home] == index}
        for index, layer in enumerate(network.layers)
    ]


def _kept_elements(layer: Layer) -> int:
    """Return the outputs of a layer; gradients of weights are added to the weights where they arise."""
    if layer.function == UPDATE or (layer.is_mac and layer.function == WEIGHT_GRADIENT):
        return 0
    return layer.output_elements
