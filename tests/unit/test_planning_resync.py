"""A resync waits for its window unless somebody asks for it; nothing else waits."""

from __future__ import annotations

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standby.errors import ExitStatus, TryLater
from standby.model.machine import MachineIdentity
from standby.model.names import PointName
from standby.model.plan import CapturePlan, Copying, CyclePlan, CycleRequest, HeadMove
from standby.model.point import Consistency, Way
from standby.model.window import DailyWindow
from standby.planning.resync import require_resync_allowed

NIGHT = DailyWindow(time(19), time(6))
EARLY = DailyWindow(time(2), time(4))
LUNCH = DailyWindow(time(12), time(13, 30))
POINT = PointName.parse("V20261122_035600")


def plan(way: Way) -> CyclePlan:
    capture = CapturePlan((), "standby-", "standby-x", None, Consistency.CRASH)
    machine = MachineIdentity("web", "6b21cf23-6d2c-4ef4-9c0c-0f1c3f6a7c11")
    return CyclePlan(machine, POINT, way, "bitmap lost", capture, (), (), (), HeadMove.MOVE)


def at(hour: int) -> datetime:
    return datetime(2026, 11, 22, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("window", "clock", "inside"),
    [
        (NIGHT, time(19), True),
        (NIGHT, time(23, 59, 59), True),
        (NIGHT, time(0), True),
        (NIGHT, time(5, 59, 59), True),
        (NIGHT, time(6), False),
        (NIGHT, time(18, 59, 59), False),
        (LUNCH, time(12), True),
        (LUNCH, time(13, 30), False),
        (LUNCH, time(11, 59), False),
        (DailyWindow(time(5), time(5)), time(4, 59), True),
    ],
)
def test_a_window_begins_when_it_says_and_ends_before_its_end(
    window: DailyWindow, clock: time, *, inside: bool
) -> None:
    assert window.contains(clock) is inside


@given(st.times(), st.times(), st.times())
def test_two_windows_that_meet_make_a_day(begins: time, ends: time, clock: time) -> None:
    if begins != ends:
        one, other = DailyWindow(begins, ends), DailyWindow(ends, begins)
        assert one.contains(clock) is not other.contains(clock)


@pytest.mark.parametrize("copying", [Copying.AS_NEEDED, Copying.HISTORY_LOST])
def test_a_resync_that_nobody_asked_for_waits(copying: Copying) -> None:
    request = CycleRequest(copying)
    with pytest.raises(TryLater, match="bitmap lost") as caught:
        require_resync_allowed(plan(Way.RESYNC), request, NIGHT, at(12))
    assert caught.value.exit_status is ExitStatus.TRY_LATER
    assert "19:00-06:00" in str(caught.value)
    require_resync_allowed(plan(Way.RESYNC), request, NIGHT, at(20))
    require_resync_allowed(plan(Way.RESYNC), request, None, at(12))


@pytest.mark.parametrize("copying", [Copying.WHAT_DIFFERS, Copying.EVERYTHING])
def test_a_resync_by_hand_begins_at_any_time(copying: Copying) -> None:
    require_resync_allowed(plan(Way.RESYNC), CycleRequest(copying), NIGHT, at(12))


@pytest.mark.parametrize("way", [Way.SEED, Way.INCREMENTAL])
def test_no_other_cycle_waits(way: Way) -> None:
    require_resync_allowed(plan(way), CycleRequest(), NIGHT, at(12))


BERLIN = ZoneInfo("Europe/Berlin")
SUMMER, WINTER = "2026-10-24", "2026-10-26"
FORWARD, BACK = "2026-03-29", "2026-10-25"  # clocks jump from 2 to 3, and from 3 back to 2


@pytest.mark.parametrize(
    ("utc", "inside"),
    [
        (f"{SUMMER}T01:59:59", True),  # 03:59:59 CEST
        (f"{SUMMER}T02:00:00", False),
        (f"{WINTER}T00:59:59", False),
        (f"{WINTER}T01:00:00", True),  # 02:00 CET
        (f"{WINTER}T02:59:59", True),
        (f"{FORWARD}T00:59:59", False),  # 01:59:59 CET
        (f"{FORWARD}T01:00:00", True),  # 03:00 CEST: an hour of the window is left
        (f"{FORWARD}T02:00:00", False),
        (f"{BACK}T00:00:00", True),  # 02:00 CEST, then 02:00 once more: three hours long
        (f"{BACK}T01:00:00", True),
        (f"{BACK}T02:59:59", True),
        (f"{BACK}T03:00:00", False),
    ],
)
def test_a_window_goes_by_the_clock_of_its_zone_whatever_clocks_do(
    utc: str, *, inside: bool
) -> None:
    shown = datetime.fromisoformat(utc).replace(tzinfo=UTC).astimezone(BERLIN)
    if inside:
        require_resync_allowed(plan(Way.RESYNC), CycleRequest(), EARLY, shown)
        return
    with pytest.raises(TryLater, match=f"it is {shown:%H:%M %Z}"):
        require_resync_allowed(plan(Way.RESYNC), CycleRequest(), EARLY, shown)
