"""From what somebody typed to one boot point."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from chain_world import hourly_points, point
from hypothesis import given
from hypothesis import strategies as st

from standby.errors import ExitStatus, FixRequest
from standby.model.point import BootPoint
from standby.model.spoilt import SpoiltDisk
from standby.planning.localtime import moments, readings
from standby.planning.selection import Spoilt, select_good_point, select_point

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=BERLIN)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def points_at(*texts: str) -> tuple[BootPoint, ...]:
    return tuple(point(at(text).astimezone(UTC)) for text in texts)


POINTS = points_at(
    "2026-11-21T17:00+01:00",
    "2026-11-22T03:56+01:00",
    "2026-11-22T10:30+01:00",
    "2026-11-22T11:30+01:00",
)


def chosen(text: str, points: tuple[BootPoint, ...] = POINTS) -> int:
    return points.index(select_point(points, text, NOW, BERLIN))


class TestNames:
    @pytest.mark.parametrize(
        ("text", "place"),
        [
            ("V20261122_025600", 1),
            (" V20261122_025600\n", 1),
            ("latest", 3),
            ("latest~0", 3),
            ("latest~2", 1),
            ("latest~3", 0),
        ],
    )
    def test_a_point_is_chosen_by_name_or_from_the_newest(self, text: str, place: int) -> None:
        assert chosen(text) == place

    def test_a_name_that_does_not_exist_is_answered_with_those_that_do(self) -> None:
        with pytest.raises(FixRequest, match="does not exist") as caught:
            chosen("V20261122_035600")
        for each in POINTS:
            assert str(each.name) in str(caught.value)
        assert caught.value.exit_status is ExitStatus.USAGE

    def test_of_many_points_the_oldest_and_the_newest_are_named(self) -> None:
        many = hourly_points(40)
        with pytest.raises(FixRequest) as caught:
            select_point(many, "V19991231_235959", NOW, BERLIN)
        shown = [str(p.name) in str(caught.value) for p in many]
        assert shown == [True] + [False] * 35 + [True] * 4

    def test_further_back_than_the_chain_reaches_is_an_error(self) -> None:
        with pytest.raises(FixRequest, match="there are only 4"):
            chosen("latest~4")

    @pytest.mark.parametrize("text", ["", "newest", "Latest", "latest~", "latest~-1", "V2026"])
    def test_anything_else_is_answered_with_examples(self, text: str) -> None:
        with pytest.raises(FixRequest, match="latest~2"):
            chosen(text)

    def test_a_name_of_no_date_is_refused(self) -> None:
        with pytest.raises(FixRequest):
            chosen("V20269999_999999")

    def test_there_is_nothing_to_choose_before_the_first_point(self) -> None:
        with pytest.raises(FixRequest, match="no boot points yet"):
            select_point((), "latest", NOW, BERLIN)


class TestGivenUpPoints:
    CHAIN = (POINTS[0], point(POINTS[1].name.moment, given_up=True), *POINTS[2:])

    def test_they_are_not_offered_by_name(self) -> None:
        with pytest.raises(FixRequest, match="given up") as caught:
            chosen("V20261122_025600", self.CHAIN)
        assert "V20261122_025600" not in caught.value.expected

    def test_they_are_not_counted(self) -> None:
        assert chosen("latest~2", self.CHAIN) == 0

    def test_they_are_not_found_by_time(self) -> None:
        assert chosen("before:2026-11-22 04:00", self.CHAIN) == 0


class TestTimes:
    @pytest.mark.parametrize(
        ("text", "place"),
        [
            ("before:2026-11-22 03:56", 1),  # at that moment counts
            ("before:2026-11-22 03:55:59", 0),
            ("before:2026-11-22T03:56:00+01:00", 1),
            ("before:2026-11-22T02:56:00Z", 1),
            ("before:2026-11-22t02:56z", 1),
            ("before:2026-11-22 03:56 +0100", 1),
            ("before:2026-11-22 02:56:00 -01:00", 1),
            ("before:2026-11-22 03:55 -00:30", 1),
            ("before:2026-11-22", 0),
            ("before:03:56", 1),
            ("before:3:56", 1),
            ("before: 11:00", 2),
            ("before:18:30", 0),  # not yet today, so yesterday
            ("before:12:00", 3),  # this very moment
            ("before:today 11:00", 2),
            ("before:today 23:00", 3),
            ("before:yesterday 18:00", 0),
            ("before:Yesterday  18:00:00", 0),
            ("before:1h ago", 2),
            ("before:2h ago", 1),
            ("before:90m ago", 2),
            ("before:1h30m ago", 2),
            ("before:5401s ago", 1),
            ("before:2 hours ago", 1),
            ("before:1 day ago", None),
            ("before:18h ago", 0),
            ("before:yesterday 16:59", None),
        ],
    )
    def test_the_newest_point_at_or_before_it_is_chosen(self, text: str, place: int | None) -> None:
        if place is not None:
            assert chosen(text) == place
        else:
            with pytest.raises(FixRequest, match="none is that old"):
                chosen(text)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "noon",
            "25:00",
            "12:60",
            "yesterday",
            "tomorrow 12:00",
            "2026-13-01 00:00",
            "2026-02-30",
            "20261122",
            "2026-W47-1",
            "11/22/2026",
            "2026-11-22 03",
            "2x ago",
            "h ago",
            "ago",
            "-2h ago",
            "999999w ago",
            "2026-11-22T03:56+25:00",
            "0001-01-01T00:00+14:00",
        ],
    )
    def test_a_time_that_cannot_be_read_is_answered_with_examples(self, text: str) -> None:
        with pytest.raises(FixRequest, match="yesterday 18:00"):
            chosen(f"before:{text}")

    @given(st.text(max_size=25))
    def test_no_text_whatever_leads_to_anything_but_a_point_or_a_clear_error(
        self, text: str
    ) -> None:
        for asked in (text, f"before:{text}", f"before:{text} ago", f"latest~{text}"):
            with suppress(FixRequest):
                assert select_point(POINTS, asked, NOW, BERLIN) in POINTS

    @given(st.integers(0, 3), st.integers(-3600, 3600))
    def test_a_time_with_its_offset_is_exact_to_the_second(self, place: int, off: int) -> None:
        moment = POINTS[place].name.moment + timedelta(seconds=off)
        text = "before:" + moment.astimezone(BERLIN).isoformat()
        wanted = [n for n, p in enumerate(POINTS) if p.name.moment <= moment]
        if wanted:
            assert chosen(text) == wanted[-1]


class TestClockChanges:
    """On 2026-10-25 at 03:00 clocks in Berlin go back to 02:00; on 2026-03-29 02:00 is 03:00."""

    def test_a_time_that_came_twice_is_asked_about_when_it_matters(self) -> None:
        points = points_at("2026-10-25T02:10+02:00", "2026-10-25T02:10+01:00")
        with pytest.raises(FixRequest, match="came twice") as caught:
            chosen("before:2026-10-25 02:30", points)
        assert caught.value.expected == (
            "before:2026-10-25T02:30:00+02:00 (V20261025_001000) or "
            "before:2026-10-25T02:30:00+01:00 (V20261025_011000)"
        )

    def test_the_answer_to_that_question_is_understood(self) -> None:
        points = points_at("2026-10-25T02:10+02:00", "2026-10-25T02:10+01:00")
        assert chosen("before:2026-10-25T02:30:00+02:00", points) == 0
        assert chosen("before:2026-10-25T02:30:00+01:00", points) == 1

    def test_it_is_not_asked_about_when_both_mean_the_same_point(self) -> None:
        points = points_at("2026-10-25T01:10+02:00", "2026-10-25T02:45+01:00")
        assert chosen("before:2026-10-25 02:30", points) == 0

    def test_a_time_that_never_came_is_asked_about_when_it_matters(self) -> None:
        points = points_at("2026-03-29T01:10+01:00", "2026-03-29T03:10+02:00")
        with pytest.raises(FixRequest, match="never came") as caught:
            chosen("before:2026-03-29 02:30", points)
        assert "before:2026-03-29T01:30:00+01:00 (V20260329_001000)" in caught.value.expected
        assert "before:2026-03-29T03:30:00+02:00 (V20260329_011000)" in caught.value.expected

    def test_one_reading_that_no_point_is_old_enough_for_is_said_too(self) -> None:
        points = points_at("2026-10-25T02:10+01:00")
        with pytest.raises(FixRequest, match="no boot point"):
            chosen("before:2026-10-25 02:30", points)

    def test_ago_counts_elapsed_time(self) -> None:
        now = at("2026-10-25T03:30+01:00")
        assert moments("2h ago", now, BERLIN) == (at("2026-10-25T02:30+02:00"),)

    def test_yesterday_is_the_day_before_by_the_calendar(self) -> None:
        now = at("2026-10-26T00:15+01:00")  # 24 hours before, it was still the 25th
        assert moments("yesterday 00:05", now, BERLIN) == (at("2026-10-25T00:05+02:00"),)

    def test_a_bare_time_that_came_twice_today_means_only_what_has_already_been(self) -> None:
        now = at("2026-10-25T02:40+02:00")  # the first of the two
        assert moments("02:30", now, BERLIN) == (at("2026-10-25T02:30+02:00"),)

    def test_a_day_that_a_zone_skipped_altogether_has_two_readings(self) -> None:
        apia = ZoneInfo("Pacific/Apia")  # there was no 2011-12-30
        noon = datetime.fromisoformat("2011-12-30T12:00")
        assert len(readings(noon, apia)) == 2

    @given(
        st.integers(0, 2**31),
        st.sampled_from(
            ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]
        ),
    )
    def test_every_moment_is_among_the_readings_of_its_own_local_time(
        self, second: int, zone_name: str
    ) -> None:
        zone = ZoneInfo(zone_name)
        moment = datetime.fromtimestamp(second, UTC)
        local = moment.astimezone(zone)
        found = moments(local.strftime("%Y-%m-%d %H:%M:%S"), NOW, zone)
        assert moment in found
        for reading in found:
            assert reading.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None)
        assert list(found) == sorted(set(found))


@pytest.mark.parametrize("text", ["latest", "before:1m ago", "V20261122_055600"])
def test_a_spoilt_point_is_never_taken_for_another_nor_without_being_asked_for(text: str) -> None:
    first, second, third = hourly_points(3)
    spoilt = replace(third, spoilt=(SpoiltDisk("vda", ((0, 65536),)),))
    points = (first, second, spoilt)
    now = spoilt.name.moment + timedelta(hours=1)
    with pytest.raises(FixRequest) as refused:
        select_good_point(points, text, now, UTC, Spoilt.REFUSED)
    assert str(second.name) in refused.value.expected
    assert "--spoilt" in refused.value.remedy
    assert select_good_point(points, text, now, UTC, Spoilt.TAKEN) is spoilt
    assert select_good_point(points, "latest~1", now, UTC, Spoilt.REFUSED) is second
