"""A resync waits for its window unless somebody asks for it; nothing else waits."""

from __future__ import annotations

from datetime import time

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
LUNCH = DailyWindow(time(12), time(13, 30))
POINT = PointName.parse("V20261122_035600")


def plan(way: Way) -> CyclePlan:
    capture = CapturePlan((), "standby-", "standby-x", None, Consistency.CRASH)
    machine = MachineIdentity("web", "6b21cf23-6d2c-4ef4-9c0c-0f1c3f6a7c11")
    return CyclePlan(machine, POINT, way, "bitmap lost", capture, (), (), (), HeadMove.MOVE)


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
        require_resync_allowed(plan(Way.RESYNC), request, NIGHT, time(12))
    assert caught.value.exit_status is ExitStatus.TRY_LATER
    assert "19:00-06:00" in str(caught.value)
    require_resync_allowed(plan(Way.RESYNC), request, NIGHT, time(20))
    require_resync_allowed(plan(Way.RESYNC), request, None, time(12))


@pytest.mark.parametrize("copying", [Copying.WHAT_DIFFERS, Copying.EVERYTHING])
def test_a_resync_by_hand_begins_at_any_time(copying: Copying) -> None:
    require_resync_allowed(plan(Way.RESYNC), CycleRequest(copying), NIGHT, time(12))


@pytest.mark.parametrize("way", [Way.SEED, Way.INCREMENTAL])
def test_no_other_cycle_waits(way: Way) -> None:
    require_resync_allowed(plan(way), CycleRequest(), NIGHT, time(12))
