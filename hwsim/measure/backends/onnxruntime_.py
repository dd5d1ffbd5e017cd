"""onnxruntime on the CPU, in fp32 and int8: layers timed by its profile, the whole by a session without one.

A fused layer's time stands at the layer that it runs with, the product if there is one. Changes of layout that the
library adds between blocks of 16 channels and images count to the layer that they come before, or, where images are
restored, to the one that they come after.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from hwsim.errors import InputError
from hwsim.functional.inputs import RANDOM, inputs_of
from hwsim.functional.parameters import Parameters
from hwsim.ir.network import Network
from hwsim.measure.backend import Sample

if TYPE_CHECKING:
    from hwsim.formats import NumberFormat

formats = ("fp32", "int8")
device = "cpu"

PROFILED_S, MAX_RUNS = 0.05, 50
"""A sample's layers are means over runs of this long [s], at most so many: the profile counts whole microseconds."""


TRIES, DISTURBED = 3, 1.1
"""Runs are repeated, so often at most, where layers add up to this times the whole: something else has run then."""

MOST_COST = 2.5
"""The most that the profile may add to a node, in times of what it adds to one that does nothing."""

LEAST = 0.05
"""The part of a node's time in the profile that is left to it when the profile's own cost is taken off."""

Nodes = list[tuple[str, float]]
"""Names of a run's nodes with their seconds."""


def missing() -> str:
    """Return what this machine lacks."""
    absent = [name for name in ("onnxruntime", "onnx") if find_spec(name) is None]
    return f"{' and '.join(absent)} is not installed" if absent else ""


def prepare(network: Network, fmt: NumberFormat, threads: int, seed: int) -> Run:
    """Return the network ready to run in "fp32" or "int8" on `threads` threads, on weights and inputs of `seed`."""
    if fmt.name not in formats:
        raise InputError(f"onnxruntime is measured in {' and '.join(formats)}, not in {fmt.name}")
    return Run(network, fmt.name, threads, seed)


class Run:
    """A network in a session, ready to run."""

    def __init__(self, network: Network, fmt: str, threads: int, seed: int) -> None:
        from .onnx_export import export_fp32
        from .onnxruntime_session import session

        self.network, self.threads = network, threads
        self.values = inputs_of(network, RANDOM, seed)
        parameters = Parameters(network.tensors, seed)
        self.scales: Mapping[str, Any] = {}
        folded: Mapping[str, str] = {}
        if fmt == "int8":
            from .onnx_int8 import export_int8

            ranges = self._ranges(parameters)
            self.export, self.scales, folded = export_int8(network, parameters, ranges)
            self.values = {name: self.scales[name].quantised(value) for name, value in self.values.items()}
        else:
            self.export = export_fp32(network, parameters)
        self.folder = tempfile.TemporaryDirectory()
        self.session = session(self.export.model, threads)
        self.feeds = self._feeds()
        self.fused = self._fused(folded)
        self.notes = _notes(fmt, threads)

    def outputs(self) -> dict[str, Any]:
        """Return the network's results by layer, as values."""
        found = self.session.run(list(self.export.outputs.values()), {k: v.numpy() for k, v in self.feeds.items()})
        named = dict(zip(self.export.outputs, found, strict=True))
        return {name: self.scales[name].dequantised(y) if self.scales else y for name, y in named.items()}

    def samples(self, count: int, cold: bool) -> Sequence[Sample]:
        """Return `count` runs; with `cold`, caches hold other data before each run, not before each layer of it."""
        from .onnxruntime_session import one_processor, warm

        for _ in range(TRIES):
            with one_processor(self.threads):
                warm(lambda: self._once(self.session))
                totals = [self._timed(cold) for _ in range(count)]
            repeats = 1 if cold else max(1, min(MAX_RUNS, int(PROFILED_S / max(min(totals), 1e-6))))
            runs = self._profiled(count * repeats, cold)
            cost_s = self._cost_s(runs, median(totals))
            layers = [self._layers(nodes, cost_s) for nodes in runs]
            between = median(sum(one.values()) for one in layers) / median(totals)
            if between < DISTURBED:
                break
        groups = [layers[at : at + repeats] for at in range(0, len(runs), repeats)]
        return [Sample(total, _mean(group)) for total, group in zip(totals, groups, strict=True)]

    def close(self) -> None:
        """Give back the folder of profiles and the session."""
        self.folder.cleanup()
        del self.session, self.feeds

    def _once(self, which: Any) -> None:
        which.run_with_ort_values(list(self.export.outputs.values()), self.feeds)

    def _timed(self, cold: bool) -> float:
        from .onnxruntime_session import flush

        if cold:
            flush()
        started = perf_counter()
        self._once(self.session)
        return perf_counter() - started

    def _profiled(self, count: int, cold: bool) -> list[Nodes]:
        """Return the nodes of `count` runs with their seconds."""
        from .onnxruntime_session import flush, one_processor, runs_in, session, warm

        # made before this thread has a processor of its own, which the library's threads would get, too
        profiled = session(self.export.model, self.threads, Path(self.folder.name) / "profile")
        with one_processor(self.threads):
            warm(lambda: self._once(profiled))
            for _ in range(count):
                if cold:
                    flush()
                self._once(profiled)
        return runs_in(Path(profiled.end_profiling()))[-count:]

    def _cost_s(self, runs: Sequence[Nodes], total_s: float) -> float:
        """Return what the profile adds to a node: what it adds to one that does nothing, or what the whole run says."""
        from .onnxruntime_session import profile_cost_s

        least_s = profile_cost_s(self.threads)
        summed = median(sum(duration_s for _, duration_s in nodes) for nodes in runs)
        return min(max(least_s, (summed - total_s) / max(1, len(runs[0]))), MOST_COST * least_s)

    def _layers(self, nodes: Nodes, cost_s: float) -> dict[str, float]:
        """Return the seconds of each layer in a run."""
        from .onnxruntime_profile import by_layer

        seconds: dict[str, float] = defaultdict(float)
        left = [(name, max(duration_s - cost_s, LEAST * duration_s)) for name, duration_s in nodes]
        for layer, duration_s in by_layer(left):
            name = self.network.layers[layer].name
            seconds[self.fused.get(name, name)] += duration_s
        return seconds

    def _fused(self, folded: Mapping[str, str]) -> dict[str, str]:
        """Return the layers without a call of their own, from one run that is looked at."""
        from .onnxruntime_profile import by_layer, fused_layers
        from .onnxruntime_session import runs_in, session

        profiled = session(self.export.model, self.threads, Path(self.folder.name) / "look")
        self._once(profiled)
        nodes = runs_in(Path(profiled.end_profiling()))
        called = {layer for run in nodes for layer, _ in by_layer(run)}
        return fused_layers(self.network, called, folded)

    def _feeds(self) -> dict[str, Any]:
        import onnxruntime

        made = onnxruntime.OrtValue.ortvalue_from_numpy
        return {known: made(np.ascontiguousarray(self.values[name])) for name, known in self.export.inputs.items()}

    def _ranges(self, parameters: Parameters) -> dict[str, tuple[float, float]]:
        """Return the least and largest value of every tensor in one pass in fp32; states have those of their layer."""
        from .onnx_ranges import ranges

        return ranges(self.network, parameters, self.values)


def _mean(group: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: sum(one.get(name, 0.0) for one in group) / len(group) for name in group[0]}


def _notes(fmt: str, threads: int) -> tuple[str, ...]:
    import onnxruntime

    notes = [
        f"onnxruntime {onnxruntime.__version__}, {threads} threads that spin between layers, denormals as zero",
        "times of layers are those of the library's profile, means over runs, less what the profile adds to each",
        "with cold caches, caches hold other data before each run, not before each layer",
    ]
    if fmt == "int8":
        notes.append("int8: uint8 activations, int8 weights, one scale per tensor; inputs are given as integers")
    return tuple(notes)
