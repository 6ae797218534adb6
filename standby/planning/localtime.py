"""Moments as people write them, in local time.

A local time may name two moments (when clocks are set back) or none (when they are set forward).
Nothing is guessed here: every reading is returned, and the caller asks when they matter.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, tzinfo

from standby.errors import FixRequest

TIME_EXAMPLES = (
    "'2026-11-22 03:56', '2026-11-22T03:56:00+01:00', '03:56', 'yesterday 18:00' or '2h ago'"
)
_UNITS = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}
_AGO = re.compile(r"((?:\d{1,6}\s*[a-z]+\s*)+)\s+ago")
_AMOUNT = re.compile(r"(\d+)\s*([a-z]+)")
_UNIT_WORDS = re.compile(
    r"w(?:eeks?)?|d(?:ays?)?|h(?:ours?)?|m(?:in(?:ute)?s?)?|s(?:ec(?:ond)?s?)?"
)
_CLOCK = re.compile(r"(?:(today|yesterday)\s+)?(\d{1,2}:\d{2}(?::\d{2})?)")
_CALENDAR = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[ tT]\d{2}:\d{2}(?::\d{2})?(?:\s?(?:[zZ]|[+-]\d{2}:?\d{2}))?)?"
)


def moments(text: str, now: datetime, zone: tzinfo) -> tuple[datetime, ...]:
    """Read a time as written by people; return the moments it may mean, in UTC, earliest first.

    A bare clock time means the most recent one, today or yesterday. A date alone is its first
    moment. "2h ago" counts elapsed time, whatever clocks did in between. Two moments are
    returned for a local time that occurs twice, and for one that clocks jumped over: the
    readings by the offset before and after the change. Raises FixRequest for anything else.
    """
    plain = " ".join(text.split())
    if ago := _AGO.fullmatch(plain.lower()):
        return (_back(ago[1], now, text),)
    if clock := _CLOCK.fullmatch(plain.lower()):
        return _clock_moments(clock[1], clock[2], now, zone, text)
    if _CALENDAR.fullmatch(plain):
        return _calendar_moments(plain, zone, text)
    raise _unreadable(text)


def readings(local: datetime, zone: tzinfo) -> tuple[datetime, ...]:
    """Return the one or two moments, in UTC, that a naive local time may mean."""
    both = {local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return tuple(sorted(both))


def _back(amounts: str, now: datetime, text: str) -> datetime:
    total = timedelta(0)
    for count, unit in _AMOUNT.findall(amounts):
        if not _UNIT_WORDS.fullmatch(unit):
            raise _unreadable(text)
        total += int(count) * _UNITS[unit[0]]
    try:
        return now.astimezone(UTC) - total
    except OverflowError as error:
        raise _unreadable(text) from error


def _clock_moments(
    day: str | None, clock: str, now: datetime, zone: tzinfo, text: str
) -> tuple[datetime, ...]:
    try:
        wall = time.fromisoformat(clock if clock[1].isdigit() else f"0{clock}")
    except ValueError as error:
        raise _unreadable(text) from error
    today = now.astimezone(zone).date()
    yesterday = today - timedelta(days=1)
    of_today = readings(datetime.combine(today, wall), zone)
    of_yesterday = readings(datetime.combine(yesterday, wall), zone)
    if day is not None:
        return of_today if day == "today" else of_yesterday
    return tuple(moment for moment in of_today if moment <= now) or of_yesterday


def _calendar_moments(plain: str, zone: tzinfo, text: str) -> tuple[datetime, ...]:
    try:
        read = datetime.fromisoformat(plain.upper().replace(" +", "+").replace(" -", "-"))
        return readings(read, zone) if read.tzinfo is None else (read.astimezone(UTC),)
    except (ValueError, OverflowError) as error:
        raise _unreadable(text) from error


def _unreadable(text: str) -> FixRequest:
    return FixRequest("time", repr(text), TIME_EXAMPLES)
