"""What a row-stationary mapping moves and does, in words and cycles, and which actions these are."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from hwsim.formats import NumberFormat
from hwsim.mapping.row_stationary import Machine, RowStationaryMapping
from hwsim.units import ceil_div

RUN = 32
"""Zeros after which a run needs a pair of its own: 5 bits count up to 31 before a value (Sec. IV-B)."""

PAIRS = 3
LINK_WORDS = 4
"""A 64-bit word off-chip, as long as four values, holds three pairs of a run and a value (Sec. IV-B)."""


class Tally(NamedTuple):
    """How often everything happens in a layer; words are of 16 bits.

    Copies are words written into the scratchpads of all PEs, each word of a buffer into several. Hops are sums handed
    up, out of every PE. Coded words are run-length coded, and at most the raw ones.
    """

    macs: int
    computed_macs: int
    gated_macs: int
    control_stages: int
    filter_words: int
    ifmap_words: int
    ifmap_coded_words: int
    ofmap_words: int
    ofmap_coded_words: int
    ifmap_reads: int
    psum_words: int
    filter_copies: int
    ifmap_copies: int
    psum_hops: int
    processing_cycles: int
    filter_cycles: int
    feature_map_cycles: int
    total_cycles: int
    pe_cycles: int


class Times(NamedTuple):
    """Cycles of a layer: of its passes, of its filters and feature maps off-chip, in all, and in all times the PEs."""

    processing_cycles: int
    filter_cycles: int
    feature_map_cycles: int
    total_cycles: int
    pe_cycles: int


FIELDS: tuple[tuple[tuple[str, str, str], str], ...] = (
    (("dram", "read", "weight"), "filter_words"),
    (("dram", "read", "input"), "ifmap_coded_words"),
    (("dram", "write", "output"), "ofmap_coded_words"),
    (("clock", "pe_cycle", ""), "pe_cycles"),
    (("ifmap_spad", "read", "input"), "macs"),
    (("ifmap_spad", "write", "input"), "ifmap_copies"),
    (("filter_spad", "read", "weight"), "computed_macs"),
    (("filter_spad", "write", "weight"), "filter_copies"),
    (("psum_spad", "read", "psum"), "macs"),
    (("psum_spad", "write", "psum"), "macs"),
    (("pe_control", "stage", ""), "control_stages"),
    (("mac", "", "output"), "computed_macs"),
    (("mac", "gated", "output"), "gated_macs"),
    (("pads", "transfer", "weight"), "filter_words"),
    (("pads", "transfer", "input"), "ifmap_coded_words"),
    (("pads", "transfer", "output"), "ofmap_coded_words"),
    (("pe_fifo", "transfer", "weight"), "filter_copies"),
    (("pe_fifo", "transfer", "input"), "ifmap_copies"),
    (("pe_fifo", "transfer", "psum"), "psum_hops"),
    (("glb", "write", "input"), "ifmap_words"),
    (("glb", "read", "input"), "ifmap_reads"),
    (("glb", "read", "psum"), "psum_words"),
    (("glb", "write", "psum"), "psum_words"),
    (("glb", "read", "output"), "ofmap_words"),
    (("filter_glb", "write", "weight"), "filter_words"),
    (("filter_glb", "read", "weight"), "filter_words"),
    (("noc", "transfer", "weight"), "filter_words"),
    (("noc", "transfer", "input"), "ifmap_reads"),
    (("noc", "transfer", "psum"), "psum_words"),
    (("noc", "transfer", "output"), "psum_words"),
    (("top_control", "cycle", ""), "total_cycles"),
)
"""Which field of a tally counts each action (component, action, operand); a product's action is its number format."""


def actions(fmt: NumberFormat) -> list[tuple[tuple[str, str, str], str]]:
    """Return `FIELDS` for a number format."""
    return [((component, action or fmt.name, operand), field) for (component, action, operand), field in FIELDS]


def tally(mapping: RowStationaryMapping, output_density: float) -> Tally:
    """Return what a layer does; `output_density` is the fraction of its outputs that are not zero."""
    g, machine, strips = mapping.geometry, mapping.machine, mapping.strips
    batches, chunks, channels = mapping.batches, mapping.chunks, g.groups * g.N * g.C
    _, _, _, p, q, _, _ = mapping.parameters
    computed = ceil(mapping.density * g.inside_products) if machine.gated else g.macs
    filters, moved = g.weights * strips.number * batches, channels * strips.moved_rows * g.moved_columns * chunks
    real = channels * strips.real_rows * g.real_columns * chunks
    coded_in = coded_words(moved, ceil(mapping.density * real)) if machine.gated else moved
    coded_out = coded_words(g.outputs, ceil(output_density * g.outputs)) if machine.gated else g.outputs
    times = times_of(machine, mapping.passes * mapping.one_pass.cycles, filters, coded_in + coded_out)
    return Tally(
        macs=g.macs,
        computed_macs=computed,
        gated_macs=g.macs - computed,
        control_stages=g.macs + 2 * computed,
        filter_words=filters,
        ifmap_words=moved,
        ifmap_coded_words=coded_in,
        ofmap_words=g.outputs,
        ofmap_coded_words=coded_out,
        ifmap_reads=channels * strips.moved_rows * g.read_columns * mapping.filter_passes,
        psum_words=g.outputs * mapping.channel_passes,
        filter_copies=g.weights * g.P * batches,
        ifmap_copies=channels * g.P * g.R * g.read_columns * ceil_div(g.K, p),
        psum_hops=g.outputs * g.R * g.tap_pieces * ceil_div(g.C, q),
        **times._asdict(),
    )


def times_of(machine: Machine, processing_cycles: int, filter_words: int, map_words: int) -> Times:
    """Return the cycles of a layer.

    Off-chip the filters of later passes come while earlier ones compute; feature maps do not overlap with computing.
    """
    filters, maps = machine.link(filter_words * WORD_BITS), machine.link(map_words * WORD_BITS)
    total = max(processing_cycles, filters) + maps
    return Times(processing_cycles, filters, maps, total, total * machine.rows * machine.cols)


WORD_BITS = 16
"""Of values, and of sums."""


def coded_words(words: int, nonzero: int) -> int:
    """Return how many words `words` values take run-length coded, `nonzero` of them spread at random; raw if fewer.

    A pair codes up to 31 zeros and the value behind them, which may be a zero itself. With zeros independent, a share z
    of them, there are (1 - z) / (1 - z^32) pairs per value: those of all values that are not zero, and one for every 32
    zeros of a run. Code of Chen et al., JSSC 52(1), 2017, Sec. IV-B.
    """
    if not words:
        return 0
    zeros = (words - nonzero) / words
    squared = zeros * zeros
    power = squared * squared
    power *= power
    power *= power
    power *= power
    pairs = nonzero / (1 - power) if nonzero else words / RUN
    return min(words, LINK_WORDS * ceil_div(ceil(pairs), PAIRS))
