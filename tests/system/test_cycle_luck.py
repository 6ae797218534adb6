"""Bad luck in the midst of a cycle: a typed error, nothing lost or left, the next one works."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from support import KIB, MIB, SECTOR, Protect, Protection, Scribbler
from support_messages import Stop, StopAt
from support_traces import expect_no_traces, find_process

from lab import Lab
from lab.waiting import wait_until
from standby.cycle.report import Outcome, Phase
from standby.errors import (
    AcceptHostKey,
    CaptureLost,
    FreeSpace,
    GrantAccess,
    ReachHost,
    RepairSource,
    RepairStore,
    Retry,
    StandbyError,
    TransferFailed,
)
from standby.model.point import Way

SIZES = (12 * MIB, 5 * MIB + 3 * SECTOR)


@pytest.fixture
def whole(lab: Lab) -> Iterator[Lab]:
    """The lab, mended afterwards."""
    yield lab
    for host in ("source", "kvm"):
        lab.restore(host)
        lab.unfill(host)
    lab.trust_host_keys()


@pytest.fixture
def protection(protect: Protect, whole: Lab) -> Protection:  # noqa: ARG001
    """A protected machine with two points and a change."""
    made, scribbler = protect(*SIZES), Scribbler(1)
    for _ in range(2):
        scribbler.scribble(made.guest, SIZES, requests=6)
        made.cycle()
    scribbler.scribble(made.guest, SIZES, requests=6)
    return made


def kill_guest(protection: Protection) -> None:
    """End the guest's QEMU with SIGKILL; return when libvirt knows."""
    os.kill(find_process(protection.lab, "source", "/usr/bin/qemu-system"), signal.SIGKILL)
    wait_until(lambda: protection.guest.state() == "shut off", "end of the guest", 10)


def remove_bitmaps(protection: Protection, name: str) -> None:
    """Remove a bitmap from every disk of the running guest, behind libvirt's back."""

    def qmp(execute: str, **arguments: str) -> Any:
        request = json.dumps({"execute": execute, "arguments": arguments})
        argv = ("qemu-monitor-command", protection.guest.name, request)
        return json.loads(protection.lab.virsh("source", *argv))["return"]

    for node in qmp("query-named-block-nodes"):
        if any(bitmap["name"] == name for bitmap in node.get("dirty-bitmaps", ())):
            qmp("block-dirty-bitmap-remove", node=node["node-name"], name=name)


def struck(
    protection: Protection, bad_luck: Callable[[], object], at: StopAt, limit: float = 90
) -> StandbyError:
    """Let bad luck strike a cycle where it stops; return its error. No point may come of it."""
    before = protection.manifest.points
    with protection.managers.manager() as manager:
        manager.begin(protection.name, stop=at)
        assert manager.reaches()
        bad_luck()
        manager.go_on()
        with pytest.raises(StandbyError) as caught:
            manager.finish(limit)
    assert protection.manifest.points == before
    protection.expect_exact()
    return caught.value


def expect_recovery(protection: Protection, way: Way = Way.INCREMENTAL) -> None:
    """The next cycle works, in this way, and all is exact and tidy."""
    protection.managers.cool_down()
    protection.write("vda", "write -P 77 1M 4k")
    report = protection.cycle_when_free()
    assert (report.outcome, report.way) == (Outcome.PUBLISHED, way), report.reason
    protection.expect_exact()
    protection.write("vda", "write -P 78 1M 4k")
    assert protection.cycle().way is Way.INCREMENTAL
    protection.expect_exact()
    expect_no_traces(protection)


TRANSFER = StopAt(Stop.PHASE, Phase.TRANSFER)
UNDER_WAY = StopAt(Stop.PROGRESS, count=1)


def test_a_storage_daemon_killed_while_it_writes_ends_the_cycle(protection: Protection) -> None:
    lab = protection.lab

    def kill() -> None:
        os.kill(find_process(lab, "kvm", "qemu-storage-daemon"), signal.SIGKILL)

    error = struck(protection, kill, UNDER_WAY)
    assert isinstance(error, TransferFailed)
    assert error.retry is Retry.LATER
    expect_recovery(protection)


def test_a_storage_filled_in_the_midst_of_a_transfer_is_freed_of_the_new_point(
    protection: Protection,
) -> None:
    lab = protection.lab
    protection.guest.write(0, 8 * MIB, 0x55)
    error = struck(protection, lambda: lab.fill("kvm"), TRANSFER)
    assert isinstance(error, TransferFailed | FreeSpace)
    assert "No space left" in str(error)
    assert not list((protection.store / "incoming").iterdir())
    lab.unfill("kvm")
    expect_recovery(protection)


def test_a_storage_with_too_little_room_is_told_before_anything_is_sent(
    protection: Protection,
) -> None:
    protection.lab.fill("kvm", leave=200 * MIB)
    with pytest.raises(FreeSpace) as caught:
        protection.cycle()
    assert 0 < caught.value.available_bytes < caught.value.needed_bytes
    protection.lab.unfill("kvm")
    expect_recovery(protection)


@pytest.mark.long
def test_a_storage_without_room_for_a_manifest_is_named_as_what_is_full(
    protection: Protection,
) -> None:
    protection.lab.fill("kvm")
    with pytest.raises(FreeSpace) as caught:
        protection.cycle()
    assert str(protection.directory) in caught.value.subject
    protection.lab.unfill("kvm")
    expect_recovery(protection)


@pytest.mark.long
def test_a_storage_that_became_read_only_is_said_to_be_so(protection: Protection) -> None:
    lab, storage = protection.lab, str(protection.directory.parent)
    lab.exec("kvm", ["mount", "-o", "remount,ro", storage])
    try:
        with pytest.raises(RepairStore, match="Read-only file system"):
            protection.cycle()
    finally:
        lab.exec("kvm", ["mount", "-o", "remount,rw", storage])
    expect_recovery(protection)


def test_a_capture_is_given_up_before_the_guest_runs_out_of_space(protection: Protection) -> None:
    lab, guest = protection.lab, protection.guest

    def run_low() -> None:
        lab.fill("source", leave=32 * MIB)  # less than the 64 MiB to be kept free
        for offset in range(0, 8 * MIB, MIB):  # each fills scratch space, if it can
            guest.write(offset, MIB, 0x66)

    error = struck(protection, run_low, TRANSFER)
    assert isinstance(error, CaptureLost)
    assert "bytes free" in str(error)
    guest.write(9 * MIB, MIB, 0x67)
    assert guest.state() == "running"
    lab.unfill("source")
    expect_recovery(protection)


def test_a_source_without_room_for_scratch_files_is_told_before_the_capture(
    protection: Protection,
) -> None:
    protection.lab.fill("source", leave=100 * MIB)
    with pytest.raises(FreeSpace, match="scratch directory"):
        protection.cycle()
    protection.lab.unfill("source")
    expect_recovery(protection)


@pytest.mark.parametrize("host", ["source", pytest.param("kvm", marks=pytest.mark.long)])
def test_libvirt_killed_in_the_midst_of_a_cycle_does_no_harm(
    protection: Protection, host: str
) -> None:
    lab = protection.lab
    now = protection.copy()
    with protection.managers.manager() as manager:
        manager.begin(protection.name, stop=TRANSFER)
        assert manager.reaches()
        lab.kill_service(host, "libvirtd")
        manager.go_on()
        with suppress(StandbyError):
            manager.finish()
    protection.kept.setdefault(protection.points[-1], now)
    protection.expect_exact()
    lab.restart_service(host, "libvirtd")
    expect_recovery(protection)


@pytest.mark.parametrize("host", ["source", pytest.param("kvm", marks=pytest.mark.long)])
def test_connections_that_end_in_the_midst_of_a_cycle_end_it(
    protection: Protection, host: str
) -> None:
    lab = protection.lab
    error = struck(protection, lambda: lab.kill_service(host, "sshd"), UNDER_WAY)
    assert error.retry is Retry.LATER, error
    lab.restart_service(host, "sshd")
    expect_recovery(protection)


def test_a_source_that_is_killed_leads_to_a_resync_and_no_point_is_lost(
    protection: Protection,
) -> None:
    error = struck(protection, lambda: kill_guest(protection), UNDER_WAY)
    assert isinstance(error, CaptureLost | TransferFailed), error
    protection.guest.start()
    expect_recovery(protection, Way.RESYNC)


@pytest.mark.long
def test_a_source_killed_between_cycles_leads_to_a_resync_that_sends_what_differs(
    protection: Protection,
) -> None:
    protection.cycle()
    protection.write("vda", "write -P 9 64k 64k", "flush")
    kill_guest(protection)
    protection.guest.start()
    report = protection.cycle()
    assert (report.way, report.data) == (Way.RESYNC, 64 * KIB)
    protection.expect_exact()
    expect_recovery(protection)


def test_a_checkpoint_that_somebody_deletes_leads_to_a_resync(protection: Protection) -> None:
    protection.cycle()
    newest = protection.manifest.newest
    assert newest is not None
    argv = ("checkpoint-delete", protection.name, str(newest.checkpoint))
    protection.lab.virsh("source", *argv)
    expect_recovery(protection, Way.RESYNC)


@pytest.mark.long
def test_a_clock_that_was_ahead_for_a_while_does_not_stop_cycles_that_follow_a_killed_one(
    protection: Protection,
) -> None:
    with protection.managers.manager() as manager:
        manager.clock_shift = 86400
        protection.keep(manager.run(protection.name), protection.copy())
    protection.write("vda", "write -P 76 1M 4k")
    with protection.managers.manager() as manager:
        manager.begin(protection.name, stop=StopAt(Stop.PHASE, Phase.SURVEY))
        assert manager.reaches()
        manager.kill()
    expect_recovery(protection)


def test_a_history_that_is_lost_between_the_look_and_the_capture_leads_to_a_resync(
    protection: Protection,
) -> None:
    protection.cycle()
    newest = protection.manifest.newest
    assert newest is not None
    with protection.managers.manager() as manager:
        manager.begin(protection.name, stop=StopAt(Stop.PHASE, Phase.CAPTURE))
        assert manager.reaches()
        remove_bitmaps(protection, str(newest.checkpoint))
        manager.go_on()
        report = protection.keep(manager.finish(), protection.copy())
    assert report.way is Way.RESYNC
    assert "bitmap" in report.reason
    protection.expect_exact()
    expect_recovery(protection, Way.INCREMENTAL)


def test_an_unknown_or_wrong_host_key_stops_a_cycle_before_it_begins(
    protection: Protection,
) -> None:
    lab = protection.lab
    protection.managers.cool_down()
    for spoil in (lab.forget_host_key, lab.falsify_host_key):
        for host in ("source", "kvm"):
            spoil(host)
            with pytest.raises(AcceptHostKey) as caught:
                protection.cycle()
            protection.managers.cool_down()
            assert "SHA256:" in str(caught.value)
            lab.trust_host_keys()
    expect_recovery(protection)


@pytest.mark.long
def test_a_key_that_a_host_refuses_stops_a_cycle(protection: Protection) -> None:
    lab = protection.lab
    protection.managers.cool_down()
    lab.exec("kvm", ["mv", "/root/.ssh/authorized_keys", "/root/.ssh/refused"])
    try:
        with pytest.raises(GrantAccess):
            protection.cycle()
    finally:
        lab.exec("kvm", ["mv", "/root/.ssh/refused", "/root/.ssh/authorized_keys"])
    expect_recovery(protection)


@pytest.mark.long
def test_a_domain_that_is_not_there_stops_a_cycle(protection: Protection) -> None:
    protection.configure(domain="no-such-machine")
    with pytest.raises(RepairSource, match="no-such-machine"):
        protection.cycle()
    protection.configure()
    expect_recovery(protection)


@pytest.mark.long
def test_a_host_that_is_down_stops_a_cycle(protection: Protection) -> None:
    lab = protection.lab
    protection.managers.cool_down()
    lab.crash("kvm")
    with pytest.raises(ReachHost) as caught:
        protection.cycle()
    assert caught.value.retry is Retry.LATER
    lab.start("kvm")
    expect_recovery(protection)


@pytest.mark.parametrize(
    "phase", [Phase.PUBLISH, pytest.param(Phase.TRANSFER, marks=pytest.mark.long)]
)
@pytest.mark.long
def test_a_crash_of_the_kvm_host_loses_no_point(protection: Protection, phase: Phase) -> None:
    lab = protection.lab
    now = protection.copy()
    with protection.managers.manager() as manager:
        manager.begin(protection.name, stop=StopAt(Stop.PHASE, phase))
        assert manager.reaches()
        lab.crash("kvm")
        manager.go_on()
        with pytest.raises(StandbyError) as caught:
            manager.finish()
    assert caught.value.retry is Retry.LATER, caught.value
    lab.start("kvm")
    protection.kept.setdefault(protection.points[-1], now)
    protection.expect_exact()
    expect_recovery(protection)


@pytest.mark.long
def test_a_crash_of_the_source_host_loses_no_point(protection: Protection) -> None:
    lab = protection.lab
    error = struck(protection, lambda: lab.crash("source"), UNDER_WAY)
    assert error.retry is Retry.LATER, error
    lab.start("source")
    protection.guest.start()
    expect_recovery(protection, Way.RESYNC)


@pytest.mark.long
@pytest.mark.parametrize("host", ["source", "kvm"])
def test_a_link_cut_in_the_midst_of_a_transfer_is_noticed_and_the_lock_is_freed(
    protection: Protection, host: str
) -> None:
    lab = protection.lab
    error = struck(protection, lambda: lab.cut(host), UNDER_WAY, limit=75)
    assert error.retry is Retry.LATER, error
    lab.restore(host)
    expect_recovery(protection)
