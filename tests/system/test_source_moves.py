"""A source that was restored, moved or replaced: never a wrong byte, and never all of it anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support import KIB, MIB, Protect, Protection, Scribbler
from support_traces import expect_no_traces

from lab.domains import DiskSpec
from lab.layout import STORAGE, HostName
from standby.model.point import Way

SIZE = 8 * MIB


def copy(protection: Protection, before: Path, after: Path) -> None:
    protection.lab.exec("source", ["cp", "--sparse=always", str(before), str(after)])


def redefine(protection: Protection, host: HostName, disk: DiskSpec) -> None:
    """Let the machine, which is off, have its disk there; on another host it is a new domain."""
    lab, name, before = protection.lab, protection.name, protection.disks["vda"]
    xml = lab.virsh(str(protection.guest.host), "dumpxml", "--inactive", name)
    if host is not protection.guest.host:
        gone = ("--checkpoints-metadata", "--keep-nvram")
        lab.virsh(str(protection.guest.host), "undefine", name, *gone)
    lab.define(str(host), xml.replace(str(before.path), str(disk.path)))
    protection.guest = replace(protection.guest, host=host, disks=(disk,))
    protection.disks["vda"] = disk


def written(protect: Protect) -> Protection:
    protection = protect(SIZE)
    Scribbler(31).scribble(protection.guest, (SIZE,))
    protection.cycle()
    return protection


@pytest.mark.parametrize(
    ("cycle_between", "way"),
    [(True, Way.RESYNC), pytest.param(False, Way.INCREMENTAL, marks=pytest.mark.long)],
)
def test_a_source_restored_from_a_copy_of_its_image_is_followed(
    protect: Protect, way: Way, *, cycle_between: bool
) -> None:
    protection = written(protect)
    disk = protection.disks["vda"].path
    protection.guest.destroy()
    copy(protection, disk, disk.with_suffix(".backup"))
    protection.guest.start()
    protection.guest.write(MIB, 256 * KIB, 0x21)
    if cycle_between:
        protection.cycle()
    protection.guest.destroy()
    protection.lab.exec("source", ["mv", str(disk.with_suffix(".backup")), str(disk)])
    protection.guest.start()
    protection.guest.write(4 * MIB, 64 * KIB, 0x22)
    report = protection.cycle()
    assert report.way is way
    assert report.data <= 320 * KIB
    protection.expect_exact()
    protection.guest.write(5 * MIB, 64 * KIB, 0x23)
    assert protection.cycle().way is Way.INCREMENTAL
    protection.expect_exact()
    expect_no_traces(protection)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["qcow2", "raw"])
def test_a_disk_moved_to_another_place_or_format_is_followed(protect: Protect, kind: str) -> None:
    protection = written(protect)
    disk = protection.disks["vda"].path
    protection.guest.write(MIB, 64 * KIB, 0x31)
    protection.guest.destroy()
    moved = DiskSpec(disk.with_name(f"{protection.name}-moved.{kind}"), kind)
    if kind == "qcow2":
        copy(protection, disk, moved.path)  # with its bitmap, which counts on
    else:
        argv = ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", str(disk), str(moved.path)]
        protection.lab.exec("source", argv)
    xml = protection.lab.virsh("source", "dumpxml", "--inactive", protection.name)
    xml = xml.replace(str(disk), str(moved.path)).replace("type='qcow2'", f"type='{kind}'")
    protection.lab.virsh("source", "undefine", protection.name, "--checkpoints-metadata")
    protection.lab.define("source", xml)
    protection.guest = replace(protection.guest, disks=(moved,))
    protection.disks["vda"] = moved
    protection.guest.start()
    protection.guest.write(2 * MIB, 64 * KIB, 0x32)
    report = protection.cycle()
    assert report.way is (Way.INCREMENTAL if kind == "qcow2" else Way.RESYNC)
    assert report.data == 128 * KIB
    protection.expect_exact()


def test_a_disk_replaced_by_another_sends_only_what_differs(protect: Protect) -> None:
    protection = written(protect)
    disk = protection.disks["vda"].path
    protection.guest.destroy()
    new = disk.with_suffix(".new")
    argv = ["qemu-img", "convert", "-f", "qcow2", "-O", "qcow2", str(disk), str(new)]
    protection.lab.exec("source", argv)
    protection.lab.exec("source", ["mv", str(new), str(disk)])
    protection.guest.start()
    protection.guest.write(3 * MIB, 64 * KIB, 0x41)
    report = protection.cycle()
    assert (report.way, report.data) == (Way.RESYNC, 64 * KIB)
    protection.expect_exact()
    expect_no_traces(protection)


def test_a_machine_that_moved_to_another_host_is_followed_there(protect: Protect) -> None:
    protection = written(protect)
    lab, disk = protection.lab, protection.disks["vda"]
    before = lab.virsh("source", "dumpxml", "--inactive", protection.name)
    protection.guest.write(MIB, 64 * KIB, 0x51)
    protection.guest.destroy()
    there = DiskSpec(STORAGE[HostName.KVM] / f"{protection.name}-moved.qcow2")
    lab.path("kvm", there.path).write_bytes(lab.path("source", disk.path).read_bytes())
    redefine(protection, HostName.KVM, there)
    protection.configure()
    protection.guest.start()
    protection.guest.write(2 * MIB, 64 * KIB, 0x52)
    report = protection.cycle()
    assert report.way is not Way.SEED
    assert report.data == 128 * KIB
    protection.expect_exact()
    protection.guest.write(3 * MIB, 64 * KIB, 0x53)
    assert protection.cycle().way is Way.INCREMENTAL
    protection.expect_exact()
    protection.guest.undefine()
    lab.define("source", before)
