"""Seconds of an operator's work on a machine: calls, arithmetic and memory, the last two in part at once."""

from __future__ import annotations

from math import inf

from .constants import Constants
from .machine import Curve, Machine
from .work import Work, heaviest_share

PRODUCTS = frozenset({"conv", "pointwise", "depthwise", "gemm", "bmm"})


def seconds(
    work: Work, fmt: str, constants: Constants, machine: Machine, curve: Curve, held_bytes: float, away_s: float
) -> float:
    """Return the time of all steps of an operator.

    Weights come from the cache that holds the `held_bytes` which a run touches, runs being `away_s` apart, or,
    in further steps, what one step touches; inputs and outputs from the one that holds them.
    """
    share = constants.serial_share + (1 - constants.serial_share) * heaviest_share(work, machine.threads)
    computing = compute_seconds(work, fmt, constants, machine) * share
    touched = work.weight_bytes + work.input_bytes + work.output_bytes
    moved = work.input_bytes + work.output_bytes
    per_byte = share / constants.bandwidth_share
    moving = per_byte * moved * curve(touched)
    first = moving + per_byte * work.weight_bytes * curve.kept(max(held_bytes, touched), away_s, machine.keep_s)
    call = constants.call_s * work.pieces + constants.fork_s * (machine.threads - 1)
    together = overlapped(computing, first, constants.overlap_exponent)
    if work.steps > 1:
        again = moving + per_byte * work.weight_bytes * curve(touched)
        together += (work.steps - 1) * overlapped(computing, again, constants.overlap_exponent)
    return work.steps * call + together


def compute_seconds(work: Work, fmt: str, constants: Constants, machine: Machine) -> float:
    """Return the time of the arithmetic of one step on one thread."""
    if work.op_class not in PRODUCTS:
        return work.macs / (constants.efficiency * machine.clock_hz)
    tiles = 1 + (constants.single_cost - 1) * work.single
    if work.row:
        tiles *= 1 + constants.row_half / work.row
    if work.visit:
        tiles *= 1 + constants.reduction_half / work.visit
    per_cycle = machine.matrix_macs_per_cycle if work.matrix else machine.macs_per_cycle
    rate = per_cycle[fmt] * machine.clock_hz * constants.efficiency
    return work.macs * tiles / rate + work.gathered * constants.gather_s + work.rounded * constants.round_s


def overlapped(a_s: float, b_s: float, exponent: float) -> float:
    """Return (a^p + b^p)^(1/p)."""
    if exponent == inf or not a_s or not b_s:
        return max(a_s, b_s)
    high, low = (a_s, b_s) if a_s > b_s else (b_s, a_s)
    return float(high * (1 + (low / high) ** exponent) ** (1 / exponent))
