"""A bar of what is done, on standard error, once a run has lasted longer than a moment."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hwsim.errors import printable

if TYPE_CHECKING:
    from hwsim.ir.layer import Layer
    from hwsim.ir.network import Network

PROGRESS_AFTER_S = 1.5


@contextmanager
def progress(network: Network) -> Iterator[Callable[[Layer], None]]:
    """Show a bar of the MACs done on standard error, once a run has lasted longer than a moment."""
    from threading import Timer

    shown: list[Callable[[], None]] = []
    finished = [0]

    def show() -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        from hwsim.results.terminal import console

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        bar = Progress(*columns, console=console(stderr=True), transient=True)
        task = bar.add_task(printable(network.name), total=network.macs or None, completed=finished[0])
        bar.start()
        shown.append(bar.stop)
        advance.append(lambda macs: bar.update(task, completed=macs))

    advance: list[Callable[[int], None]] = []

    def done(layer: Layer) -> None:
        finished[0] += layer.macs
        for update in advance:
            update(finished[0])

    timer = Timer(PROGRESS_AFTER_S, show)
    timer.daemon = True
    if sys.stderr.isatty():
        timer.start()
    try:
        yield done
    finally:
        timer.cancel()
        if timer.ident:
            timer.join()
        for stop in shown:
            stop()
