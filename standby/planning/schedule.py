"""Which runs a schedule asks for. Moments are UTC.

What the clocks do in spring and autumn neither skips a run nor doubles one: a time that clocks
jump over means the first moment after the jump, one that they show twice means the first of
both, and what repeats is counted in elapsed time from the beginning of its window.
"""

from __future__ import annotations

import hashlib
from calendar import monthrange
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from heapq import merge
from itertools import count, groupby, repeat, takewhile
from typing import Final

from standby.model.schedule import (
    LAST_DATE,
    Entry,
    Every,
    MissedRuns,
    Monthly,
    Once,
    OnEvent,
    Schedule,
    TimesOfDay,
    Weekly,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)
_TICK: Final = timedelta(microseconds=1)  # the shortest time there is
_LOOKS_BACK: Final = (timedelta(hours=1), timedelta(days=1), timedelta(days=63), timedelta(36525))


@dataclass(frozen=True, slots=True)
class Due:
    """A run, and the entries that ask for it: those that meet are one run."""

    moment: datetime
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class MissingDate:
    """A date that an entry names and a month lacks."""

    year: int
    month: int
    number: int


def coming(schedule: Schedule, after: datetime, name: str) -> Iterator[Due]:
    """Yield the runs after a moment, in their order; without an end when the schedule has none.

    `name` is the profile's: what runs every so often is spread by it, so that a thousand
    profiles do not all begin at the full hour.
    """
    begins, ends = (_optional(it, schedule.zone) for it in (schedule.begins, schedule.ends))
    if begins is not None:
        after = max(after, begins - _TICK)
    streams = (
        zip(_moments(entry, schedule.zone, after, name), repeat(number))
        for number, entry in enumerate(schedule.entries)
    )
    for moment, group in groupby(merge(*streams), key=lambda pair: pair[0]):
        if ends is not None and moment >= ends:
            return
        numbers = dict.fromkeys(number for _, number in group)
        yield Due(moment, tuple(schedule.entries[number] for number in numbers))


def missed(schedule: Schedule, seen: datetime, now: datetime, name: str) -> Due | None:
    """Return the latest run that was due after `seen` and up to `now`, if it is to be made up.

    `seen` is when the schedule was last looked at, or its last run began.
    """
    if schedule.missed is MissedRuns.SKIP:
        return None
    # The latest is wanted, and a run every 5 seconds is due half a million times in a month.
    for back in _LOOKS_BACK:
        due = coming(schedule, max(seen, now - back), name)
        latest = deque(takewhile(lambda it: it.moment <= now, due), maxlen=1)
        if latest or seen >= now - back:
            return latest[0] if latest else None
    return None


def missing_dates(schedule: Schedule, after: datetime, until: datetime) -> Iterator[MissingDate]:
    """Yield the dates that no run can have, month by month."""
    numbers = sorted(
        {n for it in schedule.entries if isinstance(it, Monthly) for n in it.dates} - {LAST_DATE}
    )
    day = after.astimezone(schedule.zone).date().replace(day=1)
    last = until.astimezone(schedule.zone).date()
    while day <= last:
        length = monthrange(day.year, day.month)[1]
        yield from (MissingDate(day.year, day.month, n) for n in numbers if n > length)
        day += timedelta(days=length)


def moment_of(shown: datetime, zone: tzinfo) -> datetime:
    """Return the first moment at which the zone's clocks show a time, or one later than it."""
    early, late = (shown.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (1, 0))
    if early >= late:  # clocks show it once, or twice: then `late`, by fold 0, is the first
        return late
    # They jump over it, somewhere between the two. Zones change at whole seconds.
    before = early.astimezone(zone).utcoffset()
    while late - early > _SECOND:
        middle = early + (late - early) // 2
        middle -= timedelta(microseconds=middle.microsecond)
        if middle.astimezone(zone).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late


def spread(name: str, period: timedelta) -> timedelta:
    """Return how far into each period a profile's runs lie: whole seconds, always the same."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
    return _SECOND * (number % max(period // _SECOND, 1))


def _optional(shown: datetime | None, zone: tzinfo) -> datetime | None:
    return None if shown is None else moment_of(shown, zone)


def _moments(entry: Entry, zone: tzinfo, after: datetime, name: str) -> Iterator[datetime]:
    match entry:
        case Every(period):
            return _every(period, spread(name, period), after)
        case Weekly(days, times):
            numbers = {day.number for day in days}
            return _on_days(lambda day: day.weekday() in numbers, times, zone, after)
        case Monthly(dates, times):
            return _on_days(lambda day: _is_one_of(day, dates), times, zone, after)
        case OnEvent():
            return iter(())
        case Once(at):
            known = () if at is None else (moment_of(at, zone),)
            return (moment for moment in known if moment > after)


def _every(period: timedelta, offset: timedelta, after: datetime) -> Iterator[datetime]:
    passed = (after - _EPOCH - offset) // period
    return (_EPOCH + offset + period * number for number in count(passed + 1))


def _is_one_of(day: date, dates: frozenset[int]) -> bool:
    is_last = (day + _DAY).day == 1
    return day.day in dates or (is_last and LAST_DATE in dates)


def _on_days(
    wanted: Callable[[date], bool], times: TimesOfDay, zone: tzinfo, after: datetime
) -> Iterator[datetime]:
    # The window of the day before may still be open.
    first = after.astimezone(zone).date() - 2 * _DAY
    for number in count():
        day = first + number * _DAY
        if wanted(day):
            yield from (moment for moment in _within(day, times, zone) if moment > after)


def _within(day: date, times: TimesOfDay, zone: tzinfo) -> Iterator[datetime]:
    begins = moment_of(datetime.combine(day, times.begins), zone)
    yield begins
    if times.ends is None or times.repeat is None:
        return
    ends = moment_of(_end(day, times.begins, times.ends), zone)
    for number in count(1):
        moment = begins + number * times.repeat
        if moment >= ends:
            return
        yield moment


def _end(day: date, begins: time, ends: time) -> datetime:
    return datetime.combine(day if ends > begins else day + _DAY, ends)
