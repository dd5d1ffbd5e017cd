"""A sweep from its options to its summary, one that is resumed included."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import InputError, UsageError

from . import guided, queries, search
from .database import Study
from .executors import Workers, require_address, workers
from .interruption import Stop, interruptible
from .objectives import losses
from .run import Progress, Run
from .search import GUIDED, Plan
from .space import Ordinals, Space
from .summary import Summary

SUFFIX = ".sqlite"

POINTS_PER_JOB = 50
"""Fewer are computed before another process has started."""

SLICES_OF_A_GENERATION = 16
"""How finely a generation is cut, so that several workers share it whatever its points cost."""

MOST_NETWORKS = 6
"""Of more networks the best points are not told one by one."""

Tell = Callable[[Progress], None]
Planned = tuple[Space, Plan]


def default_path(space: Space) -> Path:
    """Return the file of a sweep that names none: the same sweep finds it again."""
    return Path(f"sweep-{space.digest[:8]}{SUFFIX}")


def resumed(path: Path) -> list[Planned]:
    """Return what the study at `path` was asked for; raises `InputError` where nobody asked for anything."""
    with Study.open(path, create=False, readonly=True) as study:
        spaces = {space.digest: space for space in study.spaces()}
    found = [(spaces[digest], plan) for digest, plan in queries.plans(path) if digest in spaces]
    if not found:
        raise InputError(f"study '{path}' does not say what it is of; name networks and chips, and it as --out")
    return found


def run(path: Path, planned: Sequence[Planned], jobs: int | None, cluster: str | None, tell: Tell) -> Summary:
    """Return what computing all that is `planned` came to; what the study at `path` has is not computed again."""
    if cluster is not None:
        require_address(cluster)
    total = sum(search.count(*one) for one in planned)
    objectives = tuple(dict.fromkeys(name for space, _ in planned for name in space.objectives))
    used = jobs or min(_cores(), -(-total // POINTS_PER_JOB))
    started = time.monotonic()
    with interruptible() as stop, Study.open(path, create=True) as study:
        for space, plan in planned:
            study.add_space(space)
            queries.keep_plan(path, space, plan)
        progress = Progress(total, objectives, best=_best(study, objectives))
        with ExitStack() as stack:
            opened = cache(lambda: stack.enter_context(workers(used, cluster)))
            for space, plan in planned:
                _run(study, space, plan, opened, stop, progress, tell)
            used = opened().slots if opened.cache_info().currsize else used
        return _summary(study, progress, used, time.monotonic() - started, stop.asked)


def _cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _best(study: Study, objectives: Sequence[str]) -> dict[str, float]:
    """Return the least losses in the study."""
    found = study.best(objectives)
    return {name: float(losses({key: [one] for key, one in row.items()}, [name])[0, 0]) for name, row in found.items()}


def _run(
    study: Study,
    space: Space,
    plan: Plan,
    opened: Callable[[], Workers],
    stop: Stop,
    progress: Progress,
    tell: Tell,
) -> None:
    """Compute what is planned of one space."""
    one = Run(study, space, plan.layers, opened, stop, progress, tell)
    if plan.search != GUIDED:
        one.complete(search.slices(space, plan))
        return
    for generation in _until(stop, guided.generations(space, plan, _losses(study, space))):
        one.complete(search.Slices(generation, -(-len(generation) // SLICES_OF_A_GENERATION)))


def _until(stop: Stop, generations: Iterator[Ordinals]) -> Iterator[Ordinals]:
    """Yield generations until someone says stop; what a search asks for next follows from the whole of one."""
    while not stop.asked:
        generation = next(generations, None)
        if generation is None:
            return
        yield generation


def _losses(study: Study, space: Space) -> guided.Losses:
    """Return what tells the objectives at ordinals of `space` from the study, each asked for once."""
    kept: dict[int, NDArray[np.float64]] = {}

    def found(ordinals: Ordinals) -> NDArray[np.float64]:
        new = np.array([one for one in dict.fromkeys(ordinals.tolist()) if one not in kept], np.int64)
        if new.size:
            kept.update(zip(new.tolist(), queries.values(study.path, space.keys(new), space.objectives), strict=True))
        return np.array([kept[one] for one in ordinals.tolist()])

    return found


def _summary(study: Study, progress: Progress, jobs: int, seconds: float, interrupted: bool) -> Summary:
    in_study, failed = study.counts()
    failures, networks = queries.failures(study.path), queries.networks(study.path, MOST_NETWORKS)
    front = queries.front_size(study.path, progress.objectives) if len(progress.objectives) > 1 else 0
    return Summary(
        path=study.path,
        points=progress.total,
        done=progress.done,
        computed=progress.computed,
        evaluated=progress.evaluated,
        seconds=seconds,
        jobs=jobs,
        in_study=in_study,
        failed=failed,
        reasons=failures.reasons,
        bugs=failures.bugs,
        best=study.best(progress.objectives),
        best_of={one: study.best(progress.objectives, one) for one in networks if 1 < len(networks) <= MOST_NETWORKS},
        front=front,
        namesakes=queries.namesakes(study.path),
        faults=dict(progress.faults),
        interrupted=interrupted,
    )


def path_of(name: str | os.PathLike[str]) -> Path:
    """Return the file of a study; one without a suffix gets `SUFFIX`, unless there is such a file."""
    path = Path(name)
    if not path.name:
        raise UsageError(f"'{name}' is no file of a study")
    return path if path.suffix or os.path.isfile(path) else path.with_name(path.name + SUFFIX)
