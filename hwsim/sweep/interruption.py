"""Ctrl-C and SIGTERM: the first asks a sweep to stop, the second, or too long a wait, makes it."""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

GRACE_S = 4.0
"""How long slices in work may take to end once a sweep is asked to stop."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether a sweep was asked to stop."""

    def __init__(self) -> None:
        self.asked = False
        self._timer: threading.Timer | None = None

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Ask to stop; asked again, raise `KeyboardInterrupt` wherever the sweep is."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        # a slice that is computed in this very thread is not waited for by anyone who could stop waiting
        self._timer = threading.Timer(2 * GRACE_S, _thread.interrupt_main, (number,))
        self._timer.daemon = True
        self._timer.start()

    def close(self) -> None:
        """Interrupt nothing any more."""
        if self._timer is not None:
            self._timer.cancel()


@contextmanager
def interruptible() -> Iterator[Stop]:
    """Yield what says whether to stop, and handle signals by it until the end; only a main thread gets them."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop.ask) for number in SIGNALS}
    try:
        yield stop
    finally:
        stop.close()
        for number, handler in before.items():
            signal.signal(number, handler)
