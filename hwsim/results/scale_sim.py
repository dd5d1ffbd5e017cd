"""What SCALE-Sim 3 prints for a layer, and where and why that differs from the physical count.

SCALE-Sim sees every layer as a product of P output positions, W = R S C products per output and F filters, and folds it
onto the array; no two folds overlap:

| dataflow          | array rows Sr | array columns Sc | stream T | cycles of one fold     |
|-------------------|---------------|------------------|----------|------------------------|
| output_stationary | P             | F                | W        | rows + cols + T - 2    |
| weight_stationary | W             | F                | P        | 2 rows + cols + T - 2  |
| input_stationary  | W             | P                | F        | 2 rows + cols + T - 2  |

Source: the reports of SCALE-Sim 3.0.0 without memory stalls (`InterfaceBandwidth = CALC`); Raj et al., ISPASS 2025.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwsim.errors import InputError, UsageError, unknown_name
from hwsim.ir.layer import Kind, Layer
from hwsim.units import ceil_div

DATAFLOWS = ("output_stationary", "weight_stationary", "input_stationary")


@dataclass(frozen=True)
class ScaleSimFigures:
    """Columns of SCALE-Sim's reports for one layer: the index of the last cycle, and SRAM accesses in words.

    `notes` says how a layer that its topology files cannot state was put to it.
    """

    total_cycles: int
    sram_ifmap_reads: int
    sram_filter_reads: int
    sram_ofmap_writes: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Folding:
    """One product on the array: bounds of its rows, columns and stream, and the folds it takes."""

    dataflow: str
    rows: int
    cols: int
    row_bound: int
    col_bound: int
    stream: int

    @property
    def row_folds(self) -> int:
        return ceil_div(self.row_bound, self.rows)

    @property
    def col_folds(self) -> int:
        return ceil_div(self.col_bound, self.cols)

    @property
    def folds(self) -> int:
        return self.row_folds * self.col_folds

    @property
    def output_stationary(self) -> bool:
        return self.dataflow == "output_stationary"


def scale_sim_like(layer: Layer, dataflow: str, rows: int, cols: int) -> ScaleSimFigures:
    """Return what SCALE-Sim 3 prints for `layer` on an array of `rows` x `cols`, its defects included.

    Groups, images and steps, which it does not have, are sequential products whose figures are added up, as for the
    one-channel layers into which it splits a depthwise convolution. Raises `UsageError` for an unknown dataflow or an
    empty array and `InputError` for a layer that is no matrix product.
    """
    folding, products = _folding(layer, dataflow, rows, cols), _products(layer)
    ifmap_reads, filter_reads = _reads(folding)
    return ScaleSimFigures(
        total_cycles=products * (_cycles(folding) - 1),
        sram_ifmap_reads=products * ifmap_reads,
        sram_filter_reads=products * filter_reads,
        sram_ofmap_writes=products * (_outputs_written(folding) + _phantom_writes(folding)),
        notes=_notes(layer),
    )


def differences(layer: Layer, dataflow: str, rows: int, cols: int) -> tuple[str, ...]:
    """Return a sentence for each figure of `scale_sim_like` that is not the physical count, with both and the reason.

    What the topology files cannot state comes first; figures after that are of the product that SCALE-Sim runs. Raises
    as `scale_sim_like` does.
    """
    figures, products = scale_sim_like(layer, dataflow, rows, cols), _products(layer)
    folding = _folding(layer, dataflow, rows, cols)
    last_cycle = (
        f"total cycles: SCALE-Sim prints {figures.total_cycles}, the index of the last cycle; "
        f"the count is {figures.total_cycles + products}"
    )
    return (*figures.notes, last_cycle, *_output_differences(folding, products))


def _output_differences(folding: _Folding, products: int) -> tuple[str, ...]:
    """Return what is wrong with SCALE-Sim's output accesses over all `products`."""
    if folding.output_stationary:
        written, phantom = products * _outputs_written(folding), products * _phantom_writes(folding)
        return (
            f"SRAM OFMAP writes: SCALE-Sim prints {written + phantom}, the count is {written}; "
            f"it adds {folding.rows} rows + {folding.cols} columns for each of {products * folding.folds} folds",
        )
    if folding.row_folds == 1:
        return ()
    kept = products * (folding.row_folds - 1) * folding.stream * folding.col_bound
    return (
        f"SRAM OFMAP reads: SCALE-Sim writes the partial sums of {folding.row_folds} row folds "
        f"and reads none back; adding them up takes {kept} reads",
    )


def _folding(layer: Layer, dataflow: str, rows: int, cols: int) -> _Folding:
    """Return the product that SCALE-Sim runs for one group and image of `layer`, folded onto the array."""
    if dataflow not in DATAFLOWS:
        raise unknown_name("SCALE-Sim dataflow", dataflow, DATAFLOWS)
    if min(rows, cols) < 1:
        raise UsageError(f"an array of {rows} x {cols} has no PE; rows and columns must be at least 1")
    if not layer.is_mac:
        raise InputError(f"layer '{layer.name}' ({layer.kind}) is no matrix product; SCALE-Sim prints nothing for it")
    height, width = _outputs(layer)
    positions = height * width
    bounds = {
        "output_stationary": (positions, layer.K, layer.reduction),
        "weight_stationary": (layer.reduction, layer.K, positions),
        "input_stationary": (layer.reduction, positions, layer.K),
    }[dataflow]
    return _Folding(dataflow, rows, cols, *bounds)


def _cycles(folding: _Folding) -> int:
    """Return the cycles of all folds: each fills and drains the whole array; WS and IS first load what they keep."""
    loading = 0 if folding.output_stationary else folding.rows
    return folding.folds * (loading + folding.rows + folding.cols + folding.stream - 2)


def _reads(folding: _Folding) -> tuple[int, int]:
    """Return (ifmap, filter) words read: what streams over rows once per column fold, over columns per row fold."""
    over_rows = folding.row_bound * folding.stream * folding.col_folds
    over_cols = folding.col_bound * folding.stream * folding.row_folds
    kept = folding.row_bound * folding.col_bound
    return {
        "output_stationary": (over_rows, over_cols),
        "weight_stationary": (over_rows, kept),
        "input_stationary": (kept, over_rows),
    }[folding.dataflow]


def _outputs_written(folding: _Folding) -> int:
    """Return outputs and partial sums written: WS and IS write each output once per row fold."""
    if folding.output_stationary:
        return folding.row_bound * folding.col_bound
    return folding.stream * folding.col_bound * folding.row_folds


def _phantom_writes(folding: _Folding) -> int:
    """Return writes that SCALE-Sim counts and no output makes: the padded fold's height plus width, in OS only."""
    return folding.folds * (folding.rows + folding.cols) if folding.output_stationary else 0


def _products(layer: Layer) -> int:
    """Return the sequential products of a layer: groups, steps and, of a convolution, images."""
    return layer.G * layer.steps * (layer.N if layer.kind is Kind.CONV else 1)


def _outputs(layer: Layer) -> tuple[int, int]:
    """Return output rows and columns of the padded ifmap as SCALE-Sim rounds them: ceil((H - R + stride) / stride)."""
    if layer.kind is not Kind.CONV:
        return layer.N, 1
    rows, cols = (
        ceil_div(extent - dilation * (taps - 1) - 1 + stride, stride)
        for extent, dilation, taps, stride in zip(
            _padded_extent(layer), layer.dilation, (layer.R, layer.S), layer.stride, strict=True
        )
    )
    return rows, cols


def _padded_extent(layer: Layer) -> tuple[int, int]:
    top, left, bottom, right = layer.padding
    return layer.input_shapes[0][2] + top + bottom, layer.input_shapes[0][3] + left + right


def _notes(layer: Layer) -> tuple[str, ...]:
    """Return how a layer that SCALE-Sim's topology files cannot state was put to it."""
    notes = []
    if _products(layer) > 1:
        notes.append(f"SCALE-Sim has no groups, batch or steps: {_products(layer)} sequential products are added up")
    if layer.kind is not Kind.CONV:
        return tuple(notes)
    if any(layer.padding):
        height, width = _padded_extent(layer)
        notes.append(f"SCALE-Sim has no padding: the ifmap is stored as {height} x {width}, zeros included")
    if layer.stride[0] != layer.stride[1] or layer.dilation != (1, 1):
        notes.append("SCALE-Sim has one stride and no dilation: the product is that of the layer's own two")
    height, width = _outputs(layer)
    if (height, width) != (layer.P, layer.Q):
        notes.append(
            f"outputs: SCALE-Sim computes {height} x {width}, the layer has {layer.P} x {layer.Q}; "
            f"it rounds up and counts windows that reach beyond the ifmap"
        )
    return tuple(notes)
