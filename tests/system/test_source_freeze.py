"""A guest is frozen for moments, always thawed, and a point never claims more than was reached."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import MIB, Protect, Protection
from support_manager import ManagerHost
from support_messages import Stop, StopAt
from support_traces import expect_no_traces, processes

from lab import BlockGuest, Lab, LinuxGuest
from lab.domains import DiskSpec
from lab.errors import CommandFailed
from lab.layout import STORAGE, HostName
from lab.testing import LinuxGuestMaker
from lab.waiting import wait_until
from standby.errors import RepairSource
from standby.model.point import Consistency

LIMIT = 4.0
"""Seconds after which the guard thaws, in these tests."""


@pytest.fixture
def protection(
    make_linux_guest: LinuxGuestMaker, managers: ManagerHost, tmp_path: Path
) -> Iterator[Protection]:
    """A protected Linux machine whose agent answers."""
    guest = make_linux_guest()
    disk = DiskSpec(STORAGE[HostName.SOURCE] / f"{guest.name}-vda.qcow2")
    made = Protection(managers, BlockGuest(guest.lab, guest.host, guest.name, (disk,)), tmp_path)
    made.configure(consistency="filesystem", freeze_limit=f"{LIMIT:g}s")
    yield made
    made.remove()


def linux(protection: Protection) -> LinuxGuest:
    return LinuxGuest(protection.lab, HostName.SOURCE, protection.name)


def is_frozen(guest: LinuxGuest) -> bool:
    try:
        return guest.agent("guest-fsfreeze-status") != "thawed"
    except CommandFailed:
        return True  # who can tell: libvirt has to find the agent again after its own start


def consistency_of_newest(protection: Protection) -> Consistency:
    newest = protection.manifest.newest
    assert newest is not None
    return newest.consistency


def needs_recovery(protection: Protection) -> bool:
    """Tell whether the newest point's ext4 would have to replay its journal.

    A frozen one has an empty journal: that shows what the point's word is worth.
    """
    newest = protection.manifest.newest
    assert newest is not None
    raw = protection.copies / "newest.raw"
    protection.extract(newest.deltas[0].file, raw)
    with raw.open("rb") as disk:
        disk.seek(446 + 8)  # the first partition's first sector, in the boot record
        (start,) = struct.unpack("<I", disk.read(4))
        disk.seek(start * 512 + 1024 + 0x38)
        superblock = disk.read(0x2C)
    magic, incompatible = struct.unpack_from("<H", superblock)[0], superblock[0x60 - 0x38]
    assert magic == 0xEF53
    return bool(incompatible & 0x4)


def test_a_guest_is_frozen_for_its_point_and_thawed_whatever_happens(
    protection: Protection,
) -> None:
    guest = linux(protection)
    guest.write_file("/root/first", b"x" * MIB)
    protection.cycle()
    assert consistency_of_newest(protection) is Consistency.FILESYSTEM
    assert not needs_recovery(protection)
    assert not is_frozen(guest)
    expect_no_traces(protection)

    # The manager dies while the guest is frozen: the guard thaws it.
    guest.write_file("/root/second", b"y" * MIB)
    with protection.managers.manager() as manager:
        manager.begin(protection.name, stop=StopAt(Stop.FROZEN))
        assert manager.reaches()
        frozen_at = time.monotonic()
        assert is_frozen(guest)
        manager.kill()
    wait_until(lambda: not is_frozen(guest), "thaw", LIMIT + 5, 0.2)
    assert time.monotonic() - frozen_at < LIMIT + 3
    assert len(protection.points) == 1
    protection.cycle_when_free()
    assert consistency_of_newest(protection) is Consistency.FILESYSTEM
    expect_no_traces(protection)

    # The manager sleeps longer than the guest may be frozen: the point says what it is.
    guest.write_file("/root/third", b"z" * MIB)
    with protection.managers.manager() as manager:
        manager.begin(protection.name, stop=StopAt(Stop.FROZEN))
        assert manager.reaches()
        wait_until(lambda: not is_frozen(guest), "thaw by the guard", LIMIT + 5, 0.2)
        guest.write_file("/root/fourth", b"z")
        manager.go_on()
        manager.finish()
    assert consistency_of_newest(protection) is Consistency.CRASH
    assert needs_recovery(protection)
    assert not is_frozen(guest)
    expect_no_traces(protection)


@pytest.mark.long
@pytest.mark.parametrize("host_dies", ["sshd", "libvirtd"])
def test_a_guest_is_thawed_though_the_source_is_out_of_reach(
    protection: Protection, host_dies: str
) -> None:
    guest, lab = linux(protection), protection.lab
    with protection.managers.manager() as manager:
        manager.begin(protection.name, stop=StopAt(Stop.FROZEN))
        assert manager.reaches()
        lab.kill_service("source", host_dies)
        if host_dies == "libvirtd":
            lab.restart_service("source", "libvirtd")
        manager.kill()
    wait_until(lambda: not is_frozen(guest), "thaw", LIMIT + 15, 0.5)
    lab.restart_service("source", host_dies)
    protection.cycle_when_free()
    assert consistency_of_newest(protection) is Consistency.FILESYSTEM
    expect_no_traces(protection)


@pytest.mark.long
def test_a_machine_that_was_shut_down_in_order_is_as_good_as_frozen(
    protection: Protection,
) -> None:
    guest = linux(protection)
    guest.write_file("/root/first", b"x" * MIB)
    guest.shut_down()
    protection.cycle()
    assert consistency_of_newest(protection) is Consistency.FILESYSTEM
    guest.start()
    guest.wait_for_agent()
    guest.write_file("/root/second", b"x" * MIB)
    guest.destroy()  # its power fails
    protection.cycle()
    assert consistency_of_newest(protection) is Consistency.CRASH
    assert needs_recovery(protection)
    expect_no_traces(protection)


def test_a_machine_without_an_agent_is_refused_or_its_point_says_what_it_is(
    protect: Protect, lab: Lab
) -> None:
    protection = protect(4 * MIB)
    protection.configure(consistency="filesystem")
    with pytest.raises(RepairSource, match="guest agent"):
        protection.cycle()
    assert protection.points == ()
    protection.configure(consistency="filesystem", on_unavailable_agent="crash")
    protection.cycle()
    assert consistency_of_newest(protection) is Consistency.CRASH
    assert not any("standby-thaw" in line for line in processes(lab, "source"))
    lab.virsh("source", "suspend", protection.name)
    protection.configure(consistency="filesystem")
    protection.cycle()  # nothing can be frozen while it is paused
    assert consistency_of_newest(protection) is Consistency.CRASH


@pytest.mark.long
def test_between_application_consistent_points_the_guest_is_not_frozen(
    protection: Protection,
) -> None:
    # Slots of a year: the second cycle is in the first one's, but for one second of a year.
    protection.configure(consistency="application", schedule={"application_every": "366d"})
    protection.cycle()
    assert consistency_of_newest(protection) is Consistency.APPLICATION
    linux(protection).write_file("/root/between", b"z" * MIB)
    protection.cycle()
    assert consistency_of_newest(protection) is Consistency.CRASH
