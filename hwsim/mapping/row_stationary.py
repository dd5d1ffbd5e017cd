"""Row stationary: a PE slides one filter row along one ifmap row; sets of PEs, and the passes that cover a layer.

A PE set of R x e PEs computes e rows of an ofmap channel: each of its rows keeps one filter row, each of its columns
adds up one ofmap row from the bottom to the top. The parameters of a mapping are those of Table II of Chen et al.,
JSSC 52(1), 2017:

| parameter | meaning                                                        |
|-----------|----------------------------------------------------------------|
| m         | ofmap channels whose partial sums are in the global buffer     |
| n         | ifmaps of a processing pass                                    |
| e         | ofmap rows of a strip, the width of a PE set                   |
| p, q      | filters and channels that a PE set takes in turn               |
| r, t      | PE sets on different channels, and on different filters        |

Loops from the outermost inward: groups, strips, images in n, ofmap channels in m (their sums stay in the global
buffer), channels in q r, and filters in p t. The body is a pass. Filters higher than the array or wider than a
scratchpad are cut into pieces that take turns as channels do, each with its own visit to the ifmap.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from hwsim.errors import InputError
from hwsim.mapping.loops import Loop, Mapping
from hwsim.mapping.row_stationary_geometry import Geometry, Strips, strips_of
from hwsim.units import ceil_div

STAGES = 3
"""Stages of a PE's pipeline: one of scratchpad accesses, two of computing (Sec. V-C)."""


class Machine(NamedTuple):
    """What a mapping must fit: PEs; scratchpads, banks and the filter buffer in words; networks in words per cycle.

    The link off-chip moves `link_bits` in `link_cycles`; 0 bits stand for no limit. A machine that is `gated` saves
    what zeros in ifmaps cost, and codes feature maps off-chip.
    """

    rows: int
    cols: int
    ifmap_spad: int
    filter_spad: int
    psum_spad: int
    banks: int
    bank_words: int
    filter_words: int
    ifmap_rate: int
    filter_rate: int
    psum_rate: int
    link_bits: int
    link_cycles: int
    gated: bool

    def link(self, bits: int) -> int:
        """Return the cycles that `bits` take off-chip."""
        return ceil_div(bits * self.link_cycles, self.link_bits) if self.link_bits else 0


class Parameters(NamedTuple):
    """The mapping parameters, in the order in which Table III prints them."""

    m: int
    n: int
    e: int
    p: int
    q: int
    r: int
    t: int


class Pass(NamedTuple):
    """Cycles of one processing pass: what it loads first, computes, waits for its networks, and drains."""

    filter_cycles: int
    window_cycles: int
    compute_cycles: int
    wait_cycles: int
    drain_cycles: int

    @property
    def cycles(self) -> int:
        """All cycles of the pass; the next one starts after them."""
        return sum(self)


@dataclass(frozen=True)
class RowStationaryMapping(Mapping):
    """HOW a layer is placed on PE sets; `density` is the fraction of its inputs that are not zero, padding aside.

    `chosen` says by what: "search", or the name of a published choice.
    """

    machine: Machine
    geometry: Geometry
    parameters: Parameters
    density: float
    chosen: str

    @cached_property
    def strips(self) -> Strips:
        """The ifmap rows under each strip of e ofmap rows."""
        return strips_of(self.geometry, self.parameters.e)

    @property
    def batches(self) -> int:
        """How often n images are taken."""
        return ceil_div(self.geometry.N, self.parameters.n)

    @property
    def chunks(self) -> int:
        """How often m ofmap channels are taken; the ifmaps come from off-chip for each."""
        return ceil_div(self.geometry.K, self.parameters.m)

    @property
    def channel_passes(self) -> int:
        """Passes that add up one ofmap."""
        return ceil_div(self.geometry.C, self.parameters.q * self.parameters.r) * self.geometry.pieces

    @property
    def filter_passes(self) -> int:
        """Passes that each ifmap value goes to the array in."""
        return ceil_div(self.geometry.K, self.parameters.p * self.parameters.t)

    @property
    def passes(self) -> int:
        """Processing passes of the layer."""
        return self.geometry.groups * self.strips.number * self.batches * self.channel_passes * self.filter_passes

    @property
    def active_pes(self) -> int:
        """PEs that compute in a full pass."""
        _, _, e, _, _, r, t = self.parameters
        return self.geometry.set_rows * e * r * t

    @property
    def ifmap_words(self) -> int:
        """Words of the global buffer for the ifmaps of a pass."""
        _, n, _, _, q, r, _ = self.parameters
        return n * q * r * self.strips.rows * self.geometry.columns

    @property
    def psum_words(self) -> int:
        """Words of the global buffer for partial sums."""
        return self.parameters.n * self.parameters.m * self.parameters.e * self.geometry.Q

    @property
    def filter_words(self) -> int:
        """Words of the filter buffer: the filters of the next pass."""
        _, _, _, p, q, r, t = self.parameters
        return p * q * r * t * self.geometry.set_rows * self.geometry.set_taps

    @cached_property
    def one_pass(self) -> Pass:
        """Cycles of each pass: all take those of a full one, because the array is configured once per layer."""
        return pass_of(self.machine, self.geometry, self.strips.rows, self.parameters)

    @property
    def nest(self) -> tuple[Loop, ...]:
        """Loops from the outermost inward."""
        m, n, e, p, q, r, t = self.parameters
        g, piece = self.geometry, ceil_div(self.parameters.e, ceil_div(self.parameters.e, self.machine.cols))
        return (
            Loop("dram", "G", g.groups, 1),
            Loop("dram", "P", g.P, e),
            Loop("dram", "N", g.N, n),
            Loop("dram", "K", g.K, m),
            Loop("glb", "R", g.R, g.set_rows),
            Loop("glb", "S", g.S, g.set_taps),
            Loop("glb", "C", g.C, q * r),
            Loop("glb", "K", m, p * t),
            Loop("array", "C", q * r, q, "rows"),
            Loop("array", "R", g.set_rows, 1, "rows"),
            Loop("array", "K", p * t, p, "array"),
            Loop("array", "P", e, piece, "array"),
            Loop("array", "P", piece, 1, "cols"),
            Loop("spad", "N", n, 1),
            Loop("spad", "Q", g.Q, 1),
            Loop("spad", "C", q, 1),
            Loop("spad", "S", g.set_taps, 1),
            Loop("spad", "K", p, 1),
        )

    @property
    def bounds(self) -> dict[str, int]:
        """The layer's loop bounds, steps in time with the groups."""
        g = self.geometry
        return {"G": g.groups, "N": g.N, "K": g.K, "C": g.C, "P": g.P, "Q": g.Q, "R": g.R, "S": g.S}

    @property
    def sides(self) -> dict[str, int]:
        """The PEs along each axis, and all of them for sets that lie in any place."""
        return {"rows": self.machine.rows, "cols": self.machine.cols, "array": self.machine.rows * self.machine.cols}

    def check(self) -> None:
        """Raise `InputError` unless the nest covers the layer and everything fits its place."""
        super().check()
        said = misfit(self)
        if said:
            m_to_t = " ".join(f"{name}={value}" for name, value in self.parameters._asdict().items())
            raise InputError(f"mapping of '{self.layer.name}', {m_to_t}: {said}")


def pass_of(machine: Machine, g: Geometry, strip_rows: int, parameters: Parameters) -> Pass:
    """Return the cycles of a pass, nothing of which overlaps with another.

    The filters come first, because their scratchpads hold but one pass's; then the first window of every ifmap row.
    From then on windows follow each other at the slowest of the MACs, the psum network and, streaming ahead, the ifmap
    network: window w ends at E(w) = max(arrival(w) + p q S, E(w-1) + max(p q S, psums)). What the last window waits for
    is linear in w within an image and in the image, so that one of the four corners decides. At last sums go up the
    column, and leave.
    """
    _, n, e, p, q, r, t = parameters
    compute, per_row = p * q * g.set_taps, strip_rows * q * r
    filters = ceil_div(compute * g.set_rows * r * t, machine.filter_rate)
    first, slide = per_row * g.set_taps, per_row * g.slide
    psums = ceil_div(p * t * e, machine.psum_rate)
    period, windows, image = max(compute, psums), n * g.Q, first + (g.Q - 1) * slide
    last = max(
        ceil_div(i * image + first + w * slide, machine.ifmap_rate) + compute + (windows - 1 - i * g.Q - w) * period
        for i in (0, n - 1)
        for w in (0, g.Q - 1)
    )
    loading = ceil_div(first, machine.ifmap_rate)
    drain = g.set_rows * r - 1 + STAGES - 1 + psums
    return Pass(filters, loading, windows * compute, last - loading - windows * compute, drain)


def misfit(mapping: RowStationaryMapping) -> str:
    """Return why a mapping does not fit its machine, or nothing."""
    machine, g, (m, _, e, p, q, r, t) = mapping.machine, mapping.geometry, mapping.parameters
    bands = machine.rows // (g.set_rows * r)
    pieces = ceil_div(e, machine.cols)
    places = bands * (machine.cols // ceil_div(e, pieces)) // pieces
    banks = ceil_div(mapping.ifmap_words, machine.bank_words) + ceil_div(mapping.psum_words, machine.bank_words)
    limits = (
        (q * g.set_taps, machine.ifmap_spad, "words of a window in an ifmap scratchpad"),
        (p * q * g.set_taps, machine.filter_spad, "words of filters in a filter scratchpad"),
        (p, machine.psum_spad, "partial sums in a psum scratchpad"),
        (g.set_rows * r, machine.rows, "PEs that add up a column"),
        (t, places, "PE sets of different filters"),
        (mapping.filter_words, machine.filter_words, "filter words of the next pass"),
        (banks, machine.banks, "banks of ifmaps and partial sums"),
        (min(g.K, p * t), m, "filters of a pass among ofmap channels in the global buffer"),
    )
    wrong = next(((needed, room, what) for needed, room, what in limits if needed > room), None)
    if wrong is None and m % (p * t) and m < g.K:
        return f"{m} ofmap channels in the global buffer are no multiple of the {p * t} filters of a pass"
    return f"{wrong[0]} {wrong[2]} do not fit {wrong[1]}" if wrong else ""
