"""Simulated time for units that run as processes (simpy)."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import simpy

Steps = Generator[simpy.Event, Any, None]
"""What a process is: it yields the events it waits for."""


class Clock(simpy.Environment):
    """Simulated time that counts its events."""

    events = 0

    def step(self) -> None:
        """Process the next event."""
        self.events += 1
        super().step()
