"""What a pause keeps from being done, and what it does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from chain_world import EMPTY, START, hourly_points

from standby.errors import FixRequest, Paused, Retry, StopStandbyFirst, TryLater
from standby.model.pause import Pause
from standby.model.run import Cause
from standby.model.state import State
from standby.planning.pauses import (
    begin_pause,
    described,
    pause_warning,
    refuse_while_failed_over,
    refuse_while_paused,
)

HOUR = timedelta(hours=1)
PROTECTED = replace(EMPTY, points=hourly_points(2))
PAUSE = Pause(START, START + 5 * HOUR, "the array is rebuilt", "eve@manager")
PAUSED = begin_pause(PROTECTED, PAUSE)
BY_ITSELF = [cause for cause in Cause if cause is not Cause.HAND]


@pytest.mark.parametrize("cause", BY_ITSELF)
def test_no_run_begins_by_itself_and_the_error_says_why_and_what_to_do(cause: Cause) -> None:
    with pytest.raises(Paused, match="the array is rebuilt") as caught:
        refuse_while_paused(PAUSED, "web1", cause, START + HOUR)
    assert isinstance(caught.value, TryLater)
    assert caught.value.retry is Retry.LATER
    assert caught.value.until == PAUSE.until
    assert "standby resume web1" in caught.value.remedy


def test_a_run_by_hand_is_made_and_says_that_the_pause_goes_on() -> None:
    refuse_while_paused(PAUSED, "web1", Cause.HAND, START + HOUR)
    (warning,) = pause_warning(PAUSED, START + HOUR)
    assert "by hand" in warning
    assert "the pause goes on" in warning


@pytest.mark.parametrize("cause", Cause)
def test_a_pause_that_has_ended_keeps_nothing_from_being_done(cause: Cause) -> None:
    refuse_while_paused(PAUSED, "web1", cause, START + 5 * HOUR)
    assert pause_warning(PAUSED, START + 5 * HOUR) == ()
    refuse_while_paused(PROTECTED, "web1", cause, START)
    assert pause_warning(PROTECTED, START) == ()


@pytest.mark.parametrize("until", [START, START - HOUR])
def test_a_pause_until_a_time_that_has_passed_is_refused(until: object) -> None:
    with pytest.raises(FixRequest, match="has passed"):
        begin_pause(PROTECTED, Pause(START, until))  # type: ignore[arg-type]


def test_a_pause_that_is_made_longer_keeps_its_beginning() -> None:
    longer = begin_pause(PAUSED, Pause(START + HOUR, None, "still", "bob@manager")).paused
    assert longer == Pause(START, None, "still", "bob@manager")
    anew = begin_pause(PAUSED, Pause(START + 6 * HOUR, None)).paused
    assert anew == Pause(START + 6 * HOUR, None)


def test_a_pause_does_not_begin_in_the_future_when_the_clock_went_back() -> None:
    earlier = begin_pause(PAUSED, Pause(START - HOUR, None)).paused
    assert earlier == Pause(START - HOUR, None)


@pytest.mark.parametrize("state", [State.FAILED_OVER, State.PREPARED])
def test_no_cycle_writes_to_a_standby_that_took_the_place_of_its_machine(state: State) -> None:
    over = replace(PROTECTED, failover=state)
    with pytest.raises(StopStandbyFirst, match=state.value.split()[0]):
        refuse_while_failed_over(over)
    with pytest.raises(FixRequest, match="nothing is replicated"):
        begin_pause(over, PAUSE)


@pytest.mark.parametrize("state", [None, State.REVERSED])
def test_others_are_replicated_and_can_be_paused(state: State | None) -> None:
    refuse_while_failed_over(replace(PROTECTED, failover=state))
    begin_pause(replace(PROTECTED, failover=state), PAUSE)


def test_a_pause_is_told_in_one_line() -> None:
    assert described(PAUSE) == (
        "paused since 2026-11-22 03:56 UTC until 2026-11-22 08:56 UTC by eve@manager: "
        "the array is rebuilt"
    )
    assert described(Pause(START)) == "paused since 2026-11-22 03:56 UTC"
