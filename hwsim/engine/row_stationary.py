"""Row stationary in closed form: cycles from the passes of a mapping, actions from how often each operand is touched.

Layers run one after the other. Columns are those of Tables III and V of Chen et al., JSSC 52(1), 2017, and shares of
the chip's power as in its Fig. 16, memory aside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwsim.arch.accelerator import Accelerator
from hwsim.engine.in_turn import in_turn
from hwsim.engine.zeros import output_densities
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Kind, Layer
from hwsim.mapping.row_stationary import Pass, RowStationaryMapping
from hwsim.mapping.row_stationary_place import PUBLISHED, SEARCH, input_density
from hwsim.mapping.row_stationary_traffic import WORD_BITS, Tally, actions, tally
from hwsim.results.record import Action, Execution, Outcome, Row, Timing, WordCosts, energy_by_component
from hwsim.units import BITS_PER_BYTE, BYTES_PER_KIB, cycles_to_s, pj_to_j

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hwsim.engine.trace import Span
    from hwsim.ir.network import Network
    from hwsim.mapping.placed import Placed
    from hwsim.results.record import NetworkResult

READS_DENSITIES = frozenset({"input_density"})
WORD_BYTES = WORD_BITS // BITS_PER_BYTE

SHARES = {
    "clock": ("clock",),
    "spads": ("ifmap_spad", "filter_spad", "psum_spad"),
    "pe_control": ("pe_control",),
    "mac": ("mac",),
    "pads": ("pads",),
    "pe_fifo": ("pe_fifo",),
    "glb": ("glb", "filter_glb"),
    "noc": ("noc",),
    "top_control": ("top_control",),
}
"""Parts of the chip's power as Fig. 16 names them, by component of its energy table."""


def execute(
    network: Network, placed: Sequence[Placed], chip: Accelerator, fmt: NumberFormat, fidelity: str, seed: int
) -> Execution:
    """Return every layer's outcome, and sums over the convolutions, which are what the paper measures."""
    inputs = {layer.name: _density(layer, chip) for layer in network.layers if layer.is_mac}
    outputs = output_densities(network, inputs)

    def one(mapping: RowStationaryMapping, chip: Accelerator, fmt: NumberFormat) -> Outcome:
        return closed(mapping, chip, fmt, outputs[mapping.layer.name])

    def step(mapping: RowStationaryMapping, chip: Accelerator, fmt: NumberFormat, seed: int) -> Outcome:
        return stepped(mapping, chip, fmt, seed, outputs[mapping.layer.name])

    outcomes = list(in_turn(placed, chip, fidelity, seed, one, step).outcomes)
    return Execution(outcomes, _convolutions(placed, outcomes, chip, fmt), _notes(placed, chip))


def spans(result: NetworkResult) -> Iterator[Iterator[Span]]:
    """Yield the timeline of every layer, from its cycle 0."""
    from hwsim.engine import row_stationary_trace

    for layer in result.layers:
        yield row_stationary_trace.layer_spans(layer)


def closed(mapping: RowStationaryMapping, chip: Accelerator, fmt: NumberFormat, output_density: float = 1.0) -> Outcome:
    """Return cycles and action counts of a mapped layer, of whose outputs `output_density` are not zero."""
    cycles = Pass(*(mapping.passes * part for part in mapping.one_pass))
    return outcome(mapping, tally(mapping, output_density), cycles, chip, fmt)


def stepped(
    mapping: RowStationaryMapping, chip: Accelerator, fmt: NumberFormat, seed: int = 0, output_density: float = 1.0
) -> Outcome:
    """Return the same by moving seeded values through the PEs, pass by pass and cycle by cycle."""
    from hwsim.engine import row_stationary_stepped

    return row_stationary_stepped.run(mapping, chip, fmt, seed, output_density).outcome


def outcome(mapping: RowStationaryMapping, count: Tally, cycles: Pass, chip: Accelerator, fmt: NumberFormat) -> Outcome:
    """Return the record of what happened `count` times and took `cycles` in all passes.

    Counted are the actions that the chip's energy table prices.
    """
    waiting = cycles.wait_cycles + count.total_cycles - count.processing_cycles
    timing = Timing(cycles.filter_cycles + cycles.window_cycles, cycles.compute_cycles, waiting, cycles.drain_cycles)
    priced = chip.energy.by_action
    counts = {action: getattr(count, field) for action, field in actions(fmt) if action[:2] in priced}
    return Outcome(timing, counts, {**_columns(mapping, count, chip), **_power(counts, count, chip, fmt)})


def _columns(mapping: RowStationaryMapping, count: Tally, chip: Accelerator) -> Row:
    """Return a layer's columns of Tables III and V, and what explains them; buffer accesses are those of Table V."""
    coded = count.filter_words + count.ifmap_coded_words + count.ofmap_coded_words
    raw = count.filter_words + count.ifmap_words + count.ofmap_words
    return {
        "processing_cycles": count.processing_cycles,
        "processing_seconds": cycles_to_s(count.processing_cycles, chip.clock_hz),
        "passes": mapping.passes,
        "active_pes": mapping.active_pes,
        "pe_rows": mapping.machine.rows,
        "pe_cols": mapping.machine.cols,
        "set_rows": mapping.geometry.set_rows,
        **mapping.parameters._asdict(),
        "mapping": mapping.chosen,
        "ifmap_density": mapping.density,
        "glb_ifmap_kib": WORD_BYTES * mapping.ifmap_words / BYTES_PER_KIB,
        "glb_psum_kib": WORD_BYTES * mapping.psum_words / BYTES_PER_KIB,
        "glb_ifmap_bytes": WORD_BYTES * count.ifmap_reads,
        "glb_psum_bytes": WORD_BYTES * 2 * count.psum_words,
        "glb_access_bytes": WORD_BYTES * (count.ifmap_reads + 2 * count.psum_words),
        "dram_bytes": WORD_BYTES * coded,
        "dram_raw_bytes": WORD_BYTES * raw,
        "filter_words": count.filter_words,
    }


def _power(counts: dict[Action, int], count: Tally, chip: Accelerator, fmt: NumberFormat) -> Row:
    """Return the power of the chip without memory, and the share of each of its parts."""
    energy_pj = energy_by_component(counts, WordCosts(chip, fmt), chip.energy.components)
    chip_pj = sum(energy_pj.values()) - energy_pj[chip.off_chip.name]
    shares = {part: sum(energy_pj.get(one, 0.0) for one in components) for part, components in SHARES.items()}
    return {
        "chip_power_w": pj_to_j(chip_pj) / cycles_to_s(count.total_cycles, chip.clock_hz),
        **{f"power_{part}_fraction": share / chip_pj for part, share in shares.items() if share},
    }


def _convolutions(placed: Sequence[Placed], outcomes: Sequence[Outcome], chip: Accelerator, fmt: NumberFormat) -> Row:
    """Return the columns of all convolutions together; nothing for a network without."""
    found = [found for one, found in zip(placed, outcomes, strict=True) if one.layer.kind is Kind.CONV]
    if not found:
        return {}
    seconds = cycles_to_s(sum(one.timing.total_cycles for one in found), chip.clock_hz)
    chip_j = sum(one.extras["chip_power_w"] * cycles_to_s(one.timing.total_cycles, chip.clock_hz) for one in found)
    sums = ("dram_bytes", "dram_raw_bytes", "glb_access_bytes")
    return {
        "seconds_of_convolutions": seconds,
        "seconds_of_convolutions_processing": sum(one.extras["processing_seconds"] for one in found),
        **{f"convolutions_{name}": sum(one.extras[name] for one in found) for name in sums},
        "convolutions_chip_power_w": chip_j / seconds,
    }


def _density(layer: Layer, chip: Accelerator) -> float | None:
    """Return the density of a layer's inputs; None where published zeros are asked for and none are known."""
    density = input_density(layer, chip)
    return None if density == 1 and chip.options["zeros"] == PUBLISHED else density


def _notes(placed: Sequence[Placed], chip: Accelerator) -> tuple[str, ...]:
    """Return what a reader must know: which mappings and zeros are published ones, and what zeros do not save."""
    mapped = [one.mapping for one in placed if isinstance(one.mapping, RowStationaryMapping)]
    said = []
    if chip.options["mapping"] != SEARCH:
        known = sum(one.chosen != SEARCH for one in mapped)
        said.append(f"{known} layers have the mapping printed for their shape, {len(mapped) - known} a searched one")
    printed = sum(one.density != one.layer.input_density for one in mapped)
    if printed:
        said.append(f"{printed} layers have the zeros printed for their shape (zeros=given takes the network's own)")
    if chip.skips_zeros and any(one.layer.weight_density < 1 for one in mapped):
        said.append(f"chip '{chip.name}' computes zero weights like any other: weight densities below 1 save nothing")
    return tuple(said)
