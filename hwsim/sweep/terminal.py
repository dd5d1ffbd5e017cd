"""What `hwsim sweep` shows: a bar while it works, a table of what it came to."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from shlex import quote
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from hwsim.errors import counted, printable
from hwsim.results.terminal import console, quantity
from hwsim.units import pj_to_j

from .objectives import OBJECTIVES
from .run import Progress
from .summary import Summary

REDRAW_S = 0.25

WINDOW_S = 20.0
"""Over how long the rate is taken from which the end is told, or over half of the time if that is longer."""

REASONS = 5
"""Reasons for failures that are shown; exports have them all."""

PREFIXED = ("J", "s", "W", "J s")
"""Units that are shown with a prefix."""


class Rate:
    """Points per second of late; between points that take long it sinks slowly, and is never taken of none."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._began = 0.0

    def at(self, now: float, evaluated: int) -> float:
        """Return the rate, once told how many points are evaluated `now` [s]."""
        if not self._seen:
            self._began = now
        if not self._seen or evaluated != self._seen[-1][1]:
            self._seen.append((now, evaluated))
        window_s = max(WINDOW_S, (now - self._began) / 2)
        while len(self._seen) > 2 and now - self._seen[1][0] > window_s:
            self._seen.popleft()
        then, before = self._seen[0]
        return (evaluated - before) / (now - then) if now > then else 0.0


@contextmanager
def telling() -> Iterator[Callable[[Progress], None]]:
    """Yield what shows progress on standard error: a bar on a terminal, else a line at the end."""
    if sys.stderr.isatty():
        with _bar() as tell:
            yield tell
        return
    last: list[Progress] = []

    def keep(progress: Progress) -> None:
        last[:] = [progress]

    try:
        yield keep
    finally:
        for progress in last:
            print(f"hwsim: {printable(line(progress, progress.points_per_s()))}", file=sys.stderr)


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    rate, drawn = Rate(), [0.0]
    columns = (BarColumn(bar_width=24), TextColumn("{task.fields[said]}", markup=False))
    with Bar(*columns, console=console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task("", said="starting")

        def tell(progress: Progress) -> None:
            now = time.monotonic()
            if now - drawn[0] < REDRAW_S:
                return
            drawn[0] = now
            said = printable(line(progress, rate.at(now, progress.evaluated)))
            bar.update(task, total=progress.total, completed=progress.done, said=said, refresh=True)

        yield tell


def line(progress: Progress, points_per_s: float) -> str:
    """Return points done, their rate, the time left, those that failed, and the best of each objective."""
    parts = [f"{progress.done:,}/{progress.total:,} points"]
    if points_per_s > 0:
        parts.append(f"{points_per_s:,.0f}/s")
        left = (progress.total - progress.done) / points_per_s
        parts += [f"{span(left)} left"] if left > 0 else []
    parts += [f"{progress.failed:,} failed"] if progress.failed else []
    parts += [f"{name} {shown(name, abs(loss))}" for name, loss in progress.best.items()]
    return ", ".join(parts)


def span(seconds: float) -> str:
    """Return a time as hours, minutes and seconds: 3:07, 1:00:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def shown(objective: str, value: float) -> str:
    """Return the value of an objective with its unit."""
    one = OBJECTIVES[objective]
    if one.name == "utilisation":
        return f"{value:.1%}"
    if one.unit == "pJ":
        return quantity(pj_to_j(value), "J")
    return quantity(value, one.unit) if one.unit in PREFIXED else f"{value:.4g} {one.unit}".strip()


def print_summary(summary: Summary) -> None:
    """Print what the sweep came to, and what to do next."""
    screen = console()
    screen.print(Text(printable(_head(summary))), soft_wrap=True)
    if summary.best:
        screen.print(_table(summary))
    if summary.front:
        screen.print(Text(f"Pareto front: {_points(summary.front)} that no other of the same network beats"))
    for said in (*_failed(summary), *_again(summary), *_next(summary)):
        screen.print(Text(printable(said)), soft_wrap=True)  # a command that is copied is one line


def _head(summary: Summary) -> str:
    known = summary.done - summary.computed
    parts = [f"{summary.computed:,} computed in {summary.seconds:.1f} s"]
    parts += [f"{summary.points_per_s:,.0f}/s"] if summary.evaluated else []
    parts += [f"{known:,} known before"] if known > 0 else []
    return f"{summary.done:,} of {summary.points:,} points in {summary.path}: {', '.join(parts)}"


def _table(summary: Summary) -> RenderableType:
    """Return the best point of each objective, of each network where these are few, without columns of nothing."""
    rows = [(name, row) for found in summary.best_of.values() or [summary.best] for name, row in found.items()]
    cells = [_named(row) for _, row in rows]
    kept = [name for place, name in enumerate(WHAT) if place < NAMES or any(one[place] for one in cells)]
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("best", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    for name in kept:
        table.add_column(name, overflow="fold")
    for (name, row), one in zip(rows, cells, strict=True):
        said = [printable(cell or "its own") for what, cell in zip(WHAT, one, strict=True) if what in kept]
        table.add_row(name, shown(name, row[OBJECTIVES[name].column]), *said)
    return table


WHAT, NAMES = ("network", "chip", "dataflow", "format", "densities"), 2
"""Columns of a point, and how many are always shown."""


def _named(row: dict[str, Any]) -> tuple[str, ...]:
    """Return what a point is; what is the chip's or network's own is ""."""
    densities = {"weights": row["weight_density"], "inputs": row["input_density"]}
    said = ", ".join(f"{name} {value:g}" for name, value in densities.items() if value is not None)
    return str(row["network"]), str(row["chip"]), row["dataflow"], row["format"], said


def _points(count: int) -> str:
    return "1 point" if count == 1 else f"{count:,} points"


def _failed(summary: Summary) -> Iterator[str]:
    """Yield how many points failed, and why."""
    if not summary.failed:
        return
    yield f"{_points(summary.failed)} of {summary.in_study:,} failed:"
    for reason, count in list(summary.reasons.items())[:REASONS]:
        yield f"  {count:,} x {reason}"
    if len(summary.reasons) > REASONS:
        yield f"  and {len(summary.reasons) - REASONS} reasons more; column 'error' of hwsim export has them"


def _again(summary: Summary) -> Iterator[str]:
    """Yield why slices were computed again, and why points have the same names."""
    if summary.namesakes:
        yield (
            f"note: {summary.namesakes:,} points have the names of others, of before a file that they name was edited; "
            "with another --out they are kept apart"
        )
    for reason, count in summary.faults.items():
        yield f"note: {counted(count, 'slice')} computed again in pieces, {reason}"


def _next(summary: Summary) -> Iterator[str]:
    """Yield what to do next."""
    if not summary.interrupted and summary.in_study > summary.failed:
        path = quote(str(summary.path))
        yield f"next: hwsim export {path} --out points.csv; hwsim report pareto {path}"
