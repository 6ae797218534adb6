"""A source that runs, is paused, is off, and changes between these, loses no change."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from support import KIB, MIB, SECTOR, Protect, Scribbler
from support_messages import Stop, StopAt
from support_traces import expect_no_traces

from standby.cycle.report import Outcome, Phase
from standby.errors import CaptureLost, TransferFailed
from standby.model.point import Way

SIZES = (16 * MIB, 9 * MIB + 5 * SECTOR)


def test_a_paused_machine_is_captured_and_stays_paused(protect: Protect) -> None:
    protection, scribbler = protect(*SIZES), Scribbler(1)
    scribbler.scribble(protection.guest, SIZES)
    protection.cycle()
    scribbler.scribble(protection.guest, SIZES)
    protection.lab.virsh("source", "suspend", protection.name)
    assert protection.cycle().way is Way.INCREMENTAL
    assert protection.guest.state() == "paused"
    protection.lab.virsh("source", "resume", protection.name)
    scribbler.scribble(protection.guest, SIZES)
    protection.cycle()
    protection.expect_exact()
    expect_no_traces(protection)


def test_a_machine_that_is_shut_off_and_started_again_loses_no_change(protect: Protect) -> None:
    protection, scribbler = protect(*SIZES), Scribbler(2)
    guest = protection.guest
    scribbler.scribble(guest, SIZES)
    protection.cycle()
    scribbler.scribble(guest, SIZES)
    guest.destroy()
    report = protection.cycle()  # read offline, by the bitmaps of the running machine
    assert (report.outcome, report.way) == (Outcome.PUBLISHED, Way.INCREMENTAL)
    expect_no_traces(protection)
    assert protection.cycle().outcome is Outcome.STILL_TRUE
    guest.start()
    scribbler.scribble(guest, SIZES)
    assert protection.cycle().way is Way.INCREMENTAL  # by the bitmap that was begun offline
    scribbler.scribble(guest, SIZES)
    protection.cycle()
    protection.expect_exact()
    expect_no_traces(protection)


@pytest.mark.long
def test_a_machine_that_was_off_from_the_first_cycle_is_followed_when_it_runs(
    protect: Protect,
) -> None:
    protection, scribbler = protect(*SIZES), Scribbler(3)
    guest = protection.guest
    scribbler.scribble(guest, SIZES)
    guest.destroy()
    assert protection.cycle().way is Way.SEED
    guest.start()
    assert protection.cycle().outcome is Outcome.STILL_TRUE
    scribbler.scribble(guest, SIZES)
    protection.cycle()
    protection.expect_exact()
    expect_no_traces(protection)


@pytest.mark.long
def test_incrementals_begun_offline_count_what_was_written_in_several_runs(
    protect: Protect,
) -> None:
    protection, scribbler = protect(*SIZES), Scribbler(5)
    guest = protection.guest
    guest.destroy()
    protection.cycle()
    for _ in range(2):  # no cycle sees these two runs
        guest.start()
        scribbler.scribble(guest, SIZES)
        guest.destroy()
    assert protection.cycle().way is Way.INCREMENTAL
    guest.start()
    scribbler.scribble(guest, SIZES)
    guest.destroy()
    guest.start()
    scribbler.scribble(guest, SIZES)
    protection.cycle()
    protection.expect_exact()
    expect_no_traces(protection)


MOVES = {
    "running": ("suspend", "destroy", "managedsave"),
    "paused": ("resume",),
    "shut off": ("start",),
}


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_random_changes_of_state_lose_no_change(protect: Protect, seed: int) -> None:
    protection, scribbler, rnd = protect(*SIZES, limit=4), Scribbler(seed), random.Random(seed)
    guest = protection.guest
    for _ in range(20):
        if rnd.random() < 0.7:
            protection.lab.virsh("source", rnd.choice(MOVES[guest.state()]), guest.name)
        if guest.state() != "shut off":
            scribbler.scribble(guest, SIZES, requests=4)
        if rnd.random() < 0.7:
            protection.cycle()
            protection.expect_exact()
    expect_no_traces(protection)


@pytest.mark.parametrize(
    "phase", [pytest.param(Phase.SURVEY, marks=pytest.mark.long), Phase.TRANSFER]
)
def test_a_machine_that_starts_while_it_is_read_starts_and_nothing_is_published(
    protect: Protect, phase: Phase
) -> None:
    protection, scribbler = protect(*SIZES), Scribbler(6)
    guest = protection.guest
    scribbler.scribble(guest, SIZES)
    protection.cycle()
    scribbler.scribble(guest, SIZES)
    guest.destroy()
    with protection.managers.manager() as manager:
        manager.begin(protection.name, stop=StopAt(Stop.PHASE, phase))
        assert manager.reaches()
        guest.start()
        guest.write(0, 4 * KIB, 0x99)
        manager.go_on()
        with pytest.raises(CaptureLost, match="started"):
            manager.finish()
    assert len(protection.points) == 1
    scribbler.scribble(guest, SIZES)
    protection.cycle()
    protection.expect_exact()
    expect_no_traces(protection)


@pytest.mark.long
def test_a_machine_that_starts_once_it_was_read_offline_does_no_harm(protect: Protect) -> None:
    protection, scribbler = protect(*SIZES), Scribbler(6)
    guest = protection.guest
    scribbler.scribble(guest, SIZES)
    guest.destroy()
    before = protection.copy()
    with protection.managers.manager() as manager:
        manager.begin(protection.name, stop=StopAt(Stop.PHASE, Phase.PUBLISH))
        assert manager.reaches()
        guest.start()
        scribbler.scribble(guest, SIZES)
        manager.go_on()
        protection.keep(manager.finish(), before)
    protection.cycle()
    protection.expect_exact()
    expect_no_traces(protection)


def test_a_machine_that_starts_between_the_look_and_the_capture_is_not_lost(
    protect: Protect,
) -> None:
    protection, scribbler = protect(*SIZES), Scribbler(6)
    guest = protection.guest
    scribbler.scribble(guest, SIZES)
    guest.destroy()
    protection.cycle()  # libvirt does not know of the bitmap that this one begins
    with protection.managers.manager() as manager:
        manager.begin(protection.name, stop=StopAt(Stop.PHASE, Phase.CAPTURE))
        assert manager.reaches()
        guest.start()
        scribbler.scribble(guest, SIZES)
        now = protection.copy()
        manager.go_on()
        with suppress(CaptureLost):
            protection.keep(manager.finish(), now)
    protection.expect_exact()
    scribbler.scribble(guest, SIZES)
    protection.cycle()
    protection.expect_exact()
    expect_no_traces(protection)


@pytest.mark.long
@pytest.mark.parametrize("phase", [Phase.CAPTURE, Phase.SURVEY, Phase.TRANSFER])
def test_a_machine_that_is_shut_off_while_it_is_read_keeps_its_history(
    protect: Protect, phase: Phase
) -> None:
    protection, scribbler = protect(*SIZES), Scribbler(8)
    guest = protection.guest
    scribbler.scribble(guest, SIZES)
    protection.cycle()
    scribbler.scribble(guest, SIZES)
    with protection.managers.manager() as manager:
        manager.begin(protection.name, stop=StopAt(Stop.PHASE, phase))
        assert manager.reaches()
        now = protection.copy()
        guest.destroy()
        manager.go_on()
        with suppress(CaptureLost, TransferFailed):
            protection.keep(manager.finish(), now)
    protection.expect_exact()
    assert protection.cycle().way is Way.INCREMENTAL
    protection.expect_exact()
    expect_no_traces(protection)


def test_what_somebody_writes_to_an_image_while_it_is_read_offline_is_not_lost(
    protect: Protect,
) -> None:
    protection, scribbler = protect(*SIZES), Scribbler(14)
    scribbler.scribble(protection.guest, SIZES)
    protection.cycle()
    scribbler.scribble(protection.guest, SIZES)
    protection.guest.destroy()
    with protection.managers.manager() as manager:
        manager.begin(protection.name, stop=StopAt(Stop.PROGRESS))
        assert manager.reaches()
        disk = str(protection.disks["vda"].path)
        write = ["qemu-io", "-f", "qcow2", "-c", "write -P 0x77 1M 128k", disk]
        protection.lab.exec("source", write)
        manager.go_on()
        with pytest.raises(CaptureLost, match="written to"):
            manager.finish()
    protection.cycle()
    protection.expect_exact()
    expect_no_traces(protection)
