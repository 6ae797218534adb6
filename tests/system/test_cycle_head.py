"""A standby that somebody starts by hand: cycles leave it alone, and keep what it wrote."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from support import KIB, MIB, SECTOR, Protect, Protection, Scribbler, differs
from support_messages import Stop, StopAt
from support_traces import expect_no_traces

from lab import BlockGuest
from lab.errors import CommandFailed
from lab.layout import HostName
from lab.waiting import wait_until
from standby.cycle.report import Phase
from standby.errors import StopStandbyFirst
from standby.model.plan import HeadMove

SIZES = (12 * MIB, 5 * MIB + 3 * SECTOR)


@pytest.fixture
def protection(protect: Protect) -> Protection:
    made, scribbler = protect(*SIZES, limit=2), Scribbler(1)
    for _ in range(2):
        scribbler.scribble(made.guest, SIZES, requests=6)
        made.cycle()
    return made


def standby_of(protection: Protection) -> BlockGuest:
    """Return the standby as a guest of the KVM host, whose disks can be written."""
    name = f"{protection.name}-standby"
    return replace(protection.guest, host=HostName.KVM, name=name)


def test_a_running_standby_keeps_its_head_while_cycles_go_on(protection: Protection) -> None:
    standby, scribbler = standby_of(protection), Scribbler(2)
    standby.start()
    standby.write(0, 64 * KIB, 0x99)
    before, below = (protection.store / "head").readlink(), protection.points
    for _ in range(2):
        scribbler.scribble(protection.guest, SIZES, requests=4)
        report = protection.cycle()
        assert report.head is HeadMove.LEAVE
        assert any("runs" in why for why in report.deferred)
    assert protection.points[:2] == below  # what it stands on; above it pairs may be merged
    assert (protection.store / "head").readlink() == before
    standby.expect(0, 64 * KIB, 0x99)
    standby.destroy()
    scribbler.scribble(protection.guest, SIZES, requests=4)
    report = protection.cycle()
    assert report.head is HeadMove.SET_ASIDE
    kept = protection.store / "kept" / before.name
    expected = protection.copies / "kept.raw"
    expected.write_bytes(protection.kept[protection.points[1]]["vda"].read_bytes())
    with expected.open("r+b") as content:
        content.write(bytes([0x99]) * 64 * KIB)
    assert not differs(kept / "vda.qcow2", expected)
    protection.expect_exact()
    protection.expect_head_on(str(report.point))
    # What was kept stands on its point: everything below waits until somebody has dealt with it.
    assert any("kept" in why for why in report.deferred)
    protection.lab.exec("kvm", ["rm", "-r", str(protection.directory / "kept" / kept.name)])
    scribbler.scribble(protection.guest, SIZES, requests=4)
    protection.cycle()
    assert len(protection.points) == 2
    protection.expect_exact()
    expect_no_traces(protection)


@pytest.mark.long
def test_a_standby_started_while_its_head_was_to_move_keeps_it(protection: Protection) -> None:
    standby, scribbler = standby_of(protection), Scribbler(3)
    scribbler.scribble(protection.guest, SIZES, requests=4)
    now, before = protection.copy(), (protection.store / "head").readlink()
    with protection.managers.manager() as manager:
        manager.begin(protection.name, stop=StopAt(Stop.PHASE, Phase.HEAD))
        assert manager.reaches()
        standby.start()
        manager.go_on()
        with pytest.raises(StopStandbyFirst):
            manager.finish()
    protection.kept[protection.points[-1]] = now
    assert (protection.store / "head").readlink() == before
    protection.expect_exact()
    standby.destroy()
    scribbler.scribble(protection.guest, SIZES, requests=4)
    protection.cycle()
    protection.expect_exact()
    protection.expect_head_on(protection.points[-1])
    expect_no_traces(protection)


# What libvirt runs when it has read what a domain's images stand on, before QEMU opens them.
HOOK = """#!/bin/sh
[ "$2 $3" = "start begin" ] || exit 0
cd "{directory}"
before=$(readlink head)
: > {reached}
for n in $(seq 400); do [ "$(readlink head)" = "$before" ] || break; sleep 0.05; done
"""


@pytest.fixture
def hooked(protection: Protection) -> Iterator[Path]:
    """Let starts wait until the head has moved; the file is there once one does."""
    lab, hook = protection.lab, "/etc/libvirt/hooks/qemu"
    reached = protection.directory / "kept/reached"
    text = HOOK.format(directory=protection.directory, reached=reached)
    write = f"mkdir -p {Path(hook).parent} && cat > {hook} && chmod 755 {hook}"
    lab.exec("kvm", ["sh", "-c", write], text=text)
    lab.restart_service("kvm", "libvirtd")  # it looks for hooks as it starts
    yield lab.path("kvm", reached)
    lab.exec("kvm", ["rm", "-f", hook, str(reached)])
    lab.restart_service("kvm", "libvirtd")


def test_a_start_that_looked_at_the_old_head_does_not_run_the_new_one_on_an_older_point(
    protection: Protection, hooked: Path
) -> None:
    standby, scribbler = standby_of(protection), Scribbler(5)
    scribbler.scribble(protection.guest, SIZES, requests=4)
    now = protection.copy()
    with protection.managers.manager() as manager, ThreadPoolExecutor(1) as others:
        manager.begin(protection.name, stop=StopAt(Stop.PHASE, Phase.HEAD))
        assert manager.reaches()
        start = others.submit(protection.lab.virsh, "kvm", "start", standby.name)
        wait_until(hooked.exists, "the start to have looked", 20, 0.05)
        manager.go_on()
        report = protection.keep(manager.finish(), now)
        with pytest.raises(CommandFailed, match="lock"):
            start.result(60)
    assert report.head is HeadMove.MOVE
    protection.expect_head_on(str(report.point))
    protection.lab.exec("kvm", ["rm", "/etc/libvirt/hooks/qemu"])
    standby.start()
    standby.destroy()


@pytest.mark.parametrize("folder", [pytest.param("", marks=pytest.mark.long), "/srv/standby"])
def test_a_snapshot_of_the_dormant_standby_and_what_is_written_to_it_are_left_alone(
    protection: Protection, folder: str
) -> None:
    standby, lab, scribbler = standby_of(protection), protection.lab, Scribbler(6)
    names = [f"{disk},file={folder}/{disk}.{standby.name}" for disk in protection.disks if folder]
    specs = [word for name in names for word in ("--diskspec", name)]
    lab.virsh("kvm", "snapshot-create-as", standby.name, "mine", "--disk-only", *specs)
    standby.start()
    standby.write(0, 64 * KIB, 0x99)
    standby.destroy()
    for _ in range(2):
        scribbler.scribble(protection.guest, SIZES, requests=4)
        report = protection.cycle()
        assert report.head is HeadMove.LEAVE
    assert any("somebody's own" in why for why in report.deferred)
    standby.start()
    standby.expect(0, 64 * KIB, 0x99)
    standby.destroy()
    lab.virsh("kvm", "undefine", standby.name, "--snapshots-metadata", "--keep-nvram")
    scribbler.scribble(protection.guest, SIZES, requests=4)
    protection.cycle()
    protection.expect_exact()
    protection.expect_head_on(protection.points[-1])
    standby.start()
    standby.destroy()


@pytest.mark.long
def test_a_standby_is_started_in_the_midst_of_every_phase(protection: Protection) -> None:
    standby, scribbler = standby_of(protection), Scribbler(4)
    for phase in (Phase.TRANSFER, Phase.PUBLISH, Phase.MERGE):
        scribbler.scribble(protection.guest, SIZES, requests=4)
        now = protection.copy()
        with protection.managers.manager() as manager:
            manager.begin(protection.name, stop=StopAt(Stop.PHASE, phase))
            assert manager.reaches()
            standby.start()
            manager.go_on()
            try:
                protection.keep(manager.finish(), now)
            except StopStandbyFirst:
                protection.kept[protection.points[-1]] = now
        assert standby.state() == "running"
        standby.destroy()
        protection.expect_exact()
    scribbler.scribble(protection.guest, SIZES, requests=4)
    protection.cycle()
    protection.expect_exact()
    protection.expect_head_on(protection.points[-1])
    expect_no_traces(protection)
