"""Where a change of clocks moves a run of a schedule, for people who wonder about its time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import Enum

from standby.model.schedule import Entry, Monthly, Once, Schedule, Weekly
from standby.planning.schedule import Due, moment_of

_DAYS_BACK = 2  # a clock that is put forward over midnight moves a run to another date


class ClockChange(Enum):
    """What the clocks do at the time that an entry names."""

    SKIPPED = "skipped"  # they never show it: the run is when they have jumped
    TWICE = "twice"  # they show it twice: the run is the first time


@dataclass(frozen=True, slots=True)
class MovedTime:
    """A time that an entry names (naive: the zone's clocks), and what the clocks do then."""

    shown: datetime
    change: ClockChange


def moved_times(schedule: Schedule, due: Due) -> tuple[MovedTime, ...]:
    """Return the times for which a run stands and that clocks do not show just once."""
    found = (
        MovedTime(shown, change)
        for entry in due.entries
        for shown in _named(entry, due.moment.astimezone(schedule.zone))
        if moment_of(shown, schedule.zone) == due.moment
        and (change := _change(shown, schedule.zone)) is not None
    )
    return tuple(dict.fromkeys(found))


def _named(entry: Entry, local: datetime) -> Iterator[datetime]:
    """Yield the times that an entry names and that may have become a run at `local`."""
    match entry:
        case Weekly(_, times) | Monthly(_, times):
            days = (local.date() - timedelta(days=back) for back in range(_DAYS_BACK + 1))
            yield from (datetime.combine(day, times.begins) for day in days)
        case Once(datetime() as at):
            yield at


def _change(shown: datetime, zone: tzinfo) -> ClockChange | None:
    first, second = (shown.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return None
    seen = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None, fold=0)
    return ClockChange.TWICE if seen == shown else ClockChange.SKIPPED
