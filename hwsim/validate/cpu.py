"""Layers and whole networks that were timed on CPUs, beside what the model of that CPU predicts.

Constants were fitted on the shapes of `hwsim.measure.calibration_networks`, of which none is in the networks told here.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from math import prod
from pathlib import Path
from statistics import median
from typing import NamedTuple

import hwsim.measured
from hwsim.arch.source import Source
from hwsim.measured import calibrations
from hwsim.results.record import LayerResult, NetworkResult
from hwsim.simulate import simulate
from hwsim.units import gb_s_to_bits_s

from .record import MEASURED, Fit, Record

RECORDED = Path(hwsim.measured.__file__).parent / "cpu_onnxruntime.csv"

CALIBRATION = "calibration"
"""Networks whose names begin like this are what constants were fitted on."""

LEAST_S = 10e-6
"""Layers scored: the library's profile, whose own 2 to 4 us per operator are taken off, tells shorter ones badly."""

FITTED_SHAPES = 40
"""Of the calibration networks, in every format."""

TOO_SHORT = f"shorter than the {1e6 * LEAST_S:.0f} us that its timer tells apart"


class Run(NamedTuple):
    """What was timed."""

    machine: str
    network: str
    format: str
    library: str
    threads: str


@cache
def recorded(path: Path = RECORDED) -> dict[Run, dict[str, list[float]]]:
    """Return seconds by layer, "" being the whole network, a value per session; those fitted on are left out."""
    found: dict[Run, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if not row["network"].startswith(CALIBRATION):
                run = Run(row["machine"], row["network"], row["format"], row["library"], row["threads"])
                found[run][row["layer"]].append(float(row["seconds"]))
    most = max(int(run.threads) for run in found)
    return {run: dict(times) for run, times in sorted(found.items()) if int(run.threads) == most}


def cpu_records() -> Iterator[Record]:
    """Yield every layer and every whole network that was timed on all cores."""
    for run, times in recorded().items():
        result = simulate(run.network, on=f"cpu:{run.machine}", format=run.format)
        yield _record(run, "", result.total["latency_seconds"], times[""], baseline=_roofline_of(result))
        for layer in result.layers:
            if layer.layer.name in times:
                yield _layer(run, layer, times[layer.layer.name])


def _layer(run: Run, layer: LayerResult, told: list[float]) -> Record:
    seconds = layer.timing.total_cycles / layer.chip.clock_hz
    return _record(run, layer.layer.name, seconds, told, baseline=roofline_seconds(layer))


def _record(run: Run, layer: str, seconds: float, told: list[float], baseline: float) -> Record:
    kind = "layers" if layer else "whole networks"
    source = Source("this project's measurement", 2026, f"{run.library}, {run.threads} threads; {RECORDED.name}")
    return Record(
        machine=f"cpu:{run.machine}",
        group=MEASURED,
        table=RECORDED.stem,
        metric=f"{kind}, {run.format}",
        subject=f"{run.network}{f' {layer}' if layer else ''}",
        quantity="seconds",
        simulated=seconds,
        reference=median(told),
        unit="s",
        source=source,
        why_not=TOO_SHORT if layer and median(told) < LEAST_S else "",
        baseline=baseline,
        # of two sessions, the first beside the second, as a model stands beside a measurement
        repeated=told[0] / told[1] * median(told) if len(told) > 1 else None,
        fit=fit_of(run),
    )


@cache
def fit_of(run: Run) -> Fit:
    """Return how many constants of a run's machine were fitted in its format."""
    known = calibrations(run.machine).items()
    constants = sum(len(one.constants) for (_, _, fmt), one in known if fmt == run.format)
    return Fit(run.format, constants, FITTED_SHAPES)


def _roofline_of(result: NetworkResult) -> float:
    return sum(map(roofline_seconds, result.layers))


def roofline_seconds(one: LayerResult) -> float:
    """Return the larger of multiply-accumulates at the peak rate and all operands at the bandwidth of memory."""
    layer, chip = one.layer, one.chip
    shared = layer.weight_elements if len(layer.inputs) == 1 else 0
    bits = one.fmt.bits * (shared + layer.steps * (sum(map(prod, layer.input_shapes)) + layer.output_elements))
    bandwidth_gb_s = float(str(chip.parameters["bandwidth_gb_s"]))
    macs_per_s = chip.array.rows * chip.array.macs_per_cycle[one.fmt.name] * chip.clock_hz
    return max(layer.macs / float(macs_per_s), bits / gb_s_to_bits_s(bandwidth_gb_s))
