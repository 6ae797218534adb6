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
