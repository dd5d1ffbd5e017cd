"""WHEN it happens: from a mapping to cycles, action counts and a timeline.

| module          | what                                                                     |
|-----------------|--------------------------------------------------------------------------|
| `array`         | systolic array, closed form                                              |
| `array_stepped` | the same array cycle by cycle with real values                           |
| `array_kernels` | its PEs, compiled                                                        |
| `vector`        | layers that are not matrix products, and which of them cost nothing      |
| `trace`         | a timeline of both                                                       |

An engine is a module with `closed(mapping, chip, fmt)` and `stepped(mapping, chip, fmt, seed)`, both giving an
`Outcome`, and `spans(mapping, chip)`, giving the timeline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hwsim.arch.accelerator import Accelerator
    from hwsim.engine.trace import Span
    from hwsim.formats import NumberFormat
    from hwsim.mapping import Mapping
    from hwsim.results.record import Outcome


class Engine(Protocol):
    """What a module of this folder offers to be named by a chip."""

    def closed(self, mapping: Mapping, chip: Accelerator, fmt: NumberFormat) -> Outcome:
        """Return cycles and action counts in closed form."""

    def stepped(self, mapping: Mapping, chip: Accelerator, fmt: NumberFormat, seed: int) -> Outcome:
        """Return the same from a simulation in which seeded values move."""

    def spans(self, mapping: Mapping, chip: Accelerator) -> Iterable[Span]:
        """Return the layer's timeline from its cycle 0."""
