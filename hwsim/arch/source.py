"""Where a number comes from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """A published work and the place in it, or the reason for an assumption (`work` is then "assumed")."""

    work: str
    year: int | None = None
    locator: str = ""

    @classmethod
    def assumed(cls, why: str) -> Source:
        """Return the source of a number that nobody published, with the reason for its value."""
        return cls("assumed", None, why)

    @property
    def is_assumed(self) -> bool:
        """Whether the number is an assumption."""
        return self.work == "assumed"

    def __str__(self) -> str:
        if self.is_assumed:
            return f"assumed: {self.locator}"
        year = f" {self.year}" if self.year is not None else ""
        return f"{self.work}{year}, {self.locator}" if self.locator else f"{self.work}{year}"
