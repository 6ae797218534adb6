"""A pause that is asked for during a run: promised, shown, kept, and never broken."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from daemon_world import HOUR, MINUTE, SECOND, START, World, every, profiles, world

from standby.daemon import calling
from standby.errors import FixRequest, ReachHost, TryLater
from standby.model.pause import Pause, Then, Wish
from standby.model.run import Cause, RunKind, RunResult

__all__ = ["world"]

PAUSE = Wish(Then.PAUSED, "ann", reason="the storage is moved")
RESUME = Wish(Then.RESUMED, "ann")
GONE = ReachHost("kvm", "does not answer")


@dataclass
class Writer:
    """Takes what is to be written on the KVM host."""

    world: World
    asked: list[Wish] = field(default_factory=list)

    def listen(self) -> Writer:
        self.world.conductor.wishes.settle = lambda _name, wish: self.asked.append(wish)
        return self

    def writes(self) -> None:
        """Write the last that was asked for, as the KVM host then says."""
        wish = self.asked[-1]
        paused = Pause(START) if wish.then is Then.PAUSED else None
        self.world.conductor.learn("web", START, paused)
        self.world.conductor.settled("web", wish, None)


@pytest.fixture
def writer(world: World) -> Writer:
    world.assign("web", every(MINUTE))
    return Writer(world).listen()


def then_of(world: World) -> Then | None:
    return world.conductor.outlooks()[0].then


def test_nothing_begins_between_a_run_and_the_pause_that_was_promised_during_it(
    world: World, writer: Writer
) -> None:
    (order,) = world.turn_after(MINUTE)
    assert world.conductor.hold_or_wish("web", PAUSE) == order.id
    assert world.conductor.running()[0].then is Then.PAUSED
    world.turn_after(MINUTE)  # one more is due by now
    assert writer.asked == []
    world.end("web", GONE)
    assert writer.asked == [PAUSE]
    world.conductor.ask("web", RunKind.CYCLE, Cause.HAND)
    assert world.turn_after(HOUR) == []
    assert not world.conductor.is_idle()
    writer.writes()
    assert [it.cause for it in world.turn()] == [Cause.HAND]
    world.end("web")
    assert world.turn_after(HOUR) == []
    assert then_of(world) is None


def test_a_pause_that_cannot_be_written_holds_all_the_same_and_is_tried_again(
    world: World, writer: Writer
) -> None:
    world.turn_after(MINUTE)
    world.conductor.hold_or_wish("web", PAUSE)
    world.end("web")
    world.conductor.settled("web", PAUSE, GONE)
    assert "web is not paused yet" in world.conductor.problems()[0]
    assert world.turn_after(59 * SECOND) == []
    assert len(writer.asked) == 1
    assert world.turn_after(SECOND) == []
    assert writer.asked == [PAUSE, PAUSE]
    writer.writes()
    assert world.conductor.problems() == ()
    assert world.turn_after(HOUR) == []


@pytest.mark.parametrize("ended", [False, True], ids=["killed in the run", "killed after it"])
def test_a_promised_pause_outlives_the_daemon_that_promised_it(
    world: World, writer: Writer, *, ended: bool
) -> None:
    world.turn_after(MINUTE)
    world.conductor.hold_or_wish("web", PAUSE)
    if ended:
        world.end("web")
    world.restart()
    world.clock.advance(HOUR)
    world.assign("web", every(MINUTE))
    writer.asked.clear()
    writer.listen()
    assert world.turn() == []  # neither what was missed nor what is due
    assert writer.asked == [PAUSE]
    writer.writes()
    assert world.turn_after(HOUR) == []


def test_resuming_takes_a_promised_pause_back(world: World, writer: Writer) -> None:
    world.turn_after(MINUTE)
    world.conductor.hold_or_wish("web", PAUSE)
    world.conductor.hold_or_wish("web", RESUME)
    assert then_of(world) is None
    world.end("web")
    assert writer.asked == []
    assert profiles(world.turn_after(MINUTE)) == ["web"]


def test_a_pause_that_holds_is_ended_after_the_run_by_hand_that_goes_on(
    world: World, writer: Writer
) -> None:
    world.conductor.learn("web", START, Pause(START))
    world.conductor.ask("web", RunKind.CYCLE, Cause.HAND)
    world.turn()
    for wish in (PAUSE, RESUME):
        world.conductor.hold_or_wish("web", wish)
    world.end("web")
    assert writer.asked == [RESUME]
    writer.writes()
    assert profiles(world.turn_after(MINUTE)) == ["web"]


def test_a_changed_profile_leaves_a_promised_pause_in_force(world: World, writer: Writer) -> None:
    world.turn_after(MINUTE)
    world.conductor.hold_or_wish("web", PAUSE)
    world.assign("web", every(5 * SECOND))
    world.end("web")
    assert writer.asked == [PAUSE]
    assert world.turn_after(MINUTE) == []


def test_a_removed_profile_is_paused_at_the_end_of_its_last_run(
    world: World, writer: Writer
) -> None:
    world.turn_after(MINUTE)
    world.conductor.hold_or_wish("web", PAUSE)
    world.conductor.withdraw("web")
    world.end("web")
    assert writer.asked == [PAUSE]
    world.conductor.settled("web", PAUSE, None)
    assert world.conductor.outlooks() == ()


def test_a_pause_that_was_over_before_its_run_is_not_written(world: World, writer: Writer) -> None:
    world.turn_after(MINUTE)
    until = world.clock.now() + HOUR
    world.conductor.hold_or_wish("web", Wish(Then.PAUSED, "ann", until))
    world.clock.advance(HOUR)
    world.end("web")
    assert writer.asked == []
    assert profiles(world.turn_after(MINUTE)) == ["web"]


@pytest.mark.usefixtures("writer")
def test_what_the_kvm_host_can_never_say_is_not_tried_for_ever(world: World) -> None:
    world.turn_after(MINUTE)
    world.conductor.hold_or_wish("web", PAUSE)
    world.end("web", RunResult.PUBLISHED)
    world.conductor.settled("web", PAUSE, FixRequest("web", "failed over"))
    assert then_of(world) is None
    assert profiles(world.turn_after(MINUTE)) == ["web"]


def test_who_was_told_that_the_daemon_does_not_answer_has_asked_for_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calling, "_WITHIN_S", 0.05)
    world.assign("web", every(MINUTE))
    with pytest.raises(TryLater, match="did not answer"):
        calling.call(world.conductor, lambda: world.conductor.hold_or_wish("web", PAUSE))
    world.hear()
    assert profiles(world.turn_after(MINUTE)) == ["web"]


def test_files_that_changed_while_the_daemon_did_not_answer_are_taken_in_late(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calling, "_WITHIN_S", 0.05)
    with pytest.raises(TryLater, match="did not answer"):
        calling.tell(world.conductor, lambda: world.assign("web", every(MINUTE)))
    world.hear()
    assert profiles(world.turn_after(MINUTE)) == ["web"]
