"""The least that a layer can take on a machine: what its peak rate and its off-chip bandwidth allow, whichever is more.

Williams, Waterman and Patterson, "Roofline: an insightful visual performance model", CACM 52(4), 2009.
"""

from __future__ import annotations

from math import prod

from hwsim.arch.accelerator import Accelerator
from hwsim.formats import NumberFormat
from hwsim.ir.layer import LAYOUT_KINDS, Kind, Layer


def roofline_seconds(layer: Layer, chip: Accelerator, fmt: NumberFormat) -> float:
    """Return [s]; 0 for what is no computation."""
    if layer.kind in LAYOUT_KINDS or layer.kind is Kind.UNSUPPORTED:
        return 0.0
    rate = chip.off_chip_rate
    transfer = compulsory_bits(layer, fmt) * rate[1] / rate[0] if rate else 0.0
    return max(layer.macs / chip.peak_macs_per_cycle(fmt), transfer) / chip.clock_hz


def compulsory_bits(layer: Layer, fmt: NumberFormat) -> int:
    """Return the bits of all operands, each once; weights that are learned stay from step to step."""
    learned = layer.weight_elements if len(layer.inputs) == 1 else 0
    read = layer.input_elements_used if layer.kind is Kind.CONV else sum(map(prod, layer.input_shapes))
    moved = layer.steps * (read + layer.output_elements)
    return learned * fmt.operand_bits("weight") + moved * fmt.bits
