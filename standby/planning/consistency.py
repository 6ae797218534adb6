"""Which cycles make an application-consistent boot point where not each of them does.

Time is cut into slots, and the first cycle of a slot makes one. Nothing else needs to be known
than the newest boot point: one that was application-consistent may be merged away long before
the next is due.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from standby.model.point import BootPoint, Consistency
from standby.planning.schedule import spread

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def slot(moment: datetime, apart: timedelta, name: str) -> int:
    """Return the number of a moment's slot; by the profile's name not all begin at once."""
    return (moment - _EPOCH - spread(name, apart)) // apart


def consistency_now(
    wanted: Consistency,
    apart: timedelta | None,
    newest: BootPoint | None,
    now: datetime,
    name: str,
) -> Consistency:
    """Return what the cycle that begins now is to reach.

    `apart` lies between two application-consistent points (None: each is to be one). A cycle of
    an earlier slot that found nothing changed counts in the slot of that moment.
    """
    if apart is None or wanted is not Consistency.APPLICATION or newest is None:
        return wanted
    # A newest point of the future, made with a clock that was ahead, vouches for nothing.
    same = slot(newest.true_at, apart, name) == slot(now, apart, name)
    return Consistency.CRASH if same else wanted
