"""Decide one cycle from what was observed on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from standby.errors import ChooseOtherName, RepairSource, RepairStore
from standby.model.digest import BLOCK
from standby.model.disk import ExcludedAs, SourceDisk
from standby.model.keep import Keep
from standby.model.manifest import Manifest
from standby.model.names import PointName
from standby.model.observation import (
    DomainFound,
    HeadUse,
    SourceObservation,
    TargetObservation,
    TrackedCheckpoint,
)
from standby.model.plan import CapturePlan, Copying, CyclePlan, CycleRequest, DiskPlan, HeadMove
from standby.model.point import BlankDisk, BootPoint, Consistency, Standing, Way
from standby.model.seed import NO_IMAGES
from standby.model.spoilt import total
from standby.planning.naming import next_point_name
from standby.planning.retention import merges_due, require_point_allowed
from standby.planning.seeds import (
    given_up,
    going_on,
    still_meant,
    with_former_names,
    with_images,
)


def plan_cycle(
    source: SourceObservation,
    target: TargetObservation,
    request: CycleRequest,
    *,
    consistency: Consistency,
    keep: Keep,
    checkpoint_prefix: str,
    now: datetime,
) -> CyclePlan:
    """Decide what this cycle does. `now` is UTC.

    Where the tracker's history is lost a disk is resynced, and the plan says why. Raises
    RepairSource when a disk shrank or the machine is another one, RepairStore when nothing vouches
    for what the newest point holds of a disk, TryLater at the hard cap,
    FixProfile when the images to begin from are of other disks.
    """
    manifest = target.manifest
    _refuse_another_machine(source, manifest)
    _refuse_foreign_domain(target)
    _refuse_lost_store(target, request)
    _refuse_lost_files(target)
    require_point_allowed(manifest.standby, merges_due(target, keep, now))
    known = tuple(checkpoint.name for checkpoint in source.checkpoints)
    taken = {name.removeprefix(checkpoint_prefix) for name in known}
    point = next_point_name(manifest.points, now, taken)
    tracked = tracked_by(source, manifest.newest)
    planned = _disk_plans(source.disks, manifest, tracked, request)
    # A full copy that somebody asked for believes nothing of what is there.
    full = request.copying is Copying.EVERYTHING
    believed, images = ((), NO_IMAGES) if full else (target.unfinished, request.images)
    begun = with_images(planned, still_meant(images, planned, manifest.newest))
    disks = going_on(begun if full else with_former_names(begun, manifest.newest), believed)
    incremental = any(plan.way is Way.INCREMENTAL for plan in disks)
    way, reason = _overall(disks)
    return CyclePlan(
        machine=source.identity,
        point=point,
        way=way,
        reason=reason,
        capture=CapturePlan(
            disks=disks,
            owner=checkpoint_prefix,
            checkpoint=f"{checkpoint_prefix}{point}",
            since=tracked.name if tracked and incremental else None,
            consistency=consistency,
        ),
        debris=(*target.debris, *given_up(disks, target.unfinished)),
        known_checkpoints=known,
        unfinished_merges=_unfinished(manifest),
        head=_head_move(target),
        blanks=tuple(
            BlankDisk(disk.name, disk.size)
            for disk in source.left_out
            if disk.stands_as is ExcludedAs.EMPTY
        ),
        warnings=source.warnings,
    )


def checkpoint_owner(profile: str, manifest: Manifest) -> str:
    """Return what the names of a standby's checkpoints on the source begin with.

    The profile's name is for people. The token keeps two standbys of one machine apart, even
    when two managers protect it under the same profile name. Under a profile that was renamed
    since, the newest point's checkpoint is still what counts, and what has to be forgotten.
    """
    newest = manifest.newest
    latest = newest.checkpoint if newest and newest.checkpoint else ""
    known, ours, _ = latest.rpartition(f"-{manifest.token}-")
    return f"{known}{ours}" if known else f"standby-{profile}-{manifest.token}-"


def _refuse_another_machine(source: SourceObservation, manifest: Manifest) -> None:
    if manifest.points and manifest.machine.uuid != source.identity.uuid:
        raise RepairSource(
            f"machine {source.identity.name}",
            f"its UUID is {source.identity.uuid}",
            f"{manifest.machine.uuid}, as in the standby's manifest",
            "protect another machine under another standby name",
        )


def _refuse_foreign_domain(target: TargetObservation) -> None:
    """Refuse a first copy that nobody could start, before all of it is sent.

    Where there are boot points they go on: the domain alone waits for its name.
    """
    if target.domain is DomainFound.FOREIGN and not target.manifest.points:
        name = target.manifest.standby
        raise ChooseOtherName(
            f"domain {name} on the KVM host",
            "it is not of this standby; it is left alone",
            "a free name",
            "give the standby another name in its profile: standby.name; or, if it is what is "
            f"left of a standby that was elsewhere: virsh undefine {name} --keep-nvram",
        )


def _refuse_lost_store(target: TargetObservation, request: CycleRequest) -> None:
    """Refuse to send everything to where boot points were: a storage may not be mounted there.

    The domain is defined once there is a boot point, and undefined before the last one goes.
    """
    if target.lost_its_points and request.copying is not Copying.EVERYTHING:
        name = target.manifest.standby
        raise RepairStore(
            f"standby {name}",
            "its domain is there, but none of its boot points",
            "the boot points that it was defined for",
            "mount their storage on the KVM host; or, if they are lost, send everything: "
            "standby run PROFILE --full",
        )


def _refuse_lost_files(target: TargetObservation) -> None:
    """Refuse to say of a point that it is still true, or to add one to it, when it is not there."""
    newest = target.manifest.newest
    missing = target.missing_below(newest) if newest else ()
    if missing:
        raise RepairStore(
            f"standby {target.manifest.standby}",
            f"{', '.join(missing)} gone: the newest boot point cannot be read",
            "all files that its manifest names",
            "put it back from a copy; or keep what there is and protect the machine anew under "
            "another standby name",
        )


def tracked_by(source: SourceObservation, newest: BootPoint | None) -> TrackedCheckpoint | None:
    """Return the checkpoint of the source that the newest point was made with, if it is there."""
    if newest is None or newest.checkpoint is None:
        return None
    return next((c for c in source.checkpoints if c.name == newest.checkpoint), None)


def _disk_plans(
    disks: Sequence[SourceDisk],
    manifest: Manifest,
    tracked: TrackedCheckpoint | None,
    request: CycleRequest,
) -> tuple[DiskPlan, ...]:
    plans = (_again(_disk_plan(disk, manifest, tracked, request), manifest) for disk in disks)
    return tuple(replace(plan, number=manifest.next_delta + n) for n, plan in enumerate(plans))


def _again(plan: DiskPlan, manifest: Manifest) -> DiskPlan:
    """Let what is spoilt in the newest point be sent anew, so that the new one is whole."""
    spoilt = manifest.newest.spoilt_ranges(plan.disk.name) if manifest.newest else ()
    if not spoilt or plan.way is Way.SEED:
        return plan
    whole = tuple((start, min(end + -end % BLOCK, plan.disk.size)) for start, end in spoilt)
    reason = f"{plan.reason}; {total(whole)} bytes sent anew, spoilt in the newest point"
    return replace(plan, again=whole, reason=reason)


def _disk_plan(
    disk: SourceDisk,
    manifest: Manifest,
    tracked: TrackedCheckpoint | None,
    request: CycleRequest,
) -> DiskPlan:
    before = manifest.newest.delta_of(disk.name) if manifest.newest else None
    if before is None:
        reason = "first copy" if manifest.newest is None else "disk added since the last point"
        return DiskPlan(disk, Way.SEED, reason, None)
    if disk.size < before.size:
        raise RepairSource(
            f"disk {disk.name}",
            f"shrank to {disk.size} bytes",
            f"at least {before.size} bytes, as in the newest boot point",
            "grow it back, or protect the machine anew under another standby name",
        )
    if request.copying is Copying.EVERYTHING:
        return DiskPlan(disk, Way.SEED, f"full copy {request.reason}", before.file)
    if manifest.newest and manifest.newest.is_spoilt_whole(before):
        raise _nothing_vouches(disk, manifest)
    if request.copying in {Copying.WHAT_DIFFERS, Copying.HISTORY_LOST}:
        return DiskPlan(disk, Way.RESYNC, f"resync {request.reason}", before.file)
    lost = why_lost(disk, manifest.newest, tracked)
    if lost:
        return DiskPlan(disk, Way.RESYNC, lost, before.file)
    return DiskPlan(disk, Way.INCREMENTAL, "changes since the newest point", before.file)


def _nothing_vouches(disk: SourceDisk, manifest: Manifest) -> RepairStore:
    return RepairStore(
        f"disk {disk.name} of {manifest.standby}",
        "spoilt as a whole in the newest boot point: nothing says what of it is still right",
        "a table of digests that can be read",
        "make it anew from what the image holds: standby verify PROFILE --all --repair; "
        "or send everything: standby run PROFILE --full",
    )


def why_lost(
    disk: SourceDisk, newest: BootPoint | None, tracked: TrackedCheckpoint | None
) -> str | None:
    """Say why the source does not know what changed on a disk since the newest point.

    The images of all disks have bitmaps of the same name: where two were exchanged, each counted
    what changed on the other.
    """
    if newest is None or newest.checkpoint is None:
        return "the newest boot point has no checkpoint"
    if tracked is None:
        return f"checkpoint {newest.checkpoint} is gone from the source"
    was_of = next((it.disk for it in newest.deltas if it.image and it.image == disk.image), None)
    if was_of not in {None, disk.name}:
        return f"its image was that of {was_of} at the newest boot point"
    return tracked.why_lost(disk.name)


def _overall(disks: Sequence[DiskPlan]) -> tuple[Way, str]:
    if not disks:
        raise RepairSource("source", "no disk to capture", "at least one disk")
    if all(plan.way is Way.SEED for plan in disks):
        continued = (plan.reason for plan in disks if plan.continues)
        return Way.SEED, next(continued, disks[0].reason)
    differing = [plan for plan in disks if plan.way is Way.RESYNC]
    if differing:
        return Way.RESYNC, "; ".join(f"{plan.disk.name}: {plan.reason}" for plan in differing)
    added = [_said_of_added(plan) for plan in disks if plan.below is None]
    if added:
        return Way.INCREMENTAL, f"changes since the newest point; {', '.join(added)}"
    anew = [plan for plan in disks if plan.again or plan.way is Way.SEED]
    return Way.INCREMENTAL, (anew or disks)[0].reason


def _said_of_added(plan: DiskPlan) -> str:
    name = plan.disk.name
    return f"{name} added" if plan.image is None else f"{name}: {plan.reason}"


def _unfinished(manifest: Manifest) -> tuple[PointName, ...]:
    return tuple(p.name for p in manifest.points if p.standing is Standing.GIVEN_UP)


def _head_move(target: TargetObservation) -> HeadMove:
    if target.head.use in {HeadUse.RUNNING, HeadUse.REPLACED}:
        return HeadMove.LEAVE
    if target.head.use is HeadUse.RAN:
        return HeadMove.SET_ASIDE
    if target.manifest.reverted_to is not None:
        return HeadMove.STAY
    return HeadMove.MOVE
