"""Whether nodes hold a network: synapses of all layers at once, and the neurons of the layer that has the most."""

from __future__ import annotations

from math import isqrt, prod

from hwsim.arch.accelerator import Accelerator
from hwsim.errors import InputError
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Layer
from hwsim.ir.network import Network
from hwsim.ir.training import UPDATE, WEIGHT_GRADIENT
from hwsim.units import BITS_PER_BYTE, BYTES_PER_KIB, ceil_div

BITS_PER_MIB = BYTES_PER_KIB**2 * BITS_PER_BYTE


def require_capacity(network: Network, chip: Accelerator, fmt: NumberFormat) -> None:
    """Raise `InputError` with the number of nodes that are needed where those of `chip` do not hold `network`.

    Every synapse is kept once, from the first layer to the last. Results of layers that are no products take the place
    of what they are computed from.
    """
    synapses = sum(synapse_bits(layer, fmt) for layer in network.layers)
    largest = max(network.layers, key=lambda layer: synapse_bits(layer, fmt) + neuron_bits(layer, fmt))
    neurons = max(neuron_bits(layer, fmt) for layer in network.layers)
    count, room = chip.options["nodes"].count, chip.options["node_bits"]
    needed = ceil_div(synapses + neurons, room)
    if needed <= count:
        return
    side = isqrt(needed - 1) + 1
    raise InputError(
        f"chip '{chip.name}': {(synapses + neurons) / BITS_PER_MIB:.2f} MiB of synapses and neurons of network "
        f"'{network.name}', most of them in layer '{largest.name}', need {needed} nodes of {room / BITS_PER_MIB:g} "
        f"MiB, {side**2} in a square; there {'is' if count == 1 else 'are'} {count}, see {chip.name}:nodes={needed}"
    )


def synapse_bits(layer: Layer, fmt: NumberFormat) -> int:
    """Return the synapses of a layer; a product of two activations has none."""
    if not layer.is_mac or len(layer.inputs) > 1:
        return 0
    return layer.weight_elements * fmt.operand_bits("weight") if layer.parameters else 0


def neuron_bits(layer: Layer, fmt: NumberFormat) -> int:
    """Return the inputs and outputs of a layer, or the more of both where it is no product.

    Gradients of weights are added to the weights where they arise.
    """
    if layer.function == UPDATE:
        return 0
    given = sum(map(prod, layer.input_shapes))
    made = 0 if layer.function == WEIGHT_GRADIENT else layer.output_elements
    return (given + made if layer.is_mac else max(given, made)) * fmt.bits
