"""Where slices of a sweep are computed: in this process, in a pool of processes, on a dask cluster.

The seam is `concurrent.futures.Executor`; `Workers` adds what a sweep needs to know of some: how many slices they run
at once, how to replace one whose worker died, and how to leave without waiting. Each process of this machine has an
executor of its own, so that neighbouring slices find their networks, chips and mappings in it.
"""

from __future__ import annotations

import logging
import os
import re
import signal
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

AHEAD = 1
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
    """Executors, one for each lane of neighbouring slices, and what a sweep needs to know of them.

    `slots` slices run at once in all, `limit` may be submitted to each. `fresh` makes the executor of a lane anew whose
    worker died, `leave` stops without waiting for what runs. `lost` are the exceptions by which a future says that its
    worker died, in an executor that `dies_as_one` every future; `gone` those by which it says that the executor is.
    """

    executors: list[Executor]
    slots: int
    limit: int
    fresh: Callable[[int], Executor]
    leave: Callable[[], None]
    lost: tuple[type[BaseException], ...] = ()
    dies_as_one: bool = False
    gone: tuple[type[BaseException], ...] = ()

    def renew(self, lane: int) -> None:
        """Replace the executor of a lane by a new one."""
        self.executors[lane] = self.fresh(lane)

    def submit(
        self, lane: int, fn: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs
    ) -> Future[Result]:
        """Return the future of a slice; a pool that broke meanwhile says so in the future, as it does for others."""
        with deaf_children() if self.dies_as_one else nullcontext():
            try:
                return self.executors[lane].submit(fn, *args, **kwargs)
            except BrokenProcessPool as error:
                future: Future[Result] = Future()
                future.set_exception(error)
                return future


def require_address(cluster: str) -> None:
    """Raise `UsageError` for what can be no cluster's address."""
    if cluster != LOCAL and not re.fullmatch(r"\w+://.+:\d+", cluster):
        raise UsageError(f"--cluster '{cluster}' is neither '{LOCAL}' nor an address like tcp://host:8786")


@contextmanager
def workers(jobs: int, cluster: str | None) -> Iterator[Workers]:
    """Yield what computes slices: this process for one job, one more for each of several, or the cluster named."""
    opened = _cluster(cluster, jobs) if cluster else _pool(jobs) if jobs > 1 else _here()
    with opened as found:
        yield found


@contextmanager
def _here() -> Iterator[Workers]:
    here = InProcess()
    # nothing is queued ahead: a slice that is submitted is computed before `submit` returns
    yield Workers([here], 1, 1, lambda lane: here, _nothing)


@contextmanager
def _pool(jobs: int) -> Iterator[Workers]:
    made: list[_Leashed] = []

    def fresh(lane: int) -> Executor:
        made[lane].leave()
        made[lane] = _Leashed()
        return made[lane].pool

    def leave() -> None:
        for one in made:
            one.leave()

    try:
        made.extend(_Leashed() for _ in range(jobs))
        made[0].require_started()
        pools: list[Executor] = [one.pool for one in made]
        yield Workers(pools, jobs, 1 + AHEAD, fresh, leave, (BrokenProcessPool,), dies_as_one=True)
        for one in made:
            one.close()
    finally:
        leave()


def _nothing() -> None:
    """Leave an executor that needs no leaving."""


class _Leashed:
    """A pool of one worker, which holds one end of its leash and leaves when the other end is closed.

    The pipe closes with the process that made it, however that ends: a worker never outlives its sweep.
    """

    def __init__(self) -> None:
        context = get_context("spawn")
        self.ends = context.Pipe(duplex=False)
        self.left = False
        self.pool = ProcessPoolExecutor(1, context, initializer=_begin, initargs=(self.ends[0],))
        with deaf_children():
            self.started = self.pool.submit(os.getpid)

    def require_started(self) -> None:
        """Wait for the worker; raises `HardwareError` where there is none."""
        try:
            self.started.result()
        except BrokenProcessPool:
            raise HardwareError(
                "worker processes do not start; a script that sweeps with more than one job calls it under "
                "`if __name__ == '__main__':`, and --jobs 1 needs none"
            ) from None

    def leave(self) -> None:
        """Let the worker go at once, whatever it does."""
        self.left = True
        for end in self.ends:
            end.close()
        self.pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """Wait for an idle worker to leave."""
        if not self.left:
            self.pool.shutdown(wait=True)


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
        limit = slots * (1 + AHEAD)
        yield Workers([executor], slots, limit, lambda lane: executor, _nothing, (KilledWorker,), gone=gone)
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
    """Return a client of the scheduler `where`; raises `HardwareError` where none answers."""
    from distributed import Client

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
