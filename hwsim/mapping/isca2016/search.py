"""The mapping of least energy among the candidates of a dataflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np

from hwsim.mapping.isca2016.shape import Ints, Shape

Access = tuple[str, str, str]
"""(level, action, operand); levels are dram, buffer, array and rf."""

Candidates = Mapping[str, Any]
"""Mapping parameters by name: arrays of as many numbers, or numbers that all candidates share."""

TIE = 1e-9
"""Energies that differ by less, relatively, count as equal."""


class Storage(NamedTuple):
    """What a dataflow is given: PEs, words of registers in each and of buffer, and the costs of an access.

    `costs` are in the energy of a multiply-accumulate, by level.
    """

    pes: int
    rf_words: int
    buffer_words: int
    costs: tuple[tuple[str, float], ...]


class Tile(NamedTuple):
    """A loop over chunks of `size` of the dimension `dim`, held at `level`; or, `spatial`, over `size` PEs."""

    level: str
    dim: str
    size: int
    spatial: bool = False


class Reuse(Protocol):
    """What a module of a dataflow offers. Parameters have the paper's letters, as far as it has them."""

    RULE: str
    """What a layer must fit in, for the error of one that does not."""

    def __hash__(self) -> int:
        """Return that of the module, by which searches are remembered."""

    def candidates(self, shape: Shape, storage: Storage) -> Iterator[Candidates]:
        """Yield the mappings that fit, block by block; no other is better."""

    def accesses(self, shape: Shape, c: Candidates) -> dict[Access, Any]:
        """Return how often each candidate accesses each level, in words of an operand."""

    def active_pes(self, shape: Shape, c: Candidates) -> Any:
        """Return the PEs that work at a time."""

    def tiles(self, shape: Shape, c: Mapping[str, int]) -> tuple[Tile, ...]:
        """Return the loops of a mapping from the outermost inward; what they leave open runs in time."""


class Candidate(NamedTuple):
    """A mapping with its energy [MACs] and the PEs that work at a time."""

    energy: float
    active_pes: int
    parameters: dict[str, int]


class Found(NamedTuple):
    """The best candidate: its parameters, its accesses and the PEs that work at a time."""

    parameters: dict[str, int]
    accesses: dict[Access, int]
    active_pes: int


@lru_cache(maxsize=4096)
def least_energy(reuse: Reuse, shape: Shape, storage: Storage) -> Found | None:
    """Return the candidate of least energy, None where nothing fits.

    Of an even batch only those are taken, if any fits, that have no fewer PEs at work than the best of half the batch:
    energy alone would sometimes buy a few accesses less with half the speed.
    """
    fewest = 0
    if shape.N % 2 == 0:
        half = least_energy(reuse, replace(shape, N=shape.N // 2), storage)
        fewest = half.active_pes if half else 0
    return _best_of(reuse, shape, storage, fewest) or (_best_of(reuse, shape, storage, 0) if fewest else None)


def _best_of(reuse: Reuse, shape: Shape, storage: Storage, fewest: int) -> Found | None:
    """Return the candidate of least energy with at least `fewest` PEs at work."""
    best: Candidate | None = None
    for block in reuse.candidates(shape, storage):
        for fast in legal(block, np.atleast_1d(reuse.active_pes(shape, block)) >= fewest):
            found = _best_in(reuse, shape, fast, dict(storage.costs))
            best = found if best is None or _better(found, best) else best
    if best is None:
        return None
    counts = reuse.accesses(shape, best.parameters)
    return Found(best.parameters, {access: int(count) for access, count in counts.items() if count}, best.active_pes)


def grid(**axes: Ints) -> dict[str, Ints]:
    """Return every combination of the values of `axes`."""
    mesh = np.meshgrid(*axes.values(), indexing="ij")
    return {name: values.ravel() for name, values in zip(axes, mesh, strict=True)}


def legal(c: Mapping[str, Any], mask: Any) -> Iterator[Candidates]:
    """Yield the candidates that `mask` marks, if there are any."""
    if np.any(mask):
        yield {name: values[mask] if np.ndim(values) else values for name, values in c.items()}


def _best_in(reuse: Reuse, shape: Shape, c: Candidates, costs: Mapping[str, float]) -> Candidate:
    """Return the candidate of least energy; of those that tie, the one of most PEs at work."""
    energy = np.atleast_1d(sum(costs[level] * count for (level, _, _), count in reuse.accesses(shape, c).items()))
    active = np.broadcast_to(reuse.active_pes(shape, c), energy.shape)
    near = np.flatnonzero(energy <= energy.min() * (1 + TIE))
    index = int(near[np.argmax(active[near])])
    parameters = {name: int(values[index]) if np.ndim(values) else int(values) for name, values in c.items()}
    return Candidate(float(energy[index]), int(active[index]), parameters)


def _better(one: Candidate, other: Candidate) -> bool:
    """Whether `one` takes less energy than `other`, or ties with more PEs at work."""
    if one.energy < other.energy * (1 - TIE):
        return True
    return one.energy <= other.energy * (1 + TIE) and one.active_pes > other.active_pes
