"""Timing: warm-up, as many runs as it takes, their median and spread, and what counts as noise."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from hwsim.measure.backend import Sample

WARM_UP_S, ROUND_S = 0.3, 0.25
"""Seconds of runs that are thrown away, and of one round of runs."""

FEWEST, MOST = 5, 300
"""Runs of which a median is taken, whatever they last."""

NOISY_SPREAD, DRIFT = 0.10, 0.05
"""Spread from which a time is noise (pyperf has the same), and change of the median between the halves of a series."""

AMORTISED = 0.8
"""Where a run costs less than this part of what it did before, rounds have a cost of their own, and grow."""

ENOUGH = 0.005
"""Uncertainty of the median, relative to it, at which further runs would tell nothing."""


@dataclass(frozen=True)
class Series:
    """Seconds of the same work, in the order in which it ran."""

    seconds: tuple[float, ...]

    @property
    def median_s(self) -> float:
        """The middle one."""
        return quantile(self.seconds, 0.5)

    @property
    def p10_s(self) -> float:
        """Below it lies a tenth of them."""
        return quantile(self.seconds, 0.1)

    @property
    def p90_s(self) -> float:
        """Above it lies a tenth of them."""
        return quantile(self.seconds, 0.9)

    @property
    def spread(self) -> float:
        """From the 10th to the 90th percentile, relative to the median."""
        return (self.p90_s - self.p10_s) / self.median_s if self.median_s else 0.0

    @property
    def halves_s(self) -> tuple[float, float]:
        """The medians of the first and of the second half."""
        half = max(1, len(self.seconds) // 2)
        return quantile(self.seconds[:half], 0.5), quantile(self.seconds[-half:], 0.5)

    @property
    def drift(self) -> float:
        """By how much the median of the second half exceeds that of the first, relative to the whole's."""
        first_s, second_s = self.halves_s
        return (second_s - first_s) / self.median_s if self.median_s else 0.0

    @property
    def noisy(self) -> bool:
        """Whether the spread is 10 % or more, or the machine became faster or slower meanwhile."""
        return self.spread >= NOISY_SPREAD or abs(self.drift) >= DRIFT


@dataclass
class Collected:
    """Runs of a network: of the whole, and of every layer that has a time of its own."""

    samples: list[Sample] = field(default_factory=list)

    @property
    def whole(self) -> Series:
        """Seconds of the whole network."""
        return Series(tuple(sample.total_s for sample in self.samples))

    def layer(self, name: str) -> Series:
        """Seconds of one layer; 0 in all runs where it is fused into another."""
        return Series(tuple(sample.layers_s.get(name, 0.0) for sample in self.samples))


def quantile(values: Sequence[float], fraction: float) -> float:
    """Return the value below which `fraction` of `values` lies, between two of them in proportion; 0 without any."""
    return float(np.quantile(values, fraction)) if values else 0.0


def collect(
    runs: Callable[[int], Sequence[Sample]], budget_s: float, first: Callable[[], object] | None = None
) -> Collected:
    """Return timed runs: warmed up, then in rounds until the median is known or `budget_s` is spent.

    `runs` makes as many runs as it is asked for, `first` one to warm up. However long one takes, there are `FEWEST`.
    """
    started = time.perf_counter()
    each_s, collected = warm_up(first or (lambda: runs(1))), Collected()
    wanted = int(ROUND_S / each_s)
    while len(collected.samples) < MOST:
        begun = time.perf_counter()
        left_s = budget_s - (begun - started)
        if len(collected.samples) >= FEWEST and (left_s < each_s or is_enough(collected.whole)):
            break
        count = max(1, min(MOST - len(collected.samples), wanted, int(max(left_s, 0) / each_s)))
        collected.samples += runs(count)
        before_s, each_s = each_s, max((time.perf_counter() - begun) / count, 1e-9)
        wanted = 2 * count if each_s < AMORTISED * before_s else max(count, int(ROUND_S / each_s))
    return collected


def warm_up(first: Callable[[], object]) -> float:
    """Run for `WARM_UP_S`, twice at least (the first run compiles, allocates and packs); return seconds of one run."""
    started, count, last_s = time.perf_counter(), 0, 0.0
    while count < 2 or time.perf_counter() - started < WARM_UP_S:
        begun = time.perf_counter()
        first()
        last_s, count = time.perf_counter() - begun, count + 1
    return max(last_s, 1e-9)


def is_enough(series: Series) -> bool:
    """Whether more runs would not move the median: its standard error, from the spread, is below `ENOUGH`.

    For a normal distribution p90 - p10 is 2.56 standard deviations, and the median's error 1.25 / sqrt(n) of one.
    """
    count = len(series.seconds)
    return count >= 4 * FEWEST and 1.25 * series.spread / 2.56 / count**0.5 < ENOUGH
