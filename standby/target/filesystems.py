"""Which storage can keep the store's promises.

The store needs three things of a file system: a rename over an existing file is atomic, also
after a power cut; fsync() of a file and of a directory puts them on stable storage; flock() and
the open-file-description locks of QEMU exclude each other across every client that can reach
the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from standby.errors import UseOtherStorage


class Promise(Enum):
    """What a file system's type promises."""

    KEPT = "locks, renames and flushes hold"
    KEPT_BY_SERVER = "locks, renames and flushes are the NFS server's: version 4, exported sync"
    BROKEN = "locks or renames do not hold"


# As stat --file-system --format=%T names them (coreutils, src/stat.c).
_NETWORK: Final = frozenset({"nfs"})
_BROKEN: Final = {
    "smb2": "SMB: QEMU's locks are kept by this client alone and flushes are the server's choice",
    "cifs": "SMB: QEMU's locks are kept by this client alone and flushes are the server's choice",
    "smb": "SMB: QEMU's locks are kept by this client alone and flushes are the server's choice",
    "msdos": "FAT: a rename is not atomic and files end at 4 GiB",
    "exfat": "exFAT: a rename is not atomic after a power cut",
    "v9fs": "9p: locks are not kept across clients",
}


def promise_of(filesystem: str) -> Promise:
    """Tell what a file system's type promises; an unknown local one is taken at its word."""
    if filesystem in _BROKEN:
        return Promise.BROKEN
    return Promise.KEPT_BY_SERVER if filesystem in _NETWORK else Promise.KEPT


def require_promises(filesystem: str, path: str, mounted_with: str = "") -> None:
    """Raise UseOtherStorage when a store must not lie there.

    `mounted_with`: the options of a network file system, as findmnt(8) prints them. One of which
    they are not known is refused.
    """
    if promise_of(filesystem) is Promise.BROKEN:
        raise UseOtherStorage(
            path,
            _BROKEN[filesystem],
            "a local file system (ext4, XFS, Btrfs, ZFS) or NFS version 4",
            "name another storage in the profile: target.storage",
        )
    if filesystem in _NETWORK:
        _require_locks(path, dict(option.partition("=")[::2] for option in mounted_with.split(",")))


def nfs_version(mounted_with: str) -> str:
    """Return the version that an NFS is mounted with, "" when the options do not tell."""
    return dict(it.partition("=")[::2] for it in mounted_with.split(",")).get("vers", "")


def _require_locks(path: str, options: Mapping[str, str]) -> None:
    version = options.get("vers", "")
    if not version.startswith("4"):
        raise UseOtherStorage(
            path,
            f"NFS version {version or 'unknown'}: its locks are not reliable",
            "NFS version 4",
            "on the KVM host mount it with vers=4.2",
        )
    if options.get("local_lock", "none") != "none":
        raise UseOtherStorage(
            path,
            f"NFS mounted with local_lock={options['local_lock']}: another host would not see its"
            " locks",
            "local_lock=none",
            "on the KVM host mount it with local_lock=none",
        )
