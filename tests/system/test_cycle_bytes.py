"""Every boot point holds, byte for byte, what the disks were at its moment."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from support import KIB, MIB, SECTOR, Protect, Scribbler
from support_cli import CommandLine
from support_messages import Stop, StopAt
from support_traces import expect_no_traces

from standby.cycle.report import Outcome, Phase
from standby.errors import TryLater
from standby.model.point import Way

SIZES = (24 * MIB, 9 * MIB + 5 * SECTOR)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_random_writes_of_every_kind_end_up_in_the_points_and_stay_there(
    protect: Protect, seed: int
) -> None:
    protection, scribbler = protect(*SIZES, limit=3), Scribbler(seed)
    for _ in range(5):
        scribbler.scribble(protection.guest, SIZES)
        report = protection.cycle()
        assert report.outcome is Outcome.PUBLISHED
        protection.expect_exact()
        protection.expect_head_on(str(report.point))
    assert len(protection.points) == 3
    assert report.way is Way.INCREMENTAL
    expect_no_traces(protection)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10, 16))
def test_many_points_stay_exact_through_many_merges(protect: Protect, seed: int) -> None:
    protection, scribbler = protect(*SIZES, limit=2 + seed % 4), Scribbler(seed)
    for _ in range(16):
        scribbler.scribble(protection.guest, SIZES)
        protection.cycle()
        protection.expect_exact()
    expect_no_traces(protection)


def test_a_cycle_that_finds_nothing_changed_stamps_the_newest_point(protect: Protect) -> None:
    protection = protect(16 * MIB)
    protection.guest.write(0, MIB, 0x11)
    first = protection.cycle()
    second = protection.cycle()
    assert (second.outcome, second.point) == (Outcome.STILL_TRUE, first.point)
    newest = protection.manifest.newest
    assert newest is not None
    assert newest.true_at > newest.name.moment
    protection.expect_exact()
    expect_no_traces(protection)
    # What is written after the stamp is still found by the next incremental.
    protection.guest.write(3 * MIB, 64 * KIB, 0x22)
    assert protection.cycle().data == 64 * KIB
    protection.expect_exact()


ZEROING = {
    "vda": "write -z {} {}",
    "vdb": "write -z -u {} {}",
    "vdc": "discard {} {}",
    "vdd": "write -P 0 {} {}",
}


def test_what_changed_and_is_zero_now_masks_the_data_below_through_merges(
    protect: Protect,
) -> None:
    protection = protect(*[12 * MIB] * len(ZEROING), limit=2)
    for disk in ZEROING:
        protection.write(disk, "write -P 119 0 4M")
    protection.cycle()
    for disk in ZEROING:
        protection.write(disk, "write -P 1 8M 4k")  # this delta has nothing where zeroes follow
    protection.cycle()
    for disk, how in ZEROING.items():
        protection.write(
            disk,
            how.format(0, MIB),  # whole clusters
            how.format(2 * MIB + SECTOR, 300 * KIB),  # not aligned at either end
            how.format(3 * MIB + 4 * KIB, 4 * KIB),  # part of one cluster
        )
    for pattern in (2, 3):  # the delta with the zeroes is merged down, then merged into
        protection.cycle()
        protection.expect_exact()
        protection.write("vda", f"write -P {pattern} 8M 4k")
    protection.cycle()
    protection.expect_exact()


def test_writes_during_the_transfer_belong_to_the_next_point(protect: Protect) -> None:
    protection = protect(*SIZES)
    managers, guest, scribbler = protection.managers, protection.guest, Scribbler(7)
    scribbler.scribble(guest, SIZES)
    protection.cycle()
    for phase in (Phase.SURVEY, Phase.PUBLISH):
        scribbler.scribble(guest, SIZES)
        now = protection.copy()
        with managers.manager() as manager:
            manager.begin(protection.name, stop=StopAt(Stop.PHASE, phase))
            assert manager.reaches()
            scribbler.scribble(guest, SIZES)
            manager.go_on()
            protection.keep(manager.finish(), now)
        protection.expect_exact()
    protection.cycle()
    protection.expect_exact()


@pytest.mark.long
def test_an_explicit_full_copy_masks_what_older_points_hold(protect: Protect) -> None:
    protection, scribbler = protect(*SIZES, limit=3), Scribbler(9)
    for full_copy in (False, False, True, False, True, False):
        scribbler.scribble(protection.guest, SIZES)
        report = protection.cycle(full_copy=full_copy)
        protection.expect_exact()
    assert report.way is Way.INCREMENTAL
    expect_no_traces(protection)


@pytest.mark.long
def test_a_full_copy_that_is_merged_down_still_says_what_every_block_is(
    protect: Protect, cli: CommandLine
) -> None:
    protection, scribbler = protect(12 * MIB, 5 * MIB + 3 * SECTOR), Scribbler(3)
    scribbler.scribble(protection.guest, (12 * MIB, 5 * MIB + 3 * SECTOR))
    protection.cycle()
    protection.guest.write(0, 12 * MIB, 0x33)
    protection.cycle()
    protection.guest.write_zeroes(0, 11 * MIB)
    protection.cycle(full_copy=True)
    protection.configure(limit=1)
    protection.guest.write(0, 4 * KIB, 0x44)
    newest = protection.cycle().point
    assert protection.points == (str(newest),)
    protection.expect_exact()
    cli.run("verify", protection.name, "--all")
    checkpoint = protection.manifest.points[-1].checkpoint or ""
    protection.lab.virsh("source", "checkpoint-delete", protection.name, checkpoint)
    protection.guest.write(0, 4 * KIB, 0x45)
    report = protection.cycle()
    assert (report.way, report.data) == (Way.RESYNC, 64 * KIB)
    protection.expect_exact()


def test_a_machine_of_raw_disks_is_read_whole_and_only_what_differs_is_sent(
    protect: Protect,
) -> None:
    protection = protect(*SIZES, kinds=("raw",), limit=2)
    scribbler = Scribbler(4)
    scribbler.scribble(protection.guest, SIZES)
    assert protection.cycle().way is Way.SEED
    protection.expect_exact()
    for pattern in (1, 2):
        protection.guest.write(pattern * MIB, 4 * KIB, pattern)
        report = protection.cycle()
        assert (report.way, report.data) == (Way.RESYNC, 64 * KIB)
        protection.expect_exact()
    expect_no_traces(protection)


def test_a_resync_waits_for_its_window_and_keeps_to_its_rate(protect: Protect) -> None:
    protection = protect(8 * MIB, kinds=("raw",))
    protection.write("vda", "write -P 1 0 8M")
    protection.cycle()
    protection.write("vda", "write -P 2 0 64k")
    now = datetime.now().astimezone()
    later, much_later = now + timedelta(hours=2), now + timedelta(hours=4)
    window = f"{later:%H:%M}-{much_later:%H:%M}"
    protection.configure(resync={"window": window})
    with pytest.raises(TryLater, match=window):
        protection.cycle()
    assert len(protection.points) == 1
    protection.configure(resync={"bandwidth": "4MiB/s"})
    report = protection.cycle()
    assert (report.way, report.data) == (Way.RESYNC, 64 * KIB)
    (transfer,) = [it.seconds for it in report.phases if it.phase is Phase.TRANSFER]
    assert transfer > 1.2  # the limiter lets a second's worth through at once
    protection.expect_exact()
