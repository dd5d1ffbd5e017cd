"""Layers on systolic arrays that SCALE-Sim 3 was run on, beside `systolic`: both must count the same.

`hwsim/measured/scale_sim_3.csv` was recorded by `python tests/scale_sim_sample.py`. SCALE-Sim prints the index of the
last cycle, which is one less than their number, and rounds outputs up where a window reaches beyond the ifmap.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import hwsim.measured
from hwsim.arch.source import Source
from hwsim.ir import Network, NetworkBuilder
from hwsim.results.record import LayerResult
from hwsim.simulate import simulate
from hwsim.units import ceil_div

from .record import TOOL, Record

RECORDED = Path(hwsim.measured.__file__).parent / "scale_sim_3.csv"

DATAFLOWS = {"os": "output_stationary", "ws": "weight_stationary", "is": "input_stationary"}

SOURCE = Source("SCALE-Sim 3.0.0", 2025, "run on these layers; scale_sim_3.csv")

SIZES = ("H", "W", "R", "S", "C", "K", "stride")

Row = Mapping[str, str]


def scale_sim_records() -> Iterator[Record]:
    """Yield cycles and reads of both operands of every recorded layer."""
    with RECORDED.open(newline="", encoding="utf-8") as file:
        for (dataflow, rows, cols), group in groupby(csv.DictReader(file), _machine):
            layers = list(group)
            chip = f"systolic:rows={rows},cols={cols},bandwidth_gb_s=inf"
            result = simulate(_network(layers), on=chip, dataflow=DATAFLOWS[dataflow])
            for row, layer in zip(layers, result.layers, strict=True):
                yield from _records(f"{row['layer']} on {rows} x {cols}, {dataflow.upper()}", row, layer)


def _machine(row: Row) -> tuple[str, str, str]:
    return row["dataflow"], row["rows"], row["cols"]


def _records(subject: str, row: Row, layer: LayerResult) -> Iterator[Record]:
    found = {
        "total_cycles": (layer.timing.total_cycles, int(row["total_cycles"]) + 1),
        "sram_ifmap_reads": (_reads(layer, "ifmap_buffer"), int(row["sram_ifmap_reads"])),
        "sram_filter_reads": (_reads(layer, "filter_buffer"), int(row["sram_filter_reads"])),
    }
    for quantity, (ours, theirs) in found.items():
        yield Record(
            machine="systolic",
            group=TOOL,
            table=RECORDED.stem,
            metric="cycles" if quantity == "total_cycles" else "buffer reads",
            subject=subject,
            quantity=quantity,
            simulated=ours,
            reference=theirs,
            unit="cycles" if quantity == "total_cycles" else "words",
            source=SOURCE,
            tolerance="exact",
            met=ours == theirs,
        )


def _reads(layer: LayerResult, buffer: str) -> int:
    return sum(count for (where, what, _), count in layer.counts.items() if (where, what) == (buffer, "read"))


def _network(rows: Sequence[Row]) -> Network:
    """Return a network of the layers, each with an input of its own."""
    net = NetworkBuilder("scale_sim")
    for row in rows:
        name = row["layer"]
        if row["kind"] == "gemm":
            net.linear(name, net.input(f"{name}.x", (int(row["M"]), int(row["K"]))), int(row["N"]), bias=False)
            continue
        height, width, down, across, channels, filters, stride = (int(row[key]) for key in SIZES)
        beyond = (_missing(height, down, stride), _missing(width, across, stride))
        image = net.input(f"{name}.x", (1, channels, height, width))
        net.conv(name, image, filters, (down, across), stride=stride, padding=(0, 0, *beyond), bias=False)
    return net.build()


def _missing(extent: int, taps: int, stride: int) -> int:
    """Return what the last window reads beyond the ifmap."""
    return (ceil_div(extent - taps + stride, stride) - 1) * stride + taps - extent
