"""A manager that is killed anywhere loses no point, and the next cycle works and tidies up."""

from __future__ import annotations

import random

import pytest
from support import MIB, SECTOR, Protect, Protection, Scribbler
from support_messages import Stop, StopAt
from support_traces import expect_no_traces

from lab.waiting import wait_until
from standby.cycle.report import Outcome, Phase
from standby.model.point import Standing, Way

SIZES = (12 * MIB, 5 * MIB + 3 * SECTOR)


def killed_at(protection: Protection, stop: StopAt) -> bool:
    """Kill a manager where it stops; what its point would hold is kept. False: it never did."""
    now = protection.copy()
    with protection.managers.manager() as manager:
        manager.begin(protection.name, stop=stop)
        if not manager.reaches():
            return False
        manager.kill()
    for point in protection.points[-1:]:
        protection.kept.setdefault(point, now)  # it was published before the kill
    return True


def killed_in_merge(protection: Protection) -> None:
    """Kill a manager when the first progress of a merge is told: one point is given up."""
    now = protection.copy()
    with protection.managers.manager() as manager:
        manager.begin(protection.name, stop=StopAt(Stop.PHASE, Phase.MERGE))
        assert manager.reaches()
        protection.kept[protection.points[-1]] = now
        manager.go_on(StopAt(Stop.PROGRESS, count=manager.told + 1))
        assert manager.reaches()
        manager.kill()
    assert Standing.GIVEN_UP in {point.standing for point in protection.manifest.points}


def expect_recovery(protection: Protection, scribbler: Scribbler) -> None:
    """Every point is whole; the next cycle is an exact incremental and leaves nothing behind."""
    protection.expect_exact()
    scribbler.scribble(protection.guest, SIZES, requests=4)
    report = protection.cycle_when_free()
    assert (report.outcome, report.way) == (Outcome.PUBLISHED, Way.INCREMENTAL)
    protection.expect_exact()
    protection.expect_head_on(protection.points[-1])
    assert len(protection.points) == 2
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


IN_ORDER = [
    Phase.OBSERVE,
    Phase.CAPTURE,
    Phase.SURVEY,
    Phase.TRANSFER,
    Phase.PUBLISH,
    Phase.FORGET,
    Phase.HEAD,
    Phase.MERGE,
]
SOME = [Phase.CAPTURE, Phase.TRANSFER, Phase.PUBLISH]


@pytest.mark.parametrize("phases", [SOME, pytest.param(IN_ORDER, marks=pytest.mark.long)])
def test_a_manager_killed_as_a_phase_begins_loses_nothing(
    at_limit: Protection, phases: list[Phase]
) -> None:
    scribbler = Scribbler(2)
    for phase in phases:
        assert killed_at(at_limit, StopAt(Stop.PHASE, phase)), phase
        expect_recovery(at_limit, scribbler)
        scribbler.scribble(at_limit.guest, SIZES, requests=4)


def test_a_manager_killed_in_a_capture_leaves_no_job_though_no_cycle_follows(
    at_limit: Protection,
) -> None:
    """Its scratch files would grow until the guest is told that there is no space."""
    assert killed_at(at_limit, StopAt(Stop.PHASE, Phase.TRANSFER))

    def has_ended() -> bool:
        return at_limit.lab.virsh("source", "domjobinfo", at_limit.name).split() == [
            "Job",
            "type:",
            "None",
        ]

    wait_until(has_ended, "the end of the backup job", 20)
    expect_recovery(at_limit, Scribbler(2))


@pytest.mark.long
def test_a_manager_killed_while_it_tidies_up_after_another_loses_nothing(
    at_limit: Protection,
) -> None:
    scribbler = Scribbler(3)
    assert killed_at(at_limit, StopAt(Stop.PHASE, Phase.PUBLISH))
    assert killed_at(at_limit, StopAt(Stop.PHASE, Phase.CLEAN))
    expect_recovery(at_limit, scribbler)
    scribbler.scribble(at_limit.guest, SIZES, requests=4)
    killed_in_merge(at_limit)
    assert killed_at(at_limit, StopAt(Stop.PHASE, Phase.FINISH_MERGES))
    expect_recovery(at_limit, scribbler)


def test_a_newest_point_whose_merge_was_cut_short_carries_the_next_one(protect: Protect) -> None:
    protection, scribbler = protect(*SIZES, limit=1), Scribbler(7)
    scribbler.scribble(protection.guest, SIZES)
    protection.cycle()
    scribbler.scribble(protection.guest, SIZES)
    killed_in_merge(protection)
    protection.expect_exact()
    scribbler.scribble(protection.guest, SIZES)
    assert protection.cycle_when_free().way is Way.INCREMENTAL
    protection.expect_exact()
    expect_no_traces(protection)


@pytest.mark.long
def test_a_manager_killed_as_it_stamps_a_point_loses_nothing(at_limit: Protection) -> None:
    at_limit.cycle()
    assert killed_at(at_limit, StopAt(Stop.PHASE, Phase.STAMP))
    expect_recovery(at_limit, Scribbler(4))


@pytest.mark.long
def test_a_manager_killed_during_the_very_first_cycle_leaves_no_debris(protect: Protect) -> None:
    for phase in (Phase.OBSERVE, Phase.CAPTURE, Phase.TRANSFER, Phase.PUBLISH, Phase.HEAD):
        protection, scribbler = protect(*SIZES, limit=2), Scribbler(5)
        scribbler.scribble(protection.guest, SIZES, requests=6)
        assert killed_at(protection, StopAt(Stop.PHASE, phase)), phase
        protection.cycle_when_free()
        scribbler.scribble(protection.guest, SIZES, requests=6)
        assert protection.cycle().way is Way.INCREMENTAL
        protection.expect_exact()
        expect_no_traces(protection)


@pytest.mark.long
@pytest.mark.parametrize("part", range(4))
def test_a_manager_killed_after_any_command_on_a_host_loses_nothing(
    at_limit: Protection, part: int
) -> None:
    scribbler, number = Scribbler(10 + part), 1 + part
    while killed_at(at_limit, StopAt(Stop.COMMAND, count=number)):
        expect_recovery(at_limit, scribbler)
        scribbler.scribble(at_limit.guest, SIZES, requests=4)
        number += 4
    assert number > 12


@pytest.mark.long
@pytest.mark.parametrize("seed", range(6))
def test_a_manager_killed_at_random_moments_loses_nothing(at_limit: Protection, seed: int) -> None:
    scribbler, rnd = Scribbler(seed), random.Random(seed)
    for _ in range(12):
        now = at_limit.copy()
        with at_limit.managers.manager() as manager:
            manager.begin(at_limit.name)
            manager.kill_after(rnd.uniform(0, 2.0))
        at_limit.kept.setdefault(at_limit.points[-1], now)
        at_limit.expect_exact()
        if rnd.random() < 0.5:
            expect_recovery(at_limit, scribbler)
        scribbler.scribble(at_limit.guest, SIZES, requests=4)
    expect_recovery(at_limit, scribbler)


@pytest.mark.long
def test_a_machine_that_starts_after_a_manager_died_reading_it_offline_keeps_no_bitmap_of_it(
    at_limit: Protection,
) -> None:
    at_limit.guest.destroy()
    assert killed_at(at_limit, StopAt(Stop.PHASE, Phase.PUBLISH))
    at_limit.guest.start()
    wait_until(lambda: at_limit.guest.state() == "running", "start of the guest", 10)
    expect_recovery(at_limit, Scribbler(6))
