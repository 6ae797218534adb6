"""What tells the images of a machine's disks apart."""

from __future__ import annotations

from standby.model.disk import DiskStorage, ImageFormat, SourceDisk
from standby.sources.libvirt_vm.images import Header, with_versions


def disk(name: str, path: str, image_format: ImageFormat = ImageFormat.QCOW2) -> SourceDisk:
    return SourceDisk(name, path, image_format, DiskStorage.FILE, 1 << 20)


def images_of(*disks: SourceDisk, inodes: tuple[int, ...]) -> list[str]:
    numbers = dict(zip((it.name for it in disks), inodes, strict=False))
    headers = {name: Header(keeps_bitmaps=True, inode=n, bitmaps=()) for name, n in numbers.items()}
    return [it.image for it in with_versions(disks, headers)]


def test_a_renamed_image_is_the_same_image() -> None:
    before, after = disk("vda", "/vms/a"), disk("vda", "/vms/b")
    assert images_of(before, inodes=(7,)) == images_of(after, inodes=(7,))


def test_images_of_one_inode_on_two_file_systems_are_told_apart() -> None:
    """The first file of each new file system has the same one."""
    root, data = "/one/disk.qcow2", "/two/disk.qcow2"
    before = images_of(disk("vda", root), disk("vdb", data), inodes=(12, 12))
    assert len(set(before)) == 2
    exchanged = images_of(disk("vda", data), disk("vdb", root), inodes=(12, 12))
    assert exchanged == before[::-1]
    assert images_of(disk("vda", data), inodes=(12,))[0] != before[0]


def test_raw_images_are_told_apart_by_their_paths() -> None:
    raw = [disk(name, f"/vms/{name}", ImageFormat.RAW) for name in ("vda", "vdb")]
    before = images_of(*raw, inodes=())
    assert len(set(before)) == 2
    assert images_of(disk("sda", "/vms/vda", ImageFormat.RAW), inodes=()) == before[:1]
