"""A space and ordinals in it -> rows, by the shortest of three routes that give the same numbers.

| route  | what                                                                                       |
|--------|--------------------------------------------------------------------------------------------|
| scalar | `hwsim.simulate`, its network and chip kept from point to point                            |
| shared | points that differ in nothing their engine reads (`READS_DENSITIES`) are simulated once    |
| arrays | a closed form over arrays of a chip's parameters, where the engine has one (`.by_arrays`)  |

A point that cannot be simulated is a row with its error; the others go on.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import NamedTuple

import numpy as np

from hwsim.errors import HwsimError, printable
from hwsim.simulate import simulate
from hwsim.sweep import by_arrays, warm
from hwsim.sweep.metrics import (
    INDEX,
    LAYERS,
    METRICS,
    NOTHING,
    ORDINAL,
    Cells,
    Columns,
    columns,
    joined,
    layers_of,
    metrics_of,
)
from hwsim.sweep.space import Block, Ordinals, Point, Space

LAYER_NAMES = (ORDINAL, INDEX, *LAYERS)

ANSWER_BYTES = 8 * 2**20
"""Of all answers that are kept, about."""

POINT_BYTES, CELL_BYTES = 1024, 8


class Task(NamedTuple):
    """Which points of a space to compute, and whether with their layers."""

    space: Space
    ordinals: Ordinals
    layers: bool


class Rows(NamedTuple):
    """Points in the order of their task: columns of `METRICS`, a sentence for each that failed, columns of layers.

    Columns of layers are `ORDINAL`, `INDEX` and `LAYERS`. Layers that many points have are there once: `like` is, point
    for point, the ordinal that its layers stand under, without it each point's own. Of a failed point the metrics are
    None, or not a number.
    """

    ordinals: Ordinals
    points: Columns
    errors: dict[int, str]
    layers: Columns | None
    like: Ordinals | None = None


class Answer(NamedTuple):
    """What is computed of a point: the cells of `METRICS`, why it failed, and the columns of its layers."""

    metrics: Cells
    error: str = ""
    layers: Columns | None = None


def evaluate(task: Task) -> Rows:
    """Return the rows of a task's points; networks, chips and shared results stay in the process."""
    ordinals = np.asarray(task.ordinals, np.int64)
    with _ALONE, _quiet():
        parts = [part for block, at in _runs(task.space, ordinals) for part in _block(task, block, at, ordinals)]
    return _in_order(ordinals, parts, task.layers)


def answer(point: Point, layers: bool) -> Answer:
    """Return what `hwsim.simulate` finds for a point; a user's error is its sentence, any other begins with "bug"."""
    try:
        net = warm.network(point.network, point.weight_density, point.input_density)
        chip = warm.chip(point.chip)
        result = simulate(net, chip, dataflow=point.dataflow or None, format=point.format or None)
        return Answer(metrics_of(result), layers=layers_of(result) if layers else None)
    except HwsimError as error:
        return Answer(NOTHING, printable(str(error)))
    except Exception as error:
        return Answer(NOTHING, printable(f"bug: {type(error).__name__}: {error}"))


def _size(one: Answer) -> int:
    cells = sum(values.size for values in one.layers.values()) if one.layers else 0
    return POINT_BYTES + CELL_BYTES * cells


_answers: warm.Kept[tuple[Point, bool], Answer] = warm.Kept(ANSWER_BYTES, _size)


def shared(points: Sequence[Point], layers: bool) -> list[Answer]:
    """Return the answers of points, each from one that has the same, where there is one."""
    found = []
    for point in points:
        key = (warm.without_unread(point), layers)
        found.append(_answers.get(key) or _answers.put(key, answer(key[0], layers)))
    return found


_ALONE = RLock()
"""What is kept is one thread's at a time; a worker of a cluster may have several, which take turns anyway."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Say nothing of what numpy or a user's file warns of: no one reads it, point for point."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def _runs(space: Space, ordinals: Ordinals) -> Iterator[tuple[tuple[Block, Ordinals], Ordinals]]:
    """Yield blocks with ordinals inside them, and their places in `ordinals`."""
    done = 0
    for block, local in space.split(ordinals):
        yield (block, local), np.arange(done, done + local.size)
        done += local.size


def _block(task: Task, block: tuple[Block, Ordinals], at: Ordinals, ordinals: Ordinals) -> Iterator[Rows]:
    """Yield the rows of points of a block: those of the arrays, then the others."""
    rest, asked = np.ones(at.size, bool), ordinals[at]
    for found in by_arrays.evaluate(*block, layers=task.layers):
        rest[found.at] = False
        layers = found.layers and {**found.layers, ORDINAL: asked[found.layers[ORDINAL]]}
        yield Rows(asked[found.at], found.points, {}, layers, asked[found.like])
    left = asked[rest]
    if left.size:
        yield _rows(left, shared(task.space.points(left), task.layers), task.layers)


def _rows(ordinals: Ordinals, answers: Sequence[Answer], layers: bool) -> Rows:
    """Return the rows of answers."""
    errors = {ordinal: one.error for ordinal, one in zip(ordinals.tolist(), answers, strict=True) if one.error}
    points = columns(METRICS, (one.metrics for one in answers))
    if not layers:
        return Rows(ordinals, points, errors, None)
    firsts: dict[int, int] = {}
    like = [firsts.setdefault(id(one), ordinal) for ordinal, one in zip(ordinals.tolist(), answers, strict=True)]
    having = {ordinal: one.layers for ordinal, one in zip(like, answers, strict=True) if one.layers}
    of = np.repeat(np.array(list(having), np.int64), [found[INDEX].size for found in having.values()])
    layers_once = {ORDINAL: of, **joined((INDEX, *LAYERS), list(having.values()))}
    return Rows(ordinals, points, errors, layers_once, np.array(like, np.int64))


def _in_order(ordinals: Ordinals, parts: Sequence[Rows], layers: bool) -> Rows:
    """Return parts as one, its points in the order of `ordinals`, and so its layers, those of a point as they were."""
    if len(parts) == 1 and np.array_equal(parts[0].ordinals, ordinals):
        return parts[0]
    errors = {ordinal: error for part in parts for ordinal, error in part.errors.items()}
    nothing = np.zeros(0, np.int64)
    given = np.concatenate([nothing, *(part.ordinals for part in parts)])
    places = _places(ordinals, given)
    points = _sorted(joined(METRICS, [part.points for part in parts]), places)
    if not layers:
        return Rows(ordinals, points, errors, None)
    found = joined(LAYER_NAMES, [part.layers for part in parts if part.layers])
    like = np.concatenate([nothing, *(part.ordinals if part.like is None else part.like for part in parts)])
    layers_once = _sorted(found, _places(ordinals, found[ORDINAL]))
    return Rows(ordinals, points, errors, layers_once, like[np.argsort(places, kind="stable")])


def _places(ordinals: Ordinals, wanted: Ordinals) -> Ordinals:
    """Return where in `ordinals` each of `wanted` stands."""
    order = np.argsort(ordinals, kind="stable")
    return order[np.searchsorted(ordinals, wanted, sorter=order)]


def _sorted(given: Columns, places: Ordinals) -> Columns:
    order = np.argsort(places, kind="stable")
    return {name: values[order] for name, values in given.items()}
