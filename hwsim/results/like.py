"""A result with another tool's figures beside its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hwsim.mapping import ArrayMapping
from hwsim.results.record import LayerResult, NetworkResult
from hwsim.results.scale_sim import differences, scale_sim_like

SRAM_ACCESSES = ("ifmap_reads", "filter_reads", "ofmap_writes")


def with_scale_sim(result: NetworkResult) -> NetworkResult:
    """Return `result` with columns `scale_sim_*` in every matrix product that SCALE-Sim 3 could run.

    Beside them stand our own words read and written (`sram_*`) and, in `scale_sim_differences`, what is not equal and
    why. Raises `InputError` for a dataflow that SCALE-Sim does not have.
    """
    return replace(
        result,
        layers=tuple(
            replace(layer, extras={**layer.extras, **_columns(layer)}) if layer.mapping else layer
            for layer in result.layers
        ),
    )


def _columns(result: LayerResult) -> dict[str, Any]:
    layer, array, home = result.layer, result.chip.array, result.chip.home
    figures = scale_sim_like(layer, result.dataflow, array.rows, array.cols)
    counts = result.counts
    ours = {
        "sram_ifmap_reads": counts[home["input"], "read", "input"],
        "sram_filter_reads": counts[home["weight"], "read", "weight"],
        "sram_ofmap_writes": sum(counts.get((home["output"], "write", what), 0) for what in ("output", "psum")),
    }
    reasons = (*differences(layer, result.dataflow, array.rows, array.cols), *_own_differences(result))
    return {
        **ours,
        "scale_sim_cycles": figures.total_cycles,
        "scale_sim_ifmap_reads": figures.sram_ifmap_reads,
        "scale_sim_filter_reads": figures.sram_filter_reads,
        "scale_sim_ofmap_writes": figures.sram_ofmap_writes,
        "scale_sim_differences": " | ".join(reasons),
    }


def _own_differences(result: LayerResult) -> tuple[str, ...]:
    """Return what this run counts that SCALE-Sim without stalls does not."""
    said = []
    if isinstance(result.mapping, ArrayMapping) and result.mapping.folding.parts > 1:
        said.append(
            f"total cycles and reads: the batch is run in {result.mapping.folding.parts} parts, so that what comes "
            "again stays on chip"
        )
    if result.timing.stall_cycles:
        said.append(
            f"total cycles: {result.timing.stall_cycles} are spent waiting for off-chip memory; "
            "bandwidth_gb_s=inf waits for none"
        )
    if isinstance(result.mapping, ArrayMapping) and result.mapping.folding.chunks > 1:
        said.append(
            f"total cycles and reads: the stream is cut into {result.mapping.folding.chunks} chunks, each loading "
            "the stationary tiles again, so that data stay on chip"
        )
    if result.chip.array.drain != "array" or result.chip.array.preload != "serial":
        said.append(
            f"total cycles: this array has drain={result.chip.array.drain}, preload={result.chip.array.preload}"
        )
    return tuple(said)
