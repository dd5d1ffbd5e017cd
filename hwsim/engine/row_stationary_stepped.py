"""Row stationary stepped pass by pass, each cycle by cycle: real values move, cycles and counts are what happened."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import NamedTuple

import numpy as np

from hwsim.arch.accelerator import Accelerator
from hwsim.engine import row_stationary_kernels as kernels
from hwsim.engine.row_stationary import outcome
from hwsim.formats import NumberFormat
from hwsim.functional import lowering
from hwsim.functional.lowering import Array
from hwsim.ir.layer import Kind, Layer
from hwsim.mapping.row_stationary import STAGES, Pass, RowStationaryMapping
from hwsim.mapping.row_stationary_geometry import Axis, axes
from hwsim.mapping.row_stationary_traffic import Tally, coded_words, times_of
from hwsim.results.record import Outcome


class Stepped(NamedTuple):
    """The outcome of a stepped run and the real outputs, (steps x groups, N, K, P, Q) in the accumulator's type."""

    outcome: Outcome
    outputs: Array


def run(
    mapping: RowStationaryMapping, chip: Accelerator, fmt: NumberFormat, seed: int = 0, output_density: float = 1.0
) -> Stepped:
    """Step a mapped layer with seeded operands, of which the layer's density is not zero; dense ones have no zero.

    Raises `RuntimeError`, a bug, if the outputs are not the reference product of the same operands.
    """
    layer = mapping.layer
    mapping.check()
    machine = _Machine(mapping, fmt)
    outputs = []
    for step in range(layer.steps):
        x, weights = lowering.random_operands(layer, fmt, seed + step)
        x = with_density(x, mapping.density, seed + step)
        for group in range(layer.G):
            outputs.append(machine.convolve(_planes(layer, x, group), weights[group]))
            expected = lowering.product(
                lowering.input_matrix(layer, x, group), lowering.weight_matrix(layer, weights, group), fmt
            )
            if not np.array_equal(outputs[-1].transpose(0, 2, 3, 1).reshape(expected.shape), expected):
                raise RuntimeError(f"stepped outputs of '{layer.name}' differ from the reference operator")
    count, cycles = machine.tally(output_density), Pass(*(int(one) for one in machine.phases))
    return Stepped(outcome(mapping, count, cycles, chip, fmt), np.stack(outputs))


def with_density(x: Array, density: float, seed: int) -> Array:
    """Return operands of which a fraction `density`, drawn at random, is not zero."""
    x = np.where(x == 0, np.ones_like(x), x)
    keep = np.random.default_rng(seed).random(x.shape) < density
    return x if density >= 1 else np.where(keep, x, np.zeros_like(x))


class _Machine:
    """The global buffer, the link off-chip and the clock around the passes."""

    def __init__(self, mapping: RowStationaryMapping, fmt: NumberFormat) -> None:
        self.mapping, self.fmt = mapping, fmt
        self.geometry, self.parameters = mapping.geometry, mapping.parameters
        self.vertical, self.horizontal = axes(mapping.layer)
        self.phases, self.counts = np.zeros(kernels.PHASES, np.int64), np.zeros(kernels.COUNTS, np.int64)
        self.fetched = self.nonzero = self.written = 0

    def convolve(self, planes: Array, filters: Array) -> Array:
        """Return the ofmaps (N, K, P, Q) of padded `planes` (N, C, rows, columns) and `filters` (K, C, R, S)."""
        g, (m, n, e, *_) = self.geometry, self.parameters
        out = np.zeros((g.N, g.K, g.P, g.Q), self.fmt.accumulator)
        for rows in _parts(g.P, e):
            for images in _parts(g.N, n):
                for ofmaps in _parts(g.K, m):
                    sums = np.zeros((*(one.stop - one.start for one in (images, ofmaps, rows)), g.Q), out.dtype)
                    self._add_up(planes[images], filters[ofmaps], rows, sums)
                    out[images, ofmaps, rows] = sums
                    self.written += sums.size
        return out

    def tally(self, output_density: float) -> Tally:
        """Return what happened; how many zeros results have is told, because nothing here activates them."""
        machine, counts = self.mapping.machine, [int(one) for one in self.counts]
        macs, stopped, filter_words, filter_copies, ifmap_reads, ifmap_copies, hops, sums = counts
        stopped = stopped if machine.gated else 0
        coded = coded_words(self.fetched, self.nonzero) if machine.gated else self.fetched
        written = coded_words(self.written, ceil(output_density * self.written)) if machine.gated else self.written
        times = times_of(machine, int(self.phases.sum()), filter_words, coded + written)
        return Tally(
            macs=macs,
            computed_macs=macs - stopped,
            gated_macs=stopped,
            control_stages=3 * macs - 2 * stopped,
            filter_words=filter_words,
            ifmap_words=self.fetched,
            ifmap_coded_words=coded,
            ofmap_words=self.written,
            ofmap_coded_words=written,
            ifmap_reads=ifmap_reads,
            psum_words=sums,
            filter_copies=filter_copies,
            ifmap_copies=ifmap_copies,
            psum_hops=hops,
            **times._asdict(),
        )

    def _add_up(self, planes: Array, filters: Array, rows: slice, sums: Array) -> None:
        """Add to `sums` the passes over all pieces and channels of ofmap `rows`."""
        g, (_, _, _, p, q, r, t) = self.geometry, self.parameters
        for taken in _parts(g.R, g.set_rows):
            lines, row_of = _lines(self.vertical, rows, taken)
            for taps in _parts(g.S, g.set_taps):
                columns = _columns(self.horizontal, taps)
                for channels in _parts(g.C, q * r):
                    ifmaps = np.ascontiguousarray(planes[:, channels][:, :, lines][..., columns.start :])
                    needed = ifmaps[..., _columns_used(self.horizontal, taps)]
                    self.fetched += needed.size
                    self.nonzero += int(np.count_nonzero(needed))
                    for some in _parts(sums.shape[1], p * t):
                        piece = np.ascontiguousarray(filters[some, channels, taken, taps])
                        self._pass(ifmaps, row_of, piece, sums, some)

    def _pass(self, ifmaps: Array, row_of: Array, filters: Array, sums: Array, some: slice) -> None:
        machine, g, (_, n, e, p, q, r, t) = self.mapping.machine, self.geometry, self.parameters
        part = np.ascontiguousarray(sums[:, some])
        sizes = (n, e, p, q, r, t, g.set_rows, g.set_taps, self.mapping.strips.rows, g.slide)
        rates = (machine.ifmap_rate, machine.filter_rate, machine.psum_rate)
        stride, dilation = self.horizontal.stride, self.horizontal.dilation
        kernels.run_pass(
            ifmaps, row_of, filters, part, sizes, rates, STAGES - 1, stride, dilation, self.phases, self.counts
        )
        sums[:, some] = part


def _planes(layer: Layer, x: Array, group: int) -> Array:
    """Return a group's ifmaps (N, C, rows, columns) with their padding; rows of a matrix are images of one element."""
    if layer.kind is not Kind.CONV:
        return np.ascontiguousarray(x[group]).reshape(layer.N, layer.C, 1, 1)
    top, left, bottom, right = layer.padding
    channels = x[:, group * layer.C : (group + 1) * layer.C]
    return np.pad(channels, ((0, 0), (0, 0), (top, bottom), (left, right)))


def _lines(axis: Axis, outputs: slice, taps: slice) -> tuple[Array, Array]:
    """Return the ifmap rows under a strip, and which of them each PE (filter row, ofmap row) reads."""
    read = np.add.outer(
        np.arange(taps.start, taps.stop) * axis.dilation, np.arange(outputs.start, outputs.stop) * axis.stride
    )
    lines, row_of = np.unique(read, return_inverse=True)
    return lines, row_of.reshape(read.shape)


def _columns(axis: Axis, taps: slice) -> slice:
    """Return the columns from the first that these taps read."""
    return slice(taps.start * axis.dilation, None)


def _columns_used(axis: Axis, taps: slice) -> Array:
    """Return which of them are read at all."""
    read = np.add.outer(np.arange(taps.stop - taps.start) * axis.dilation, np.arange(axis.outputs) * axis.stride)
    used: Array = np.unique(read)
    return used


def _parts(whole: int, size: int) -> Iterator[slice]:
    """Yield the parts of `whole` in parts of `size`."""
    return (slice(at, min(at + size, whole)) for at in range(0, whole, size))
