"""The columns of a point and of its layers, and where they stand in a result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.results.record import LayerResult, NetworkResult
from hwsim.units import cycles_to_s, pj_to_j

METRICS = (
    "batch", "macs", "parameters", "total_cycles", "seconds", "energy_pj", "edp_js", "area_mm2", "average_power_w",
    "inferences_per_s", "inferences_per_j", "utilisation", "dram_read_bytes", "dram_write_bytes",
)  # fmt: skip
"""Of a point. `edp_js` is [J s] of one run of the batch; DRAM is the level off-chip, whatever its name."""

LAYERS = (
    "layer", "kind", "format", "macs", "total_cycles", "stall_cycles", "seconds", "utilisation", "dram_read_bytes",
    "dram_write_bytes", "energy_pj",
)  # fmt: skip
"""Of a layer, as in the rows of a result."""

ORDINAL, INDEX = "ordinal", "layer_index"
"""Which point a layer is of, and which of its layers; those that cost nothing are left out, but counted."""

WHOLE = frozenset(
    {ORDINAL, INDEX, "batch", "macs", "parameters", "total_cycles", "stall_cycles", "dram_read_bytes",
     "dram_write_bytes"}
)  # fmt: skip
"""Columns of whole numbers; they stay Python's where 64 bits do not hold them."""

TEXTS = frozenset({"layer", "kind", "format"})

Column = NDArray[Any]
Columns = dict[str, Column]
Cells = tuple[Any, ...]

NOTHING: Cells = (None,) * len(METRICS)
"""The metrics of a point that failed."""


def column(name: str, values: Sequence[Any]) -> Column:
    """Return a column of int64, of float64, where None is not a number, or of objects: texts, and gaps in int64."""
    if name not in TEXTS and not (name in WHOLE and None in values):
        try:
            return np.array(values, np.int64 if name in WHOLE else np.float64)
        except OverflowError:
            pass
    found = np.empty(len(values), object)
    found[:] = values
    return found


def columns(names: Sequence[str], rows: Iterable[Cells]) -> Columns:
    """Return the columns `names` of rows of cells."""
    turned = list(zip(*rows, strict=True)) or [()] * len(names)
    return {name: column(name, values) for name, values in zip(names, turned, strict=True)}


def joined(names: Sequence[str], parts: Sequence[Mapping[str, Column]]) -> Columns:
    """Return columns behind one another; whole numbers of any size and gaps make them objects."""
    if len(parts) == 1:
        return dict(parts[0])
    return {name: np.concatenate([part[name] for part in parts]) if parts else column(name, ()) for name in names}


def metrics_of(result: NetworkResult) -> Cells:
    """Return the cells of `METRICS`; the area is None where nothing is known of it."""
    total, off_chip = result.total, result.chip.off_chip.name
    own = {
        "batch": result.network.batch,
        "edp_js": total["seconds"] * pj_to_j(total["energy_pj"]),
        "area_mm2": result.chip.area_mm2(result.fmt),
        "dram_read_bytes": sum(layer.moved_bytes(off_chip, "read") for layer in result.layers),
        "dram_write_bytes": sum(layer.moved_bytes(off_chip, "write") for layer in result.layers),
    }
    return tuple(own[name] if name in own else total[name] for name in METRICS)


def layers_of(result: NetworkResult) -> Columns:
    """Return the columns `INDEX` and `LAYERS` of the layers that take cycles or energy."""
    cells = [
        (index, *_cells(layer, result.chip.off_chip.name))
        for index, layer in enumerate(result.layers)
        if layer.timing.total_cycles or layer.total_energy_pj
    ]
    return columns((INDEX, *LAYERS), cells)


def _cells(one: LayerResult, off_chip: str) -> Cells:
    """Return the cells of `LAYERS`."""
    cycles = one.timing.total_cycles
    return (
        one.layer.name,
        str(one.layer.kind),
        one.fmt.name,
        one.layer.macs,
        cycles,
        one.timing.stall_cycles,
        cycles_to_s(cycles, one.chip.clock_hz),
        one.utilisation,
        one.moved_bytes(off_chip, "read"),
        one.moved_bytes(off_chip, "write"),
        one.total_energy_pj,
    )
