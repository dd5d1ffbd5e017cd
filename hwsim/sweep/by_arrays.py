"""The route by arrays: points of a block that differ in parameters of their chip, by the engine's closed form.

An engine that has one has a module `<engine>_points` beside it, with a function `evaluate` as
`hwsim.engine.array_points` has. What such a function does not cover is left to the others' route, and so is what cannot
be asked of it: chips and formats that do not exist, layers in formats of their own, a single point.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from hwsim import catalog
from hwsim.errors import HwsimError
from hwsim.precision import precision
from hwsim.spec import convert, parameters_of
from hwsim.sweep import warm
from hwsim.sweep.metrics import INDEX, LAYERS, METRICS, ORDINAL, Column, Columns
from hwsim.sweep.space import CHIP, Axis, Block, Ordinals

if TYPE_CHECKING:
    from hwsim.engine.points import ArrayRows

POINT = "point"
"""The column of an engine's layers that says of which of its points each is."""

FEWEST = 2
"""Machines for which arrays are worth their beginning."""

WORTH_COMPILING = 10_000
"""Points of a block for which compiled arrays are: a fresh installation compiles for ten seconds, once."""

DENSITIES = ("weight_density", "input_density")

NUMBERS: dict[type, type] = {int: np.int64, float: np.float64}
"""Columns of numbers by the type of a parameter."""


class Found(NamedTuple):
    """Points at the places `at` of those asked for, their columns, and those of layers, numbered by these places.

    Layers that many points have are there once; `like` is, point for point, the place that its layers stand under.
    """

    at: Ordinals
    points: Columns
    layers: Columns | None
    like: Ordinals


class Asked(NamedTuple):
    """Points that differ in parameters of their chip alone: their places, the digits of its axes; `chip` is one."""

    at: Ordinals
    digits: Mapping[str, Ordinals]
    network: str
    chip: str
    dataflow: str
    format: str


def evaluate(block: Block, local: Ordinals, layers: bool) -> Iterator[Found]:
    """Yield what arrays give of the points at ordinals `local` of a block."""
    if block.size < WORTH_COMPILING or local.size < FEWEST or not block.axes_of(CHIP):
        return
    for asked in _asked(block, local):
        found = _found(block, asked, layers) if asked.at.size >= FEWEST else None
        if found is not None:
            yield found


def _asked(block: Block, local: Ordinals) -> Iterator[Asked]:
    """Yield the points by network, dataflow and format, those of impossible densities left out."""
    digits = block.digits(local)
    possible = np.ones(local.size, bool)
    for axis in block.axes:
        if axis.name in DENSITIES:
            possible &= np.array([warm.is_density(value) for value in axis.values])[digits[axis.name]]
    others = [axis for axis in block.axes if not axis.name.startswith(CHIP) and axis.name not in DENSITIES]
    key, places = _mixed(others, digits), np.flatnonzero(possible)
    for one in np.unique(key[places]):
        at = places[key[places] == one]
        network, chip, dataflow, fmt, *_ = (column[0] for column in block.columns(local[at[:1]]))
        chosen = {name: values[at] for name, values in digits.items() if name.startswith(CHIP)}
        yield Asked(at, chosen, network, chip, dataflow, fmt)


def _found(block: Block, asked: Asked, layers: bool) -> Found | None:
    """Return what the engine gives of points, None where it has no arrays or covers none of them.

    What is wrong with all points at once is said by each of them.
    """
    try:
        rows, which = _rows(block, asked, layers)
    except HwsimError:
        return None
    return _of_points(asked.at, rows, which) if rows is not None and rows.exact.any() else None


def _rows(block: Block, asked: Asked, layers: bool) -> tuple[ArrayRows | None, Ordinals]:
    """Return what the engine gives of the machines that occur, and which of them each point has."""
    first, which = _distinct(block, asked.digits)
    machine = warm.chip(asked.chip)
    closed_form = _closed_form(machine.engine)
    if closed_form is None:
        return None, which
    network = warm.network(asked.network)
    formats = precision(network, machine, asked.format or None)
    if formats.own:
        return None, which
    given = {name: values[first] for name, values in _parameters(block, asked.digits).items()}
    fixed = dict(block.fixed_chip)
    return closed_form(network, block.chip, given, fixed, asked.dataflow, formats.fmt, layers), which


@lru_cache
def _closed_form(engine: str) -> Callable[..., ArrayRows] | None:
    """Return the function of an engine's arrays, None where it has none."""
    name = f"hwsim.engine.{engine}_points"
    if importlib.util.find_spec(name) is None:
        return None
    return cast("Callable[..., ArrayRows]", importlib.import_module(name).evaluate)


@lru_cache
def _kinds(chip: str) -> dict[str, object]:
    """Return the type of each parameter of a chip of this package, nothing for any other."""
    name = f"{catalog.FOLDERS['chip']}.{chip}"
    if not chip.isidentifier() or importlib.util.find_spec(name) is None:
        return {}
    allowed = parameters_of(getattr(importlib.import_module(name), chip))
    return {key: one.annotation for key, one in allowed.items()}


def _parameters(block: Block, digits: Mapping[str, Ordinals]) -> dict[str, Column]:
    """Return the swept parameters of the chip, point for point; raises `UsageError` for a value of another type."""
    kinds, found = _kinds(block.chip), dict[str, Column]()
    for axis in block.axes_of(CHIP):
        key = axis.name.removeprefix(CHIP)
        values = [convert(key, value, kinds.get(key)) for value in axis.values]
        found[key] = np.array(values, NUMBERS.get(type(values[0]), object))[digits[axis.name]]
    return found


def _distinct(block: Block, digits: Mapping[str, Ordinals]) -> tuple[Ordinals, Ordinals]:
    """Return the first point of each machine, and which machine each point has: densities change none."""
    key = _mixed(block.axes_of(CHIP), digits)
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    return first, which


def _mixed(axes: Sequence[Axis], digits: Mapping[str, Ordinals]) -> Ordinals:
    """Return one number for each combination of digits."""
    key = np.zeros(len(next(iter(digits.values()))), np.int64)
    for axis in axes:
        key = key * len(axis.values) + digits[axis.name]
    return key


def _of_points(at: Ordinals, rows: ArrayRows, which: Ordinals) -> Found:
    """Return the columns of the points `at` that are exact, each from those of its machine."""
    exact = np.flatnonzero(rows.exact[which])
    machine, chosen = which[exact], at[exact]
    points = {name: rows.points[name][machine] for name in METRICS}
    like = np.zeros(rows.exact.size, np.int64)
    like[machine[::-1]] = chosen[::-1]  # of points of one machine the first is written last
    if rows.layers is None:
        return Found(chosen, points, None, like[machine])
    layers = {name: rows.layers[name] for name in (INDEX, *LAYERS)}
    return Found(chosen, points, {ORDINAL: like[rows.layers[POINT]], **layers}, like[machine])
