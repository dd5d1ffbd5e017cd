"""What a sweep came to: how many points, what they cost to compute, which are best, why some failed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwsim.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
"""Of `Summary.record`."""

BUG, INTERRUPTED = 1, 130


@dataclass(frozen=True)
class Summary:
    """What a sweep came to.

    `points` are those that it was asked for, `done` those of them that are in the study now, `computed` those that it
    added, `evaluated` those that it had computed, of which others may have committed some before. Of the whole study
    are `failed`, `reasons` with their counts, and `bugs` among them, `best` by objective, `best_of` each network, where
    these are several but few, the size of the `front`, and `namesakes`: points with the names of others, of before a
    file was edited. `faults` are why slices had to be computed again in pieces: deaths of processes, and bugs that
    points meet together.
    """

    path: Path
    points: int
    done: int
    computed: int
    evaluated: int
    seconds: float
    jobs: int
    in_study: int
    failed: int
    reasons: dict[str, int]
    bugs: int
    best: dict[str, dict[str, Any]]
    best_of: dict[str, dict[str, dict[str, Any]]]
    front: int
    namesakes: int
    faults: dict[str, int]
    interrupted: bool

    @property
    def points_per_s(self) -> float:
        """Return how many points were evaluated in a second."""
        return self.evaluated / self.seconds if self.seconds else 0.0

    @property
    def exit_code(self) -> int:
        """Return 130 for a sweep that was interrupted, 1 if points met bugs of ours, 3 if any failed, else 0."""
        if self.interrupted:
            return INTERRUPTED
        if self.bugs:
            return BUG
        return InputError.exit_code if self.failed else 0

    @property
    def frame(self) -> pd.DataFrame:
        """Return the points of the study."""
        from .database import Study

        with Study.open(self.path, create=False, readonly=True) as study:
            return study.frame()

    def record(self) -> dict[str, Any]:
        """Return the summary for machines."""
        from hwsim import __version__

        names = [name for name in self.__dataclass_fields__ if name != "path"]
        found = {"schema": SCHEMA, "hwsim": __version__, "study": str(self.path)}
        return {**found, **{name: getattr(self, name) for name in names}, "points_per_s": self.points_per_s}
