"""Two managers never work on one standby, and one that was overtaken can change nothing."""

from __future__ import annotations

import os
import signal

import pytest
from support import MIB, SECTOR, Protect, Protection, Scribbler
from support_manager import Manager
from support_messages import Stop, StopAt
from support_traces import expect_no_traces, find_process, processes

from lab.waiting import wait_until
from standby.cycle.report import Phase
from standby.errors import ExitStatus, Overtaken, Retry, StandbyError, TryLater

SIZES = (12 * MIB, 5 * MIB + 3 * SECTOR)


def lose_the_lock(protection: Protection) -> None:
    """End the process that holds the lock on the KVM host; its manager is not told."""
    os.kill(find_process(protection.lab, "kvm", "standby-lock"), signal.SIGKILL)


def what_went_wrong(manager: Manager) -> StandbyError | None:
    """Wait for the end of a cycle; return the error that it ended in, if any."""
    try:
        manager.finish()
    except StandbyError as error:
        return error
    return None


def overtaken_at(protection: Protection, scribbler: Scribbler, stop: StopAt) -> bool:
    """Let a manager lose its lock where it stops, and another run a cycle before it goes on.

    False when the first had ended before.
    """
    guest = protection.guest
    now = protection.copy()
    with protection.managers.manager() as slow:
        slow.begin(protection.name, stop=stop)
        if not slow.reaches():
            return False
        for point in protection.points[-1:]:
            protection.kept.setdefault(point, now)
        if not any("standby-lock" in line for line in processes(protection.lab, "kvm")):
            slow.go_on()  # it has not taken the lock yet, or has given it back
            protection.keep(slow.finish(), now)
            return True
        lose_the_lock(protection)
        scribbler.scribble(guest, SIZES, requests=4)
        protection.cycle_when_free()
        before = protection.manifest
        slow.go_on()
        error = what_went_wrong(slow)
        assert error is None or error.retry is Retry.LATER, error
        assert protection.manifest == before
    return True


def expect_unharmed(protection: Protection, scribbler: Scribbler) -> None:
    protection.expect_exact()
    scribbler.scribble(protection.guest, SIZES, requests=4)
    protection.cycle_when_free()
    protection.expect_exact()
    protection.expect_head_on(protection.points[-1])
    expect_no_traces(protection)


@pytest.fixture
def at_limit(protect: Protect) -> Protection:
    """A protected machine with as many points as are kept, and a change."""
    protection, scribbler = protect(*SIZES, limit=2), Scribbler(1)
    for _ in range(2):
        scribbler.scribble(protection.guest, SIZES, requests=6)
        protection.cycle()
    scribbler.scribble(protection.guest, SIZES, requests=6)
    return protection


def test_of_two_managers_one_is_told_to_try_later(at_limit: Protection) -> None:
    now = at_limit.copy()
    with at_limit.managers.manager() as first, at_limit.managers.manager() as second:
        first.begin(at_limit.name, stop=StopAt(Stop.PHASE, Phase.TRANSFER))
        assert first.reaches()
        with pytest.raises(TryLater, match="another manager") as told:
            second.run(at_limit.name)
        assert told.value.exit_status is ExitStatus.TRY_LATER
        first.go_on()
        at_limit.keep(first.finish(), now)
    at_limit.expect_exact()
    expect_no_traces(at_limit)


@pytest.mark.parametrize(
    "phases",
    [
        (Phase.TRANSFER,),
        pytest.param((Phase.PUBLISH, Phase.HEAD, Phase.MERGE), marks=pytest.mark.long),
    ],
)
def test_a_manager_that_lost_its_lock_as_a_phase_begins_changes_nothing(
    at_limit: Protection, phases: tuple[Phase, ...]
) -> None:
    scribbler = Scribbler(2)
    for phase in phases:
        assert overtaken_at(at_limit, scribbler, StopAt(Stop.PHASE, phase))
        expect_unharmed(at_limit, scribbler)
        scribbler.scribble(at_limit.guest, SIZES, requests=4)


@pytest.mark.long
@pytest.mark.parametrize("part", range(4))
def test_a_manager_that_lost_its_lock_after_any_command_changes_nothing(
    at_limit: Protection, part: int
) -> None:
    scribbler, number = Scribbler(10 + part), 1 + part
    while overtaken_at(at_limit, scribbler, StopAt(Stop.COMMAND, count=number)):
        expect_unharmed(at_limit, scribbler)
        scribbler.scribble(at_limit.guest, SIZES, requests=4)
        number += 4
    assert number > 12


@pytest.mark.long
@pytest.mark.parametrize("phase", [Phase.TRANSFER, Phase.PUBLISH])
def test_a_manager_that_slept_until_another_took_over_publishes_nothing(
    at_limit: Protection, phase: Phase
) -> None:
    scribbler = Scribbler(3)
    with at_limit.managers.manager() as slow:
        slow.begin(at_limit.name, stop=StopAt(Stop.PHASE, phase))
        assert slow.reaches()
        slow.signal(signal.SIGSTOP)
        # Its connection is whole, yet silent: after 30 s the lock is free.
        wait_until(
            lambda: not any("standby-lock" in p for p in processes(at_limit.lab, "kvm")),
            "the end of a silent manager's lock",
            45,
            0.5,
        )
        at_limit.cycle_when_free()
        points = at_limit.points
        slow.signal(signal.SIGCONT)
        slow.go_on()
        with pytest.raises((Overtaken, StandbyError)):
            slow.finish()
    assert at_limit.points == points
    expect_unharmed(at_limit, scribbler)
