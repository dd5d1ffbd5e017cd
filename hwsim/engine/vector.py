"""Layers that are not matrix products: which of them run as results leave the array, and what the others cost."""

from __future__ import annotations

from math import prod

from hwsim.arch.accelerator import Accelerator
from hwsim.formats import NumberFormat
from hwsim.ir.layer import LAYOUT_KINDS, Kind, Layer
from hwsim.ir.network import Network
from hwsim.results.record import Outcome, Timing
from hwsim.units import ceil_div

STREAMED_KINDS = frozenset({Kind.ACTIVATION, Kind.ELEMENTWISE})
"""Kinds that work element by element; an elementwise operator with one input has a constant as the other."""

STREAMED_FUNCTIONS = frozenset({(Kind.NORMALISATION, "batch")})
"""Normalisations that need one element at a time, because their statistics are constants at inference."""

UNCOMPUTED_KINDS = LAYOUT_KINDS | {Kind.UNSUPPORTED}
"""Kinds that compute nothing: changes of layout, and operators that are listed and not simulated."""


def streams(layer: Layer) -> bool:
    """Whether a layer needs one element of one input at a time, and gives one for each."""
    if len(layer.inputs) != 1 or layer.output_shape != layer.input_shapes[0]:
        return False
    return layer.kind in STREAMED_KINDS or (layer.kind, layer.function) in STREAMED_FUNCTIONS


def fused_producers(network: Network) -> dict[str, str]:
    """Return, for each layer done on another's results before they leave the chip, that other layer.

    These are activations, batch normalisations and operators with a constant that alone read their input, behind an
    operator or one another. What is carried to the next step is read there, too.
    """
    fused: dict[str, str] = {}
    carried = {tensor.carried_from for tensor in network.inputs}
    computing = {layer.name for layer in network.layers if layer.kind not in UNCOMPUTED_KINDS} - carried
    for layer in network.layers:
        if not streams(layer):
            continue
        (producer,) = layer.inputs
        if network.consumers[producer] == 1 and producer in computing:
            fused[layer.name] = fused.get(producer, producer)
    return fused


def closed(layer: Layer, chip: Accelerator, fmt: NumberFormat, fused_into: str = "") -> Outcome:
    """Return cycles and counts of a layer on the vector lanes.

    A lane does one operation per cycle, on operands from off-chip. Changes of layout are addressing and cost nothing,
    fused layers only their operations' energy; operators that are not simulated cost nothing and are listed by the
    result, and so are all of these on a chip without lanes, which leaves them to its host.
    """
    if layer.kind in UNCOMPUTED_KINDS or not chip.vector_lanes:
        return Outcome(Timing(), {}, {"fused_into": ""})
    operation = ("vector", fmt.name, "output")
    if fused_into:
        return Outcome(Timing(), {operation: layer.operations}, {"fused_into": fused_into})
    read, written = layer.steps * sum(map(prod, layer.input_shapes)), layer.steps * layer.output_elements
    compute = layer.steps * ceil_div(layer.operations // layer.steps, chip.vector_lanes)
    moved_bits = read * fmt.bits + written * fmt.operand_bits("output")
    stall = max(0, transfer_cycles(moved_bits, chip) - compute)
    outer = chip.off_chip.name
    counts = {operation: layer.operations, (outer, "read", "input"): read, (outer, "write", "output"): written}
    return Outcome(Timing(compute_cycles=compute, stall_cycles=stall), counts, {"fused_into": ""})


def transfer_cycles(bits: int, chip: Accelerator) -> int:
    """Return the cycles that `bits` take off-chip."""
    rate = chip.off_chip_rate
    return 0 if rate is None else -(-bits * rate[1] // rate[0])
