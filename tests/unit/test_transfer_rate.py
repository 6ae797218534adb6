"""A rate limit holds within 5 % over any ten seconds, and is used up."""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standby.errors import FixRequest
from standby.model.window import DailyWindow, RateByDay
from standby.transfer import RateLimit
from standby.transfer.rate import Limit, all_of, limit_of

MIB = 1024 * 1024
rates = st.integers(64 * 1024, 2000 * MIB)


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def send_for(
    seconds: float, limit: RateLimit, clock: Clock, late: list[float]
) -> list[tuple[float, int]]:
    """Send the largest pieces as soon as allowed, waking up late as given, in turns."""
    sent: list[tuple[float, int]] = []
    end = clock.now + seconds
    turn = 0
    while clock.now < end:
        pause = limit.wait_before(limit.piece)
        if pause:
            clock.now += pause + late[turn % len(late)]
            turn += 1
        else:
            sent.append((clock.now, limit.piece))
    return sent


def most_in_any(seconds: float, sent: list[tuple[float, int]]) -> int:
    """Return the most bytes that any window of that length holds."""
    times = [moment for moment, _ in sent]
    sums = [0]
    for _, length in sent:
        sums.append(sums[-1] + length)
    return max(
        sums[bisect_left(times, start + seconds)] - sums[index] for index, start in enumerate(times)
    )


lateness = st.lists(st.sampled_from([0.0, 0.0005, 0.002, 0.02, 0.09, 0.5, 3.0]), min_size=1)


@given(rates, lateness)
def test_no_ten_seconds_carry_more_than_five_percent_too_much(rate: int, late: list[float]) -> None:
    clock = Clock()
    sent = send_for(25, RateLimit(rate, clock), clock, late)
    assert most_in_any(10, sent) <= rate * 10 * 1.05


@given(rates, st.sampled_from([0.0, 0.001, 0.01, 0.05]))
def test_the_rate_is_reached_though_every_wait_lasts_a_little_long(rate: int, late: float) -> None:
    clock = Clock()
    sent = send_for(20, RateLimit(rate, clock), clock, [late])
    assert sum(length for _, length in sent) >= rate * 20 * 0.95


def test_idle_time_is_not_saved_up() -> None:
    clock = Clock()
    limit = RateLimit(10 * MIB, clock)
    limit.wait_before(limit.piece)
    clock.now += 3600
    assert most_in_any(10, send_for(12, limit, clock, [0.0])) <= 100 * MIB * 1.05


def test_several_senders_share_one_limit() -> None:
    clock = Clock()
    limit = RateLimit(MIB, clock)
    assert limit.wait_before(MIB) == 0.0
    assert limit.wait_before(1) > 0.8


def test_waiting_counts_nothing() -> None:
    clock = Clock()
    limit = RateLimit(MIB, clock)
    limit.wait_before(MIB)
    assert limit.wait_before(MIB) == limit.wait_before(MIB)


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_must_be_positive(rate: int) -> None:
    with pytest.raises(FixRequest):
        RateLimit(rate)


# ---- rates that follow the clock, several at once -------------------------------------------

BUSY = DailyWindow(time(8), time(18))
SLOW_BY_DAY = RateByDay(20 * MIB, ((BUSY, 2 * MIB),))


class LocalTime:
    """What the clock on the wall shows, which starts at some time and then passes with another."""

    def __init__(self, clock: Clock, shown: str) -> None:
        self._clock, self._began = clock, clock.now
        self.shown = datetime.fromisoformat(f"2026-11-26T{shown}+01:00")

    def __call__(self) -> datetime:
        return self.shown + timedelta(seconds=self._clock.now - self._began)


def sent_in_seconds(sent: list[tuple[float, int]], first: float, last: float) -> int:
    return sum(length for moment, length in sent if first <= moment < last)


@pytest.mark.parametrize(
    ("shown", "before", "after"), [("07:59:50", 20, 2), ("17:59:50", 2, 20), ("12:00:00", 2, 2)]
)
def test_a_rate_follows_the_time_of_the_day(shown: str, before: int, after: int) -> None:
    clock = Clock()
    limit = RateLimit(SLOW_BY_DAY, clock, LocalTime(clock, shown))
    sent = send_for(30, limit, clock, [0.0])
    assert sent_in_seconds(sent, 1000, 1010) == pytest.approx(10 * before * MIB, rel=0.05)
    assert sent_in_seconds(sent, 1012, 1030) == pytest.approx(18 * after * MIB, rel=0.05)


def test_a_rate_by_day_goes_by_the_clocks_of_the_zone_that_is_given() -> None:
    here = datetime.now(UTC)
    hour = DailyWindow((here - timedelta(minutes=30)).time(), (here + timedelta(minutes=30)).time())
    by_day = RateByDay(None, ((hour, MIB),))
    slow, fast = limit_of(by_day, UTC), limit_of(by_day, timezone(timedelta(hours=6)))
    assert slow is not None
    assert fast is not None
    assert slow.piece < MIB < fast.piece


def test_a_part_of_the_day_without_a_limit_waits_for_nothing() -> None:
    clock = Clock()
    limit = RateLimit(RateByDay(None, ((BUSY, MIB),)), clock, LocalTime(clock, "17:59:59"))
    assert limit.wait_before(100 * MIB) == 0.0
    assert limit.wait_before(MIB) > 0
    clock.now += 2
    limit.wait_before(1)  # the clock was looked at: at most what one piece takes is waited for
    clock.now += 0.1
    assert [limit.wait_before(1 << 40) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert limit.piece > 1 << 30


def test_a_long_wait_is_asked_about_again_where_the_rate_may_change() -> None:
    clock = Clock()
    limit = RateLimit(RateByDay(1024, ((BUSY, MIB),)), clock, LocalTime(clock, "07:00:00"))
    limit.wait_before(MIB)
    assert limit.wait_before(1) == 1.0


def test_a_rate_may_be_changed_while_it_is_held() -> None:
    clock = Clock()
    limit = RateLimit(MIB, clock)
    assert most_in_any(5, send_for(10, limit, clock, [0.0])) == pytest.approx(5 * MIB, rel=0.05)
    limit.change(10 * MIB)
    assert most_in_any(5, send_for(10, limit, clock, [0.0])) == pytest.approx(50 * MIB, rel=0.05)
    limit.change(RateByDay())
    assert limit.wait_before(1 << 40) + limit.wait_before(1 << 40) <= 0.1
    with pytest.raises(FixRequest):
        limit.change(0)


@given(st.lists(rates, min_size=2, max_size=4))
def test_of_several_limits_the_slowest_is_felt(several: list[int]) -> None:
    clock = Clock()
    limit = all_of(None, *(RateLimit(rate, clock) for rate in several))
    assert limit is not None
    sent = 0
    while clock.now < 1020:
        pause = limit.wait_before(limit.piece)
        sent += 0 if pause else limit.piece
        clock.now += pause
    assert sent == pytest.approx(20 * min(several), rel=0.05)


def test_two_transfers_share_the_limit_of_all_and_each_has_its_own() -> None:
    clock = Clock()
    overall = RateLimit(10 * MIB, clock)
    slow, fast = all_of(RateLimit(2 * MIB, clock), overall), all_of(overall, None)
    assert slow is not None
    assert fast is overall
    sent: dict[Limit, int] = dict.fromkeys((slow, overall), 0)
    while clock.now < 1020:
        pauses = []
        for limit in sent:
            pause = limit.wait_before(64 * 1024)
            sent[limit] += 0 if pause else 64 * 1024
            pauses.append(pause)
        clock.now += min(pauses)
    assert sum(sent.values()) == pytest.approx(20 * 10 * MIB, rel=0.05)
    assert sent[slow] == pytest.approx(20 * 2 * MIB, rel=0.1)


def test_without_limits_there_is_none() -> None:
    assert all_of(None, None) is None
    assert limit_of(None) is None
    assert limit_of(RateByDay()) is None
