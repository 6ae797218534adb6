"""Interrupted copies: which go on, and which are given up; what first copies begin from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from standby.errors import FixProfile, TryLater, UseOtherImage
from standby.model.manifest import Manifest
from standby.model.plan import DiskPlan
from standby.model.point import BootPoint, Delta, Way
from standby.model.seed import ImageFound, SeedImages, SeedOrigin, UnfinishedSeed


def refuse_while_waiting(manifest: Manifest, called: str) -> None:
    """Raise TryLater while the first copy travels on a medium; `called` is for commands."""
    awaited = manifest.awaits
    if awaited is None:
        return
    since = f"{awaited.since:%Y-%m-%d %H:%M} UTC"
    what = "exported" if awaited.checkpoint else "whose export began"
    raise TryLater(
        f"standby {manifest.standby}",
        f"waiting for seed: {awaited.medium}, {what} on {since}",
        "that seed, taken in on the KVM host",
        f"standby import-seed {called} DIRECTORY; or wait no more and let a cycle send it: "
        f"standby import-seed {called} --give-up",
    )


def still_meant(
    images: SeedImages, disks: Sequence[DiskPlan], newest: BootPoint | None
) -> SeedImages:
    """Return the images that the profile still means once there is a boot point.

    A path without a name was that of the disk which the machine had then; one with a name may be
    that of a disk which has been added since.
    """
    if newest is None:
        return images
    names = {plan.disk.name for plan in disks}
    return SeedImages({name: path for name, path in images.by_disk.items() if name in names})


def with_images(disks: Sequence[DiskPlan], images: SeedImages) -> tuple[DiskPlan, ...]:
    """Return the plans of first copies that begin from an image on the KVM host.

    Raises FixProfile when an image is of no disk of the machine, or nobody can say of which one.
    """
    if not images or all(plan.below is not None for plan in disks):
        return tuple(disks)
    names = [plan.disk.name for plan in disks]
    if images.only is not None and len(disks) > 1:
        raise FixProfile(
            "target.seed_from",
            f"one path, but the machine has {len(disks)} disks",
            f"a path for each of {', '.join(names)}, or some of them",
        )
    strangers = sorted(images.by_disk.keys() - set(names))
    if strangers:
        raise FixProfile(
            "target.seed_from",
            f"the machine has no disk {', '.join(strangers)}",
            f"some of {', '.join(names)}",
        )
    return tuple(_with_image(plan, images) for plan in disks)


def _with_image(plan: DiskPlan, images: SeedImages) -> DiskPlan:
    path = images.by_disk.get(plan.disk.name, images.only)
    if path is None or plan.below is not None:
        return plan
    return replace(plan, image=path, reason=f"{plan.reason}, what differs from image {path}")


def with_former_names(disks: Sequence[DiskPlan], newest: BootPoint | None) -> tuple[DiskPlan, ...]:
    """Let disks that the newest point has under another name begin from what it has of them.

    Boot points know disks by their names, which change with the bus: vda is sda on SATA.
    """
    if newest is None:
        return tuple(disks)
    here = {plan.disk.name for plan in disks}
    gone = {
        delta.image: delta
        for delta in newest.deltas
        if delta.image and delta.disk not in here and not newest.is_spoilt_whole(delta)
    }
    return tuple(_with_former_name(plan, gone.get(plan.disk.image)) for plan in disks)


def _with_former_name(plan: DiskPlan, delta: Delta | None) -> DiskPlan:
    if delta is None or plan.below is not None or plan.image is not None:
        return plan
    if delta.size > plan.disk.size:
        return plan
    reason = f"{delta.disk} of the newest boot point under another name, what differs from it"
    return replace(plan, image=delta.file, reason=reason)


def require_fit(plan: DiskPlan, image: ImageFound) -> None:
    """Raise UseOtherImage when an image cannot be what a disk held: disks do not shrink."""
    if image.size > plan.disk.size:
        raise UseOtherImage(
            f"image {image.path}",
            f"it holds {image.size} bytes",
            f"at most {plan.disk.size} bytes, the size of disk {plan.disk.name}",
            "name an image of this disk; a smaller one will do, the rest is sent",
        )


def going_on(
    disks: Sequence[DiskPlan], unfinished: Sequence[UnfinishedSeed]
) -> tuple[DiskPlan, ...]:
    """Return the plans, with copies that go on where an interrupted one of them ended.

    A disk of another size is another disk. Of several the newest goes on. One that began without
    the image that the profile now names does not; a resync of another boot point neither.
    """
    return tuple(_going_on(plan, unfinished) for plan in disks)


def _going_on(plan: DiskPlan, unfinished: Sequence[UnfinishedSeed]) -> DiskPlan:
    fitting = [it for it in unfinished if _is_of(it, plan)]
    if not fitting or plan.again:  # what is spoilt below leaves nothing to be sure of
        return plan
    about = "" if plan.image else ", going on where it was interrupted"
    return replace(plan, reason=f"{plan.reason}{about}", continues=fitting[-1])


def given_up(disks: Sequence[DiskPlan], unfinished: Sequence[UnfinishedSeed]) -> tuple[str, ...]:
    """Return the files of interrupted copies that no disk goes on with.

    What an image is to replace stays until the image has been copied.
    """
    kept = {plan.continues for plan in disks}
    waiting = {plan.disk.name for plan in disks if plan.image and plan.continues is None}
    useless = (it for it in unfinished if it not in kept and it.disk not in waiting)
    return tuple(file for seed in useless for file in seed.files)


def _is_of(seed: UnfinishedSeed, plan: DiskPlan) -> bool:
    same_disk = (seed.disk, seed.size) == (plan.disk.name, plan.disk.size)
    same_way = (plan.way is Way.RESYNC) == (seed.origin is SeedOrigin.RESYNC)
    wanted = plan.image is None or seed.origin is SeedOrigin.IMAGE
    return same_disk and same_way and wanted and seed.below == plan.below
