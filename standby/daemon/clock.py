"""Two clocks: one that people set, and one that only goes on."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

_SET_FROM = timedelta(seconds=2)  # less is a clock that is being steered, or we were slow


class Clock(Protocol):
    """What tells a daemon the time."""

    def now(self) -> datetime:
        """Return the time, UTC, as somebody may set it."""

    def steady(self) -> float:
        """Return seconds that nobody sets; those in which the machine slept are counted."""


class SystemClock:
    """The clocks of this machine."""

    def now(self) -> datetime:
        """Return the time, UTC."""
        return datetime.now(UTC)

    def steady(self) -> float:
        """Return seconds since this machine was started."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass
class JumpWatch:
    """Notices that somebody set the clock."""

    clock: Clock
    _now: datetime = field(init=False)
    _steady: float = field(init=False)

    def __post_init__(self) -> None:
        self._look()

    def jump(self) -> timedelta:
        """Return how far the clock was set since the last call; zero if it was not."""
        now, steady = self._now, self._steady
        self._look()
        jumped = (self._now - now) - timedelta(seconds=self._steady - steady)
        return jumped if abs(jumped) >= _SET_FROM else timedelta()

    def _look(self) -> None:
        self._now, self._steady = self.clock.now(), self.clock.steady()
