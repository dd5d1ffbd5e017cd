"""Columns of many systolic arrays: their numbers, what the kernels find of each, and what follows from that."""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.engine.points import Column
from hwsim.formats import NumberFormat
from hwsim.ir.network import Network
from hwsim.units import PJ_PER_J

COMPENSATED = sys.version_info >= (3, 12)
"""Whether Python's own sum of floating point numbers keeps what rounding loses."""


class Machines(NamedTuple):
    """The arrays of many points, in columns; `covered` says of which points, others have numbers that mean nothing.

    `first` is the first point of each of the machines that differ in what foldings depend on, `which` of these each
    point has. rooms_bits and areas_mm2 are of the buffers of inputs, weights and outputs; buffers_pj (points, 4) [pJ]
    per word read and written of a buffer's operand, written and read of partial sums; others_pj (points, 10) of a MAC,
    of latching an input, a weight and a partial sum, of off-chip reads of inputs and weights, writes of outputs and of
    partial sums, reads of these, and of an operation of a lane; logic_mm2 (points, 3) of a MAC, a latched bit, a lane.
    A rate is bits in cycles, 1 in 0 without limit.
    """

    covered: NDArray[np.bool_]
    first: NDArray[np.int64]
    which: NDArray[np.int64]
    rows: Column
    cols: Column
    vector_lanes: Column
    clock_hz: Column
    rooms_bits: list[Column]
    rate: Column
    tight: Column
    overlapped: Column
    buffers_pj: list[Column]
    others_pj: Column
    areas_mm2: list[Column]
    logic_mm2: Column
    latched_bits: int


class Found(NamedTuple):
    """What the kernels find: (points, 3) cycles, bytes read and written, [pJ], and the same of layers with stalls."""

    whole: NDArray[np.int64]
    energy_pj: NDArray[np.float64]
    exact: NDArray[np.bool_]
    layers_whole: NDArray[np.int64]
    layers_pj: NDArray[np.float64]


def of_points(network: Network, machines: Machines, found: Found) -> dict[str, Column]:
    """Return the columns of points; every formula is that of `NetworkResult.total`."""
    cycles, count = found.whole[:, 0], len(found.whole)
    seconds, joules = cycles / machines.clock_hz, found.energy_pj / PJ_PER_J
    peaks, batch = (machines.rows * machines.cols).astype(float), network.batch
    return {
        "batch": np.full(count, batch),
        "macs": np.full(count, network.macs),
        "parameters": np.full(count, network.parameters),
        "total_cycles": cycles,
        "seconds": seconds,
        "energy_pj": found.energy_pj,
        "edp_js": seconds * joules,
        "area_mm2": _area(machines),
        "average_power_w": _over(joules, seconds),
        "inferences_per_s": _over(np.full(count, float(batch)), seconds),
        "inferences_per_j": _over(np.full(count, float(batch)), joules),
        "utilisation": float(network.macs) / np.maximum(1.0, cycles * peaks),
        "dram_read_bytes": found.whole[:, 1],
        "dram_write_bytes": found.whole[:, 2],
    }


def _over(dividend: NDArray[np.float64], divisor: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return quotients, 0 where nothing is divided by."""
    return np.divide(dividend, divisor, out=np.zeros(len(divisor)), where=divisor != 0)


def _area(machines: Machines) -> NDArray[np.float64]:
    """Return the areas of PEs, registers, lanes and buffers [mm2], added in this order."""
    pes, logic = machines.rows * machines.cols, machines.logic_mm2
    parts = [
        pes * logic[:, 0], pes * machines.latched_bits * logic[:, 1], machines.vector_lanes * logic[:, 2],
        *machines.areas_mm2,
    ]  # fmt: skip
    if COMPENSATED:
        return np.array([sum(row) for row in zip(*(part.tolist() for part in parts), strict=True)])
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return np.asarray(total)


def of_layers(
    network: Network, machines: Machines, found: Found, exact: NDArray[np.bool_], fmt: NumberFormat
) -> dict[str, Column]:
    """Return the columns of layers that take cycles or energy, of the points that are exact."""
    cost = (found.layers_whole[:, :, 0] > 0) | (found.layers_pj > 0)
    point, index = np.nonzero(cost & exact[:, None])
    whole, cycles = found.layers_whole[point, index], found.layers_whole[point, index, 0]
    macs = np.array([layer.macs for layer in network.layers], np.int64)[index]
    peaks = (machines.rows * machines.cols).astype(float)[point]
    return {
        "point": point,
        "layer_index": index,
        "layer": _texts([layer.name for layer in network.layers], index),
        "kind": _texts([str(layer.kind) for layer in network.layers], index),
        "format": _texts([fmt.name] * len(network.layers), index),
        "macs": macs,
        "total_cycles": cycles,
        "stall_cycles": whole[:, 1],
        "seconds": cycles / machines.clock_hz[point],
        "utilisation": _over(macs.astype(float), cycles * peaks),
        "dram_read_bytes": whole[:, 2],
        "dram_write_bytes": whole[:, 3],
        "energy_pj": found.layers_pj[point, index],
    }


def _texts(values: list[str], index: NDArray[np.int64]) -> Column:
    found = np.empty(len(values), object)
    found[:] = values
    return found[index]
