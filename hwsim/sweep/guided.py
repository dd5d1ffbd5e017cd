"""A search that is guided by what it found: NSGA-II of optuna, on the numbers of axis values.

Deb et al., IEEE Trans. Evol. Comp. 6(2) 2002. Points of one network compete with one another, not with those of other
networks, of which the smallest would always win: each network has a search of its own.

A generation is asked for whole, computed by whatever number of workers, and told in the order in which it was asked:
the same seed asks for the same points, also when a search is resumed and finds those of before in the study.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import UsageError

from .search import Plan
from .space import Block, Ordinals, Space

if TYPE_CHECKING:
    import optuna

Losses = Callable[[Ordinals], NDArray[np.float64]]
"""Returns the objectives at ordinals, shape (n, objectives), less is better; NaN for a point that failed."""

SMALLEST, LARGEST = 12, 200
"""Population."""

GENERATIONS = 36
"""About how many a search has: measured on 8,748 points of a systolic array, of which it may take a tenth."""

STALE = 10
"""Generations in a row without a new point after which a search has converged."""

BLOCK = "block"


def generations(space: Space, chosen: Plan, losses: Losses) -> Iterator[Ordinals]:
    """Yield generations of points to compute; `losses` is asked for those of each before the next is yielded.

    Raises `UsageError` without optuna.
    """
    _require_optuna()
    groups = _by_network(space)
    sizes = [sum(space.blocks[number].size for number in numbers) for numbers in groups.values()]
    shares = _shares(chosen.samples or space.size, sizes)
    for index, (numbers, share, size) in enumerate(zip(groups.values(), shares, sizes, strict=True)):
        if share >= size:
            yield np.concatenate([_all(space, number) for number in numbers])
        elif share:
            yield from _searched(space, numbers, share, chosen.seed + index, losses)


def _require_optuna() -> None:
    try:
        import optuna
    except ImportError:
        raise UsageError("--search guided needs optuna; pip install 'hwsim[sweep]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def _by_network(space: Space) -> dict[str, list[int]]:
    """Return the numbers of each network's blocks."""
    found: dict[str, list[int]] = {}
    for number, block in enumerate(space.blocks):
        found.setdefault(block.network, []).append(number)
    return found


def _all(space: Space, number: int) -> Ordinals:
    return int(space.starts[number]) + np.arange(space.blocks[number].size, dtype=np.int64)


def _shares(samples: int, sizes: list[int]) -> list[int]:
    """Return how many samples each of several searches has: equally many, what small ones leave going to the others."""
    shares = [0] * len(sizes)
    left = samples
    for rank, which in enumerate(sorted(range(len(sizes)), key=sizes.__getitem__)):
        shares[which] = min(sizes[which], left // (len(sizes) - rank))
        left -= shares[which]
    return shares


def _searched(space: Space, numbers: list[int], samples: int, seed: int, losses: Losses) -> Iterator[Ordinals]:
    """Yield generations until `samples` different points were asked for, or no new ones come."""
    population = min(max(samples // GENERATIONS, SMALLEST), LARGEST, samples)
    study = _study(len(space.objectives), population, seed)
    distributions = _distributions(space, numbers)
    asked: set[int] = set()
    stale = 0
    while len(asked) < samples and stale < STALE:
        trials = [study.ask(distributions) for _ in range(population)]
        points = [_ordinal(space, numbers, trial.params) for trial in trials]
        new = [point for point in dict.fromkeys(points) if point not in asked][: samples - len(asked)]
        stale = 0 if new else stale + 1
        asked.update(new)
        if new:
            yield np.sort(np.array(new, np.int64))
        _tell(study, [(trial, point) for trial, point in zip(trials, points, strict=True) if point in asked], losses)


def _study(objectives: int, population: int, seed: int) -> optuna.Study:
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental options, one warning each
        sampler = optuna.samplers.NSGAIISampler(population_size=population, seed=seed)
    return optuna.create_study(directions=["minimize"] * objectives, sampler=sampler)


def _distributions(space: Space, numbers: list[int]) -> dict[str, Any]:
    """Return one gene for the choice of a block, and one for each of its axes that has a choice.

    Every point has the genes of all blocks and is made by those of its own: so the search space is the same for all,
    as crossover needs it.
    """
    from optuna.distributions import IntDistribution

    genes = {BLOCK: len(numbers)}
    for number in numbers:
        genes |= {_gene(number, axis.name): len(axis.values) for axis in space.blocks[number].axes}
    return {name: IntDistribution(0, choices - 1) for name, choices in genes.items() if choices > 1}


def _gene(number: int, axis: str) -> str:
    return f"{number}:{axis}"


def _ordinal(space: Space, numbers: list[int], genes: dict[str, int]) -> int:
    """Return the point that `genes` make."""
    number = numbers[genes.get(BLOCK, 0)]
    block: Block = space.blocks[number]
    local = 0
    for axis in block.axes:
        local = local * len(axis.values) + genes.get(_gene(number, axis.name), 0)
    return int(space.starts[number]) + local


def _tell(study: optuna.Study, trials: list[tuple[optuna.Trial, int]], losses: Losses) -> None:
    """Tell the search what its trials gave; a point without numbers has failed."""
    from optuna.trial import TrialState

    found = losses(np.array([point for _, point in trials], np.int64))
    for (trial, _), values in zip(trials, found.tolist(), strict=True):
        if np.isnan(values).any():
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, values)
