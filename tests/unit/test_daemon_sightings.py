"""What happened to a machine while nobody heard it, or while its run could not begin."""

from __future__ import annotations

import pytest
from daemon_world import HOUR, MINUTE, SECOND, START, World, assignment, profiles, world

from standby.errors import ReachHost
from standby.model.pause import Pause
from standby.model.run import Cause, RunResult
from standby.model.schedule import MissedRuns, OnEvent, SourceEvent
from standby.model.sighting import Power, Sighting

__all__ = ["world"]

ON = Sighting(Power.ON)
OFF = Sighting(Power.OFF, SourceEvent.SHUTDOWN)
CRASHED = Sighting(Power.OFF, SourceEvent.CRASH)
UNKNOWN = Sighting(Power.OFF)
SHUTDOWN = OnEvent(frozenset({SourceEvent.SHUTDOWN}))
CRASH = OnEvent(frozenset({SourceEvent.CRASH}))


def restart(world: World, *entries: OnEvent, missed: MissedRuns = MissedRuns.ONCE) -> None:
    world.clock.advance(MINUTE)
    world.turn()  # what is to be kept is written down now and then
    world.restart()
    world.clock.advance(HOUR)
    world.assign("web", *entries, missed=missed)


@pytest.mark.parametrize(
    ("entry", "found", "due"),
    [
        (SHUTDOWN, OFF, True),
        (SHUTDOWN, CRASHED, False),
        (SHUTDOWN, UNKNOWN, True),
        (SHUTDOWN, ON, False),
        (CRASH, CRASHED, True),
        (CRASH, OFF, False),
        (CRASH, UNKNOWN, True),
        (OnEvent(frozenset({SourceEvent.REBOOT})), UNKNOWN, False),
    ],
)
def test_a_machine_that_ran_before_and_is_off_now_had_what_ended_it(
    world: World, entry: OnEvent, found: Sighting, *, due: bool
) -> None:
    world.assign("web", entry)
    world.conductor.sighted("web", ON)
    restart(world, entry)
    assert world.turn() == []
    world.conductor.sighted("web", found)
    began = world.turn()
    assert [it.cause for it in began] == ([Cause.EVENT] if due else [])
    if due:
        assert "found off; it ran at" in began[0].reason
        world.end("web")
        world.conductor.sighted("web", found)
        assert world.turn_after(5 * SECOND) == []


def test_a_machine_that_was_off_may_have_run_while_nobody_watched_for_long(world: World) -> None:
    world.assign("web", SHUTDOWN)
    for _ in range(20):  # as long as it is watched nothing happens
        world.conductor.sighted("web", OFF)
        assert world.turn_after(5 * SECOND) == []
    world.clock.advance(HOUR)
    world.conductor.sighted("web", OFF)
    (order,) = world.turn()
    assert "it may have run" in order.reason


def test_a_daemon_that_is_back_at_once_makes_no_run_of_a_machine_that_was_off(
    world: World,
) -> None:
    world.assign("web", SHUTDOWN)
    world.conductor.sighted("web", OFF)
    world.turn()
    world.restart()
    world.assign("web", SHUTDOWN)
    world.clock.advance(10 * SECOND)
    world.conductor.sighted("web", OFF)
    assert world.turn() == []


def test_another_machine_under_the_same_profile_is_not_compared(world: World) -> None:
    world.assign("web", SHUTDOWN)
    world.conductor.sighted("web", ON)
    world.conductor.assign(assignment("web", SHUTDOWN, source="other"))
    world.conductor.sighted("web", OFF)
    assert world.turn() == []


def test_what_was_heard_is_not_made_up_again_by_who_looks(world: World) -> None:
    world.assign("web", SHUTDOWN)
    world.conductor.sighted("web", ON)
    world.conductor.happened("web", "shutdown of the machine")
    world.conductor.sighted("web", OFF)
    assert profiles(world.turn()) == ["web"]
    world.end("web")
    world.conductor.sighted("web", OFF)
    assert world.turn_after(MINUTE) == []


@pytest.mark.parametrize("how", ["killed in the run", "run failed", "killed before it began"])
def test_what_happened_is_owed_until_a_run_that_followed_was_good(world: World, how: str) -> None:
    world.assign("web", SHUTDOWN)
    world.conductor.happened("web", "shutdown of the machine")
    if how != "killed before it began":
        world.turn()
    if how == "run failed":
        world.end("web", ReachHost("kvm", "does not answer"))
    world.restart()
    world.assign("web", SHUTDOWN)
    (order,) = world.turn()
    assert (order.cause, order.reason) == (Cause.EVENT, "shutdown of the machine")
    world.end("web")
    world.restart()
    world.assign("web", SHUTDOWN)
    assert world.turn() == []


def test_what_happens_during_a_run_is_not_settled_by_that_run(world: World) -> None:
    world.assign("web", SHUTDOWN)
    world.conductor.happened("web", "first")
    world.turn()
    world.conductor.happened("web", "second")
    world.end("web")
    world.restart()
    world.assign("web", SHUTDOWN)
    assert [it.reason for it in world.turn()] == ["second"]


def test_what_happens_during_a_pause_is_made_up_after_it(world: World) -> None:
    world.assign("web", SHUTDOWN)
    world.conductor.learn("web", START, Pause(START))
    world.conductor.happened("web", "shutdown of the machine")
    assert world.turn_after(HOUR) == []
    world.conductor.learn("web", START, None)
    assert [it.cause for it in world.turn()] == [Cause.EVENT]


def test_a_failed_run_for_what_happened_is_tried_again_and_not_at_once(world: World) -> None:
    world.assign("web", SHUTDOWN)
    world.conductor.happened("web", "shutdown of the machine")
    world.turn()
    world.end("web", ReachHost("kvm", "does not answer"))
    assert world.turn_after(59 * SECOND) == []
    assert [it.cause for it in world.turn_after(SECOND)] == [Cause.RETRY]


def test_who_cancels_what_waits_is_owed_nothing(world: World) -> None:
    world.assign("web", SHUTDOWN)
    world.conductor.happened("web", "shutdown of the machine")
    world.conductor.cancel("web", "by root")
    assert world.turn_after(HOUR) == []
    restart(world, SHUTDOWN)
    assert world.turn() == []


def test_what_was_missed_is_skipped_where_the_profile_says_so(world: World) -> None:
    world.assign("web", SHUTDOWN, missed=MissedRuns.SKIP)
    world.conductor.sighted("web", ON)
    restart(world, SHUTDOWN, missed=MissedRuns.SKIP)
    world.conductor.sighted("web", OFF)
    assert world.turn() == []
    world.conductor.sighted("web", ON)
    world.conductor.sighted("web", OFF)
    assert profiles(world.turn()) == ["web"]
    world.end("web", RunResult.STILL_TRUE)
