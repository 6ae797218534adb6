"""Digests come once for each day or week, also after the manager was down, and hide nothing."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from standby.errors import Retry
from standby.model.health import Concern, Condition, Health, Problem, Severity
from standby.model.notice import News
from standby.model.run import Amounts, Cause, Failure, Run, RunKind, RunResult
from standby.model.schedule import Weekday
from standby.planning.digests import (
    Digest,
    DigestTimes,
    MachineDigest,
    digest_of,
    is_due,
    worst_first,
)

BERLIN = ZoneInfo("Europe/Berlin")
TIMES = DigestTimes(time(7), Weekday.MON)
MONDAY = datetime(2026, 11, 23, 7, tzinfo=BERLIN)


def sent_between(news: News, begin: datetime, end: datetime, step: timedelta) -> list[datetime]:
    """When digests are sent by a manager that looks every so often."""
    last, now, sent = begin, begin, []
    while now < end:
        if is_due(news, last, now, TIMES):
            sent.append(now)
            last = now
        now += step
    return sent


def test_a_daily_digest_comes_once_a_day_at_its_time() -> None:
    sent = sent_between(News.DAILY, MONDAY, MONDAY + timedelta(days=3), timedelta(minutes=10))
    assert [it - MONDAY for it in sent] == [timedelta(days=1), timedelta(days=2)]


def test_a_weekly_digest_comes_on_its_day() -> None:
    begin = MONDAY - timedelta(days=2)
    sent = sent_between(News.WEEKLY, begin, MONDAY + timedelta(days=9), timedelta(hours=1))
    assert sent == [MONDAY, MONDAY + timedelta(days=7)]


def test_one_that_was_missed_is_made_up_once() -> None:
    last = MONDAY - timedelta(days=20)
    for news in (News.DAILY, News.WEEKLY):
        late = MONDAY + timedelta(hours=9, days=2)
        assert is_due(news, last, late, TIMES)
        assert not is_due(news, late, late + timedelta(minutes=1), TIMES)


@given(st.integers(0, 365 * 24), st.integers(1, 26))
def test_no_day_has_two_and_none_is_left_out(hours: int, step: int) -> None:
    begin = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours)).astimezone(BERLIN)
    last, now, sent = begin.astimezone(UTC), begin, []
    for _ in range(60):
        now = (now.astimezone(UTC) + timedelta(hours=step)).astimezone(BERLIN)
        if is_due(News.DAILY, last, now, TIMES):
            sent.append(now)
            last = now.astimezone(UTC)
    shifted = [(it.replace(tzinfo=None) - timedelta(hours=7)).date() for it in sent]
    assert len(set(shifted)) == len(shifted)
    if step < 24 and sent:
        days = (shifted[-1] - shifted[0]).days
        assert days == len(shifted) - 1


def cycle(result: RunResult, hour: int, sent: int = 0) -> Run:
    failure = Failure("ReachHost", "kvm1", f"no answer at {hour}", "", "", Retry.LATER)
    begun = datetime(2026, 11, 23, hour, tzinfo=UTC)
    return Run("x", "web1", RunKind.CYCLE, Cause.SCHEDULE, begun, result=result,
               amounts=Amounts(sent=sent), failure=failure if result.is_bad else None)  # fmt: skip


def test_a_machine_is_summed_up_by_its_cycles() -> None:
    runs = [
        cycle(RunResult.FAILED, 9),
        cycle(RunResult.PUBLISHED, 8, 100),
        cycle(RunResult.STILL_TRUE, 7),
        cycle(RunResult.LOST, 6),
        cycle(RunResult.CANCELLED, 5, 20),
        Run("y", "web1", RunKind.VERIFY, Cause.HAND, datetime(2026, 11, 23, 9, tzinfo=UTC)),
    ]
    found = digest_of("web1", runs, None)
    assert (found.good, found.failed, found.sent) == (2, 2, 120)
    assert found.newest == datetime(2026, 11, 23, 8, tzinfo=UTC)
    assert found.failure == "kvm1: no answer at 9"
    assert found.health is Health.UNKNOWN


def test_the_worst_come_first_and_the_subject_says_how_many() -> None:
    grave = Condition(Health.CRITICAL, (Problem(Concern.RPO, Severity.CRITICAL, "late", "look"),))
    machines = worst_first(
        [
            MachineDigest("a", Condition(Health.NORMAL), good=3),
            MachineDigest("b", grave, good=1, failed=2),
            MachineDigest("c", None),
        ]
    )
    assert [it.profile for it in machines] == ["b", "c", "a"]
    digest = Digest(News.DAILY, MONDAY, MONDAY, machines)
    assert digest.subject == "daily: 1 Critical, 1 unknown, 1 Normal; 2 of 6 cycles failed"
