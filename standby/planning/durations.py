"""How long something took or lasts, for people."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def readable_duration(duration: timedelta) -> str:
    """Write a duration in its two largest units: 3 d 4 h, 12 min, 5 s."""
    rest = max(int(duration.total_seconds()), 0)
    counts: list[tuple[int, str]] = []
    for unit, seconds in _UNITS:
        count, rest = divmod(rest, seconds)
        if count or counts:
            counts.append((count, unit))
    return " ".join(f"{count} {unit}" for count, unit in counts[:2] if count) or "0 s"
