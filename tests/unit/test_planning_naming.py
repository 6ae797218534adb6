"""Names of new boot points increase whatever the manager's clock does."""

from __future__ import annotations

from datetime import timedelta

from chain_world import START, point
from hypothesis import given
from hypothesis import strategies as st

from standby.model.names import PointName
from standby.planning.naming import next_point_name

STEPS = st.integers(-400 * 86400, 400 * 86400) | st.integers(-2, 2) | st.just(0)


def test_a_point_is_named_by_the_clock() -> None:
    assert str(next_point_name((), START)) == "V20261122_035600"


def test_a_clock_that_stands_still_gives_the_next_second() -> None:
    assert str(next_point_name((point(START),), START)) == "V20261122_035601"


def test_a_clock_that_went_back_gives_the_next_second_too() -> None:
    before = START - timedelta(days=9)
    assert str(next_point_name((point(START),), before)) == "V20261122_035601"


def test_a_name_that_a_failed_cycle_left_on_the_source_is_not_given_again() -> None:
    taken = {"V20261122_035601", "V20261122_035602", "something else"}
    assert str(next_point_name((point(START),), START, taken)) == "V20261122_035603"


@given(st.lists(STEPS, min_size=1, max_size=30), st.data())
def test_names_are_never_used_twice_even_when_points_were_merged_in_between(
    steps: list[int], data: st.DataObject
) -> None:
    now, points, ever = START, [point(START)], [PointName.at(START)]
    for step in steps:
        now += timedelta(seconds=step, microseconds=7)
        name = next_point_name(points, now)
        assert name > ever[-1]
        ever.append(name)
        lost = data.draw(st.integers(0, len(points)))
        points = [*points[lost:], point(name.moment)]
