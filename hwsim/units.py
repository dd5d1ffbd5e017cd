"""The one place where units are converted. A unit is a suffix: _bits _bytes _pj _hz _s _cycles."""

from __future__ import annotations

BITS_PER_BYTE = 8
BYTES_PER_KIB = 1024
PJ_PER_J = 1e12


def kib_to_bits(kib: float) -> int:
    """Return bits in `kib` [KiB]."""
    return round(kib * BYTES_PER_KIB * BITS_PER_BYTE)


def bits_to_bytes(bits: int) -> int:
    """Return the whole bytes that hold `bits`."""
    return -(-bits // BITS_PER_BYTE)


def mhz_to_hz(mhz: float) -> int:
    """Return [Hz] for [MHz]."""
    return round(mhz * 1e6)


def gb_s_to_bits_s(gb_s: float) -> float:
    """Return [bit/s] for [GB/s], with GB = 1e9 B as datasheets of memories use it."""
    return gb_s * 1e9 * BITS_PER_BYTE


def gib_s_to_bits_s(gib_s: float) -> float:
    """Return [bit/s] for [GiB/s], with GiB = 2^30 B as block diagrams of chips use it."""
    return gib_s * 2**30 * BITS_PER_BYTE


def mib_to_bits(mib: float) -> int:
    """Return bits in `mib` [MiB]."""
    return round(mib * BYTES_PER_KIB**2 * BITS_PER_BYTE)


def w_to_pj_per_cycle(watts: float, clock_hz: int) -> float:
    """Return the energy of one cycle [pJ] at `watts`."""
    return watts / clock_hz * PJ_PER_J


def pj_to_j(pj: float) -> float:
    """Return [J] for [pJ]."""
    return pj / PJ_PER_J


def um2_to_mm2(um2: float) -> float:
    """Return [mm2] for [um2]."""
    return um2 / 1e6


def cycles_to_s(cycles: int, clock_hz: int) -> float:
    """Return seconds for `cycles` at `clock_hz`."""
    return cycles / clock_hz


def ceil_div(dividend: int, divisor: int) -> int:
    """Return the quotient of two integers rounded up: how many tiles of `divisor` cover `dividend`."""
    return -(-dividend // divisor)
