"""Layers' times out of a session with a profile, which the library writes when the session ends, not before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from .onnxruntime_session import one_processor, profile_cost_s, runs_in, warm_again

Nodes = list[tuple[str, float]]
"""Names of a run's nodes with their seconds."""

DISTURBED = 1.1
"""Runs that take this times the median in the profile are left out where others remain: something else has run then."""

MOST_COST = 2.5
"""The most that the profile may add to a node, in times of what it adds to one that does nothing."""

LEAST = 0.05
"""The part of a node's time in the profile that is left to it when the profile's own cost is taken off."""

MOST_NODES = 100_000
"""Nodes that one profile takes, 15 MB of text."""


class Layers(Mapping[str, float]):
    """Seconds by layer of a sample, read from the profile when somebody asks for them."""

    def __init__(self, finish: Callable[[], object]) -> None:
        self.finish: Callable[[], object] | None = finish
        self.seconds: dict[str, float] = {}

    def fill(self, seconds: dict[str, float]) -> None:
        """Give the seconds; the profile is let go of."""
        self.seconds, self.finish = seconds, None

    def _told(self) -> dict[str, float]:
        if self.finish is not None:
            self.finish()
        return self.seconds

    def __getitem__(self, name: str) -> float:
        """Return the seconds of a layer."""
        return self._told()[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the layers that have a time of their own."""
        return iter(self._told())

    def __len__(self) -> int:
        """Return how many have."""
        return len(self._told())


class Profile:
    """A session with a profile that samples share until somebody wants to know layers' times."""

    def __init__(
        self, session: Any, once: Callable[[Any], None], threads: int, by_layer: Callable[[Nodes], Any]
    ) -> None:
        self.session, self.once, self.threads, self.by_layer = session, once, threads, by_layer
        self.groups: list[tuple[Layers, range]] = []
        self.totals: list[float] = []
        self.runs, self.ended = 0, False

    def samples(self, totals: Sequence[float], repeats: int, evict: Callable[[], None]) -> list[Layers]:
        """Run `repeats` times for every whole run of `totals` [s]; return what will have the layers' means.

        `evict` is called before each run.
        """
        found = [Layers(self.end) for _ in totals]
        with one_processor(self.threads):
            warm_again(self._run)
            for layers in found:
                self.groups.append((layers, range(self.runs, self.runs + repeats)))
                for _ in range(repeats):
                    evict()
                    self._run()
        self.totals += totals
        return found

    def end(self) -> None:
        """Read what the library has written, and give every sample its layers' times."""
        if self.ended:
            return
        self.ended = True
        runs = runs_in(Path(self.session.end_profiling()))
        timed = [runs[index] for _, several in self.groups for index in several]
        cost_s = self._cost_s(timed) if timed else 0.0
        sums = [sum(duration_s for _, duration_s in nodes) for nodes in runs]
        for layers, several in self.groups:
            most_s = DISTURBED * median(sums[index] for index in several)
            kept = [index for index in several if sums[index] <= most_s]
            layers.fill(_mean([self.by_layer(_less(runs[index], cost_s)) for index in kept]))
        del self.session

    def _run(self) -> None:
        self.once(self.session)
        self.runs += 1

    def _cost_s(self, runs: Sequence[Nodes]) -> float:
        """Return what the profile adds to a node: what it adds to one that does nothing, or what the whole run says."""
        least_s = profile_cost_s(self.threads)
        summed = median(sum(duration_s for _, duration_s in nodes) for nodes in runs)
        return min(max(least_s, (summed - median(self.totals)) / max(1, len(runs[0]))), MOST_COST * least_s)


def _less(nodes: Nodes, cost_s: float) -> Nodes:
    return [(name, max(duration_s - cost_s, LEAST * duration_s)) for name, duration_s in nodes]


def _mean(group: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: sum(one.get(name, 0.0) for one in group) / len(group) for name in group[0]}
