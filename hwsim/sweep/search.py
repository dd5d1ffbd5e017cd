"""Which points of a space are computed, in slices: all of them, some at random, or those that a search asks for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hwsim.errors import InputError, UsageError, unknown_name

from .space import Ordinals, Space
from .study_file import SEARCHES

GRID, RANDOM, GUIDED = SEARCHES

SLICES, LARGEST_SLICE = 2000, 2048
"""About how many slices a sweep has, and the points of one at most: what a kill loses is the slices in work."""

LEAST_SAMPLES = 100
"""Points that are sampled where nobody says how many: a tenth of the space, or so many if that is more."""


class Plan(NamedTuple):
    """How points of a space are chosen, and whether their layers are kept; `samples` of None is all of them."""

    search: str = GRID
    samples: int | None = None
    seed: int = 0
    layers: bool = True

    def to_json(self) -> str:
        """Return the plan as text."""
        return json.dumps(self._asdict(), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Return the plan of `to_json`; raises `InputError` for another text."""
        try:
            found = cls(**json.loads(text))
            plausible = found.search in SEARCHES and type(found.seed) is int and type(found.layers) is bool
            if plausible and (found.samples is None or (type(found.samples) is int and found.samples > 0)):
                return found
        except (TypeError, ValueError, RecursionError):
            pass
        raise InputError(f"'{text[:100]}' is no plan of a sweep")


def plan(space: Space, search: str, samples: int | None, seed: int, layers: bool) -> Plan:
    """Return the plan of these options; raises `UsageError` for a search there is not, or options it does not take."""
    if search not in SEARCHES:
        raise unknown_name("search", search, SEARCHES)
    if search == GRID:
        if samples is not None:
            raise UsageError(f"--samples {samples} is of --search random or guided; a grid computes every point")
        return Plan(GRID, layers=layers)
    if samples is not None and samples < 1:
        raise UsageError(f"--samples {samples} is no number of points from 1 on")
    wanted = max(LEAST_SAMPLES, space.size // 10) if samples is None else samples
    return Plan(search, min(space.size, wanted), seed, layers)


def count(space: Space, chosen: Plan) -> int:
    """Return how many points a plan has, those of a guided search at most."""
    return space.size if chosen.samples is None else chosen.samples


class Slices(Sequence[Ordinals]):
    """Runs of `size` of some ordinals; those of a grid, a range, become arrays as they are asked for."""

    def __init__(self, ordinals: Ordinals | range, size: int) -> None:
        self._ordinals, self._size = ordinals, size

    def __len__(self) -> int:
        return -(-len(self._ordinals) // self._size)

    def __getitem__(self, place: Any) -> Any:
        if not 0 <= place < len(self):
            raise IndexError(f"there are {len(self)} slices, and none at {place}")
        part = self._ordinals[place * self._size : (place + 1) * self._size]
        return np.arange(part.start, part.stop, dtype=np.int64) if isinstance(part, range) else part


class Shares:
    """Places of slices, dealt out to lanes: each goes through its own, and takes half of the longest when it has none.

    Neighbouring slices have networks and chips in common, which a process keeps.
    """

    def __init__(self, count: int) -> None:
        self._rests = {0: range(count)}

    def next(self, lane: int) -> int | None:
        """Return the place that a lane goes on with, None where none is left."""
        rest = self._rests.get(lane) or self._half()
        self._rests[lane] = rest[1:]
        return rest[0] if rest else None

    def _half(self) -> range:
        longest = max(self._rests, key=lambda lane: len(self._rests[lane]))
        rest = self._rests[longest]
        self._rests[longest] = rest[: len(rest) // 2]
        return rest[len(rest) // 2 :]


def slices(space: Space, chosen: Plan) -> Slices:
    """Return the points of a grid or a random sample as slices, always the same for the same plan."""
    total = count(space, chosen)
    size = slice_size(total)
    if total == space.size:
        return Slices(range(total), size)
    # in the space's order, so that neighbours share networks and chips
    found = np.sort(np.random.default_rng(chosen.seed).choice(space.size, total, replace=False, shuffle=False))
    return Slices(found.astype(np.int64), size)


def slice_size(total: int) -> int:
    """Return the number of points in a slice of a sweep of `total` points."""
    return min(max(total // SLICES, 1), LARGEST_SLICE)
