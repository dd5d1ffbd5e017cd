"""The CPU model's constants of this machine: its memory streamed, forty shapes timed, and constants fitted to them.

What it finds goes to the user's cache, where `cpu:host` reads it, with the fingerprint of the machine.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hwsim import catalog
from hwsim.errors import HardwareError, UsageError
from hwsim.ir.layer import Kind, Layer
from hwsim.ir.network import Network
from hwsim.mapping.cpu.around import NOTHING, surroundings
from hwsim.mapping.cpu.constants import Constants
from hwsim.mapping.cpu.machine import Curve, core_of
from hwsim.mapping.cpu.work import work_of
from hwsim.measured.host import require_writable, write_host
from hwsim.measured.system import detect, identity
from hwsim.units import BITS_PER_BYTE

from .calibration_fit import Timed, fit, predicted
from .calibration_networks import calibration_networks, call, is_fitted_on
from .streams import stream

if TYPE_CHECKING:
    from hwsim.formats import NumberFormat

BACKEND = "onnxruntime"

BUDGET_S, LEAST_S = 55.0, 30.0
"""How long it may take [s], and how long all the networks and the fit take at least."""

FITTING_S, NO_ARITHMETIC = 4.0, 1e6
"""What the fit itself takes [s]; the efficiency from which on arithmetic takes no time."""

SAMPLES, CALLS = 7, 51
"""Runs of each network, and of the one that shows what a call takes."""

STREAMS_MIB = {"l1_bytes_s": 0.015, "l2_bytes_s": 0.5, "l3_bytes_s": 8.0, "memory_bytes_s": 256.0}
"""How much each thread streams of each level."""

KEPT_S = (2e-3, 4e-3, 6e-3, 12e-3, 50e-3, 1e3)
"""How long a shared cache may keep data [s], the best of these; the last is a machine of one's own."""


class Found(NamedTuple):
    """A calibration: the machine's facts, constants by class and format, shapes and mean error of each, and where."""

    facts: Mapping[str, Any]
    fitted: Mapping[tuple[str, str], Constants]
    shapes: Mapping[tuple[str, str], int]
    errors: Mapping[tuple[str, str], float]
    path: Path


def calibrate(
    backend: str = "", budget_s: float = BUDGET_S, seed: int = 0, say: Callable[[str], object] = str
) -> Found:
    """Return this machine's constants, fitted in about `budget_s` [s] at most and written; `say` is told of progress.

    Weights and inputs are of `seed`. Raises `UsageError` for another library than onnxruntime or too little time,
    `HardwareError` where that is not installed or what is found cannot be kept.
    """
    _require(backend, budget_s)
    began = perf_counter()
    say("streaming caches and memory")
    threads = detect()["cores"]
    facts = detect() | streams(threads) | {"call_s": call_seconds(threads, seed)}
    rows = list(_timed(facts, seed, lambda: perf_counter() - began < budget_s - FITTING_S, say))
    say(f"fitting {len(rows)} times")
    keep_s, fitted, errors = _best(rows)
    facts["keep_s"] = keep_s
    shapes: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name, row in rows:
        shapes[row.work.op_class, row.fmt].add(name)
    counts = {key: len(names) for key, names in shapes.items()}
    path = write_host(json.dumps(_record(facts, fitted, counts), indent=1))
    return Found(facts, fitted, counts, errors, path)


def _require(backend: str, budget_s: float) -> None:
    """Raise an error for what is no library or too little time, or where something is lacking, before minutes pass."""
    if backend not in ("", BACKEND):
        raise UsageError(f"--calibrate fits {BACKEND}'s operators, not those of '{backend}'")
    if not budget_s >= LEAST_S:
        raise UsageError(f"--calibrate needs {LEAST_S:g} s and more; --budget is {budget_s:g}")
    from .backends import onnxruntime_

    if lacking := onnxruntime_.missing():
        raise HardwareError(lacking)
    require_writable()


def summary(found: Found) -> str:
    """Return what a calibration found, in lines: the machine, and each class with its constants and error."""
    facts = found.facts
    lines = [
        f"{facts['cores']} cores, {facts['isa']}, {facts['clock_mhz']:.0f} MHz; GB/s of a thread: "
        f"L1 {facts['l1_bytes_s'] / 1e9:.0f}, L2 {facts['l2_bytes_s'] / 1e9:.0f}, L3 {facts['l3_bytes_s'] / 1e9:.0f}, "
        f"memory {facts['core_bytes_s'] / 1e9:.0f} alone, {facts['memory_bytes_s'] / 1e9:.0f} all together; "
        f"a call {1e6 * facts['call_s']:.0f} us",
        f"{'class':<14}{'format':<7}{'layers':>6}  {'efficiency':>10}  {'call us':>7}  {'error of the fit %':>18}",
    ]
    for key, one in sorted(found.fitted.items()):
        reached = f"{one.efficiency:.3g}" if one.efficiency < NO_ARITHMETIC else "-"
        lines.append(
            f"{key[0]:<14}{key[1]:<7}{found.shapes[key]:>6}  {reached:>10}  {1e6 * one.call_s:>7.1f}"
            f"  {100 * found.errors[key]:>18.1f}"
        )
    return "\n".join(lines)


def streams(threads: int) -> dict[str, Any]:
    """Return the bytes/s of each thread in L2 and L3 and of all off-chip, and the clock [MHz]."""
    from .machine import this_machine

    machine = this_machine()
    found = {name: stream(mib, threads) for name, mib in STREAMS_MIB.items()}
    alone = stream(STREAMS_MIB["memory_bytes_s"], 1)
    return {
        "l1_bytes_s": found["l1_bytes_s"], "l2_bytes_s": found["l2_bytes_s"], "l3_bytes_s": found["l3_bytes_s"],
        "memory_bytes_s": threads * found["memory_bytes_s"], "core_bytes_s": alone,
        "bandwidth_gb_s": threads * found["memory_bytes_s"] / 1e9, "clock_mhz": machine.clock_hz / 1e6,
        "l3_bytes": float(_shared_bytes(machine.last_level_bytes, threads)),
        "l3_mib": machine.last_level_bytes / 2**20 or 16.0,
    }  # fmt: skip


SHARED_AT_MOST = 56 * 2**20
"""Bytes per thread of a last-level cache that a guest of a shared machine has, whatever its system says of it."""


def _shared_bytes(last_level_bytes: int, threads: int) -> int:
    return min(last_level_bytes, SHARED_AT_MOST * threads) or 16 * 2**20


def call_seconds(threads: int, seed: int) -> float:
    """Return what a run takes beside its layers [s]: that of a network whose layer takes next to nothing."""
    from .backends.onnxruntime_ import prepare

    runner = prepare(call(), catalog.number_format("fp32"), threads, seed)
    samples = runner.samples(CALLS, cold=False)
    runner.close()
    return max(0.0, median(one.total_s - sum(one.layers_s.values()) for one in samples))


def _timed(
    facts: Mapping[str, Any], seed: int, in_time: Callable[[], bool], say: Callable[[str], object]
) -> Iterator[tuple[str, Timed]]:
    """Yield the measured layers of all networks, in both formats, on all threads and on one."""
    cores = int(facts["cores"])
    for count in dict.fromkeys((cores, 1)):
        for name in ("int8", "fp32"):
            for network in calibration_networks():
                if in_time():
                    say(f"{network.name} in {name} on {count} thread{'s' if count > 1 else ''}")
                    yield from _layers(network, catalog.number_format(name), count, facts, seed)


def _layers(
    network: Network, fmt: NumberFormat, threads: int, facts: Mapping[str, Any], seed: int
) -> Iterator[tuple[str, Timed]]:
    """Yield the measured layers of one network that are fitted on."""
    from .backends.onnxruntime_ import prepare

    runner = prepare(network, fmt, threads, seed)
    samples = runner.samples(SAMPLES, cold=False)
    runner.close()
    total_s, machine = median(one.total_s for one in samples), core_of(facts, threads)
    around = surroundings(network)
    for layer in network.layers:
        seconds = median(one.layers_s.get(layer.name, 0.0) for one in samples)
        if seconds > 0 and is_fitted_on(layer):
            work = work_of(layer, fmt.name, fmt.bits, machine.lanes, around.get(layer.name, NOTHING))
            yield layer.name, Timed(work, fmt.name, machine, held_bytes(network, fmt), total_s, seconds)


def held_bytes(network: Network, fmt: NumberFormat) -> float:
    """Return what a run touches and comes back to: all weights, and the largest operands of a layer."""

    def own(layer: Layer) -> int:
        return layer.weight_elements if layer.kind in (Kind.CONV, Kind.MATMUL) and len(layer.inputs) == 1 else 0

    weights = sum(map(own, network.layers))
    busiest = max(layer.input_elements + layer.output_elements for layer in network.layers)
    return (weights + busiest) * fmt.bits / BITS_PER_BYTE


def _best(
    rows: Sequence[tuple[str, Timed]],
) -> tuple[float, dict[tuple[str, str], Constants], dict[tuple[str, str], float]]:
    """Return how long the shared cache keeps data, and the constants of every class and format with their errors."""
    tried = []
    for keep_s in KEPT_S:
        kept = [row._replace(machine=row.machine._replace(keep_s=keep_s)) for _, row in rows]
        gemm = [row for row in kept if row.work.op_class == "gemm"]
        tried.append((sum(_fit_and_error(part, "gemm", fmt)[1] for fmt, part in _by_format(gemm)), keep_s))
    keep_s = min(tried)[1]
    groups: dict[tuple[str, str], list[Timed]] = defaultdict(list)
    for _, row in rows:
        groups[row.work.op_class, row.fmt].append(row._replace(machine=row.machine._replace(keep_s=keep_s)))
    both = {key: _fit_and_error(group, *key) for key, group in groups.items()}
    return keep_s, {key: one for key, (one, _) in both.items()}, {key: error for key, (_, error) in both.items()}


def _by_format(rows: Sequence[Timed]) -> Iterator[tuple[str, list[Timed]]]:
    for fmt in sorted({row.fmt for row in rows}):
        yield fmt, [row for row in rows if row.fmt == fmt]


def _fit_and_error(rows: Sequence[Timed], op_class: str, fmt: str) -> tuple[Constants, float]:
    """Return the constants of rows, and their mean error on them."""
    curves = {row.machine.threads: Curve(row.machine) for row in rows}
    fitted = fit(rows, op_class, fmt)
    found = predicted(rows, fitted, curves)
    return fitted, float(np.mean(np.abs(found / np.array([row.seconds for row in rows]) - 1)))


def _record(
    facts: Mapping[str, Any], fitted: Mapping[tuple[str, str], Constants], shapes: Mapping[tuple[str, str], int]
) -> dict[str, Any]:
    now = datetime.now(UTC)
    defaults = Constants()._asdict()
    cases = [
        {
            "library": BACKEND, "op_class": key[0], "format": key[1], "shapes": shapes[key],
            "constants": {name: value for name, value in one._asdict().items() if value != defaults[name]},
        }
        for key, one in sorted(fitted.items())
    ]  # fmt: skip
    return {"identity": identity(), "year": now.year, "date": f"{now:%Y-%m-%d}", "facts": dict(facts), "cases": cases}
