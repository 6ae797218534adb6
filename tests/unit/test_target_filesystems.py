"""Which storage may hold a store: decided by what the file system is."""

from __future__ import annotations

import pytest

from standby.errors import UseOtherStorage
from standby.target.filesystems import Promise, promise_of, require_promises


@pytest.mark.parametrize(
    ("filesystem", "promise"),
    [
        ("ext2/ext3", Promise.KEPT),
        ("xfs", Promise.KEPT),
        ("btrfs", Promise.KEPT),
        ("zfs", Promise.KEPT),
        ("nfs", Promise.KEPT_BY_SERVER),
        ("smb2", Promise.BROKEN),
        ("cifs", Promise.BROKEN),
        ("smb", Promise.BROKEN),
        ("msdos", Promise.BROKEN),
        ("exfat", Promise.BROKEN),
        ("v9fs", Promise.BROKEN),
        ("something new", Promise.KEPT),
    ],
)
def test_every_file_system_is_judged(filesystem: str, promise: Promise) -> None:
    assert promise_of(filesystem) is promise


def test_storage_that_breaks_promises_is_refused_with_the_reason_and_the_way_out() -> None:
    with pytest.raises(UseOtherStorage) as caught:
        require_promises("smb2", "/mnt/share/web")
    assert caught.value.subject == "/mnt/share/web"
    assert "locks" in caught.value.found
    assert "target.storage" in caught.value.remedy
    require_promises("xfs", "/srv/web")


@pytest.mark.parametrize("options", ["rw,vers=4.2,local_lock=none", "rw,vers=4.1"])
def test_an_nfs_whose_locks_hold_may_be_used(options: str) -> None:
    require_promises("nfs", "/mnt/nfs/web", options)


def test_a_network_storage_of_which_nothing_is_known_is_refused() -> None:
    with pytest.raises(UseOtherStorage, match="NFS version unknown"):
        require_promises("nfs", "/mnt/nfs/web")


@pytest.mark.parametrize(
    "options",
    [
        "rw,vers=3,local_lock=none",
        "rw,vers=4.2,local_lock=all",
        "rw,vers=4.2,local_lock=flock",
        "rw",
    ],
)
def test_an_nfs_whose_locks_do_not_hold_is_refused_with_the_way_out(options: str) -> None:
    with pytest.raises(UseOtherStorage) as caught:
        require_promises("nfs", "/mnt/nfs/web", options)
    assert "lock" in caught.value.found
    assert "mount it with" in caught.value.remedy
