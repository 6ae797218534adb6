"""The daemon's decisions over time: no run lost, none doubled, no storm, nobody disturbed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise

import pytest
from daemon_world import (
    HOUR,
    MINUTE,
    SECOND,
    START,
    World,
    assignment,
    every,
    profiles,
    world,
)

from standby.errors import FixRequest, GrantAccess, Paused, ReachHost, StandbyError, TryLater
from standby.model.pause import Pause
from standby.model.queue import AtOnce
from standby.model.run import Cause, RunKind, RunResult
from standby.model.schedule import MissedRuns, Once, TimesOfDay, Weekday, Weekly

__all__ = ["world"]

UNREACHABLE = ReachHost("kvm", "does not answer")
REFUSED = GrantAccess("kvm", "refused the key")
DAILY = Weekly(frozenset(Weekday), TimesOfDay(time(14, 0)))


def test_a_machine_runs_every_period_whatever_else_happens(world: World) -> None:
    world.assign("web", every(MINUTE))
    began = world.run_for(HOUR)
    assert len(began) == 60
    moments = [moment for moment, _ in began]
    assert {later - earlier for earlier, later in pairwise(moments)} == {MINUTE}


def test_runs_of_one_machine_never_overlap_and_late_ones_are_one(world: World) -> None:
    world.assign("web", every(5 * SECOND))
    assert profiles(world.turn_after(5 * SECOND)) == ["web"]
    for _ in range(10):
        assert world.turn_after(5 * SECOND) == []
    world.end("web")
    assert profiles(world.turn()) == ["web"]
    world.end("web")
    assert world.turn() == []


def test_the_machine_most_behind_its_rpo_goes_first(world: World) -> None:
    world.conductor.at_once = AtOnce(runs=1)
    for name, rpo in (("slow", 24 * HOUR), ("quick", MINUTE)):
        world.assign(name, every(MINUTE), rpo=rpo)
        world.conductor.learn(name, START - HOUR)
    world.clock.advance(MINUTE)
    assert profiles(world.turn()) == ["quick"]
    assert [it.profile for it in world.conductor.waiting()] == ["slow"]
    world.end("quick")
    assert profiles(world.turn()) == ["slow"]


def test_a_run_that_only_merges_makes_room_for_another_but_not_for_itself(world: World) -> None:
    world.conductor.at_once = AtOnce(runs=1)
    world.assign("web", every(MINUTE))
    world.assign("db", every(MINUTE))
    (first,) = world.turn_after(MINUTE)
    assert world.turn() == []
    world.orders[first.profile][1].merges_last()
    world.hear()
    (second,) = world.turn_after(MINUTE)
    assert second.profile != first.profile
    assert {it.profile for it in world.conductor.running()} == {"web", "db"}
    world.end(second.profile)
    assert profiles(world.turn_after(MINUTE)) == [second.profile]
    world.end(second.profile)
    assert world.turn() == []  # the other still merges


def test_what_was_missed_while_no_daemon_ran_is_made_up_once(world: World) -> None:
    world.assign("web", every(MINUTE))
    world.assign("skips", every(MINUTE), missed=MissedRuns.SKIP)
    world.run_for(2 * MINUTE)
    world.conductor._memory.save()
    world.clock.advance(5 * HOUR)
    world.restart()
    world.assign("web", every(MINUTE))
    world.assign("skips", every(MINUTE), missed=MissedRuns.SKIP)
    (order,) = world.turn()
    assert (order.profile, order.cause) == ("web", Cause.MISSED)
    world.end("web")
    assert world.turn() == []


def test_a_killed_daemon_loses_only_the_run_and_makes_it_up(world: World) -> None:
    world.assign("web", DAILY)
    world.conductor._memory.save()
    world.clock.advance(2 * HOUR)
    assert profiles(world.turn()) == ["web"]
    world.conductor._memory.save()
    world.clock.advance(MINUTE)
    world.restart()  # the run never ended
    world.assign("web", DAILY)
    (order,) = world.turn()
    assert (order.profile, order.cause) == ("web", Cause.MISSED)


def test_a_run_that_failed_for_a_while_is_made_up_by_the_next_daemon(world: World) -> None:
    world.assign("web", DAILY)
    world.turn_after(2 * HOUR)
    world.end("web", UNREACHABLE)
    world.conductor._memory.save()
    world.clock.advance(SECOND)
    world.restart()
    world.assign("web", DAILY)
    assert profiles(world.turn()) == ["web"]
    world.end("web")
    world.conductor._memory.save()
    world.restart()
    world.assign("web", DAILY)
    assert world.turn() == []


def test_a_machine_that_is_new_has_missed_nothing(world: World) -> None:
    world.assign("web", DAILY)
    assert world.turn() == []
    assert world.run_for(HOUR, MINUTE) == []


def test_once_now_runs_once_in_the_life_of_a_profile(world: World) -> None:
    world.assign("web", Once(None))
    assert profiles(world.turn()) == ["web"]
    world.end("web")
    world.assign("web", Once(None))
    assert world.turn() == []
    world.conductor._memory.save()
    world.restart()
    world.assign("web", Once(None))
    assert world.turn() == []
    world.assign("web")
    world.assign("web", Once(None))
    assert profiles(world.turn()) == ["web"]


@pytest.mark.parametrize("end", [None, UNREACHABLE])
def test_once_now_is_done_only_when_it_came_to_its_end(
    world: World, end: StandbyError | None
) -> None:
    world.assign("web", Once(None))
    world.turn()
    if end is not None:
        world.end("web", end)
    world.assign("web", Once(None))
    assert world.turn() == []
    world.conductor._memory.save()
    world.restart()
    world.assign("web", Once(None))
    assert profiles(world.turn()) == ["web"]


def test_a_run_that_the_daemon_stopped_to_end_itself_is_made_up(world: World) -> None:
    world.assign("web", DAILY)
    world.turn_after(2 * HOUR)
    world.conductor.stopping = True
    world.conductor.cancel_all("the daemon stops")
    world.end("web", RunResult.CANCELLED)
    world.conductor._memory.save()
    world.clock.advance(SECOND)
    world.restart()
    world.assign("web", DAILY)
    (order,) = world.turn()
    assert (order.profile, order.cause) == ("web", Cause.MISSED)


# ---- failures ----------------------------------------------------------------------------


def test_a_temporary_failure_is_tried_again_after_growing_delays(world: World) -> None:
    world.assign("web", DAILY)
    world.turn_after(2 * HOUR)
    began = world.clock.wall
    waited = []
    for _ in range(7):
        world.end("web", UNREACHABLE)
        failed_at = world.clock.wall
        while not (orders := world.turn_after(SECOND)):
            pass
        assert orders[0].cause is Cause.RETRY
        waited.append((world.clock.wall - failed_at) // MINUTE)
    assert waited == [1, 2, 4, 8, 10, 30, 30]
    assert began < world.clock.wall
    world.end("web")
    assert world.run_for(HOUR, MINUTE) == []


@pytest.mark.parametrize("end", [UNREACHABLE, RunResult.CANCELLED])
def test_a_run_by_hand_that_fails_too_leaves_the_retry_of_the_one_before(
    world: World, end: StandbyError | RunResult
) -> None:
    world.assign("web", DAILY)
    world.turn_after(2 * HOUR)
    world.end("web", UNREACHABLE)
    world.conductor.ask("web", RunKind.CYCLE, Cause.HAND)
    world.turn()
    world.end("web", end)
    assert len(world.run_for(10 * MINUTE)) == 1
    assert world.run_for(HOUR, MINUTE) == []


@pytest.mark.parametrize("cause", [Cause.SCHEDULE, Cause.EVENT])
def test_what_was_due_when_somebody_asked_is_tried_again_when_that_run_fails(
    world: World, cause: Cause
) -> None:
    world.assign("web", DAILY)
    world.conductor.hold("web")  # as while all places are taken
    if cause is Cause.EVENT:
        world.conductor.happened("web", "shutdown")
    else:
        world.turn_after(2 * HOUR)
    world.conductor.ask("web", RunKind.CYCLE, Cause.HAND)
    world.conductor.let_go("web")
    assert [it.cause for it in world.turn()] == [Cause.HAND]
    world.end("web", UNREACHABLE)
    assert len(world.run_for(10 * MINUTE)) == 1


def test_a_run_by_hand_that_fails_is_not_tried_again(world: World) -> None:
    world.assign("web", DAILY)
    world.conductor.ask("web", RunKind.CYCLE, Cause.HAND)
    world.turn()
    world.end("web", UNREACHABLE)
    assert world.run_for(HOUR, MINUTE) == []


def test_no_retry_when_the_schedule_comes_sooner(world: World) -> None:
    world.assign("web", every(30 * SECOND))
    for _ in range(4):
        while not (orders := world.turn_after(SECOND)):
            pass
        assert orders[0].cause is Cause.SCHEDULE
        world.end("web", UNREACHABLE)


def test_what_a_person_must_mend_is_shown_and_not_hammered(world: World) -> None:
    world.assign("web", every(5 * SECOND))
    world.turn_after(5 * SECOND)
    world.end("web", REFUSED)
    (outlook,) = world.conductor.outlooks()
    assert outlook.waits_for_change
    assert "refused the key" in outlook.trouble
    assert world.run_for(29 * MINUTE) == []
    assert len(world.run_for(2 * MINUTE)) > 0  # a look whether somebody mended it: it succeeds
    (outlook,) = world.conductor.outlooks()
    assert not outlook.trouble


@pytest.mark.parametrize("by", ["hand", "event", "reload"])
def test_a_change_lets_a_machine_be_tried_at_once(world: World, by: str) -> None:
    world.assign("web", every(5 * SECOND))
    world.turn_after(5 * SECOND)
    world.end("web", REFUSED)
    assert world.turn_after(10 * SECOND) == []
    if by == "hand":
        world.conductor.ask("web", RunKind.CYCLE, Cause.HAND)
    elif by == "event":
        world.conductor.happened("web", "shutdown")
    else:
        world.assign("web", every(5 * SECOND))
        world.clock.advance(5 * SECOND)
    assert profiles(world.turn()) == ["web"]


def test_a_mistake_of_this_program_ends_the_run_and_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threading.excepthook", lambda _: None)
    world.assign("web", every(MINUTE))
    world.turn_after(MINUTE)
    world.end("web", ZeroDivisionError())
    (run,) = world.over
    assert run.result is RunResult.FAILED
    assert run.failure is not None
    assert "mistake of this program" in run.failure.found


# ---- the clock ---------------------------------------------------------------------------


def test_a_clock_set_forward_brings_no_storm(world: World) -> None:
    for number in range(50):
        world.assign(f"m{number}", every(10 * MINUTE))
    world.run_for(10 * MINUTE)
    world.clock.set_by(5 * HOUR)
    assert world.turn() == []
    began = world.run_for(10 * MINUTE)
    assert len(began) == 50
    busiest = max(sum(1 for at, _ in began if at == moment) for moment, _ in began)
    assert busiest < 10


def test_a_clock_set_back_loses_nothing(world: World) -> None:
    world.assign("web", every(MINUTE))
    world.run_for(5 * MINUTE)
    world.clock.set_by(-5 * HOUR)
    began = world.run_for(10 * MINUTE)
    assert len(began) == 10


def test_a_schedule_that_ended_by_a_wrong_clock_goes_on(world: World) -> None:
    ends = (START + HOUR).replace(tzinfo=None)
    made = assignment("web", every(MINUTE))
    world.conductor.assign(replace(made, schedule=replace(made.schedule, ends=ends)))
    world.clock.set_by(5 * HOUR)
    assert world.run_for(5 * MINUTE) == []
    world.clock.set_by(-5 * HOUR)
    assert len(world.run_for(5 * MINUTE)) == 5


@pytest.mark.parametrize("when", ["during a run", "while no daemon runs"])
def test_what_was_followed_by_a_wrong_clock_hides_nothing_that_is_missed_later(
    world: World, when: str
) -> None:
    year = timedelta(days=365)
    world.assign("web", DAILY)
    world.turn()
    world.clock.set_by(year)
    assert profiles(world.turn()) == ["web"]
    if when == "during a run":
        world.clock.set_by(-year)
        world.turn()
    world.end("web")
    world.turn_after(MINUTE)  # it is written down
    if when == "while no daemon runs":
        world.clock.set_by(-year)
        world.restart()
        world.assign("web", DAILY)
        world.turn_after(MINUTE)
    world.clock.advance(timedelta(days=1))
    world.restart()
    world.assign("web", DAILY)
    assert profiles(world.turn()) == ["web"]


@pytest.mark.parametrize("hours", [3, 8])
def test_a_run_at_a_time_of_the_day_that_was_jumped_over_is_made_up(
    world: World, hours: int
) -> None:
    world.assign("web", DAILY)
    world.assign("skips", DAILY, missed=MissedRuns.SKIP)
    world.turn()
    world.clock.set_by(hours * HOUR)
    assert profiles(world.turn()) == ["skips", "web"]


def test_a_retry_waits_as_long_when_the_clock_is_set(world: World) -> None:
    for jump in (5 * HOUR, -5 * HOUR):
        world.assign("web", DAILY)
        world.conductor.ask("web", RunKind.CYCLE, Cause.EVENT)
        world.turn()
        world.end("web", UNREACHABLE)
        world.clock.set_by(jump)
        waited = timedelta()
        while not (orders := world.turn_after(SECOND)):
            waited += SECOND
        assert waited <= MINUTE
        world.end(orders[0].profile)


# ---- profiles come and go ----------------------------------------------------------------


def test_a_removed_profile_ends_after_its_run(world: World) -> None:
    world.assign("web", every(MINUTE))
    world.turn_after(MINUTE)
    world.conductor.withdraw("web")
    assert [it.profile for it in world.conductor.running()] == ["web"]
    assert world.run_for(2 * MINUTE) == []
    world.end("web")
    assert world.conductor.names() == frozenset()
    assert world.run_for(2 * MINUTE) == []
    with pytest.raises(FixRequest):
        world.conductor.ask("web", RunKind.CYCLE, Cause.HAND)


def test_one_that_comes_back_during_its_last_run_stays(world: World) -> None:
    world.assign("web", every(MINUTE))
    world.turn_after(MINUTE)
    world.conductor.withdraw("web")
    world.assign("web", every(MINUTE))
    world.end("web")
    assert len(world.run_for(2 * MINUTE)) == 2


def test_a_new_schedule_holds_from_now_on_and_disturbs_no_run(world: World) -> None:
    world.assign("web", every(MINUTE))
    world.turn_after(MINUTE)
    world.assign("web", every(10 * SECOND))
    assert [it.profile for it in world.conductor.running()] == ["web"]
    world.end("web")
    assert len(world.run_for(MINUTE)) == 6


# ---- what only the KVM host knows --------------------------------------------------------


def test_a_first_copy_waits_for_its_time_and_one_by_hand_does_not(world: World) -> None:
    first = replace(assignment("web", every(MINUTE)), seed_at=START + HOUR)
    world.conductor.assign(first)
    assert world.run_for(59 * MINUTE, MINUTE) == []
    world.conductor.ask("web", RunKind.CYCLE, Cause.HAND)
    assert profiles(world.turn()) == ["web"]
    world.end("web")
    assert len(world.run_for(5 * MINUTE, MINUTE)) == 5


def test_a_machine_that_has_a_boot_point_does_not_wait_for_the_time_of_its_first(
    world: World,
) -> None:
    first = replace(assignment("web", every(MINUTE)), seed_at=START + HOUR)
    world.conductor.assign(first)
    world.conductor.learn("web", START - HOUR)
    assert len(world.run_for(3 * MINUTE)) == 3


def test_a_first_copy_that_waited_begins_at_its_time(world: World) -> None:
    world.conductor.assign(replace(assignment("web", every(MINUTE)), seed_at=START + HOUR))
    began = world.run_for(2 * HOUR, MINUTE)
    assert began[0][0] - (START + HOUR) <= MINUTE


@pytest.mark.parametrize("cause", ["schedule", "missed", "event", "retry"])
def test_a_paused_machine_runs_only_by_hand(world: World, cause: str) -> None:
    world.assign("web", every(MINUTE))
    if cause == "retry":
        world.turn_after(MINUTE)
        world.end("web", UNREACHABLE)
    world.conductor.learn("web", START, Pause(START))
    assert world.conductor.paused() == {"web"}
    if cause == "event":
        world.conductor.happened("web", "shutdown")
    assert world.run_for(HOUR, MINUTE) == []
    world.conductor.ask("web", RunKind.CYCLE, Cause.HAND)
    assert profiles(world.turn()) == ["web"]
    world.end("web")
    world.conductor.learn("web", START, None)
    assert len(world.run_for(5 * MINUTE)) == 5


def test_a_pause_that_was_not_known_is_found_by_the_first_run_and_is_no_failure(
    world: World,
) -> None:
    world.assign("web", every(MINUTE))
    world.turn_after(MINUTE)
    world.end("web", Paused("web", "paused", until=START + HOUR))
    assert world.run_for(57 * MINUTE, MINUTE) == []
    (outlook,) = world.conductor.outlooks()
    assert not outlook.failures
    began = world.run_for(5 * MINUTE)  # it ended by itself, at the full hour
    assert [at >= START + HOUR for at, _ in began] == [True] * 3


def test_a_run_that_fails_after_a_pause_has_ended_by_itself_is_tried_again(world: World) -> None:
    world.assign("web", DAILY)
    world.conductor.learn("web", START, Pause(START, START + HOUR))
    assert profiles(world.turn_after(2 * HOUR)) == ["web"]
    world.end("web", TryLater("web", "another manager works on it"))
    assert len(world.run_for(10 * MINUTE)) == 1


def test_nothing_begins_for_a_machine_that_is_held(world: World) -> None:
    world.assign("web", every(MINUTE))
    world.conductor.hold("web")
    assert world.turn_after(5 * MINUTE) == []
    world.conductor.let_go("web")
    assert profiles(world.turn()) == ["web"]


# ---- by hand -----------------------------------------------------------------------------


def test_a_profile_that_comes_back_while_it_is_held_is_not_held_for_ever(world: World) -> None:
    world.assign("web", every(MINUTE))
    world.conductor.hold("web")
    world.conductor.withdraw("web")
    world.assign("web", every(MINUTE))
    world.conductor.let_go("web")
    assert profiles(world.turn_after(MINUTE)) == ["web"]


def test_a_run_by_hand_goes_first_and_a_second_one_is_told_to_wait(world: World) -> None:
    world.conductor.at_once = AtOnce(runs=1)
    for name in ("other", "web"):
        world.assign(name, every(MINUTE), rpo=SECOND)
    world.clock.advance(MINUTE)
    world.conductor.ask("web", RunKind.RESYNC, Cause.HAND, "because")
    (order,) = world.turn()
    assert (order.profile, order.kind, order.cause) == ("web", RunKind.RESYNC, Cause.HAND)
    assert order.reason == "because"
    with pytest.raises(TryLater):
        world.conductor.ask("web", RunKind.CYCLE, Cause.HAND)


def test_a_cancelled_run_is_asked_to_stop_and_not_tried_again(world: World) -> None:
    world.assign("web", DAILY)
    world.conductor.happened("web", "shutdown")
    (order,) = world.turn()
    assert world.conductor.cancel("web", "by root") == order.id
    assert world.orders["web"][1].cancel.is_set()
    world.end("web", RunResult.CANCELLED)
    assert world.run_for(HOUR, MINUTE) == []
    with pytest.raises(TryLater):
        world.conductor.cancel("web", "again")


def test_whoever_waits_for_a_run_that_is_cancelled_before_it_begins_is_told(world: World) -> None:
    world.conductor.at_once = AtOnce(runs=1)
    world.assign("web", every(MINUTE))
    world.assign("db", every(MINUTE))
    world.conductor.ask("db", RunKind.CYCLE, Cause.HAND)
    world.turn()
    told: list[RunResult] = []
    world.conductor.ask(
        "web",
        RunKind.CYCLE,
        Cause.HAND,
        begun=lambda active: active.told.append(lambda ended: told.append(ended.run.result)),
    )
    assert world.conductor.cancel("web", "by root") == ""
    assert told == [RunResult.CANCELLED]


def test_nothing_begins_while_stopping(world: World) -> None:
    world.assign("web", every(MINUTE))
    world.conductor.stopping = True
    assert world.turn_after(MINUTE) == []


def test_lateness_is_told_from_the_moment_it_was_due(world: World) -> None:
    world.assign("web", DAILY)
    world.turn_after(2 * HOUR + 5 * SECOND)
    assert world.conductor._machines["web"].due == datetime(2026, 11, 26, 14, tzinfo=UTC)
