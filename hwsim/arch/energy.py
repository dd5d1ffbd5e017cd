"""What an action costs: table entries with their sources, and energy as counts times table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from hwsim.arch.source import Source


@dataclass(frozen=True, slots=True)
class EnergyEntry:
    """Energy of one action of a component: `energy_pj` [pJ] per word of `bits`, or per operation where `bits` is 0."""

    component: str
    action: str
    energy_pj: float
    bits: int
    node_nm: float
    source: Source

    def word_pj(self, word_bits: int) -> float:
        """Return [pJ] for a word of `word_bits`, in proportion to its width."""
        return self.energy_pj * word_bits / self.bits if self.bits else self.energy_pj


@dataclass(frozen=True)
class EnergyTable:
    """Entries by (component, action)."""

    entries: tuple[EnergyEntry, ...]

    @cached_property
    def by_action(self) -> Mapping[tuple[str, str], EnergyEntry]:
        """Return the entries by (component, action)."""
        return {(entry.component, entry.action): entry for entry in self.entries}

    @cached_property
    def components(self) -> tuple[str, ...]:
        """Components in the order of the table."""
        return tuple(dict.fromkeys(entry.component for entry in self.entries))


def table_of(*groups: Iterable[EnergyEntry]) -> EnergyTable:
    """Return one table of several groups of entries."""
    return EnergyTable(tuple(entry for group in groups for entry in group))
