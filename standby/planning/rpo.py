"""How old the newest boot point of a machine may be, where its profile does not say."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice, pairwise
from typing import Final

from standby.model.schedule import Every, Schedule
from standby.planning.schedule import coming

_LOOKED_AT: Final = 16  # runs: more than two weeks of a day's
_UNKNOWN: Final = timedelta(days=2)


def derived_rpo(schedule: Schedule, now: datetime, name: str) -> timedelta:
    """Return twice the longest time between two of the coming runs."""
    periods = [entry.period for entry in schedule.entries if isinstance(entry, Every)]
    if periods:
        return 2 * min(periods)
    moments = [due.moment for due in islice(coming(schedule, now, name), _LOOKED_AT)]
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    return 2 * max(gaps, default=_UNKNOWN / 2)
