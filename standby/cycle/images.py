"""First copies that begin from an image that is on the KVM host already."""

from __future__ import annotations

from collections.abc import Sequence

from standby.cycle.interfaces import Store, Transfer
from standby.model.plan import DiskPlan
from standby.model.seed import ImageFound
from standby.planning.seeds import require_fit
from standby.planning.space import DiskWrite, cycle_space


def to_be_copied(disks: Sequence[DiskPlan]) -> tuple[DiskPlan, ...]:
    """Return the disks whose image has not been copied yet."""
    return tuple(disk for disk in disks if disk.image is not None and disk.continues is None)


def copy_images(
    store: Store, transfer: Transfer, disks: Sequence[DiskPlan], storage: str, reserve: int
) -> None:
    """Make an unfinished first copy of each image: a copy of it, and the digests of its blocks.

    All are looked at before one is copied. Raises UseOtherImage, GrantAccess, TryLater,
    FreeSpace; the images themselves are only read.
    """
    found = [(disk, store.find_image(disk.image)) for disk in disks if disk.image]
    for disk, image in found:
        require_fit(disk, image)
    writes = [DiskWrite(d.disk.name, d.disk.size, _bytes_of(d, image)) for d, image in found]
    problem = cycle_space(storage, writes, store.observe().available, reserve)
    if problem is not None:
        raise problem
    for disk, image in found:
        with store.copied_image(disk, image) as (data, digests):
            transfer.digest(disk.disk.name, data, digests)


def _bytes_of(disk: DiskPlan, image: ImageFound) -> int:
    return min(image.allocated, disk.disk.size)
