"""The name of the next boot point."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from standby.model.names import PointName
from standby.model.point import BootPoint


def next_point_name(
    points: Sequence[BootPoint], now: datetime, taken: Collection[str] = ()
) -> PointName:
    """Name the point captured at `now`, by the manager's clock. Points oldest first.

    Names are unique and increase even when the clock stands still or goes back: then the first
    free second after the newest point is taken. Merged points need not be known, since a merge
    always leaves a younger point behind. `taken` are names that a cycle gave which then failed:
    what it left on the source goes by them.
    """
    name = PointName.at(now)
    if points:
        name = name.after(points[-1].name)
    while str(name) in taken:
        name = name.after(name)
    return name
