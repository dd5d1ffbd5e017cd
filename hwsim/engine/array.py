"""Systolic array in closed form: cycles from the mapping's folds, actions from how often each operand is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwsim.arch.accelerator import Accelerator
from hwsim.engine.in_turn import in_turn
from hwsim.formats import NumberFormat
from hwsim.mapping import ArrayMapping
from hwsim.mapping.folding import Folding
from hwsim.mapping.passes import Totals
from hwsim.results.record import Action, Execution, Outcome, Timing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hwsim.engine.trace import Span
    from hwsim.ir.network import Network
    from hwsim.mapping.placed import Placed
    from hwsim.results.record import NetworkResult


MIXES_FORMATS = True
READS_DENSITIES: frozenset[str] = frozenset()


def execute(
    network: Network, placed: Sequence[Placed], chip: Accelerator, fmt: NumberFormat, fidelity: str, seed: int
) -> Execution:
    """Return every layer's outcome; layers run one after the other, those that are no products on the vector lanes."""
    return in_turn(placed, chip, fidelity, seed, closed, stepped)


def spans(result: NetworkResult) -> Iterator[Iterator[Span]]:
    """Yield the timeline of every layer, from its cycle 0."""
    from hwsim.engine import trace

    for layer in result.layers:
        if isinstance(layer.mapping, ArrayMapping):
            yield trace.array_spans(layer.mapping.folding, layer.mapping.totals)
        else:
            yield trace.vector_spans(layer.timing)


def closed(mapping: ArrayMapping, chip: Accelerator, fmt: NumberFormat) -> Outcome:
    """Return cycles and action counts of a mapped layer."""
    totals = mapping.totals
    timing = Timing(totals.fill_cycles, totals.compute_cycles, totals.stall_cycles, totals.drain_cycles)
    return Outcome(timing, array_counts(mapping, chip, fmt) | off_chip_counts(totals, chip))


def stepped(mapping: ArrayMapping, chip: Accelerator, fmt: NumberFormat, seed: int = 0) -> Outcome:
    """Return the same by moving seeded values of the format through the array, cycle by cycle."""
    from hwsim.engine import array_stepped

    return array_stepped.run(mapping, chip, fmt, seed).outcome


def array_counts(mapping: ArrayMapping, chip: Accelerator, fmt: NumberFormat) -> dict[Action, int]:
    """Return the words that PEs and on-chip buffers move while the array computes.

    Unused PEs are clock-gated: an operand is latched by the PEs that use it, and by those above a stationary one's
    place on its way down. Every buffer word read enters the array once per fold that needs it.
    """
    f, layer, home = mapping.folding, mapping.layer, chip.home
    macs, rows, cols, stream = layer.macs, f.row_extent, f.col_extent, f.stream_extent
    outputs = layer.steps * layer.G * layer.positions * layer.K
    if f.stationary == "output":
        input_reads, weight_reads = f.copies * rows * stream * f.col_folds, f.copies * cols * stream * f.row_folds
        input_hops = weight_hops = macs
        psums = 0
    else:
        held, hops = f.copies * f.chunks * rows * cols, f.copies * f.chunks * load_hops(f)
        streamed = f.copies * stream * rows * f.col_folds
        by_weight = f.stationary == "weight"
        input_reads, weight_reads = (streamed, held) if by_weight else (held, streamed)
        input_hops, weight_hops = (macs, hops) if by_weight else (hops, macs)
        psums = outputs * (f.row_folds - 1)
    counts: dict[Action, int] = {
        ("mac", fmt.name, "output"): macs,
        ("pe_register", "write", "input"): input_hops,
        ("pe_register", "write", "weight"): weight_hops,
        ("pe_register", "write", "psum"): macs,
        (home["input"], "read", "input"): input_reads,
        (home["weight"], "read", "weight"): weight_reads,
        (home["output"], "write", "output"): outputs,
    }
    if psums:
        counts[home["output"], "write", "psum"] = psums
        counts[home["output"], "read", "psum"] = psums
    return counts


def load_hops(f: Folding) -> int:
    """Return the latches of loading every stationary tile once: row r's words pass r + 1 PEs of their column."""
    full, last = f.rows * (f.rows + 1) // 2, f.last_rows * (f.last_rows + 1) // 2
    return ((f.row_folds - 1) * full + last) * f.col_extent


def off_chip_counts(totals: Totals, chip: Accelerator) -> dict[Action, int]:
    """Return the words that cross the chip's edge, and those the buffers take in and give out for it."""
    home, outer = chip.home, chip.off_chip.name
    counts: dict[Action, int] = {
        (outer, "read", "input"): totals.input_words,
        (outer, "read", "weight"): totals.weight_words,
        (outer, "write", "output"): totals.output_words,
        (home["input"], "write", "input"): totals.input_words,
        (home["weight"], "write", "weight"): totals.weight_words,
        (home["output"], "read", "output"): totals.output_words,
    }
    if totals.psum_words:
        counts[outer, "write", "psum"] = totals.psum_words
        counts[outer, "read", "psum"] = totals.psum_words
    return counts
