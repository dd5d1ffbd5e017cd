"""Clocks and bandwidths as they are asked for, as cycles and exact bits per cycle."""

from __future__ import annotations

from fractions import Fraction
from math import inf

from hwsim.errors import InputError
from hwsim.units import gb_s_to_bits_s, gib_s_to_bits_s, mhz_to_hz

LARGEST_DENOMINATOR = 2**40
"""Of a rate: stepped sums stay in int64."""


def clock_hz_of(chip: str, clock_mhz: float) -> int:
    """Return a chip's clock [Hz]; raises `InputError` for one below 1 Hz, or beyond all numbers."""
    if clock_mhz * 1e6 == inf:
        raise InputError(f"chip '{chip}': clock_mhz={clock_mhz:g} is not finite in Hz")
    hertz = mhz_to_hz(clock_mhz)
    if hertz < 1:
        raise InputError(f"chip '{chip}': clock_mhz={clock_mhz:g} is less than 1 Hz")
    return hertz


def gb_s_per_cycle(chip: str, name: str, gb_s: float, clock_hz: int) -> Fraction:
    """Return the bits per cycle of parameter `name`, with GB = 1e9 B, as the decimal number means it."""
    return bits_per_cycle(chip, name, gb_s, Fraction(repr(gb_s)) * round(gb_s_to_bits_s(1)), clock_hz)


def gib_s_per_cycle(chip: str, name: str, gib_s: float, clock_hz: int) -> Fraction:
    """Return the bits per cycle of parameter `name`, with GiB = 2^30 B, as the decimal number means it."""
    return bits_per_cycle(chip, name, gib_s, Fraction(repr(gib_s)) * round(gib_s_to_bits_s(1)), clock_hz)


def bits_per_cycle(
    chip: str, name: str, value: float, bits_s: Fraction | int, clock_hz: int, largest: int = LARGEST_DENOMINATOR
) -> Fraction:
    """Return `bits_s` [bit/s], those of parameter `name` of `value`, per cycle; its denominator is up to `largest`.

    Raises `InputError` where nothing is left: at 1 GHz either, the parameter is at fault, and the clock otherwise.
    """
    rate = (Fraction(bits_s) / clock_hz).limit_denominator(largest)
    if rate:
        return rate
    least = f"less than 2^-{largest.bit_length() - 1} bits per cycle"
    if not Fraction(bits_s, 10**9).limit_denominator(largest):
        raise InputError(f"chip '{chip}': {name}={value:g} is {least}")
    raise InputError(f"chip '{chip}': clock_mhz={clock_hz / 1e6:g} leaves {least} of {name}={value:g}")
