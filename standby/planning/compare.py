"""Which disks of the source can be compared with the newest boot point, and how they are read."""

from __future__ import annotations

from dataclasses import dataclass, replace

from standby.model.disk import SourceDisk
from standby.model.observation import SourceObservation, TrackedCheckpoint
from standby.model.plan import CapturePlan, DiskPlan
from standby.model.point import BootPoint, Consistency, Delta, Way
from standby.planning.replicate import tracked_by, why_lost


@dataclass(frozen=True, slots=True)
class Comparison:
    """A capture that leaves no checkpoint behind, and what of it cannot be compared.

    `not_compared` are disks of the newest boot point and why; their content is captured all the
    same where it is there, since what is damaged can be mended from it.
    """

    capture: CapturePlan
    not_compared: tuple[tuple[str, str], ...]


def plan_comparison(source: SourceObservation, newest: BootPoint, owner: str) -> Comparison:
    """Plan a capture to compare with the newest point. `owner` begins the names of what is ours."""
    tracked = tracked_by(source, newest)
    here = {disk.name: disk for disk in source.disks}
    plans: list[DiskPlan] = []
    reasons: list[tuple[str, str]] = []
    for delta in newest.deltas:
        disk = here.get(delta.disk)
        why = _why_not(disk, delta, newest, tracked)
        if why is not None:
            reasons.append((delta.disk, why))
        if disk is not None:
            way = Way.INCREMENTAL if why is None else Way.RESYNC
            plans.append(DiskPlan(replace(disk, keeps_bitmaps=False), way, why or "", delta.file))
    incremental = any(plan.way is Way.INCREMENTAL for plan in plans)
    capture = CapturePlan(
        disks=tuple(plans),
        owner=owner,
        checkpoint=f"{owner}compare",
        since=tracked.name if tracked and incremental else None,
        consistency=Consistency.CRASH,
    )
    return Comparison(capture, tuple(reasons))


def _why_not(
    disk: SourceDisk | None, delta: Delta, newest: BootPoint, tracked: TrackedCheckpoint | None
) -> str | None:
    if disk is None:
        return "not a disk of the machine any more"
    if disk.size != delta.size:
        return f"its size is {disk.size} bytes now, {delta.size} in the boot point"
    lost = why_lost(disk, newest, tracked)
    return f"nobody knows what changed on it since: {lost}" if lost else None
