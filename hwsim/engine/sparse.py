"""Processing elements that multiply compressed sparse columns with the activations broadcast to them.

Closed, a recurrence over broadcasts gives the cycles; stepped, every register is stepped with real values and the sums
must equal the dense product of the decoded matrix. Both give the same cycles and counts, exactly.

Options of a chip: `queue_entries` that a PE's queue holds, `entry_bits` and `entries_per_read` of the sparse-matrix
SRAM of `sram_width_bits`, `index_bits` and `codebook_bits` of an entry, `act_registers` of a PE and the
`reload_cycles` in which they are read or written, `lnzd_units` of the detection tree.

Columns: `theoretical_cycles` share all entries equally, `load_balance` is their part of all cycles,
`fifo_stall_cycles` those in which a full queue held the broadcast back, the others what was counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hwsim.arch.accelerator import Accelerator
from hwsim.compress.columns import Array, decode
from hwsim.engine import sparse_kernels as kernels
from hwsim.engine import sparse_stepped, vector
from hwsim.engine.sparse_operands import (
    LARGEST_FIXED,
    Matrix,
    entries_expected,
    entries_per_pe,
    matrices,
    positions,
    require_room,
    vectors_seed,
)
from hwsim.formats import NumberFormat
from hwsim.functional import lowering
from hwsim.ir.network import Network
from hwsim.mapping.compressed import CompressedMapping
from hwsim.mapping.placed import Placed
from hwsim.results.record import Action, Execution, Outcome, Row, Timing
from hwsim.units import ceil_div, cycles_to_s

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hwsim.engine.trace import Span
    from hwsim.results.record import NetworkResult


READS_DENSITIES = frozenset({"weight_density", "input_density"})


class Sums(NamedTuple):
    """What the products of a layer take, in the order of the kernels' `SUMS`."""

    cycles: int
    stalled: int
    entries: int
    nonzeros: int
    reads: int
    broadcasts: int
    theoretical: int
    started: int


class Run(NamedTuple):
    """A layer that runs: its mapping, where, in which format, the network's tensors and the seed of all that is random.

    With `values` they are stepped.
    """

    mapping: CompressedMapping
    network: Network
    chip: Accelerator
    fmt: NumberFormat
    seed: int
    values: bool


def execute(
    network: Network, placed: Sequence[Placed], chip: Accelerator, fmt: NumberFormat, fidelity: str, seed: int
) -> Execution:
    """Return every layer's outcome, one layer after the other."""

    def outcome(one: Placed) -> Outcome:
        if not isinstance(one.mapping, CompressedMapping):
            return vector.closed(one.layer, chip, one.fmt, one.fused_into)
        return run(Run(one.mapping, network, chip, one.fmt, seed, fidelity == "stepped"))

    require_room((one.mapping for one in placed if isinstance(one.mapping, CompressedMapping)), network, chip)
    return Execution(map(outcome, placed), notes=_notes(placed, chip))


def spans(result: NetworkResult) -> Iterator[list[Span]]:
    """Yield the timeline of every layer, from its cycle 0: its phases, all products joined."""
    from hwsim.engine.trace import Span

    for layer in result.layers:
        found, at = [], 0
        for name, cycles in layer.timing._asdict().items():
            if cycles:
                found.append(Span("PEs", name.removesuffix("_cycles"), at, cycles))
                at += cycles
        yield found


def _notes(placed: Sequence[Placed], chip: Accelerator) -> tuple[str, ...]:
    """Return what a reader must know: weights that do not fit together, random ones, and Winograd's transforms."""
    said, bits = [], chip.options["index_bits"]
    mapped = [one.mapping for one in placed if isinstance(one.mapping, CompressedMapping)]
    held = sum(entries_expected(one, bits) for one in mapped)
    if held > entries_per_pe(chip):
        said.append(
            f"the weights of all layers need {held / entries_per_pe(chip):.1f} times the sparse-matrix SRAM of chip "
            f"'{chip.name}'; loading them in between is not counted"
        )
    if any(min(one.layer.weight_density, one.layer.input_density) < 1 and not one.layer.weights for one in mapped):
        said.append("what is not zero stands at random places, drawn from the seed; pruned networks are less even")
    transformed = sum(one.is_winograd for one in mapped)
    if transformed:
        said.append(
            f"{transformed} convolutions of 3x3 run as 16 products per 2x2 outputs; their inputs and outputs are "
            "transformed elsewhere, at no cost here"
        )
    return tuple(said)


def run(this: Run) -> Outcome:
    """Return cycles, action counts and columns of a layer."""
    sums, held, stored, padding = np.zeros(len(Sums._fields), np.int64), 0, 0, 0
    for matrix in matrices(this.mapping, this.network, this.chip, this.seed, this.values):
        _multiply(this, matrix, sums)
        held, stored = held + matrix.columns.largest, stored + matrix.columns.entries
        padding += matrix.columns.padding
    found = Sums(*(int(value) for value in sums))
    stored_columns = {
        "matrix_entries": stored,
        "matrix_padding_zeros": padding,
        "spmat_sram_fill": held / entries_per_pe(this.chip),
    }
    return Outcome(_timing(found), _counts(this, found), {**_columns(this, found), **stored_columns})


def _multiply(this: Run, matrix: Matrix, sums: Array) -> None:
    """Add to `sums` the products of `matrix` with all vectors of the layer."""
    mapping, columns = this.mapping, matrix.columns
    count, seed = positions(mapping), vectors_seed(mapping, matrix, this.seed)
    if this.values:
        dense = matrix.codebook[decode(columns)]
        for number in range(mapping.vectors):
            _step(this, matrix, dense, _vector(matrix, count, np.uint64(kernels.vector_seed(seed, number))), sums)
    elif matrix.activations is not None:
        nonzero = np.flatnonzero(matrix.activations)
        free, ended = np.zeros(columns.pes, np.int32), np.zeros(columns.pes, np.int32)
        scratch = free, ended, np.zeros(nonzero.size, np.int32)
        kernels.product_of(columns.pointers, columns.useful, nonzero, *_machine(this), *scratch, sums)
    else:
        arguments = (columns.pointers, columns.useful, mapping.vectors, count, seed)
        kernels.random_products(*arguments, mapping.cols, *_machine(this), sums)
    if mapping.passes > 1:
        sums[0] += mapping.vectors * this.chip.options["reload_cycles"]


def _machine(this: Run) -> tuple[int, int, int, int]:
    """Return the entries of a queue, the rows of a batch (0 for a single one), cycles to reload, entries per read."""
    options, mapping = this.chip.options, this.mapping
    rows = options["act_registers"] if mapping.batches > 1 else 0
    # a queue that holds all columns is never full
    waiting = min(options["queue_entries"], mapping.cols + 1)
    return waiting, rows, options["reload_cycles"], options["entries_per_read"]


def _vector(matrix: Matrix, count: int, seed: np.uint64) -> Array:
    """Return the activations of all columns, in 16-bit fixed point: given ones at full scale, or random ones."""
    columns = matrix.columns
    slots = np.zeros(ceil_div(columns.cols, columns.pes) * columns.pes, np.int16)
    if matrix.activations is not None:
        scale = LARGEST_FIXED / max(float(np.abs(matrix.activations).max()), 1e-300)
        slots[: columns.cols] = np.rint(matrix.activations * scale)
        slots[: columns.cols][(slots[: columns.cols] == 0) & (matrix.activations != 0)] = 1
        return slots
    at = np.zeros(count, np.int64)
    kernels.random_positions(count, columns.cols, seed, at)
    slots[at] = np.random.default_rng(int(seed)).integers(1, LARGEST_FIXED + 1, count)
    return slots


def _step(this: Run, matrix: Matrix, dense: Array, slots: Array, sums: Array) -> None:
    """Add to `sums` what is counted while one product is stepped.

    Raises `RuntimeError`, a bug, if its outputs are not those of the decoded matrix, `dense` (rows, cols).
    """
    columns, pes = matrix.columns, matrix.columns.pes
    out = np.zeros((pes, ceil_div(columns.rows, pes)), this.fmt.accumulator)
    cycles, stalled, entries, nonzeros, reads, sent, _ = sparse_stepped.stepped_product(
        columns.pointers, columns.starts, columns.codes, columns.gaps, matrix.codebook, slots, *_machine(this), out
    )
    expected = lowering.product(slots[None, : columns.cols], dense.T, this.fmt)[0]
    wrong = int((out.T.reshape(-1)[: columns.rows] != expected).sum())
    if wrong:
        raise RuntimeError(f"layer '{this.mapping.layer.name}': {wrong} stepped outputs differ from the reference")
    sums += (cycles, stalled, entries, nonzeros, reads, sent, ceil_div(entries, pes), entries > 0)


def _timing(sums: Sums) -> Timing:
    """Return the cycles by phase: an equal share of entries is computing, imbalance and starvation are stalls."""
    fill, drain = kernels.FILL * sums.started, kernels.LATENCY * sums.started
    return Timing(fill, sums.theoretical, sums.cycles - fill - sums.theoretical - drain, drain)


def _counts(this: Run, sums: Sums) -> dict[Action, int]:
    """Return the actions of all PEs; words are of 4 bits in the sparse matrix and of 16 elsewhere."""
    mapping, chip, fmt = this.mapping, this.chip, this.fmt
    options, pushed = chip.options, sums.broadcasts * mapping.pes
    counts: dict[Action, int] = {
        ("mac", fmt.name, "output"): sums.nonzeros,
        ("mac", "padding", "output"): sums.entries - sums.nonzeros,
        ("lnzd", "cycle", ""): sums.cycles * options["lnzd_units"],
        ("act_queue", "write", "input"): pushed,
        ("act_queue", "read", "input"): pushed,
        ("ptr_sram", "read", "pointer"): 2 * pushed,
        ("spmat_sram", "read", "weight"): sums.reads * (options["sram_width_bits"] // fmt.operand_bits("weight")),
        ("act_registers", "read", "input"): mapping.matrices * mapping.vectors * mapping.passes * mapping.cols,
        ("act_registers", "read", "output"): sums.entries,
        ("act_registers", "write", "output"): sums.entries,
    }
    products = mapping.matrices * mapping.vectors
    if mapping.batches > 1:
        counts["act_sram", "read", "input"] = products * mapping.passes * mapping.cols
        counts["act_registers", "write", "input"] = products * mapping.passes * mapping.cols
    if mapping.passes > 1:
        counts["act_sram", "write", "output"] = products * mapping.rows
    return counts


def _columns(this: Run, sums: Sums) -> Row:
    mapping = this.mapping
    return {
        "theoretical_cycles": sums.theoretical,
        "theoretical_seconds": cycles_to_s(sums.theoretical, this.chip.clock_hz),
        "load_balance": sums.entries / (sums.cycles * mapping.pes) if sums.cycles else 0.0,
        "useful_macs": sums.nonzeros,
        "padding_zeros": sums.entries - sums.nonzeros,
        "broadcasts": sums.broadcasts,
        "fifo_stall_cycles": sums.stalled,
        "spmat_sram_reads": sums.reads,
        "ptr_sram_reads": 2 * sums.broadcasts * mapping.pes,
        "act_register_reads": sums.entries,
        "act_register_writes": sums.entries,
    }
