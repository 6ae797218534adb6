"""From a profile to the parts of a cycle."""

from __future__ import annotations

from collections.abc import Mapping

from standby.app.session import Session
from standby.app.transfer import ProfileTransfer
from standby.cycle.replicate import Policy
from standby.host.interface import Host
from standby.model.digest import DigestAlgorithm
from standby.model.seed import SeedImages
from standby.profile import LibvirtSource, Profile, StoragePool
from standby.sources.libvirt_vm.settings import ScratchReserve, SourceSettings, WithoutAgent
from standby.sources.libvirt_vm.source import LibvirtSource as LibvirtMachine
from standby.target.layout import StandbyDirectory
from standby.target.merging import MergeSpeed
from standby.target.pools import pool_directory
from standby.transfer.rate import all_of, limit_of

# Kept free on the KVM host besides what a cycle writes: a merge needs room of its own.
SPACE_RESERVE = 256 << 20


def source_of(session: Session, profile: Profile) -> LibvirtMachine:
    """Return the machine that a profile protects."""
    settings: LibvirtSource = profile.source
    only, scratch = frozenset(settings.disks.include or ()), settings.scratch
    return LibvirtMachine(
        session.source_host(profile),
        SourceSettings(
            domain=settings.domain,
            without_agent=WithoutAgent(settings.on_unavailable_agent.value),
            freeze_limit=settings.freeze_limit.total_seconds(),
            only=only,
            excluded=dict(settings.disks.exclude),
            scratch_directory=str(scratch.directory) if scratch.directory else None,
            scratch_reserve=ScratchReserve(scratch.reserve.size, scratch.reserve.percent),
        ),
    )


def directory_of(host: Host, profile: Profile) -> StandbyDirectory:
    """Return where the standby lies on the KVM host; a pool is asked for its directory."""
    storage = profile.target.storage
    base = (
        pool_directory(host.libvirt(), storage.pool)
        if isinstance(storage, StoragePool)
        else str(storage)
    )
    return StandbyDirectory(f"{base}/{profile.standby_name}")


def policy_of(profile: Profile, directory: StandbyDirectory) -> Policy:
    """Return what a profile asks of a cycle."""
    return Policy(
        profile=profile.name,
        consistency=profile.source.consistency,
        keep=profile.boot_points.kept,
        storage=f"{directory.path} on {profile.target_host.name}",
        space_reserve=SPACE_RESERVE,
        resync_window=profile.resync.window,
        zone=profile.schedule.zone,
        images=images_of(profile),
        application_every=profile.schedule.application_every,
    )


def images_of(profile: Profile) -> SeedImages:
    """Return the images on the KVM host that first copies begin from."""
    images = profile.target.seed_from
    if isinstance(images, Mapping):
        return SeedImages({disk: str(path) for disk, path in images.items()})
    return SeedImages(only=str(images) if images else None)


def transfer_of(session: Session, profile: Profile, algorithm: DigestAlgorithm) -> ProfileTransfer:
    """Return the copy engine with a profile's limits."""
    zone = profile.schedule.zone
    return ProfileTransfer(
        all_of(limit_of(profile.transfer.rate, zone), session.overall.of(session.configuration)),
        session.progress,
        session.cancel,
        algorithm,
        reading=limit_of(profile.source.read_rate, zone),
        resyncing=limit_of(profile.resync.bandwidth),
    )


def merge_speed_of(profile: Profile) -> MergeSpeed:
    """Return how fast merges may write."""
    return MergeSpeed(profile.merge.bandwidth or 0)
