"""Entries of a schedule in words, short enough for a table."""

from __future__ import annotations

from standby.model.schedule import (
    LAST_DATE,
    Entry,
    Every,
    Monthly,
    Once,
    OnEvent,
    TimesOfDay,
    Weekday,
    Weekly,
)
from standby.planning.clock_changes import ClockChange, MovedTime
from standby.profile.units import format_duration


def in_words(entry: Entry) -> str:
    """Say what an entry asks for."""
    match entry:
        case Every(period):
            return f"every {format_duration(period)}"
        case Weekly(days, times):
            return f"{_days(days)} {_times(times)}"
        case Monthly(dates, times):
            return f"on {_dates(dates)} of the month {_times(times)}"
        case Once(None):
            return "once, as soon as the daemon sees it"
        case Once(at):
            return f"once, at {at:%Y-%m-%d %H:%M}"
        case OnEvent(events):
            names = sorted(event.value for event in events)
            return f"whenever the machine has one of: {', '.join(names)}"


def moved_in_words(moved: MovedTime) -> str:
    """Say what a change of clocks does to a run."""
    if moved.change is ClockChange.SKIPPED:
        return f"for {moved.shown:%H:%M}, which clocks jump over"
    return f"clocks show {moved.shown:%H:%M} twice: the first"


def _days(days: frozenset[Weekday]) -> str:
    if len(days) == len(Weekday):
        return "daily"
    return ",".join(day.value for day in Weekday if day in days)


def _dates(dates: frozenset[int]) -> str:
    numbers = [str(date) for date in sorted(dates - {LAST_DATE})]
    return ",".join([*numbers, *(["last"] if LAST_DATE in dates else [])])


def _times(times: TimesOfDay) -> str:
    if times.ends is None or times.repeat is None:
        return f"at {times.begins:%H:%M}"
    window = f"{times.begins:%H:%M}-{times.ends:%H:%M}"
    return f"{window} every {format_duration(times.repeat)}"
