"""System calls that Python 3.11 does not offer."""

import ctypes
import os
from enum import IntFlag
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)


class Namespace(IntFlag):
    """CLONE_NEW… of sched.h."""

    MOUNT = 0x0002_0000
    UTS = 0x0400_0000
    PID = 0x2000_0000
    NET = 0x4000_0000


class MountFlag(IntFlag):
    """MS_… of sys/mount.h."""

    NONE = 0
    READ_ONLY = 0x1
    NO_SUID = 0x2
    NO_DEV = 0x4
    REMOUNT = 0x20
    BIND = 0x1000
    MOVE = 0x2000
    RECURSIVE = 0x4000
    PRIVATE = 0x4_0000


_MNT_DETACH = 2


def unshare(namespaces: Namespace) -> None:
    """Leave the given namespaces for new ones; a new PID namespace begins with the next child."""
    _check(_LIBC.unshare(int(namespaces)), "unshare")


def mount(
    source: str, target: str, kind: str = "", flags: MountFlag = MountFlag.NONE, options: str = ""
) -> None:
    """Mount by the system call: unlike the program, it takes /proc/self/fd paths as they are."""
    arguments = (source, target, kind)
    encoded = [ctypes.c_char_p(os.fsencode(text) if text else None) for text in arguments]
    data = ctypes.c_char_p(options.encode() if options else None)
    result = _LIBC.mount(*encoded, ctypes.c_ulong(int(flags)), data)
    _check(result, f"mount {source} on {target}")


def detach_all(directory: str) -> None:
    """Take what is mounted at and below a directory out of this mount namespace, busy or not.

    Covering it would not do: some programs read /proc/mounts, where covered mounts stay
    listed, and whatever is mounted there would be kept alive.
    """
    lines = Path("/proc/self/mounts").read_text().splitlines()
    for target in reversed([line.split()[1] for line in lines]):
        if Path(target).is_relative_to(directory):
            _detach(target)


def _detach(target: str) -> None:
    _check(_LIBC.umount2(os.fsencode(target), _MNT_DETACH), f"unmount {target}")


def set_host_name(name: str) -> None:
    """Set the host name of this UTS namespace."""
    encoded = name.encode()
    _check(_LIBC.sethostname(encoded, len(encoded)), "sethostname")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
