"""The name of the next boot point."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from standby.model.names import PointName
from standby.model.point import BootPoint


def next_point_name(points: Sequence[BootPoint], now: datetime) -> PointName:
    """Name the point captured at `now`, by the manager's clock. Points oldest first.

    Names are unique and increase even when the clock stands still or goes back: then the first
    free second after the newest point is taken. Merged points need not be known, since a merge
    always leaves a younger point behind.
    """
    name = PointName.at(now)
    return name.after(points[-1].name) if points else name
