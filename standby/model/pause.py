"""A pause: somebody asked that a machine be left alone for a while."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


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
