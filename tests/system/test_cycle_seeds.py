"""An interrupted first copy goes on: only what is missing is sent, and the point is exact."""

from __future__ import annotations

import os
import random
import signal

import pytest
from support import KIB, MIB, Protect, Protection, Scribbler
from support_cli import CommandLine
from support_messages import Stop, StopAt
from support_traces import checkpoints, expect_no_traces

from standby.cycle.report import CycleReport, Phase
from standby.errors import StandbyError, TransferFailed
from standby.model.point import Way

LARGE = 640 * MIB
PACE = {"transfer": {"bandwidth": "64MiB/s"}}  # a seed takes 10 s, and stores digests after 5


def killed_before_publication(protection: Protection) -> None:
    with protection.managers.manager() as manager:
        manager.begin(protection.name, stop=StopAt(Stop.PHASE, Phase.PUBLISH))
        assert manager.reaches()
        manager.kill()


def expect_gone_on(protection: Protection, report: CycleReport) -> None:
    assert report.way is Way.SEED
    assert "going on" in report.reason
    protection.expect_exact()
    protection.expect_head_on(str(report.point))
    assert protection.cycle().way is Way.INCREMENTAL
    expect_no_traces(protection)


def test_a_seed_killed_before_publication_is_shown_and_goes_on_with_what_changed_meanwhile(
    protect: Protect, cli: CommandLine
) -> None:
    protection = protect(24 * MIB, 5 * MIB)
    protection.write("vda", "write -P 0x11 0 8M", "write -P 0x12 16M 2M")
    protection.write("vdb", "write -P 0x13 1M 1M")
    killed_before_publication(protection)
    assert protection.points == ()
    shown = cli.json("show", protection.name)
    assert shown["state"] == "waiting for seed"
    assert [it["disk"] for it in shown["interrupted_seeds"]] == ["vda", "vdb"]
    # New data, data that is a hole now, and a hole that is data.
    protection.write("vda", "write -P 0x21 1M 64k", "discard 2M 1M", "write -P 0x22 20M 64k")
    report = protection.cycle_when_free()
    assert report.data == 2 * 64 * KIB
    assert report.unchanged >= 9 * MIB
    expect_gone_on(protection, report)


@pytest.mark.long
def test_a_disk_of_another_size_begins_anew(protect: Protect) -> None:
    protection = protect(8 * MIB)
    protection.write("vda", "write -P 0x11 0 4M")
    killed_before_publication(protection)
    protection.guest.destroy()
    disk = protection.disks["vda"]
    protection.lab.exec("source", ["qemu-img", "resize", "-q", str(disk.path), "12M"])
    protection.guest.start()
    report = protection.cycle_when_free()
    assert (report.data, report.reason) == (4 * MIB, "first copy")
    protection.expect_exact()
    expect_no_traces(protection)


@pytest.mark.long
def test_an_interrupted_seed_whose_image_is_damaged_begins_anew(protect: Protect) -> None:
    protection = protect(8 * MIB)
    protection.write("vda", "write -P 0x11 0 4M")
    killed_before_publication(protection)
    (image,) = (protection.store / "incoming").glob("*.qcow2")
    with image.open("r+b") as file:
        file.seek(64 * KIB)
        file.write(os.urandom(192 * KIB))  # refcounts and the mapping of the disk
    report = protection.cycle_when_free()
    assert (report.data, report.reason) == (4 * MIB, "first copy")
    protection.expect_exact()
    expect_no_traces(protection)


@pytest.mark.long
def test_an_explicit_full_copy_believes_nothing_of_an_interrupted_one(protect: Protect) -> None:
    protection = protect(8 * MIB)
    protection.write("vda", "write -P 0x11 0 4M")
    killed_before_publication(protection)
    report = protection.cycle_when_free(full_copy=True)
    assert report.data == 4 * MIB
    protection.expect_exact()
    expect_no_traces(protection)


@pytest.mark.long
def test_an_interrupted_seed_goes_with_its_standby(protect: Protect, cli: CommandLine) -> None:
    protection = protect(8 * MIB)
    protection.write("vda", "write -P 0x11 0 4M")
    killed_before_publication(protection)
    lock = protection.directory / "lock"
    protection.lab.exec("kvm", ["flock", "-w", "45", str(lock), "true"])  # of the dead manager
    cli.run("remove", protection.name, "--delete-standby", "--yes")
    assert not protection.store.exists()


@pytest.mark.long
def test_a_seed_that_filled_the_storage_leaves_it_to_the_others(protect: Protect) -> None:
    protection = protect(24 * MIB)
    protection.write("vda", "write -P 0x11 0 16M")
    with protection.managers.manager() as manager:
        manager.begin(protection.name, stop=StopAt(Stop.PHASE, Phase.TRANSFER))
        assert manager.reaches()
        protection.lab.fill("kvm")
        manager.go_on()
        try:
            with pytest.raises(TransferFailed, match="No space left"):
                manager.finish()
        finally:
            left = list((protection.store / "incoming").iterdir())
            protection.lab.unfill("kvm")
    assert left == []
    assert protection.cycle_when_free().data == 16 * MIB
    protection.expect_exact()
    expect_no_traces(protection)


def expect_resynced(protection: Protection, report: CycleReport, sent: int) -> None:
    assert report.way is Way.RESYNC
    assert "going on" in report.reason
    assert report.data == sent
    protection.expect_exact()
    protection.expect_head_on(str(report.point))


def lose_history(protection: Protection) -> None:
    (name,) = checkpoints(protection)
    protection.lab.virsh("source", "checkpoint-delete", protection.guest.name, name)


def test_an_interrupted_resync_goes_on_while_its_boot_point_is_the_newest(
    protect: Protect,
) -> None:
    protection = protect(24 * MIB)
    protection.write("vda", "write -P 0x11 0 8M")
    protection.cycle()
    lose_history(protection)
    protection.write("vda", "write -P 0x12 2M 2M", "write -P 0x13 20M 1M", "discard 6M 1M")
    killed_before_publication(protection)
    protection.write("vda", "write -P 0x11 2M 64k", "write -P 0x14 12M 64k")
    expect_resynced(protection, protection.cycle_when_free(), 2 * 64 * KIB)
    assert protection.cycle().way is Way.INCREMENTAL
    expect_no_traces(protection)


@pytest.mark.long
def test_an_interrupted_resync_gives_way_to_a_full_copy(protect: Protect) -> None:
    protection = protect(24 * MIB)
    protection.write("vda", "write -P 0x11 0 8M")
    protection.cycle()
    lose_history(protection)
    protection.write("vda", "write -P 0x12 2M 2M")
    killed_before_publication(protection)
    report = protection.cycle_when_free(full_copy=True)
    assert report.way is Way.SEED
    protection.expect_exact()
    expect_no_traces(protection)


@pytest.mark.long
def test_a_seed_interrupted_after_any_command_goes_on_until_it_is_done(protect: Protect) -> None:
    protection, number = protect(12 * MIB, 5 * MIB), 4
    lock, scribbler = str(protection.directory / "lock"), Scribbler(9)
    while True:
        scribbler.scribble(protection.guest, (12 * MIB, 5 * MIB), requests=3)
        now = protection.copy()
        with protection.managers.manager() as manager:
            manager.begin(protection.name, stop=StopAt(Stop.COMMAND, count=number))
            if not manager.reaches():
                break
            manager.kill()
        if protection.points:
            protection.kept.setdefault(protection.points[-1], now)
            break
        protection.lab.exec(
            "kvm", ["sh", "-c", '[ ! -e "$1" ] || flock -w 45 "$1" true', "-", lock]
        )
        number += 1
    assert number > 10
    protection.expect_exact()
    protection.cycle_when_free()
    protection.expect_exact()
    expect_no_traces(protection)


@pytest.fixture
def slow(protect: Protect) -> Protection:
    """A machine whose seed takes ten seconds."""
    protection = protect(LARGE)
    writes = [f"write -P {0x10 + n} {n * 32}M 32M" for n in range(LARGE // (32 * MIB))]
    protection.write("vda", *writes)
    protection.configure(**PACE)
    return protection


def killed_daemon(protection: Protection) -> None:
    """End the storage daemon on the KVM host by SIGKILL; the manager then fails by itself."""
    (pidfile,) = (protection.store / "run").glob("cycle-incoming.*.pid")
    protection.lab.exec("kvm", ["kill", "-KILL", pidfile.read_text().strip()])


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("victim", ["manager", "daemon"])
def test_a_seed_killed_at_a_random_moment_sends_only_what_is_missing(
    slow: Protection, victim: str, seed: int
) -> None:
    moment = random.Random(seed).uniform(6.5, 8.5)
    with slow.managers.manager() as manager:
        manager.begin(slow.name, stop=StopAt(Stop.PHASE, Phase.TRANSFER))
        assert manager.reaches()
        manager.go_on()
        manager._connection.poll(moment)
        if victim == "manager":
            manager.signal(signal.SIGKILL)
        else:
            killed_daemon(slow)
            with pytest.raises(StandbyError):
                manager.finish()
    slow.expect_exact()
    slow.write("vda", "write -P 0xee 3M 64k", f"write -P 0xef {LARGE // MIB - 3}M 64k")
    slow.configure()
    report = slow.cycle_when_free()
    assert report.data <= LARGE - 250 * MIB
    assert report.unchanged >= 250 * MIB
    expect_gone_on(slow, report)
