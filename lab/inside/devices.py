"""A private /dev: the machine's devices as nodes of our own, to be chowned or left out."""

import os
import shutil
import stat
from pathlib import Path

from lab.inside.syscalls import MountFlag, detach_all, mount

_DEV = Path("/dev")
_MOUNTED = ("pts", "shm", "mqueue", "hugepages")
"""Mount points below /dev: not copied."""
_LOOP_MAJOR = 7
_LOOP_NODES = 64
"""Loop devices made by the kernel later get no node here, so some are made before."""


def mount_devices(*, hidden: frozenset[str]) -> None:
    """Cover /dev with a copy that lacks the nodes called `hidden`.

    libvirt changes the owner of devices that it gives to a guest: the machine's own nodes
    must not notice. And where /dev/kvm exists but does not work, libvirt would probe QEMU
    anew, seconds long, at every definition: there it had better not exist.
    """
    new = Path("/run/dev")
    new.mkdir()
    mount("tmpfs", str(new), "tmpfs", MountFlag.NO_SUID, "mode=755")
    _copy(_DEV, new, hidden | frozenset(_MOUNTED))
    for number in range(_LOOP_NODES):
        _make_loop(new / f"loop{number}", number)
    (new / "pts").mkdir()
    mount("/dev/pts", str(new / "pts"), flags=MountFlag.BIND)
    (new / "shm").mkdir()
    mount("tmpfs", str(new / "shm"), "tmpfs", MountFlag.NO_SUID | MountFlag.NO_DEV, "mode=1777")
    detach_all("/dev")
    mount(str(new), "/dev", flags=MountFlag.MOVE)


def _copy(original: Path, copy: Path, left_out: frozenset[str]) -> None:
    for entry in original.iterdir():
        if entry.name not in left_out:
            _copy_entry(entry, copy / entry.name)


def _copy_entry(entry: Path, target: Path) -> None:
    found = entry.lstat()
    if stat.S_ISLNK(found.st_mode):
        target.symlink_to(entry.readlink())
    elif stat.S_ISDIR(found.st_mode):
        target.mkdir()
        shutil.copystat(entry, target)
        _copy(entry, target, frozenset())
    elif stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode):
        os.mknod(target, found.st_mode, found.st_rdev)
        os.chown(target, found.st_uid, found.st_gid)
        target.chmod(stat.S_IMODE(found.st_mode))


def _make_loop(path: Path, number: int) -> None:
    if not path.exists():
        os.mknod(path, stat.S_IFBLK | 0o660, os.makedev(_LOOP_MAJOR, number))
