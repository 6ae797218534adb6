"""What the images of a machine that is off say of their history, made by the real qemu-img."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from standby.errors import CaptureLost
from standby.host.libvirt import LibvirtConnection
from standby.host.local import LocalHost
from standby.model.disk import DiskStorage, ImageFormat, SourceDisk
from standby.model.machine import MachineDefinition
from standby.model.plan import CapturePlan, DiskPlan
from standby.model.point import Consistency, Way
from standby.sources.libvirt_vm import images
from standby.sources.libvirt_vm.offline import offline_capture

OWNER = "standby-web-token-"
BITMAP = f"{OWNER}V20261122_035600"
LATER = f"{OWNER}V20261122_040600"


@pytest.fixture
def domain() -> Iterator[libvirt.virDomain]:
    connection = LibvirtConnection("source")
    domain = connection.get(lambda: "test:///default").lookupByName("test")
    domain.destroy()
    yield domain
    connection.close()


def qemu_img(*argv: str) -> None:
    subprocess.run(("qemu-img", *argv), check=True, capture_output=True)


def after_a_snapshot(directory: Path) -> SourceDisk:
    """Leave a disk as a snapshot of the running machine does: libvirt goes on with its bitmaps."""
    below, top = str(directory / "below.qcow2"), str(directory / "top.qcow2")
    qemu_img("create", "-q", "-f", "qcow2", below, "8M")
    qemu_img("bitmap", "--add", below, BITMAP)
    subprocess.run(("qemu-io", "-c", "write -P 1 0 1M", below), check=True, capture_output=True)
    qemu_img("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", below, top)
    qemu_img("bitmap", "--add", top, BITMAP)
    qemu_img("bitmap", "--add", top, LATER)
    return SourceDisk("vda", top, ImageFormat.QCOW2, DiskStorage.FILE, 8 << 20)


def bitmaps_in(path: Path) -> set[str]:
    disk = SourceDisk("vda", str(path), ImageFormat.QCOW2, DiskStorage.FILE, 8 << 20)
    header = images.headers_of(LocalHost(), [disk], chains=False)["vda"]
    return {bitmap.name for bitmap in header.bitmaps}


def test_a_bitmap_that_began_below_a_snapshot_does_not_tell_all_that_changed(
    tmp_path: Path,
) -> None:
    headers = images.headers_of(LocalHost(), [after_a_snapshot(tmp_path)], chains=True)
    since, later = images.tracked_in_images(headers, OWNER)
    assert "snapshot" in (since.why_lost("vda") or "")
    assert later.why_lost("vda") is None


def test_a_machine_shut_off_since_its_capture_was_planned_is_not_read_by_half_a_bitmap(
    tmp_path: Path, domain: libvirt.virDomain
) -> None:
    disk = DiskPlan(after_a_snapshot(tmp_path), Way.INCREMENTAL, "", "deltas/vda.0001.qcow2")
    plan = CapturePlan((disk,), OWNER, f"{OWNER}V20261122_041600", BITMAP, Consistency.CRASH)
    capture = offline_capture(
        LocalHost(), domain.connect(), domain, plan, MachineDefinition(domain.XMLDesc(0))
    )
    with pytest.raises(CaptureLost, match="snapshot"), capture:
        pytest.fail("changes before the snapshot would be missed")


def test_bitmaps_are_removed_below_a_snapshot_too(tmp_path: Path) -> None:
    disk = after_a_snapshot(tmp_path)
    images.remove_bitmaps(LocalHost(), [disk], [BITMAP])
    assert bitmaps_in(tmp_path / "below.qcow2") == set()
    assert bitmaps_in(tmp_path / "top.qcow2") == {LATER}
