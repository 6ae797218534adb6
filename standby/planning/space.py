"""How much room a cycle and a merge need on the KVM host. Arithmetic only; sizes in bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from standby.errors import FreeSpace
from standby.model.amount import readable
from standby.model.extent import Extent, ExtentKind
from standby.model.names import PointName
from standby.model.point import Base, BootPoint, Delta
from standby.planning.retention import Merge

CLUSTER = 64 * 1024  # qcow2's default, which our deltas use: the smallest piece a file grows by
_L2_ENTRY = 8  # bytes of mapping for each cluster of the disk (qcow2 specification)
_REFCOUNT = 2  # bytes for each cluster of the file, at the default refcount width of 16 bits
_FIXED_CLUSTERS = 4  # header, first refcount table and block, first cluster of the L1 table


class Allocation(Enum):
    """How much of a new file is allocated at once."""

    THIN = "thin"  # what is written
    FULL = "preallocated"  # the whole size of the disk


@dataclass(frozen=True, slots=True)
class DiskWrite:
    """What a cycle writes for one disk: at most `data` bytes of whole clusters."""

    disk: str
    size: int  # virtual size of the disk
    data: int
    allocation: Allocation = Allocation.THIN


def allocated_by(extents: Iterable[Extent]) -> int:
    """Return the bytes that writing the extents allocates in a delta, in whole clusters.

    A part of a cluster costs the whole, be it data or zeroes; whole clusters of zeroes cost
    nothing. Extents are ascending and do not overlap.
    """
    clusters, counted_to = 0, 0
    for extent in extents:
        for first, end in _clusters_of(extent):
            clusters += max(0, end - max(first, counted_to))
            counted_to = max(counted_to, end)
    return clusters * CLUSTER


def bytes_for_disk(write: DiskWrite) -> int:
    """Return the most bytes that one disk's new delta takes, qcow2's own tables included.

    The tables are counted as if the whole disk were mapped: 0.02 % of it, never too little.
    """
    data = write.size if write.allocation is Allocation.FULL else min(write.data, write.size)
    disk_clusters = _in_clusters(write.size)
    mapping = _in_clusters(disk_clusters * _L2_ENTRY)
    mapping += _in_clusters(mapping * _L2_ENTRY)  # the L1 table
    payload = _in_clusters(data)
    refcounts = _in_clusters((payload + mapping) * _REFCOUNT)
    return (payload + mapping + refcounts + _FIXED_CLUSTERS) * CLUSTER


def bytes_for_merge(older: BootPoint, younger: BootPoint) -> int:
    """Return the most bytes that a merge takes before it frees the younger's files."""
    pairs = ((delta, older.delta_of(delta.disk)) for delta in younger.deltas)
    return sum(
        delta.stored + _FIXED_CLUSTERS * CLUSTER
        for delta, below in pairs
        if below and delta.base is Base.BELOW
    )


def bytes_for_merges(points: Sequence[BootPoint], merges: Sequence[Merge]) -> int:
    """Return the most bytes that any one of a plan's merges takes, done one after the other."""
    stored: dict[PointName, BootPoint] = {point.name: point for point in points}
    most = 0
    for merge in merges:
        older, younger = stored.pop(merge.older), stored[merge.younger]
        most = max(most, bytes_for_merge(older, younger))
        stored[merge.younger] = _joined(older, younger)
    return most


def cycle_space(
    storage: str, writes: Sequence[DiskWrite], available: int, reserve: int
) -> FreeSpace | None:
    """Return the error that a cycle would end in for want of room, or None.

    `reserve` is what must stay free: the storage's own reserve and room for the next merge.
    """
    new = sum(map(bytes_for_disk, writes))
    if new + reserve <= available:
        return None
    return FreeSpace(
        f"storage {storage}",
        f"{readable(available)} free",
        f"{readable(new)} for the new boot point and {readable(reserve)} in reserve",
        f"free {readable(new + reserve - available)} there, or lower the limit of boot points",
        needed_bytes=new + reserve,
        available_bytes=available,
    )


def merge_space(
    storage: str, older: BootPoint, younger: BootPoint, available: int
) -> FreeSpace | None:
    """Return the error that a merge would end in for want of room, or None."""
    needed = bytes_for_merge(older, younger)
    if needed <= available:
        return None
    return FreeSpace(
        f"storage {storage}",
        f"{readable(available)} free",
        f"{readable(needed)} to merge {older.name} into {younger.name}",
        f"free {readable(needed - available)} there; a merge frees room only when it is done",
        needed_bytes=needed,
        available_bytes=available,
    )


def _in_clusters(size: int) -> int:
    return -(-size // CLUSTER)


def _clusters_of(extent: Extent) -> tuple[tuple[int, int], ...]:
    """Return the ranges of clusters, end exclusive, that writing the extent allocates."""
    first, end = extent.start // CLUSTER, _in_clusters(extent.end)
    if extent.kind is ExtentKind.DATA:
        return ((first, end),)
    whole_from, whole_to = _in_clusters(extent.start), extent.end // CLUSTER
    if whole_from > whole_to:  # it begins and ends inside one cluster
        return ((first, end),)
    return ((first, whole_from), (whole_to, end))


def _joined(older: BootPoint, younger: BootPoint) -> BootPoint:
    deltas = tuple(_grown(delta, older.delta_of(delta.disk)) for delta in younger.deltas)
    return replace(younger, deltas=deltas)


def _grown(delta: Delta, below: Delta | None) -> Delta:
    if below is None or delta.base is Base.NOTHING:
        return replace(delta, base=Base.NOTHING)
    return replace(delta, stored=delta.stored + below.stored, base=below.base)
