"""Words and numbers that the scoreboard's forms share: errors, values with units, works in short."""

from __future__ import annotations

from collections.abc import Iterable

from hwsim.arch.source import Source
from hwsim.results.terminal import quantity

from .record import Record
from .scores import Score

SCALED = {"s": "s", "B": "B", "pJ": "J", "cycles": "", "words": "", "inferences/s": "", "MACs": ""}
"""Units that take a prefix, and what it stands before."""

PJ = 1e-12


def percent(value: float | None, in_points: bool = False, signed: bool = False) -> str:
    """Return an error with one decimal, two below 1; "" where there is none."""
    if value is None:
        return ""
    digits = 2 if 0 < abs(value) < 0.995 else 1 if abs(value) < 99.95 else 0
    sign = "+" if signed and value > 0 else ""
    return f"{sign}{value:.{digits}f}{' points' if in_points else ' %'}" if value else "0" + " %" * (not in_points)


def value(amount: float, unit: str) -> str:
    """Return a value with its unit: 1.27e-3 s is "1.27 ms", a fraction of 0.127 is "12.7 %"."""
    if unit == "fraction":
        return f"{100 * amount:.3g} %"
    if unit in SCALED:
        rest = f" {unit}" if unit in ("cycles", "words", "inferences/s", "MACs") else ""
        return quantity(amount * (PJ if unit == "pJ" else 1), SCALED[unit]) + rest
    return f"{amount:.4g} {unit}"


def in_short(source: Source) -> str:
    """Return a work as people call it: "Jouppi et al. 2017"."""
    parts = source.work.split(", ")
    last = next((place for place, part in enumerate(parts[:3]) if " and " in part), 0) if "et al" not in parts[0] else 0
    return f"{', '.join(parts[: last + 1])} {source.year or ''}".strip()


def is_variant(machine: str) -> bool:
    """Whether a name is of a machine run in another way than its own, or of one machine over another."""
    return "," in machine or " over " in machine


def works(records: Iterable[Record]) -> str:
    """Return the works that references are from, in short, each once."""
    return "; ".join(dict.fromkeys(in_short(one.source) for one in records))


def worst(one: Score) -> str:
    """Return the largest error of a score with its row; "exact" where there is none."""
    if one.mean is None:
        return ""
    return f"{percent(one.worst, one.in_points, signed=True)}, {one.worst_row}" if one.worst_row else "exact"


def asked(one: Score) -> str:
    """Return the mean error that was asked for, and whether it was missed."""
    target = one.note.target_percent
    return "" if target is None else f"{target:g} %{', missed' if one.missed_target else ''}"


def within(one: Score) -> str:
    """Return how many rows are within their tolerances, of those that have one."""
    return f"{one.met} of {one.held}" if one.held else ""
