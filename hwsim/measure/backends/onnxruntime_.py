"""onnxruntime on the CPU, in fp32 and int8: layers timed by its profile, the whole by a session without one.

A fused layer's time stands at the layer that it runs with, the product if there is one. Changes of layout that the
library adds between blocks of 16 channels and images count to the layer that they come before, or, where images are
restored, to the one that they come after.
"""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from hwsim.errors import InputError, counted
from hwsim.functional.inputs import RANDOM, inputs_of
from hwsim.functional.parameters import Parameters
from hwsim.ir.network import Network
from hwsim.measure.backend import Sample
from hwsim.measure.cache import Evictor
from hwsim.measure.layerwise import nothing

from .onnxruntime_layers import MOST_NODES, Nodes, Profile

if TYPE_CHECKING:
    from hwsim.formats import NumberFormat

T = TypeVar("T")

formats = ("fp32", "int8")
device = "cpu"

PROFILED_S, MAX_RUNS = 0.05, 50
"""A sample's layers are means over runs of this long [s], at most so many: the profile counts whole microseconds."""

NODES = 10_000
"""A sample's runs have at most so many nodes: those of a loop are of many steps each."""

EACH_RUN = "each run, not before each layer"


def missing() -> str:
    """Return what this machine lacks."""
    absent = [name for name in ("onnxruntime", "onnx") if find_spec(name) is None]
    return f"{' and '.join(absent)} is not installed" if absent else ""


def prepare(network: Network, fmt: NumberFormat, threads: int, seed: int) -> Apart:
    """Return the network ready to run in "fp32" or "int8" on `threads` threads, on weights and inputs of `seed`."""
    if fmt.name not in formats:
        raise InputError(f"onnxruntime is measured in {' and '.join(formats)}, not in {fmt.name}")
    return Apart(lambda: Run(network, fmt.name, threads, seed))


class Apart:
    """A run in a thread for this library: it makes denormals zero in the thread that calls it first, from then on."""

    def __init__(self, make: Callable[[], Run]) -> None:
        self.run = _apart(make)

    @property
    def fused(self) -> Mapping[str, str]:
        """Layers that the library runs inside another layer's call, by name, with that layer's."""
        return self.run.fused

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that a reader of the figures must know."""
        return self.run.notes

    def outputs(self) -> dict[str, Any]:
        """Return the network's results by layer, as values."""
        return _apart(self.run.outputs)

    def samples(self, count: int, cold: bool) -> Sequence[Sample]:
        """Return `count` runs; with `cold`, caches hold other data before each run, not before each layer of it."""
        return _apart(lambda: self.run.samples(count, cold))

    def close(self) -> None:
        """Give back the sessions and the folder of profiles."""
        _apart(self.run.close)


def _apart(work: Callable[[], T]) -> T:
    """Return what `work` gives in the library's thread, on the processors that the calling thread may use."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None

    def there() -> T:
        if allowed is not None:
            os.sched_setaffinity(0, allowed)
        return work()

    return _thread().submit(there).result()


@cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "onnxruntime")


class Run:
    """A network in a session, ready to run."""

    def __init__(self, network: Network, fmt: str, threads: int, seed: int) -> None:
        with ExitStack() as stack:
            self.folder = stack.enter_context(tempfile.TemporaryDirectory())
            self._prepare(network, fmt, threads, seed)
            self.given_back = stack.pop_all()

    def _prepare(self, network: Network, fmt: str, threads: int, seed: int) -> None:
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
        self.session = session(self.export.model, threads)
        self.feeds = self._feeds()
        self.profile: Profile | None = None
        self.evictor: Evictor | None = None
        self.warmed = False
        self.fused = self._fused(folded)
        self.notes = _notes(fmt, threads)

    def outputs(self) -> dict[str, Any]:
        """Return the network's results by layer, as values."""
        found = self.session.run(list(self.export.outputs.values()), {k: v.numpy() for k, v in self.feeds.items()})
        named = dict(zip(self.export.outputs, found, strict=True))
        return {name: self.scales[name].dequantised(y) if self.scales else y for name, y in named.items()}

    def samples(self, count: int, cold: bool) -> Sequence[Sample]:
        """Return `count` runs; with `cold`, caches hold other data before each run, not before each layer of it."""
        from .onnxruntime_session import one_processor, warm, warm_again

        evict = self._evict() if cold else nothing
        with one_processor(self.threads):
            (warm_again if self.warmed else warm)(lambda: self._once(self.session))
            totals = [self._timed(evict) for _ in range(count)]
        self.warmed = True
        most = NODES // self.nodes
        repeats = 1 if cold else max(1, min(MAX_RUNS, most, int(PROFILED_S / max(min(totals), 1e-6))))
        layers = self._profile(count * repeats).samples(totals, repeats, evict)
        return [Sample(total_s, of_layers) for total_s, of_layers in zip(totals, layers, strict=True)]

    def close(self) -> None:
        """Give back the folder of profiles and the sessions; what samples say of layers stays."""
        self.evictor = None
        with self.given_back:
            del self.session, self.feeds
            if self.profile is not None:
                self.profile.end()

    def _once(self, which: Any) -> None:
        which.run_with_ort_values(list(self.export.outputs.values()), self.feeds)

    def _evict(self) -> Callable[[], None]:
        """Return what fills the caches with other data."""
        if self.evictor is None:
            self.evictor = Evictor.of_host(EACH_RUN)
            self.notes = (*self.notes, self.evictor.note)
            # starts numba's threads before this one has a processor of its own, which they would get, too
            self.evictor.evict()
        return self.evictor.evict

    def _timed(self, evict: Callable[[], None]) -> float:
        evict()
        started = perf_counter()
        self._once(self.session)
        return perf_counter() - started

    def _profile(self, runs: int) -> Profile:
        """Return a profile that takes so many further runs."""
        from .onnxruntime_session import session

        if self.profile is not None and (self.profile.runs + runs) * self.nodes > MOST_NODES:
            self.profile.end()
        if self.profile is None or self.profile.ended:
            # made before this thread has a processor of its own, which the library's threads would get, too
            made = session(self.export.model, self.threads, Path(self.folder) / "profile")
            self.profile = Profile(made, self._once, self.threads, self._layers)
        return self.profile

    def _layers(self, nodes: Nodes) -> dict[str, float]:
        """Return the seconds of each layer in a run."""
        from .onnxruntime_profile import by_layer

        seconds: dict[str, float] = defaultdict(float)
        for layer, duration_s in by_layer(nodes):
            name = self.network.layers[layer].name
            seconds[self.fused.get(name, name)] += duration_s
        return seconds

    def _fused(self, folded: Mapping[str, str]) -> dict[str, str]:
        """Return the layers without a call of their own, from one run that is looked at."""
        from .onnxruntime_profile import by_layer, fused_layers
        from .onnxruntime_session import runs_in, session

        profiled = session(self.export.model, self.threads, Path(self.folder) / "look")
        self._once(profiled)
        nodes = runs_in(Path(profiled.end_profiling()))
        self.nodes = max(1, *map(len, nodes))
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


def _notes(fmt: str, threads: int) -> tuple[str, ...]:
    import onnxruntime

    spinning = counted(threads, "thread that spins", "threads that spin")
    notes = [
        f"onnxruntime {onnxruntime.__version__}, {spinning} between layers, denormals as zero",
        "times of layers are those of the library's profile, means over runs, less what the profile adds to each",
    ]
    if fmt == "int8":
        notes.append("int8: uint8 activations, int8 weights, one scale per tensor; inputs are given as integers")
    return tuple(notes)
