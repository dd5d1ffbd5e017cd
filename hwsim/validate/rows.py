"""All compared rows, or those of one machine, table or metric."""

from __future__ import annotations

from hwsim.errors import UsageError, did_you_mean
from hwsim.results.expectation import PUBLISHED, expectations

from .cpu import cpu_records
from .gpu import gpu_records
from .published import published_records
from .record import Record
from .scale_sim import scale_sim_records
from .text import is_variant


def records(only: str = "") -> list[Record]:
    """Return every compared row whose machine, table, metric or group has the text `only` in its name.

    Raises `UsageError` where none has.
    """
    every = [*published_records(expectations(PUBLISHED)), *gpu_records(), *cpu_records(), *scale_sim_records()]
    wanted = [one for one in every if any(only.lower() in name.lower() for name in names_of(one))]
    if not wanted:
        machines = {one.machine for one in every if not is_variant(one.machine)}
        near = did_you_mean(only, {name for one in every for name in names_of(one)})
        known = near or f"; machines are {', '.join(sorted(machines))}"
        raise UsageError(f"nothing that is validated has '{only}' in its name{known}")
    return wanted


def names_of(one: Record) -> tuple[str, str, str, str]:
    """Return what a row is asked for by."""
    return one.machine, one.table, one.metric, one.group
