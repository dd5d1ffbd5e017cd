"""Where slices of a sweep are computed: in this process, in a pool of processes, on a dask cluster.

The seam is `concurrent.futures.Executor`; `Workers` adds what a sweep needs to know of one: how many slices it runs at
once, how to replace it when a worker died, and how to leave it without waiting.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any, ParamSpec, TypeVar

from hwsim.errors import HardwareError, UsageError

LOCAL = "local"
"""The cluster that is started for the sweep, on this machine."""

CONNECT_S = 8
"""How long a scheduler may take to answer, and a cluster to show its first worker."""

AHEAD = 2
"""Slices that wait for a worker, so that none waits for a slice."""

Given = ParamSpec("Given")
Result = TypeVar("Result")


class InProcess(Executor):
    """An executor whose `submit` computes at once, in this thread."""

    def submit(self, fn: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs) -> Future[Result]:
        """Return a future that is done; an interruption is not kept in it but goes on to the caller."""
        future: Future[Result] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # what a future is for: the caller meets it at `result()`
            future.set_exception(error)
        return future


@dataclass
class Workers:
    """An executor, and what a sweep needs to know of it.

    `slots` slices run at once, `limit` may be submitted. `fresh` makes an executor in place of one whose worker died,
    `leave` stops without waiting for what runs. `lost` are the exceptions by which a future says that its worker died,
    in a pool that `dies_as_one` every future; `gone` those by which it says that the executor is.
    """

    executor: Executor
    slots: int
    limit: int
    fresh: Callable[[], Executor]
    leave: Callable[[], None]
    lost: tuple[type[BaseException], ...] = ()
    dies_as_one: bool = False
    gone: tuple[type[BaseException], ...] = ()

    def renew(self) -> None:
        """Replace the executor by a new one."""
        self.executor = self.fresh()

    def submit(self, fn: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs) -> Future[Result]:
        """Return the future of a slice; a pool that broke meanwhile says so in the future, as it does for others."""
        with deaf_children() if self.dies_as_one else nullcontext():
            try:
                return self.executor.submit(fn, *args, **kwargs)
            except BrokenProcessPool as error:
                future: Future[Result] = Future()
                future.set_exception(error)
                return future


@contextmanager
def workers(jobs: int, cluster: str | None) -> Iterator[Workers]:
    """Yield what computes slices: this process for one job, a pool for several, else the cluster that is named."""
    opened = _cluster(cluster, jobs) if cluster else _pool(jobs) if jobs > 1 else _here()
    with opened as found:
        yield found


@contextmanager
def _here() -> Iterator[Workers]:
    here = InProcess()
    # nothing is queued ahead: a slice that is submitted is computed before `submit` returns
    yield Workers(here, 1, 1, lambda: here, _nothing)


@contextmanager
def _pool(jobs: int) -> Iterator[Workers]:
    pools = _Pools(jobs)
    found = Workers(pools.fresh(), jobs, jobs + AHEAD, pools.fresh, pools.leave, (BrokenProcessPool,), dies_as_one=True)
    try:
        yield found
    finally:
        pools.close()


def _nothing() -> None:
    """Leave an executor that needs no leaving."""


class _Pools:
    """The pool in use; each worker holds one end of its leash and leaves when the other end is closed.

    The pipe closes with the process that made it, however that ends: a worker never outlives its sweep.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.context = get_context("spawn")
        self.pool: ProcessPoolExecutor | None = None
        self.ends: tuple[Connection, Connection] | None = None

    def fresh(self) -> Executor:
        """Return a new pool of which one worker at least has started, and let go of the one before."""
        self.leave()
        self.ends = self.context.Pipe(duplex=False)
        pool = ProcessPoolExecutor(self.jobs, self.context, initializer=_begin, initargs=(self.ends[0],))
        self.pool = pool
        with deaf_children():
            started = [pool.submit(os.getpid) for _ in range(self.jobs)]
        try:
            started[0].result()
        except BrokenProcessPool:
            raise HardwareError(
                "worker processes do not start; a script that sweeps with more than one job calls it under "
                "`if __name__ == '__main__':`, and --jobs 1 needs none"
            ) from None
        return pool

    def leave(self) -> None:
        """Let workers go at once, whatever they do."""
        if self.ends is not None:
            for end in self.ends:
                end.close()
            self.ends = None
        if self.pool is not None:
            self.pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """Wait for idle workers to leave; cut off those that still compute."""
        if self.pool is not None and self.ends is not None and sys.exc_info()[0] is None:
            self.pool.shutdown(wait=True)
        self.leave()


def _ignore_interruptions() -> None:
    """Leave Ctrl-C, which all processes of a terminal get, to the sweep."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _begin(leash: Connection) -> None:
    """Make a worker ready: tied to its sweep, and warm."""
    _ignore_interruptions()
    Thread(target=_leave_with, args=(leash,), daemon=True).start()
    warm()


def _leave_with(leash: Connection) -> None:
    try:
        leash.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)


def warm() -> str:
    """Import what slices need, so that no slice waits for it; returns the version of hwsim that is here."""
    from hwsim import __version__

    from . import evaluate as evaluate

    return __version__


@contextmanager
def deaf_children() -> Iterator[None]:
    """Let processes that start here be born deaf to Ctrl-C: before their own code runs it would kill them loudly."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _cluster(address: str, jobs: int) -> Iterator[Workers]:
    try:
        import distributed  # noqa: F401 - the module inside may be there already
        from distributed.scheduler import KilledWorker
    except ImportError:
        raise UsageError("--cluster needs dask.distributed; pip install 'hwsim[cluster]'") from None
    _hush()
    local = _local_cluster(jobs) if address == LOCAL else None
    client = None
    try:
        client = _client(local if local is not None else address, address)
        if local is not None:
            client.register_worker_callbacks(_ignore_interruptions)
        slots = _ready(client, address)
        executor = client.get_executor(pure=False)
        gone = (CancelledError, OSError)
        yield Workers(executor, slots, slots + AHEAD, lambda: executor, _nothing, (KilledWorker,), gone=gone)
    finally:
        for one in (client, local):
            if one is not None:
                one.close(timeout=CONNECT_S)


def _hush() -> None:
    """Tell lost workers and closed connections in the sweep's own words alone."""
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL)


def _local_cluster(jobs: int) -> Any:
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=jobs,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.CRITICAL,
    )


def _client(where: Any, address: str) -> Any:
    """Return a client of the scheduler `where`; raises `UsageError`, or `HardwareError` where none answers."""
    from distributed import Client

    if address != LOCAL and not re.fullmatch(r"\w+://.+:\d+", address):
        raise UsageError(f"--cluster '{address}' is neither '{LOCAL}' nor an address like tcp://host:8786")
    try:
        return Client(where, timeout=CONNECT_S)
    except (OSError, ValueError) as error:
        raise HardwareError(f"no scheduler answers at {address}: {error}") from None


def _ready(client: Any, address: str) -> int:
    """Return how many slices the cluster runs at once, its workers warm and of this version."""
    from hwsim import __version__

    try:
        client.wait_for_workers(1, timeout=CONNECT_S)
        client.register_worker_callbacks(warm)
        versions = client.run(warm)
    except TimeoutError:
        raise HardwareError(
            f"the scheduler at {address} has no workers; start some with `dask worker {address}`"
        ) from None
    except ImportError as error:
        raise HardwareError(f"workers at {address} lack hwsim or what it needs: {error}") from None
    for worker, version in versions.items():
        if version != __version__:
            raise HardwareError(f"worker {worker} has hwsim {version}, this process {__version__}: install one version")
    return sum(client.nthreads().values())
