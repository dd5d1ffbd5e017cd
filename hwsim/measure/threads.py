"""Threads of a measurement: one per core, pinned, in every library, and all of it given back afterwards."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from hwsim.errors import UsageError
from hwsim.measure.machine import allowed_cpus, one_per_core


def chosen_cpus(threads: int) -> tuple[int, ...]:
    """Return the processors for `threads`, one per core where they suffice; 0 threads are one for every core.

    Raises `UsageError` for more threads than processors.
    """
    cpus = allowed_cpus()
    cores = one_per_core(cpus)
    if not 0 <= threads <= len(cpus):
        raise UsageError(f"{threads} threads cannot be pinned to the {len(cpus)} processors this process may use")
    if threads <= len(cores):
        return cores[: threads or len(cores)]
    return (*cores, *(cpu for cpu in cpus if cpu not in cores))[:threads]


@contextmanager
def pinned(cpus: tuple[int, ...], backend: str = "") -> Iterator[tuple[str, ...]]:
    """Bind this process to `cpus` and every library to as many threads; yield notes on what of `backend` is not."""
    with ExitStack() as stack:
        process, blas = _bind_process(stack, cpus), _bind_blas(stack, len(cpus))
        notes = [process, blas if backend == "numpy" else ""]
        _bind_numba(stack, len(cpus))
        _bind_torch(stack, len(cpus))
        yield tuple(filter(None, notes))


def _bind_process(stack: ExitStack, cpus: tuple[int, ...]) -> str:
    """Bind all threads there are; those that start later inherit it from their creator."""
    if not hasattr(os, "sched_setaffinity"):
        return "threads are not pinned: this system does not let a process choose its processors"
    for thread in _own_threads():
        try:
            before = os.sched_getaffinity(thread)
            os.sched_setaffinity(thread, cpus)
        except OSError:  # a thread that has just ended
            continue
        stack.callback(_give_back, thread, before)
    return ""


def _own_threads() -> list[int]:
    """Return the numbers of this process's threads; 0 is the calling one."""
    try:
        return [int(name) for name in os.listdir("/proc/self/task")]
    except OSError:
        return [0]


def _give_back(thread: int, cpus: set[int]) -> None:
    try:
        os.sched_setaffinity(thread, cpus)
    except OSError:
        return


def _bind_blas(stack: ExitStack, threads: int) -> str:
    """Bound the threads of numpy's matrix products,  one per processor unless `threadpoolctl` says otherwise."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        if threads == len(allowed_cpus()) == os.cpu_count():
            return ""
        return "the threads of numpy's products are not bounded: threadpoolctl is not installed"
    stack.enter_context(threadpool_limits(threads))
    return ""


def _bind_numba(stack: ExitStack, threads: int) -> None:
    import numba

    stack.callback(numba.set_num_threads, numba.get_num_threads())
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))


def _bind_torch(stack: ExitStack, threads: int) -> None:
    torch = sys.modules.get("torch")  # a library that nobody has loaded has no threads
    if torch is not None:
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(threads)
