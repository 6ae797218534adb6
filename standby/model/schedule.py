"""When a profile's cycles run.

Times of the day and dates are those that a clock in the schedule's zone shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from enum import Enum
from typing import Final

LAST_DATE: Final = -1
"""Among dates of a month: its last one, whatever its number."""


class Weekday(Enum):
    """The days of a week."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"

    @property
    def number(self) -> int:
        """Count from Monday, which is 0, as datetime does."""
        return list(Weekday).index(self)


class SourceEvent(Enum):
    """What happened to a machine."""

    SHUTDOWN = "shutdown"
    REBOOT = "reboot"
    CRASH = "crash"


class MissedRuns(Enum):
    """What becomes of runs that nobody could begin, the manager being down."""

    ONCE = "once"  # one run makes up for all of them
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Every:
    """All the time, so far apart."""

    period: timedelta


@dataclass(frozen=True, slots=True)
class TimesOfDay:
    """One run at `begins`; with `repeat` more of them, so far apart, before `ends`.

    One that does not end later than it begins ends on the next day.
    """

    begins: time
    ends: time | None = None
    repeat: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Weekly:
    """On these days of the week; a run after midnight belongs to the day its window began."""

    days: frozenset[Weekday]
    times: TimesOfDay


@dataclass(frozen=True, slots=True)
class Monthly:
    """On these dates, 1 to 31 or LAST_DATE; a month that lacks one has no run for it."""

    dates: frozenset[int]
    times: TimesOfDay


@dataclass(frozen=True, slots=True)
class Once:
    """One run: at a time of the zone's clocks, or as soon as somebody looks when None."""

    at: datetime | None


@dataclass(frozen=True, slots=True)
class OnEvent:
    """Whenever one of these happens to the machine."""

    events: frozenset[SourceEvent]


Entry = Every | Weekly | Monthly | Once | OnEvent


@dataclass(frozen=True, slots=True)
class Schedule:
    """All of a profile's entries. `begins` and `ends` are naive: the zone's clocks show them."""

    zone: tzinfo
    entries: tuple[Entry, ...] = ()
    begins: datetime | None = None
    ends: datetime | None = None
    missed: MissedRuns = MissedRuns.ONCE
    application_every: timedelta | None = None  # between points that hooks of the guest prepare
    seed_at: datetime | None = None  # naive; the first copy does not begin earlier
