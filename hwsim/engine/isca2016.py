"""Energy of dataflows on one storage area: accesses counted by mapping, time as MACs over PEs at work.

The comparison is of energy. Cycles take no ramp-up, no buffer bandwidth and no last tiles that leave PEs idle; off-chip
memory bounds them where the chip gives its bandwidth. Chen, Emer and Sze, ISCA 2016.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from hwsim.arch.accelerator import Accelerator
from hwsim.engine import vector
from hwsim.engine.in_turn import in_turn
from hwsim.errors import InputError
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Kind, Layer
from hwsim.mapping.isca2016 import row_stationary
from hwsim.mapping.isca2016.mapping import AccessMapping, place
from hwsim.results.record import Action, Execution, Outcome, Timing, WordCosts
from hwsim.units import BYTES_PER_KIB, ceil_div

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hwsim.engine.trace import Span
    from hwsim.ir.network import Network
    from hwsim.mapping.placed import Placed
    from hwsim.results.record import NetworkResult

READS_DENSITIES: frozenset[str] = frozenset()
REFERENCE = "isca_row_stationary"
KINDS = {"conv": Kind.CONV, "fc": Kind.MATMUL}
"""Convolutions and matrix products are compared apart, as the paper does."""


def execute(
    network: Network, placed: Sequence[Placed], chip: Accelerator, fmt: NumberFormat, fidelity: str, seed: int
) -> Execution:
    """Return every layer's outcome, and of the network its energy per MAC, alone and over that of row-stationary."""
    costs = WordCosts(chip, fmt)
    closed_form = partial(closed, costs=costs)
    outcomes = list(in_turn(placed, chip, fidelity, seed, closed_form, stepped).outcomes)
    extras: dict[str, float] = {}
    for name, kind in KINDS.items():
        pairs = [(one.layer, found) for one, found in zip(placed, outcomes, strict=True) if one.layer.kind is kind]
        extras |= _compared(name, pairs, chip, fmt, costs)
    return Execution(outcomes, extras)


def spans(result: NetworkResult) -> Iterator[Iterator[Span]]:
    """Yield the timeline of every layer: PEs at work, and waiting for off-chip memory."""
    from hwsim.engine.trace import Span

    for layer in result.layers:
        compute, stall = layer.timing.compute_cycles, layer.timing.stall_cycles
        phases = (Span("array", "compute", 0, compute), Span("array", "stall", compute, stall))
        yield (span for span in phases if span.cycles)


def closed(mapping: Any, chip: Accelerator, fmt: NumberFormat, costs: WordCosts) -> Outcome:
    """Return cycles, accesses and the mapping of a layer; raises `InputError` for another dataflow's mapping."""
    if not isinstance(mapping, AccessMapping):
        raise InputError(f"chip '{chip.name}' counts accesses, which dataflow '{mapping.dataflow}' does not give")
    layer, counts = mapping.layer, action_counts(mapping, fmt)
    compute = ceil_div(layer.macs, mapping.active_pes)
    off_chip = sum(count for (level, _, _), count in counts.items() if level == chip.off_chip.name)
    stall = max(0, vector.transfer_cycles(off_chip * fmt.bits, chip) - compute)
    rf_bytes, buffer_bytes = chip.options["storage"][mapping.dataflow]
    extras = {
        "energy_per_mac": _energy_macs(counts, chip, fmt, costs) / layer.macs,
        "active_pes": mapping.active_pes,
        "mapping": " ".join(f"{name}={value}" for name, value in mapping.parameters.items()),
        "rf_bytes": rf_bytes,
        "buffer_kib": buffer_bytes / BYTES_PER_KIB,
    }
    return Outcome(Timing(compute_cycles=compute, stall_cycles=stall), counts, extras)


def stepped(mapping: Any, chip: Accelerator, fmt: NumberFormat, seed: int) -> Outcome:
    """Raise `InputError`: accesses are counted, and no values move."""
    raise InputError(f"chip '{chip.name}' counts accesses in closed form; it has no stepped simulation")


def action_counts(mapping: AccessMapping, fmt: NumberFormat) -> dict[Action, int]:
    """Return the accesses of every level with the multiply-accumulates."""
    return {("mac", fmt.name, "output"): mapping.layer.macs, **mapping.accesses}


def _energy_macs(counts: Mapping[Action, int], chip: Accelerator, fmt: NumberFormat, costs: WordCosts) -> float:
    """Return the energy of all actions, in that of one multiply-accumulate."""
    return sum(count * costs[action] for action, count in counts.items()) / costs["mac", fmt.name, "output"]


def _compared(
    name: str, pairs: list[tuple[Layer, Outcome]], chip: Accelerator, fmt: NumberFormat, costs: WordCosts
) -> dict[str, float]:
    """Return the energy per MAC of layers of a kind, and over that of row-stationary; both 0 where there are none."""
    macs = sum(layer.macs for layer, _ in pairs)
    energy = sum(_energy_macs(found.counts, chip, fmt, costs) for _, found in pairs)
    reference = sum(
        _energy_macs(action_counts(place(layer, chip, fmt, row_stationary, REFERENCE), fmt), chip, fmt, costs)
        for layer, _ in pairs
    )
    return {
        f"{name}_energy_per_mac": energy / macs if macs else 0.0,
        f"{name}_energy_over_row_stationary": energy / reference if reference else 0.0,
    }
