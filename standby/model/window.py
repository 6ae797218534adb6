"""A part of the day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time


@dataclass(frozen=True, slots=True)
class DailyWindow:
    """From `begins` until before `ends`, by the local clock; it may cross midnight.

    One that ends as it begins is the whole day.
    """

    begins: time
    ends: time

    def contains(self, clock: time) -> bool:
        """Tell whether the clock shows a time within it."""
        if self.begins < self.ends:
            return self.begins <= clock < self.ends
        return clock >= self.begins or clock < self.ends

    def __str__(self) -> str:
        return f"{self.begins:%H:%M}-{self.ends:%H:%M}"


@dataclass(frozen=True, slots=True)
class RateByDay:
    """Bytes in a second: those of the first window that the clock is in, else `otherwise`.

    None: no limit.
    """

    otherwise: int | None = None
    windows: tuple[tuple[DailyWindow, int | None], ...] = ()

    def at(self, clock: time) -> int | None:
        """Return the rate that holds when the local clock shows a time."""
        found = (rate for window, rate in self.windows if window.contains(clock))
        return next(found, self.otherwise)

    @property
    def rates(self) -> tuple[int | None, ...]:
        """All rates that it may ever be."""
        return (*(rate for _, rate in self.windows), self.otherwise)

    def __bool__(self) -> bool:
        return self.otherwise is not None or bool(self.windows)
