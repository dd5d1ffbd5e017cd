"""The systolic array in closed form over arrays of points, bit for bit what `hwsim.simulate` finds for each.

`hwsim sweep` looks for `<engine>_points` beside the engine that a chip names. Another engine gets its own by such a
module with a function `evaluate` like the one here. What it does not cover - a parameter it does not know, a value that
the chip refuses, counts beyond 64 bits - it leaves to the scalar route by `exact` False, point for point; it never
answers with an error. So that both routes give the same bits, it takes every number of the machine from the functions
the chip itself calls, once per value that occurs (`hwsim.engine.points`), counts in integers that are bounded before,
and adds floating point numbers in the order in which `results.record` adds them.

| what                                                  | where                                     |
|-------------------------------------------------------|-------------------------------------------|
| a chip's numbers, in columns, from its own functions  | `hwsim.chips._<chip>_points.machines`     |
| which folding of each layer is the fastest            | `hwsim.mapping.systolic_points`           |
| the same compiled, and sums over layers               | `hwsim.engine.array_points_kernels`       |
| what follows from cycles and energy, in columns       | `hwsim.engine.array_points_columns`       |

Points that differ in nothing that foldings depend on share them.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.engine import vector
from hwsim.engine.array_points_columns import COMPENSATED, Found, Machines, of_layers, of_points
from hwsim.engine.points import ArrayRows, Column, Factor, constant, factor
from hwsim.formats import NumberFormat
from hwsim.ir.layer import Layer
from hwsim.ir.network import Network
from hwsim.mapping.folding import Operand
from hwsim.mapping.systolic_points import COUNTS
from hwsim.mapping.systolic_shapes import Shape, shape_of

STATIONARY: dict[str, Operand] = {
    "weight_stationary": "weight",
    "output_stationary": "output",
    "input_stationary": "input",
}

AT_ONCE = 2**18
"""Points times layers that are counted in one step, so that memory stays below 60 MB."""

LARGEST = 2**61


class Plan(NamedTuple):
    """A network, a format and a dataflow in numbers, as the kernels take them.

    Layers are (layers, 6), shapes (shapes, 14), each once; words are of `systolic_points.Words`, widths the bits of
    inputs, weights, outputs and partial sums off-chip.
    """

    layers: NDArray[np.int64]
    shapes: NDArray[np.int64]
    words: NDArray[np.int64]
    widths: NDArray[np.int64]


def evaluate(
    network: Network,
    chip_name: str,
    parameters: Mapping[str, Column],
    fixed: Mapping[str, str],
    dataflow: str,
    fmt: NumberFormat,
    layers: bool,
) -> ArrayRows:
    """Return what `network` costs on chip `chip_name` with each of many sets of parameters, all in one format.

    `parameters` are columns as long as each other, of the types that the chip's function takes; `fixed` are those that
    all points have in common, as they are written. `dataflow` "" is the chip's own.
    """
    count = len(next(iter(parameters.values()), np.zeros(1)))
    chip = _points_of(chip_name)
    if not count or chip is None or not chip.covers(dataflow, fmt):
        return _none(count)
    given = _given(chip.FUNCTION, parameters, fixed, count)
    plan = _plan(network, dataflow, fmt)
    if given is None or plan is None:
        return _none(count)
    machines: Machines = chip.machines(given, fmt)
    parts = [_found(machines, plan, at, layers) for at in _blocks(count, plan)]
    found = Found(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    exact = found.exact & machines.covered
    rows = of_points(network, machines, found)
    return ArrayRows(rows, exact, of_layers(network, machines, found, exact, fmt) if layers else None)


def _points_of(chip_name: str) -> Any:
    """Return the module that has a chip's numbers in columns, None where there is none."""
    module = f"hwsim.chips._{chip_name}_points"
    if not chip_name.isidentifier() or importlib.util.find_spec(module) is None:
        return None
    return importlib.import_module(module)


def _none(count: int) -> ArrayRows:
    return ArrayRows({}, np.zeros(count, bool))


def _given(function: Any, columns: Mapping[str, Column], fixed: Mapping[str, str], count: int) -> Any:
    """Return every parameter of a chip's function as a factor, None where there is one that it does not take."""
    from inspect import signature

    known = signature(function).parameters
    if not {*columns, *fixed} <= {*known} or {*columns} & {*fixed}:
        return None
    found: dict[str, Factor] = {}
    for name, one in known.items():
        if name in columns:
            found[name] = factor(columns[name])
        elif name in fixed:
            try:
                found[name] = constant(KINDS[one.annotation](fixed[name]), count)
            except ValueError:
                return None
        else:
            found[name] = constant(one.default, count)
    return found


KINDS: dict[str, Any] = {"int": int, "float": float, "str": str}


def _plan(network: Network, dataflow: str, fmt: NumberFormat) -> Plan | None:
    """Return the network in numbers, None where these leave 64 bits."""
    from hwsim.engine.array_points_kernels import FUSED, LANES, NOTHING, PRODUCT

    stationary = STATIONARY[dataflow or "weight_stationary"]
    fused, shapes, rows = vector.fused_producers(network), dict[Shape, int](), []
    for layer in network.layers:
        if layer.is_mac:
            rows.append((PRODUCT, shapes.setdefault(shape_of(layer, stationary), len(shapes)), 0, 0, 0, 1))
            continue
        kind = NOTHING if layer.kind in vector.UNCOMPUTED_KINDS else FUSED if layer.name in fused else LANES
        rows.append((kind, 0, layer.operations, *_moved(layer), layer.steps))
    widest = max(fmt.bits, fmt.accumulator_bits)
    largest = max((value for row in (*rows, *shapes) for value in row), default=0)
    if max(widest * largest, network.macs, network.parameters) >= LARGEST:
        return None
    output_bits, sum_bits = fmt.operand_bits("output"), fmt.accumulator_bits
    return Plan(
        layers=np.array(rows, np.int64).reshape(-1, 6),
        shapes=np.array(list(shapes), np.int64).reshape(-1, len(Shape._fields)),
        words=np.array([fmt.bits, output_bits, sum_bits, stationary == "output", stationary == "weight"], np.int64),
        widths=np.array([fmt.operand_bits("input"), fmt.operand_bits("weight"), output_bits, sum_bits], np.int64),
    )


def _moved(layer: Layer) -> tuple[int, int]:
    """Return the words that a layer on the lanes reads and writes, as `vector.closed` counts them."""
    return layer.steps * sum(map(prod, layer.input_shapes)), layer.steps * layer.output_elements


def _blocks(count: int, plan: Plan) -> Iterator[slice]:
    step = max(1, AT_ONCE // max(1, len(plan.layers)))
    for start in range(0, max(1, count), step):
        yield slice(start, min(count, start + step))


def _found(machines: Machines, plan: Plan, at: slice, layers: bool) -> Found:
    """Return what the kernels find for the points `at`."""
    from hwsim.engine.array_points_kernels import place, sums

    used, which = np.unique(machines.which[at], return_inverse=True)
    counts, placed = np.zeros((len(used), len(plan.shapes), len(COUNTS)), np.int64), np.ones(len(used), bool)
    place()(_table(machines, machines.first[used]), plan.shapes, plan.words, counts, placed)
    points, cells = len(which), (len(which) if layers else 0, len(plan.layers))
    found = Found(
        np.zeros((points, 3), np.int64), np.zeros(points), np.ones(points, bool), np.zeros((*cells, 4), np.int64),
        np.zeros(cells),
    )  # fmt: skip
    sums(
        which, counts, placed, plan.layers, plan.widths, machines.vector_lanes[at], machines.rate[at],
        _costs(machines, at), COMPENSATED, found.whole, found.energy_pj, found.exact,
        layers, found.layers_whole, found.layers_pj,
    )  # fmt: skip
    return found


def _table(machines: Machines, at: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the machines of some points as the search takes them, (points, 9)."""
    numbers = [machines.rows, machines.cols, machines.tight, machines.overlapped, *machines.rooms_bits]
    return np.column_stack([one[at] for one in (*numbers, machines.rate)])


def _costs(machines: Machines, at: slice) -> NDArray[np.float64]:
    """Return [pJ] per word in the order in which `sums` takes them, (points, 18)."""
    inputs, weights, outputs = (one[at] for one in machines.buffers_pj)
    others = machines.others_pj[at]
    return np.ascontiguousarray(
        np.column_stack([others[:, :4], inputs[:, :2], weights[:, :2], outputs[:, [1, 2, 3, 0]], others[:, 4:]])
    )
