"""A pause: somebody asked that a machine be left alone for a while."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum


@dataclass(frozen=True, slots=True)
class Pause:
    """Since when, until when, why, and who asked for it. Moments are UTC.

    Without `until` it lasts until somebody ends it.
    """

    since: datetime
    until: datetime | None = None
    reason: str = ""
    by: str = ""  # a user and a host, for people

    def holds(self, now: datetime) -> bool:
        """Tell whether it has not ended by itself yet."""
        return self.until is None or now < self.until


class Then(Enum):
    """What a machine is once its run is over, since somebody asked for that meanwhile."""

    PAUSED = "paused"
    RESUMED = "resumed"


@dataclass(frozen=True, slots=True)
class Wish:
    """A pause, or the end of one, that is written on the KVM host as soon as no run goes on.

    `until` is UTC and, as `reason`, that of the pause; `by` is who asked.
    """

    then: Then
    by: str = ""
    until: datetime | None = None
    reason: str = ""

    def pauses(self, now: datetime) -> bool:
        """Tell whether it asks that nothing begin by itself now."""
        return self.then is Then.PAUSED and (self.until is None or now < self.until)
