"""Seconds of an operator's work on a machine: calls, arithmetic and memory, the last two in part at once."""

from __future__ import annotations

from math import inf

from .constants import PRODUCTS, Constants
from .machine import Curve, Machine
from .work import Work, heaviest_share, threads_of


def seconds(
    work: Work, fmt: str, constants: Constants, machine: Machine, curve: Curve, held_bytes: float, away_s: float
) -> float:
    """Return the time of all steps of an operator.

    Weights come from the cache that holds the `held_bytes` which a run touches, runs being `away_s` apart, or,
    in further steps, what one step touches; inputs and outputs from the one that holds them.
    """
    used = threads_of(work, machine.threads)
    share = constants.serial_share + (1 - constants.serial_share) * heaviest_share(work, used)
    computing = compute_seconds(work, fmt, constants, machine) * share
    touched = work.weight_bytes + work.input_bytes + work.output_bytes
    near, per_byte = curve(touched), 1 / constants.bandwidth_share
    # what other threads have written is not in this one's caches
    far = (1 - used / machine.threads) * max(curve.last - near, 0.0)
    moving = per_byte * share * (work.input_bytes * (near + far) + work.output_bytes * near)
    weights = per_byte * work.weight_bytes * (1.0 if work.passes else share)
    scratch = per_byte * share * work.scratch_bytes
    first = moving + (weights + scratch) * curve.kept(max(held_bytes, touched), away_s, machine.keep_s)
    if work.passes > 1:
        again = weights * curve(machine.threads * work.weight_bytes) + scratch * curve(work.scratch_bytes)
        first += (work.passes - 1) * again
    call = constants.call_s * work.pieces + constants.fork_s * (used - 1)
    together = overlapped(computing, first, constants.overlap_exponent)
    if work.steps > 1:
        again = moving + weights * near
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
    with_tiles = work.matrix and fmt in machine.matrix_macs_per_cycle
    per_cycle = machine.matrix_macs_per_cycle if with_tiles else machine.macs_per_cycle
    rate = per_cycle[fmt] * machine.clock_hz * constants.efficiency
    return work.macs * tiles / rate + work.gathered * constants.gather_s + work.rounded * constants.round_s


def overlapped(a_s: float, b_s: float, exponent: float) -> float:
    """Return (a^p + b^p)^(1/p)."""
    if exponent == inf or not a_s or not b_s:
        return max(a_s, b_s)
    high, low = (a_s, b_s) if a_s > b_s else (b_s, a_s)
    return float(high * (1 + (low / high) ** exponent) ** (1 / exponent))
