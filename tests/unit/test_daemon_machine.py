"""What the daemon knows of one machine: how far it may be behind is what health says, too."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest
from daemon_world import HOUR, MINUTE, START, assignment, every

from standby.daemon.machine import Machine
from standby.model.point import Way
from standby.model.queue import Waiting
from standby.model.run import Cause, Run, RunKind, RunResult
from standby.model.schedule import Entry, Schedule, TimesOfDay, Weekday, Weekly
from standby.planning.lag import rpo_target

NIGHTLY = Weekly(frozenset(Weekday), TimesOfDay(time(3)))
WEEKDAYS = frozenset({Weekday.MON, Weekday.FRI})


def waiting(machine: Machine) -> Waiting:
    machine.wait_for_turn(RunKind.CYCLE, Cause.SCHEDULE, START)
    assert machine.waiting is not None
    return machine.waiting


def cycle(begun: datetime, took: timedelta) -> Run:
    made = Run("k3f7", "web", RunKind.CYCLE, Cause.SCHEDULE, begun, ended=begun + took)
    return replace(made, result=RunResult.PUBLISHED, way=Way.INCREMENTAL)


@pytest.mark.parametrize("entry", [every(5 * MINUTE), NIGHTLY, Weekly(WEEKDAYS, NIGHTLY.times)])
@pytest.mark.parametrize("ago", [MINUTE, 9 * HOUR, timedelta(days=40)])
def test_what_waits_is_urgent_by_the_rpo_that_health_goes_by(entry: Entry, ago: timedelta) -> None:
    newest = START - ago
    machine = Machine(assignment("web", entry, rpo=None), newest)
    expected = rpo_target(Schedule(UTC, (entry,)), None, newest, timedelta(0), "web")
    assert expected is not None
    assert waiting(machine).rpo == expected.most


def test_what_the_profile_says_goes_before() -> None:
    machine = Machine(assignment("web", NIGHTLY, rpo=MINUTE), START - HOUR)
    assert waiting(machine).behind(START) == 60


def test_a_newer_boot_point_changes_it_while_a_run_waits() -> None:
    machine = Machine(assignment("web", NIGHTLY, rpo=None), START - 30 * HOUR)
    before = waiting(machine).behind(START)
    machine.set_newest(START - 9 * HOUR)
    assert machine.waiting is not None
    assert machine.waiting.behind(START) < before


def test_a_machine_whose_cycles_take_long_may_be_later_by_as_much() -> None:
    quick, slow = (Machine(assignment("web", every(HOUR), rpo=None)) for _ in range(2))
    for machine, took in ((quick, MINUTE), (slow, 31 * MINUTE)):
        machine.ran(cycle(START - HOUR, took))
    assert waiting(slow).rpo - waiting(quick).rpo == 30 * MINUTE


def test_one_that_runs_by_hand_or_when_something_happens_has_an_rpo_to_be_compared_by() -> None:
    assert waiting(Machine(assignment("web", rpo=None), START - HOUR)).behind(START) < 1
