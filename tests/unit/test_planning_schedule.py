"""Which runs a schedule asks for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standby.model.schedule import (
    LAST_DATE,
    Entry,
    Every,
    MissedRuns,
    Monthly,
    Once,
    OnEvent,
    Schedule,
    SourceEvent,
    TimesOfDay,
    Weekday,
    Weekly,
)
from standby.planning.clock_changes import ClockChange, moved_times
from standby.planning.schedule import (
    Due,
    MissingDate,
    coming,
    missed,
    missing_dates,
    moment_of,
    spread,
)

BERLIN = ZoneInfo("Europe/Berlin")
FIRST_YEAR, YEARS = 2026, 10
HOUR, DAY, SECOND = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)
EVERY_DAY = frozenset(Weekday)


clock = datetime.fromisoformat  # what a zone's clocks show


def runs(schedule: Schedule, after: datetime, number: int) -> list[datetime]:
    return [due.moment for due in islice(coming(schedule, after, "web1"), number)]


def of(*entries: Entry, zone: ZoneInfo = BERLIN) -> Schedule:
    return Schedule(zone, entries)


def local(moments: Sequence[datetime], zone: ZoneInfo = BERLIN) -> list[str]:
    return [f"{moment.astimezone(zone):%a %d %H:%M}" for moment in moments]


@cache
def changes() -> list[tuple[ZoneInfo, datetime]]:
    """Return every change of clocks in ten years, once for each set of zones that share it."""
    known: dict[tuple[tuple[datetime, timedelta], ...], ZoneInfo] = {}
    for name in sorted(available_timezones()):
        zone = ZoneInfo(name)
        found = tuple(_changes_of(zone))
        if found:
            known.setdefault(found, zone)
    return [(zone, moment) for found, zone in known.items() for moment, _ in found]


def _changes_of(zone: ZoneInfo) -> list[tuple[datetime, timedelta]]:
    found = []
    day = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
    for _ in range(YEARS * 366):
        if offset(zone, day) != offset(zone, day + DAY):
            found.append((_bisect(zone, day, day + DAY), offset(zone, day + DAY)))
        day += DAY
    return found


def offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def _bisect(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    before = offset(zone, low)
    while high - low > SECOND:
        middle = low + (high - low) // 2 // SECOND * SECOND
        low, high = (middle, high) if offset(zone, middle) == before else (low, middle)
    return high


def test_zones_whose_clocks_change_are_there_to_be_tried() -> None:
    assert len({zone.key for zone, _ in changes()}) > 20
    assert len(changes()) > 20 * YEARS


clock_times = st.times().map(lambda t: t.replace(microsecond=0, fold=0))
any_change = st.integers(0, 10**9).map(lambda number: changes()[number % len(changes())])


@settings(max_examples=300, deadline=None)
@given(any_change, st.integers(-4 * 3600, 4 * 3600))
def test_a_daily_run_happens_once_for_each_day_around_every_change_of_clocks(
    change: tuple[ZoneInfo, datetime], seconds: int
) -> None:
    zone, moment = change
    expect_daily_runs(zone, moment, timedelta(seconds=seconds))


@pytest.mark.parametrize("minutes", [-60, -30, 0, 30])
def test_no_change_of_clocks_in_ten_years_skips_or_doubles_a_run(minutes: int) -> None:
    for zone, moment in changes():
        expect_daily_runs(zone, moment, timedelta(minutes=minutes))


def expect_daily_runs(zone: ZoneInfo, moment: datetime, later: timedelta) -> None:
    at = (moment + later).astimezone(zone).time()
    schedule = of(Weekly(EVERY_DAY, TimesOfDay(at)), zone=zone)
    start = datetime.combine((moment - 3 * DAY).astimezone(zone).date(), at, tzinfo=zone)
    found = runs(schedule, start.astimezone(UTC) - SECOND, 7)
    days = [start.date() + number * DAY for number in range(7)]
    assert all(one < other for one, other in pairwise(found))
    for day, run in zip(days, found, strict=True):
        expect_first_moment(run, datetime.combine(day, at), zone)


def expect_first_moment(run: datetime, shown: datetime, zone: ZoneInfo) -> None:
    """Nothing before the run showed that time; where clocks jump, the run is at the jump."""
    seen = run.astimezone(zone).replace(tzinfo=None)
    just_before = (run - SECOND).astimezone(zone).replace(tzinfo=None)
    assert seen == shown or just_before < shown < seen
    earlier = [(run - number * HOUR / 2).astimezone(zone) for number in range(1, 7)]
    assert shown not in [it.replace(tzinfo=None, fold=0) for it in earlier]


@settings(max_examples=60, deadline=None)
@given(any_change, clock_times, clock_times, st.integers(5, 7 * 3600))
def test_what_repeats_in_a_window_is_evenly_spaced_whatever_clocks_do(
    change: tuple[ZoneInfo, datetime], begins: time, ends: time, seconds: int
) -> None:
    zone, moment = change
    gap = timedelta(seconds=seconds)
    schedule = of(Weekly(EVERY_DAY, TimesOfDay(begins, ends, gap)), zone=zone)
    first = (moment - 2 * DAY).astimezone(zone).date()
    opened = [moment_of(datetime.combine(first + n * DAY, begins), zone) for n in range(5)]
    later = 0 if ends > begins else 1
    closed = [moment_of(datetime.combine(first + (n + later) * DAY, ends), zone) for n in range(5)]
    expected = [
        run
        for opens, closes in zip(opened, closed, strict=True)
        for run in [opens, *evenly(opens + gap, closes, gap)]
    ]
    found = []
    for due in coming(schedule, opened[0] - SECOND, "web1"):
        if due.moment >= opened[-1]:
            break
        found.append(due.moment)
    assert found == [run for run in expected if run < opened[-1]]
    assert len(found) == len(set(found))


def evenly(first: datetime, end: datetime, gap: timedelta) -> list[datetime]:
    return [first + n * gap for n in range(max(0, -((first - end) // gap)))]


@settings(max_examples=100, deadline=None)
@given(any_change, st.integers(5, 40 * 86400), st.text(min_size=1))
def test_what_runs_all_the_time_keeps_its_distance_whatever_clocks_do(
    change: tuple[ZoneInfo, datetime], seconds: int, name: str
) -> None:
    zone, moment = change
    period = timedelta(seconds=seconds)
    found = [it.moment for it in islice(coming(of(Every(period), zone=zone), moment, name), 20)]
    assert {later - sooner for sooner, later in pairwise(found)} == {period}
    assert moment < found[0] <= moment + period


@given(st.integers(5, 86400), st.datetimes(clock("2026-01-01"), clock("2030-01-01")))
def test_asking_again_after_each_run_gives_the_same_runs(seconds: int, start: datetime) -> None:
    schedule = of(
        Every(timedelta(seconds=seconds)),
        Weekly(frozenset({Weekday.SUN}), TimesOfDay(time(1), time(4), HOUR / 2)),
    )
    after = start.replace(tzinfo=UTC)
    at_once = runs(schedule, after, 10)
    one_by_one = []
    for _ in range(10):
        (after,) = runs(schedule, after, 1)
        one_by_one.append(after)
    assert one_by_one == at_once


@settings(max_examples=100, deadline=None)
@given(any_change, st.integers(-4 * 3600, 4 * 3600))
def test_dates_of_the_month_have_one_run_each_around_every_change_of_clocks(
    change: tuple[ZoneInfo, datetime], seconds: int
) -> None:
    zone, moment = change
    at = (moment + timedelta(seconds=seconds)).astimezone(zone).time()
    first = (moment - 2 * DAY).astimezone(zone).date()
    days = [first + number * DAY for number in range(5)]
    schedule = of(Monthly(frozenset(day.day for day in days), TimesOfDay(at)), zone=zone)
    after = moment_of(datetime.combine(first, at), zone) - SECOND
    found = runs(schedule, after, 5)
    assert len(set(found)) == 5
    for day, run in zip(days, found, strict=True):
        expect_first_moment(run, datetime.combine(day, at), zone)


@settings(max_examples=100, deadline=None)
@given(any_change, st.integers(-4 * 3600, 4 * 3600))
def test_what_runs_once_runs_once_around_every_change_of_clocks(
    change: tuple[ZoneInfo, datetime], seconds: int
) -> None:
    zone, moment = change
    shown = (moment + timedelta(seconds=seconds)).astimezone(zone).replace(tzinfo=None, fold=0)
    (run,) = runs(of(Once(shown), zone=zone), moment - 2 * DAY, 5)
    expect_first_moment(run, shown, zone)


@settings(max_examples=100, deadline=None)
@given(any_change, st.integers(5, 3600), st.integers(-3 * 3600, 3 * 3600))
def test_a_schedule_that_begins_or_ends_at_a_change_of_clocks_is_a_part_of_the_one_without(
    change: tuple[ZoneInfo, datetime], period: int, seconds: int
) -> None:
    zone, moment = change
    bound = (moment + timedelta(seconds=seconds)).astimezone(zone).replace(tzinfo=None, fold=0)
    entries = (Every(timedelta(seconds=period)),)
    start, stop = moment - HOUR * 8, moment + HOUR * 8
    whole = until(stop, Schedule(zone, entries), start)
    later = until(stop, Schedule(zone, entries, begins=bound), start)
    sooner = until(stop, Schedule(zone, entries, ends=bound), start)
    assert sooner + later == whole


def until(stop: datetime, schedule: Schedule, after: datetime) -> list[datetime]:
    due = takewhile(lambda it: it.moment < stop, coming(schedule, after, "web1"))
    return [it.moment for it in due]


@settings(max_examples=100, deadline=None)
@given(any_change, st.integers(-180, 180))
def test_missed_runs_around_a_change_of_clocks_are_those_that_were_coming(
    change: tuple[ZoneInfo, datetime], minutes: int
) -> None:
    zone, moment = change
    at = (moment + timedelta(minutes=minutes)).astimezone(zone).time().replace(second=0)
    schedule = of(Weekly(EVERY_DAY, TimesOfDay(at)), zone=zone)
    (first, second) = runs(schedule, moment - 12 * HOUR, 2)
    for now, expected in [(first - SECOND, None), (first, first), (second, second)]:
        due = missed(schedule, first - HOUR, now, "web1")
        assert (due.moment if due else None) == expected
    assert missed(schedule, first, first, "web1") is None


def test_a_schedule_that_begins_in_years_is_not_counted_up_to() -> None:
    schedule = Schedule(BERLIN, (Every(5 * SECOND),), begins=clock("2126-12-01 03:00"))
    first, second = runs(schedule, datetime(2026, 11, 1, tzinfo=UTC), 2)
    assert first >= moment_of(clock("2126-12-01 03:00"), BERLIN) > first - 5 * SECOND
    assert second - first == 5 * SECOND


@settings(max_examples=200, deadline=None)
@given(any_change, st.integers(-4 * 60, 4 * 60))
def test_what_a_change_of_clocks_does_to_a_run_is_said(
    change: tuple[ZoneInfo, datetime], minutes: int
) -> None:
    zone, moment = change
    minute = timedelta(minutes=1)
    shown = moment.astimezone(zone).replace(tzinfo=None, fold=0, second=0) + minutes * minute
    seconds = [moment + number * minute for number in range(-30 * 60, 30 * 60)]
    count = [it.astimezone(zone).replace(tzinfo=None, fold=0) for it in seconds].count(shown)
    expected = {0: (ClockChange.SKIPPED,), 1: (), 2: (ClockChange.TWICE,)}[count]
    for entry in (Once(shown), Weekly(EVERY_DAY, TimesOfDay(shown.time()))):
        schedule = of(entry, zone=zone)
        after = moment_of(shown, zone) - SECOND
        due = next(coming(schedule, after, "web1"))
        said = [it for it in moved_times(schedule, due) if it.shown == shown]
        assert tuple(it.change for it in said) == expected


def test_profiles_are_spread_over_the_period_and_each_stays_where_it_is() -> None:
    offsets = [spread(f"vm{number}", 5 * HOUR) for number in range(1000)]
    assert len(set(offsets)) > 900
    assert all(timedelta(0) <= it < 5 * HOUR for it in offsets)
    assert offsets[7] == spread("vm7", 5 * HOUR)


def test_a_window_that_crosses_midnight_belongs_to_the_day_it_begins() -> None:
    times = TimesOfDay(time(22), time(2), 2 * HOUR)
    schedule = of(Weekly(frozenset({Weekday.FRI}), times))
    found = runs(schedule, datetime(2026, 11, 20, 22, 30, tzinfo=UTC), 3)
    assert local(found) == ["Sat 21 00:00", "Fri 27 22:00", "Sat 28 00:00"]


def test_a_date_that_a_month_lacks_is_skipped_and_said() -> None:
    schedule = of(Monthly(frozenset({30, 31, LAST_DATE}), TimesOfDay(time(3))))
    after = datetime(2027, 1, 30, tzinfo=UTC)
    assert local(runs(schedule, after, 4)) == [
        *("Sat 30 03:00", "Sun 31 03:00"),
        *("Sun 28 03:00", "Tue 30 03:00"),
    ]
    until = datetime(2027, 4, 30, tzinfo=UTC)
    assert list(missing_dates(schedule, after, until)) == [
        *(MissingDate(2027, 2, 30), MissingDate(2027, 2, 31), MissingDate(2027, 4, 31)),
    ]


def test_the_last_date_is_one_run_though_it_is_also_named_by_its_number() -> None:
    schedule = of(Monthly(frozenset({31, LAST_DATE}), TimesOfDay(time(3))))
    found = runs(schedule, datetime(2026, 12, 1, tzinfo=UTC), 2)
    assert local(found) == ["Thu 31 03:00", "Sun 31 03:00"]


def test_entries_that_meet_are_one_run() -> None:
    daily = Weekly(EVERY_DAY, TimesOfDay(time(3)))
    first = Monthly(frozenset({1}), TimesOfDay(time(3)))
    due = next(coming(of(daily, first), datetime(2026, 11, 30, 12, tzinfo=UTC), "web1"))
    assert due == Due(datetime(2026, 12, 1, 2, tzinfo=UTC), (daily, first))


def test_nothing_runs_before_the_schedule_begins_or_when_it_has_ended() -> None:
    schedule = Schedule(
        BERLIN,
        (Weekly(EVERY_DAY, TimesOfDay(time(3))),),
        begins=clock("2026-12-01 03:00"),
        ends=clock("2026-12-03 03:00"),
    )
    found = runs(schedule, datetime(2026, 11, 1, tzinfo=UTC), 10)
    assert local(found) == ["Tue 01 03:00", "Wed 02 03:00"]


def test_what_runs_once_runs_once() -> None:
    schedule = of(Once(clock("2026-12-01 03:00")), Once(None), OnEvent(frozenset(SourceEvent)))
    assert local(runs(schedule, datetime(2026, 11, 1, tzinfo=UTC), 5)) == ["Tue 01 03:00"]
    assert runs(schedule, datetime(2026, 12, 1, 2, tzinfo=UTC), 5) == []


@pytest.mark.parametrize(
    ("policy", "hours", "expected"),
    [
        (MissedRuns.ONCE, 1, None),
        (MissedRuns.ONCE, 30, "Sun 22 03:00"),
        (MissedRuns.ONCE, 30 * 24, "Mon 21 03:00"),
        (MissedRuns.SKIP, 30 * 24, None),
    ],
)
def test_missed_runs_are_made_up_by_the_latest_of_them_or_not(
    policy: MissedRuns, hours: int, expected: str | None
) -> None:
    schedule = Schedule(BERLIN, (Weekly(EVERY_DAY, TimesOfDay(time(3))),), missed=policy)
    seen = datetime(2026, 11, 21, 2, tzinfo=UTC)  # a run was due at this very moment
    due = missed(schedule, seen, seen + hours * HOUR, "web1")
    assert (local([due.moment])[0] if due else None) == expected


@pytest.mark.parametrize(
    ("shown", "moment"),
    [
        (clock("2026-03-29 01:59"), clock("2026-03-29 00:59")),
        (clock("2026-03-29 02:00"), clock("2026-03-29 01:00")),
        (clock("2026-03-29 02:59"), clock("2026-03-29 01:00")),
        (clock("2026-03-29 03:00"), clock("2026-03-29 01:00")),
        (clock("2026-10-25 02:30"), clock("2026-10-25 00:30")),
        (clock("2026-10-25 03:00"), clock("2026-10-25 02:00")),
    ],
)
def test_a_time_that_is_shown_twice_or_never_has_one_moment(
    shown: datetime, moment: datetime
) -> None:
    assert moment_of(shown, BERLIN) == moment.replace(tzinfo=UTC)


def test_weekdays_count_as_the_calendar_does() -> None:
    assert [day.number for day in Weekday] == list(range(7))
    assert date(2026, 11, 23).weekday() == Weekday.MON.number
