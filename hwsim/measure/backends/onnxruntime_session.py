"""Sessions of onnxruntime, the processors of their threads, and what their profile costs."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any

import numpy as np

from hwsim.errors import InputError, reason

from .onnxruntime_profile import node_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WARM_S, WARM_RUNS = 0.3, 3
"""How long [s] and how often at least a session runs before it is timed: clocks and threads come up to speed."""

ASLEEP_S = 0.06
"""How long [s] after its last run a session's threads sleep: they spin for 2^20 pauses first."""

CHAIN, CHAIN_RUNS = 100, 50
"""Operators of the smallest size in a row, and runs, that show what the profile adds to each."""


def session(model: bytes, threads: int, profile: Path | None = None) -> Any:
    """Return a session of `threads` threads that runs nodes one after the other, each thread on a processor."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    processors = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if 1 < threads <= len(processors):
        others = ";".join(str(number + 1) for number in processors[1:threads])
        options.add_session_config_entry("session.intra_op_thread_affinities", others)
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise InputError(f"onnxruntime does not take the network: {reason(error)}") from error


def warm(run: Callable[[], object]) -> None:
    """Call `run` until all is as it stays."""
    started, runs = perf_counter(), 0
    while runs < WARM_RUNS or perf_counter() - started < WARM_S:
        run()
        runs += 1


def warm_again(run: Callable[[], object]) -> None:
    """Call `run` a few times, once the threads of another session sleep."""
    sleep(ASLEEP_S)
    for _ in range(WARM_RUNS):
        run()


def runs_in(path: Path) -> list[list[tuple[str, float]]]:
    """Return the nodes of each run in a profile's file, which is deleted."""
    events = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    return list(node_runs(events))


@cache
def profile_cost_s(threads: int) -> float:
    """Return the seconds that the profile adds to a node, found on nodes that compute next to nothing.

    The library writes down a node's shapes and threads before it looks at the clock again.
    """
    from .onnx_graph import Graph

    graph, x = Graph("chain"), np.ones(16, np.float32)
    name = graph.input("x", x.shape)
    for index in range(CHAIN):
        name = graph.node("Add", [name, graph.constant(f"c{index % 3}", x)], f"L{index}")
    model, feeds = graph.model([name]), {"x": x}
    with tempfile.TemporaryDirectory() as folder:
        plain, profiled = session(model, threads), session(model, threads, Path(folder) / "chain")
        with one_processor(threads):
            warm(lambda: plain.run(None, feeds))
            seconds = sorted(_seconds(plain, feeds) for _ in range(CHAIN_RUNS))[CHAIN_RUNS // 2]
            for _ in range(2 * CHAIN_RUNS):
                profiled.run(None, feeds)
        runs = runs_in(Path(profiled.end_profiling()))[-CHAIN_RUNS:]
    summed = sorted(sum(duration_s for _, duration_s in nodes) for nodes in runs)[CHAIN_RUNS // 2]
    return max(0.0, (summed - seconds) / CHAIN)


def _seconds(which: Any, feeds: dict[str, Any]) -> float:
    started = perf_counter()
    which.run(None, feeds)
    return perf_counter() - started


@contextmanager
def one_processor(threads: int) -> Iterator[None]:
    """Keep the calling thread on the first processor that it may use, the others having theirs."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    if threads <= len(before):
        os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
