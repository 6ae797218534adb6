"""Application-consistent boot points have an interval of their own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from chain_world import START, hourly_points
from hypothesis import given
from hypothesis import strategies as st

from standby.model.names import PointName
from standby.model.point import BootPoint, Consistency
from standby.planning.consistency import consistency_now, slot

APPLICATION, CRASH = Consistency.APPLICATION, Consistency.CRASH
HOUR = timedelta(hours=1)
(POINT,) = hourly_points(1)


def at(moment: datetime, consistency: Consistency = CRASH) -> BootPoint:
    return replace(POINT, name=PointName.at(moment), true_at=moment, consistency=consistency)


def test_without_an_interval_each_point_is_as_the_profile_says() -> None:
    for wanted in Consistency:
        assert consistency_now(wanted, None, POINT, START, "web1") is wanted


def test_only_application_consistency_has_an_interval() -> None:
    for wanted in (CRASH, Consistency.FILESYSTEM):
        assert consistency_now(wanted, HOUR, at(START), START, "web1") is wanted


def test_the_first_point_of_all_is_one() -> None:
    assert consistency_now(APPLICATION, HOUR, None, START, "web1") is APPLICATION


@given(
    st.integers(5, 7200),
    st.integers(60, 6 * 3600),
    st.lists(st.integers(0, 600), min_size=1, max_size=60),
    st.text(min_size=1),
)
def test_no_slot_has_two_or_goes_without_though_points_are_merged_away(
    period: int, apart_s: int, delays: list[int], name: str
) -> None:
    """Cycles come late as given, and only the newest point is ever there."""
    apart = timedelta(seconds=apart_s)
    made: list[datetime] = []
    newest, now, seen = None, START, []
    for delay in delays:
        now += timedelta(seconds=period + delay)
        reached = consistency_now(APPLICATION, apart, newest, now, name)
        seen.append(slot(now, apart, name))
        if reached is APPLICATION:
            made.append(now)
        newest = at(now, reached)
    slots = [slot(moment, apart, name) for moment in made]
    assert slots == sorted(set(seen))


def test_a_cycle_that_finds_nothing_changed_counts() -> None:
    """An idle guest is not frozen again and again."""
    point = at(START)
    later = START + 5 * HOUR
    stamped = point.still_true(later)
    assert consistency_now(APPLICATION, 4 * HOUR, point, later, "web1") is APPLICATION
    minute = later + timedelta(seconds=1)
    expected = (
        CRASH if slot(minute, 4 * HOUR, "web1") == slot(later, 4 * HOUR, "web1") else APPLICATION
    )
    assert consistency_now(APPLICATION, 4 * HOUR, stamped, minute, "web1") is expected


def test_a_clock_that_was_ahead_leaves_no_time_without_application_points() -> None:
    ahead = at(datetime(2130, 1, 1, tzinfo=UTC))
    assert consistency_now(APPLICATION, HOUR, ahead, START, "web1") is APPLICATION
