"""Threads of a measurement: one per core, pinned, in every library, and all of it given back afterwards."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress

from hwsim.errors import UsageError, counted, reason
from hwsim.measured.system import allowed_cpus, one_per_core

UNPINNED = "threads are not pinned: {}"


def chosen_cpus(threads: int) -> tuple[int, ...]:
    """Return the processors for `threads`, one per core where they suffice; 0 threads are one for every core.

    Raises `UsageError` for more threads than processors.
    """
    cpus = allowed_cpus()
    cores = one_per_core(cpus)
    if not 0 <= threads <= len(cpus):
        processors = counted(len(cpus), "processor")
        raise UsageError(f"{counted(threads, 'thread')} cannot be pinned to the {processors} this process may use")
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
        return UNPINNED.format("this system does not let a process choose its processors")
    whole, before = os.sched_getaffinity(0), dict[int, set[int]]()
    stack.callback(_give_back, before, whole)
    for thread in _own_threads():
        try:
            allowed = os.sched_getaffinity(thread)
            os.sched_setaffinity(thread, cpus)
        except ProcessLookupError:  # it has just ended
            continue
        except OSError as error:
            return UNPINNED.format(f"the system says '{error.strerror or reason(error)}'")
        before[thread] = allowed
    return ""


def _own_threads() -> list[int]:
    """Return the numbers of this process's threads; 0 is the calling one."""
    try:
        return [int(name) for name in os.listdir("/proc/self/task")]
    except OSError:
        return [0]


def _give_back(before: Mapping[int, set[int]], whole: set[int]) -> None:
    """Give every thread the processors that it had before, and those that have started since the whole process's."""
    for thread in _own_threads():
        # one that has just ended needs none, and one that could be bound can be unbound
        with suppress(OSError):
            os.sched_setaffinity(thread, before.get(thread, whole))


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
