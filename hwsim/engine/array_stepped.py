"""The systolic array stepped cycle by cycle: real values move, cycles and counts are what happened."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from hwsim.arch.accelerator import Accelerator
from hwsim.engine import array_kernels as kernels
from hwsim.engine.array import off_chip_counts
from hwsim.formats import NumberFormat
from hwsim.functional import lowering
from hwsim.functional.lowering import Array
from hwsim.mapping import ArrayMapping, passes
from hwsim.mapping.folding import Folding
from hwsim.results.record import Action, Outcome, Timing

TOLERANCE = 1e-3
"""Relative difference allowed between float32 sums in the array's order and in NumPy's."""


class Stepped(NamedTuple):
    """The outcome of a stepped run and the real outputs, (copies, positions, K) in the accumulator's type."""

    outcome: Outcome
    outputs: Array


class Fold(NamedTuple):
    """One tile's place in its product: slices along rows, columns and stream, and whether it is the product's last."""

    rows: slice
    cols: slice
    stream: slice
    first_rows: bool


def run(mapping: ArrayMapping, chip: Accelerator, fmt: NumberFormat, seed: int = 0) -> Stepped:
    """Step a mapped layer with seeded operands; every copy (group, time step) has its own values.

    Raises `RuntimeError`, a bug, if the outputs are not the reference product of the same operands.
    """
    layer, folding = mapping.layer, mapping.folding
    mapping.check()
    machine = _Machine(mapping, chip, fmt)
    outputs = []
    for product in range(folding.copies // folding.parts):
        step, group = divmod(product, layer.G)
        if group == 0:
            x, weights = lowering.random_operands(layer, fmt, seed + step)
        a, b = lowering.input_matrix(layer, x, group), lowering.weight_matrix(layer, weights, group)
        outputs.append(np.concatenate([machine.multiply(part, b) for part in np.split(a, folding.parts)]))
        _require_equal(layer.name, outputs[-1], lowering.product(a, b, fmt), fmt)
    return Stepped(machine.outcome(), np.stack(outputs))


class _Machine:
    """The array's clock and counters while copies of a product run through it."""

    def __init__(self, mapping: ArrayMapping, chip: Accelerator, fmt: NumberFormat) -> None:
        self.mapping, self.chip, self.fmt = mapping, chip, fmt
        self.folding = mapping.folding
        self.passes = passes.walk(self.folding)
        self.counts: Counter[Action] = Counter()
        self.fill = self.compute = self.drain = 0
        self.stall = self._transfer(passes.startup_bits(self.folding)) + self._transfer(passes.tail_bits(self.folding))
        streamed = {"weight": "input", "input": "weight", "output": ""}[self.folding.stationary]
        self.streamed, self.held = streamed, self.folding.stationary

    def multiply(self, a: Array, b: Array) -> Array:
        """Return a (positions, reduction) @ b (reduction, K), pass by pass, advancing clock and counters."""
        out = np.zeros((a.shape[0], b.shape[1]), self.fmt.accumulator)
        runner = self._output_fold if self.held == "output" else self._operand_fold
        target, first, second = (out, a, b) if self.held != "input" else (out.T, b.T, a.T)
        self.pending: Array | None = None
        all_passes = list(_passes(self.folding))
        for index, folds in enumerate(all_passes):
            started = self.fill + self.compute + self.drain
            for number, fold in enumerate(folds):
                following = folds[number + 1] if number + 1 < len(folds) else None
                if following is None and index + 1 < len(all_passes):
                    following = all_passes[index + 1][0]
                runner(first, second, target, fold, following)
            _, moved_bits = next(self.passes)
            self.stall += max(0, self._transfer(moved_bits) - (self.fill + self.compute + self.drain - started))
        return out

    def outcome(self) -> Outcome:
        """Return the timing and counts so far, with the off-chip words that the passes moved."""
        timing = Timing(self.fill, self.compute, self.stall, self.drain)
        counts = {action: count for action, count in self.counts.items() if count or "psum" not in action}
        return Outcome(timing, {**counts, **off_chip_counts(self.mapping.totals, self.chip)})

    def _output_fold(self, a: Array, b: Array, out: Array, fold: Fold, _following: Fold | None) -> None:
        tile = np.zeros((fold.rows.stop - fold.rows.start, fold.cols.stop - fold.cols.start), out.dtype)
        left, top = np.ascontiguousarray(a[fold.rows]), np.ascontiguousarray(b[:, fold.cols])
        cycles, macs, a_reads, b_reads, writes, a_hops, b_hops = kernels.output_stationary_fold(
            left, top, tile, *self._extent(fold)
        )
        out[fold.rows, fold.cols] = tile
        self._advance(0, left.shape[1], cycles)
        self._count(
            macs=macs, input_hops=a_hops, weight_hops=b_hops, input_reads=a_reads, weight_reads=b_reads, writes=writes
        )

    def _operand_fold(self, x: Array, stationary: Array, out: Array, fold: Fold, following: Fold | None) -> None:
        """Run a fold of x (T, reduction) against the tile of `stationary` (reduction, columns)."""
        held, loading = self.pending, 0
        if held is None:
            held = np.zeros(self._extent(fold), out.dtype)
            loading, reads, hops = kernels.load_stationary(held, np.ascontiguousarray(stationary[fold.rows, fold.cols]))
            self._count(**{f"{self.held}_reads": reads, f"{self.held}_hops": hops})
        if following is None or not self.folding.overlapped:
            shadow, next_tile = np.zeros((0, 0), out.dtype), np.zeros((0, 0), stationary.dtype)
        else:
            shadow = np.zeros(self._extent(following), out.dtype)
            next_tile = np.ascontiguousarray(stationary[following.rows, following.cols])
        stream = np.ascontiguousarray(x[fold.stream, fold.rows])
        partial = np.ascontiguousarray(out[fold.stream, fold.cols])
        cycles, waited, macs, x_reads, psum_reads, writes, x_hops, next_reads, next_hops = (
            kernels.operand_stationary_fold(
                held, stream, partial, stream.shape[1], partial.shape[1], fold.first_rows, shadow, next_tile
            )
        )
        out[fold.stream, fold.cols] = partial
        self.pending = shadow if next_tile.size else None
        self._advance(loading + waited, stream.shape[0], loading + cycles)
        self._count(
            **{
                "macs": macs,
                f"{self.streamed}_hops": x_hops,
                f"{self.streamed}_reads": x_reads,
                "psum_reads": psum_reads,
                "writes": writes,
                f"{self.held}_reads": next_reads,
                f"{self.held}_hops": next_hops,
            }
        )

    def _extent(self, fold: Fold) -> tuple[int, int]:
        """Return the rows and columns of PEs that the wave of a fold crosses."""
        if not self.folding.tight:
            return self.folding.rows, self.folding.cols
        return fold.rows.stop - fold.rows.start, fold.cols.stop - fold.cols.start

    def _advance(self, fill: int, compute: int, cycles: int) -> None:
        self.fill, self.compute, self.drain = (
            self.fill + fill,
            self.compute + compute,
            self.drain + cycles - fill - compute,
        )

    def _count(
        self,
        *,
        macs: int = 0,
        input_hops: int = 0,
        weight_hops: int = 0,
        input_reads: int = 0,
        weight_reads: int = 0,
        psum_reads: int = 0,
        writes: int = 0,
    ) -> None:
        """Add to the counters; for each partial sum read, one had been written.

        Their order is the closed form's, so that energies are summed to the same last bit.
        """
        home, outputs = self.chip.home, self.counts
        outputs["mac", self.fmt.name, "output"] += macs
        outputs["pe_register", "write", "input"] += input_hops
        outputs["pe_register", "write", "weight"] += weight_hops
        outputs["pe_register", "write", "psum"] += macs
        outputs[home["input"], "read", "input"] += input_reads
        outputs[home["weight"], "read", "weight"] += weight_reads
        outputs[home["output"], "write", "output"] += writes - psum_reads
        outputs[home["output"], "write", "psum"] += psum_reads
        outputs[home["output"], "read", "psum"] += psum_reads

    def _transfer(self, bits: int) -> int:
        rate = self.folding.bandwidth
        if rate is None:
            return 0
        return int(kernels.transfer(bits, *divmod(rate[0], rate[1]), rate[1]))


def _passes(f: Folding) -> list[list[Fold]]:
    """Return the folds of one product, pass by pass in the order of the mapping's loops."""
    rows = [slice(i * f.rows, min(f.row_extent, (i + 1) * f.rows)) for i in range(f.row_folds)]
    cols = [slice(j * f.cols, min(f.col_extent, (j + 1) * f.cols)) for j in range(f.col_folds)]
    chunks = [slice(k * f.chunk, min(f.stream_extent, (k + 1) * f.chunk)) for k in range(f.chunks)]
    if f.outer == "rows":
        return [[Fold(row, col, chunks[0], True) for col in cols] for row in rows]
    return [[Fold(row, col, chunk, row.start == 0) for row in rows] for chunk in chunks for col in cols]


def _require_equal(name: str, outputs: Array, reference: Array, fmt: NumberFormat) -> None:
    exact = fmt.kind == "int"
    scale: Any = 1 if exact else max(1.0, float(np.abs(reference).max()))
    wrong = (outputs != reference) if exact else (np.abs(outputs - reference) > TOLERANCE * scale)
    if wrong.any():
        raise RuntimeError(
            f"layer '{name}': {int(wrong.sum())} of {wrong.size} stepped outputs differ from the reference"
        )
