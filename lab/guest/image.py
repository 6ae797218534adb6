"""The guest's disk: an MBR, GRUB, and one ext4 file system, made without mounting anything."""

import shutil
import subprocess
from pathlib import Path

from lab.guest import system

_SECTOR = 512
_FIRST_SECTOR = 2048
_BOOT_CODE_BYTES = 440
"""What of the first sector is code; the rest is the disk's signature and partition table."""
_GRUB_MODULES = ("biosdisk", "part_msdos", "ext2", "linux", "normal", "configfile", "boot")


def make_disk(tree: Path, work: Path, public_key: str, size: int) -> Path:
    """Return a raw disk image of `size` bytes that boots from a BIOS."""
    root = work / "root"
    root.mkdir()
    system.make_root(tree, root, public_key)
    shutil.copy(system.kernel(tree), root / "boot/vmlinuz")
    shutil.copy(system.make_initramfs(tree, work), root / "boot/initrd.img")
    disk = work / "disk.raw"
    _partition(disk, size)
    _make_file_system(disk, root, size)
    _install_grub(tree, disk)
    return disk


def _partition(disk: Path, size: int) -> None:
    with disk.open("wb") as stream:
        stream.truncate(size)
    table = f"label: dos\nstart={_FIRST_SECTOR}, type=83, bootable\n"
    subprocess.run(["sfdisk", "--quiet", str(disk)], input=table, text=True, check=True)


def _make_file_system(disk: Path, root: Path, size: int) -> None:
    offset = _FIRST_SECTOR * _SECTOR
    extended = f"offset={offset},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0"
    # GRUB 2.06 refuses to boot from file systems with the first of these features.
    features = "^metadata_csum_seed,^orphan_file"
    options = ["-L", "root", "-E", extended, "-O", features, "-d", str(root)]
    blocks = f"{(size - offset) // 1024}k"
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", *options, str(disk), blocks], check=True)


def _install_grub(tree: Path, disk: Path) -> None:
    modules = Path("/usr/lib/grub/i386-pc")
    prefix = ["-O", "i386-pc", "-d", str(modules), "-p", "(hd0,msdos1)/boot/grub"]
    make = ["chroot", str(tree), "grub-mkimage", *prefix, "-o", "/core.img", *_GRUB_MODULES]
    subprocess.run(make, check=True)
    core = (tree / "core.img").read_bytes()
    boot = (tree / modules.relative_to("/") / "boot.img").read_bytes()
    with disk.open("r+b") as stream:
        stream.write(boot[:_BOOT_CODE_BYTES])
        stream.seek(_SECTOR)
        stream.write(core)
