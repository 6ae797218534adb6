"""A time to come, as people write when something is to end."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta, tzinfo
from typing import Final

from standby.errors import FixRequest
from standby.planning.localtime import moments
from standby.planning.schedule import moment_of

EXAMPLES: Final = "'2h', '90m', '3d', '18:00', 'tomorrow 08:00' or '2026-12-24 18:00'"

_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1),
                 "w": timedelta(weeks=1)}  # fmt: skip
_SPAN: Final = re.compile(r"(?:in )?(\d{1,4}) ?(m|h|d|w)")
_CLOCK: Final = re.compile(r"(?:(today|tomorrow) )?(\d{1,2}):(\d{2})")


def ending(text: str, now: datetime, zone: tzinfo) -> datetime:
    """Return the moment, UTC, that `text` means; a bare clock time is the next one.

    Raises FixRequest when it cannot be read or has passed.
    """
    plain = " ".join(text.lower().split())
    if span := _SPAN.fullmatch(plain):
        return now + int(span[1]) * _UNITS[span[2]]
    if clock := _CLOCK.fullmatch(plain):
        return _next(clock[1], int(clock[2]), int(clock[3]), now, zone)
    try:
        found = moments(text, now, zone)[0]
    except FixRequest as error:
        raise FixRequest("time", repr(text), EXAMPLES) from error
    if found <= now:
        raise FixRequest("time", f"{text!r} has passed", "a time to come")
    return found


def _next(day: str | None, hour: int, minute: int, now: datetime, zone: tzinfo) -> datetime:
    try:
        clock = time(hour, minute)
    except ValueError as error:
        raise FixRequest("time", f"{hour}:{minute:02}", EXAMPLES) from error
    today = now.astimezone(zone).date()
    first, second = (
        moment_of(datetime.combine(today + timedelta(days=number), clock), zone)
        for number in (0, 1)
    )
    if day == "tomorrow" or (day is None and first <= now):
        return second
    if first <= now:
        raise FixRequest("time", f"today {clock:%H:%M} has passed", "a time to come")
    return first
