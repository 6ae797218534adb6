"""When a resync may read all of the source."""

from __future__ import annotations

from datetime import datetime

from standby.errors import TryLater
from standby.model.plan import Copying, CyclePlan, CycleRequest
from standby.model.point import Way
from standby.model.window import DailyWindow


def require_resync_allowed(
    plan: CyclePlan, request: CycleRequest, window: DailyWindow | None, now: datetime
) -> None:
    """Raise TryLater when a resync that nobody asked for is due outside its window.

    `now` bears the zone whose clock the window goes by.
    """
    asked = request.copying in {Copying.WHAT_DIFFERS, Copying.EVERYTHING}
    if window is None or asked or plan.way is not Way.RESYNC or window.contains(now.time()):
        return
    raise TryLater(
        f"machine {plan.machine.name}",
        f"a resync is due ({plan.reason}), and it is {now:%H:%M %Z}",
        f"a time within {window}, by resync.window",
        "cycles go on then; to read everything now: standby resync PROFILE",
    )
