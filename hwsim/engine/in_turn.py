"""Layers one after the other: products on an array, each by itself, all else on the vector lanes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from hwsim.arch.accelerator import Accelerator
from hwsim.engine import vector
from hwsim.formats import NumberFormat
from hwsim.mapping.placed import Placed
from hwsim.results.record import Execution, Outcome


class Closed(Protocol):
    """Cycles and action counts of a mapped layer, computed; the mapping is one of the dataflows the chip runs."""

    def __call__(self, mapping: Any, chip: Accelerator, fmt: NumberFormat) -> Outcome:
        """Return the outcome."""


class Stepped(Protocol):
    """The same, counted while seeded values move."""

    def __call__(self, mapping: Any, chip: Accelerator, fmt: NumberFormat, seed: int) -> Outcome:
        """Return the outcome."""


def in_turn(
    placed: Sequence[Placed],
    chip: Accelerator,
    fidelity: str,
    seed: int,
    closed: Closed,
    stepped: Stepped,
) -> Execution:
    """Return every layer's outcome in its own format, mapped ones by `closed` or `stepped`."""

    def outcome(one: Placed) -> Outcome:
        if one.mapping is None:
            return vector.closed(one.layer, chip, one.fmt, one.fused_into)
        return (
            stepped(one.mapping, chip, one.fmt, seed) if fidelity == "stepped" else closed(one.mapping, chip, one.fmt)
        )

    return Execution(map(outcome, placed))
