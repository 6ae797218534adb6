"""Disks that come, go, grow, are excluded, or are looked after by somebody else as well."""

from __future__ import annotations

import pytest
from support import MIB, SECTOR, Protect, Protection, Scribbler
from support_traces import expect_no_traces

from lab.domains import DiskSpec
from lab.layout import STORAGE, HostName
from standby.cycle.report import Outcome
from standby.errors import RepairSource
from standby.model.point import Way

SIZE = 8 * MIB
ODD = 5 * MIB + 3 * SECTOR


def new_image(protection: Protection, name: str, size: int, kind: str = "qcow2") -> DiskSpec:
    """Make an empty image on the source's storage."""
    disk = DiskSpec(STORAGE[HostName.SOURCE] / f"{protection.name}-{name}.{kind}", kind)
    argv = ["qemu-img", "create", "-q", "-f", kind, str(disk.path), str(size)]
    protection.lab.exec("source", argv)
    return disk


def attach(protection: Protection, name: str, disk: DiskSpec, *where: str) -> None:
    """Attach a disk; it is one of those that points are expected to have."""
    argv = ("--driver", "qemu", "--subdriver", disk.kind, *where)
    protection.lab.virsh("source", "attach-disk", protection.name, str(disk.path), name, *argv)
    protection.disks[name] = disk


def detach(protection: Protection, name: str, *where: str) -> None:
    """Detach a disk; points are not expected to have it any more."""
    protection.lab.virsh("source", "detach-disk", protection.name, name, *where)
    del protection.disks[name]


def restart(protection: Protection) -> None:
    protection.guest.destroy()
    protection.guest.start()


def disk_sets(protection: Protection) -> list[str]:
    return [" ".join(delta.disk for delta in p.deltas) for p in protection.manifest.points]


def test_a_disk_that_is_added_is_copied_and_older_points_keep_their_disks(
    protect: Protect,
) -> None:
    protection = protect(SIZE)
    protection.guest.write(0, MIB, 1)
    protection.cycle()
    attach(protection, "vdb", new_image(protection, "new", ODD), "--live", "--config")
    protection.write("vda", "write -P 2 0 512")
    protection.write("vdb", "write -P 7 0 1M")
    report = protection.cycle()
    assert report.way is Way.INCREMENTAL
    assert "vdb added" in report.reason
    protection.write("vdb", "write -P 8 512 512", "write -z 64k 64k")
    assert protection.cycle().way is Way.INCREMENTAL
    assert disk_sets(protection) == ["vda", "vda vdb", "vda vdb"]
    protection.expect_exact()
    expect_no_traces(protection)


def test_a_disk_of_the_running_machine_alone_is_captured_as_long_as_it_is_there(
    protect: Protect,
) -> None:
    protection = protect(SIZE)
    protection.cycle()
    attach(protection, "vdb", new_image(protection, "new", ODD), "--live")
    protection.write("vdb", "write -P 7 0 1M")
    assert "vdb" in " ".join(protection.cycle().warnings)
    protection.expect_exact()
    restart(protection)
    del protection.disks["vdb"]
    protection.cycle()
    protection.expect_exact()
    assert disk_sets(protection) == ["vda", "vda vdb", "vda"]


@pytest.mark.long
def test_a_disk_that_comes_with_the_next_start_is_captured_from_then_on(protect: Protect) -> None:
    protection = protect(SIZE)
    protection.cycle()
    attach(protection, "vdb", new_image(protection, "new", ODD), "--config")
    added = protection.disks.pop("vdb")
    protection.guest.write(0, SECTOR, 1)
    protection.cycle()
    restart(protection)
    protection.disks["vdb"] = added
    protection.write("vdb", "write -P 7 0 1M")
    protection.cycle()
    protection.expect_exact()
    assert disk_sets(protection) == ["vda", "vda", "vda vdb"]


@pytest.mark.long
def test_a_disk_that_is_removed_and_added_again_is_copied_anew(protect: Protect) -> None:
    protection, scribbler = protect(SIZE, ODD, limit=3), Scribbler(1)
    scribbler.scribble(protection.guest, (SIZE, ODD))
    protection.cycle()
    vdb = protection.disks["vdb"]
    protection.guest.destroy()
    detach(protection, "vdb", "--config")
    protection.guest.start()
    protection.write("vda", "write -P 1 0 1M")
    protection.cycle()
    expect_no_traces(protection)
    attach(protection, "vdb", vdb, "--live", "--config")
    protection.write("vdb", "write -P 9 4k 4k")
    protection.cycle()
    protection.write("vdb", "write -P 10 1M 4k")
    protection.cycle()
    protection.expect_exact()
    assert disk_sets(protection) == ["vda", "vda vdb", "vda vdb"]
    expect_no_traces(protection)


@pytest.mark.parametrize("kind", ["qcow2", pytest.param("raw", marks=pytest.mark.long)])
def test_a_disk_that_gets_another_name_is_not_sent_again(protect: Protect, kind: str) -> None:
    protection, scribbler = protect(SIZE, ODD, kinds=("qcow2", kind)), Scribbler(5)
    protection.write("vdb", f"write -P 9 0 {4 * MIB}")
    protection.cycle()
    scribbler.scribble(protection.guest, (SIZE, ODD))
    protection.cycle()
    vdb = protection.disks["vdb"]
    protection.guest.destroy()
    detach(protection, "vdb", "--config")
    protection.guest.start()
    attach(protection, "vdc", vdb, "--live", "--config")
    protection.write("vdc", "write -P 10 1M 4k", "write -z 2M 64k", "write -P 11 3M 512")
    report = protection.cycle()
    assert "vdb of the newest boot point under another name" in report.reason
    assert report.data < MIB
    protection.write("vdc", "write -P 12 1M 8k")
    report = protection.cycle()
    assert report.way is (Way.INCREMENTAL if kind == "qcow2" else Way.RESYNC)
    assert report.data < MIB
    assert disk_sets(protection) == ["vda vdb", "vda vdb", "vda vdc", "vda vdc"]
    protection.expect_exact()
    expect_no_traces(protection)


@pytest.mark.parametrize("state", ["running", pytest.param("off", marks=pytest.mark.long)])
def test_a_disk_that_grows_is_larger_from_the_next_point_on(protect: Protect, state: str) -> None:
    protection, scribbler = protect(SIZE, ODD, limit=3), Scribbler(2)
    sizes = (SIZE, ODD)
    scribbler.scribble(protection.guest, sizes)
    protection.cycle()
    larger = ODD + 3 * MIB + SECTOR
    if state == "running":
        protection.lab.virsh("source", "blockresize", protection.name, "vdb", f"{larger}B")
    else:
        protection.guest.destroy()
        image = str(protection.disks["vdb"].path)
        protection.lab.exec("source", ["qemu-img", "resize", "-q", image, str(larger)])
        protection.guest.start()
    assert protection.cycle().outcome is Outcome.PUBLISHED
    protection.expect_exact()
    protection.write("vdb", f"write -P 5 {larger - 2 * SECTOR} {2 * SECTOR}")
    for _ in range(3):
        scribbler.scribble(protection.guest, (SIZE, larger))
        assert protection.cycle().way is Way.INCREMENTAL
        protection.expect_exact()
    expect_no_traces(protection)


def test_a_disk_that_shrank_is_refused_and_no_point_is_lost(protect: Protect) -> None:
    protection = protect(SIZE)
    protection.guest.write(0, MIB, 1)
    protection.cycle()
    protection.guest.destroy()
    image = str(protection.disks["vda"].path)
    smaller = ["qemu-img", "create", "-q", "-f", "qcow2", image, str(SIZE // 2)]
    protection.lab.exec("source", smaller)
    with pytest.raises(RepairSource, match="shrank"):
        protection.cycle()
    protection.expect_exact()


def test_excluded_disks_and_drives_are_left_out_and_it_is_said(protect: Protect) -> None:
    protection, scribbler = protect(SIZE, ODD, 2 * MIB), Scribbler(3)
    iso = new_image(protection, "iso", 2 * MIB, "raw")
    where = ("--type", "cdrom", "--mode", "readonly", "--config", "--targetbus", "ide")
    protection.guest.destroy()
    protection.lab.virsh("source", "attach-disk", protection.name, str(iso.path), "hda", *where)
    protection.guest.start()
    protection.configure(disks={"exclude": {"vdb": "absent", "vdc": "empty"}})
    scribbler.scribble(protection.guest, (SIZE, ODD, 2 * MIB))
    del protection.disks["vdb"], protection.disks["vdc"]
    for _ in range(2):
        warnings = "\n".join(protection.cycle().warnings)
        assert "hda is left out: a CD-ROM" in warnings
        assert "vdb is left out: excluded" in warnings
        scribbler.scribble(protection.guest, (SIZE, ODD, 2 * MIB))
    protection.expect_exact()
    protection.expect_head_on(protection.points[-1])
    assert sorted(p.name for p in (protection.store / "head").glob("*.qcow2")) == [
        "vda.qcow2",
        "vdc.qcow2",
    ]
    protection.configure(disks={"exclude": {"vda": "absent"}})
    protection.disks = {f"vd{n}": protection.guest.disks[i] for i, n in ((1, "b"), (2, "c"))}
    assert "will not boot" in "\n".join(protection.cycle().warnings)
    protection.expect_exact()


@pytest.mark.long
def test_raw_and_qcow2_disks_side_by_side_are_followed_each_in_its_way(protect: Protect) -> None:
    protection = protect(SIZE, ODD, kinds=("qcow2", "raw"), limit=2)
    scribbler = Scribbler(4)
    for _ in range(4):
        scribbler.scribble(protection.guest, (SIZE, ODD))
        report = protection.cycle()
        protection.expect_exact()
    assert report.way is Way.RESYNC
    assert "vdb" in report.reason
    assert "vda" not in report.reason
    expect_no_traces(protection)


@pytest.mark.parametrize("state", ["running", "off"])
def test_a_qcow2_too_old_for_bitmaps_is_read_whole_and_only_what_differs_is_sent(
    protect: Protect, state: str
) -> None:
    protection, scribbler = protect(SIZE), Scribbler(10)
    protection.guest.destroy()
    disk = str(protection.disks["vda"].path)
    protection.lab.exec("source", ["qemu-img", "amend", "-f", "qcow2", "-o", "compat=0.10", disk])
    for way in (Way.SEED, Way.RESYNC):
        protection.guest.start()
        scribbler.scribble(protection.guest, (SIZE,), requests=5)
        if state == "off":
            protection.guest.destroy()
        assert protection.cycle().way is way
        if state == "running":
            protection.guest.destroy()
    protection.expect_exact()


def test_block_devices_are_captured_running_and_off(protect: Protect) -> None:
    protection, scribbler = protect(SIZE, kinds=("block",)), Scribbler(8)
    protection.configure(scratch={"directory": "/srv/vms", "reserve": "64MiB"})
    for _ in range(2):
        scribbler.scribble(protection.guest, (SIZE,))
        protection.cycle()
    scribbler.scribble(protection.guest, (SIZE,))
    protection.guest.destroy()
    protection.cycle()
    protection.expect_exact()


@pytest.mark.long
@pytest.mark.parametrize("state", ["running", "off"])
def test_an_image_on_a_backing_file_is_copied_with_what_lies_below(
    protect: Protect, state: str
) -> None:
    protection, scribbler = protect(SIZE), Scribbler(5)
    scribbler.scribble(protection.guest, (SIZE,))
    protection.guest.destroy()
    disk = protection.disks["vda"].path
    below = str(disk.with_name(f"{protection.name}-below.qcow2"))
    protection.lab.exec("source", ["mv", str(disk), below])
    on_top = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", below, str(disk)]
    protection.lab.exec("source", on_top)
    protection.guest.start()
    scribbler.scribble(protection.guest, (SIZE,), requests=5)
    for _ in range(2):
        if state == "off":
            protection.guest.destroy()
        protection.cycle()
        if state == "off":
            protection.guest.start()
        scribbler.scribble(protection.guest, (SIZE,), requests=5)
    protection.cycle()
    protection.expect_exact()
    expect_no_traces(protection)


def test_a_snapshot_that_somebody_takes_and_merges_loses_no_change(protect: Protect) -> None:
    protection, scribbler = protect(SIZE), Scribbler(6)
    scribbler.scribble(protection.guest, (SIZE,))
    protection.cycle()
    scribbler.scribble(protection.guest, (SIZE,), requests=4)
    base = protection.disks["vda"]
    overlay = base.path.with_suffix(".theirs")
    spec = f"vda,snapshot=external,file={overlay}"
    argv = ("--no-metadata", "--disk-only", "--diskspec", spec)
    protection.lab.virsh("source", "snapshot-create-as", protection.name, "theirs", *argv)
    protection.disks["vda"] = DiskSpec(overlay)
    scribbler.scribble(protection.guest, (SIZE,), requests=4)
    protection.cycle()
    protection.expect_exact()
    scribbler.scribble(protection.guest, (SIZE,), requests=4)
    merge = ("blockcommit", protection.name, "vda", "--active", "--pivot", "--wait")
    protection.lab.virsh("source", *merge)
    protection.disks["vda"] = base
    scribbler.scribble(protection.guest, (SIZE,), requests=4)
    for _ in range(2):
        protection.cycle()
        protection.expect_exact()
        scribbler.scribble(protection.guest, (SIZE,), requests=4)


def test_a_snapshot_of_a_machine_that_is_off_since_hides_no_change(protect: Protect) -> None:
    """What changed before the snapshot is counted in the image below, which is only read now."""
    protection, scribbler = protect(SIZE), Scribbler(7)
    scribbler.scribble(protection.guest, (SIZE,))
    protection.cycle()
    scribbler.scribble(protection.guest, (SIZE,), requests=4)
    overlay = protection.disks["vda"].path.with_suffix(".theirs")
    spec = f"vda,snapshot=external,file={overlay}"
    argv = ("--no-metadata", "--disk-only", "--diskspec", spec)
    protection.lab.virsh("source", "snapshot-create-as", protection.name, "theirs", *argv)
    protection.disks["vda"] = DiskSpec(overlay)
    scribbler.scribble(protection.guest, (SIZE,), requests=4)
    protection.guest.destroy()
    report = protection.cycle()
    assert report.way is Way.RESYNC
    assert "goes through a snapshot" in report.reason
    protection.expect_exact()
    protection.guest.start()
    scribbler.scribble(protection.guest, (SIZE,), requests=4)
    assert protection.cycle().way is Way.INCREMENTAL
    protection.expect_exact()


def test_disks_that_were_exchanged_are_not_taken_for_what_they_were(protect: Protect) -> None:
    protection, scribbler = protect(SIZE, SIZE), Scribbler(12)
    scribbler.scribble(protection.guest, (SIZE, SIZE))
    protection.cycle()
    scribbler.scribble(protection.guest, (SIZE, SIZE))
    protection.guest.destroy()
    one, other = (str(disk.path) for disk in protection.disks.values())
    for pair in ((one, f"{one}.away"), (other, one), (f"{one}.away", other)):
        protection.lab.exec("source", ["mv", *pair])
    report = protection.cycle()
    assert report.way is Way.RESYNC
    assert "its image was that of vdb" in report.reason
    protection.expect_exact()
    protection.guest.start()
    scribbler.scribble(protection.guest, (SIZE, SIZE))
    assert protection.cycle().way is Way.INCREMENTAL
    protection.expect_exact()


def test_a_bitmap_that_was_switched_off_is_not_believed(protect: Protect) -> None:
    protection, scribbler = protect(SIZE), Scribbler(13)
    scribbler.scribble(protection.guest, (SIZE,))
    protection.cycle()
    protection.guest.destroy()
    checkpoint, disk = protection.manifest.points[-1].checkpoint, str(protection.disks["vda"].path)
    assert checkpoint is not None
    protection.lab.exec("source", ["qemu-img", "bitmap", "--disable", disk, checkpoint])
    protection.guest.start()
    scribbler.scribble(protection.guest, (SIZE,))
    protection.guest.destroy()
    assert protection.cycle().way is Way.RESYNC
    protection.expect_exact()
    expect_no_traces(protection)


@pytest.mark.long
@pytest.mark.parametrize("state", ["running", "off"])
def test_a_disk_that_shrank_and_grew_back_between_cycles_holds_what_it_holds(
    protect: Protect, state: str
) -> None:
    protection = protect(SIZE)
    protection.guest.write(0, SIZE, 0x11)
    protection.cycle()
    disk, sizes = str(protection.disks["vda"].path), (SIZE // 2, SIZE)
    if state == "off":
        protection.guest.destroy()
    for size in sizes:
        if state == "off":
            resize = ["qemu-img", "resize", "-q", "--shrink", "-f", "qcow2", disk, str(size)]
            protection.lab.exec("source", resize)
        else:
            protection.lab.virsh("source", "blockresize", protection.name, disk, f"{size}B")
    protection.cycle()
    protection.expect_exact()
