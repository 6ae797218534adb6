"""The KVM host: storage, room, and what the standby will run on."""

from __future__ import annotations

from collections.abc import Iterator

from standby.app.checks.confinement import judge_confinement
from standby.app.checks.domain_plan import check_domain
from standby.app.checks.end import End, attempt, try_link
from standby.app.checks.finding import Finding, Topic
from standby.app.checks.judge_standby import Wanted, judge_directory, judge_name
from standby.app.checks.judge_storage import (
    Room,
    judge_space,
    judge_trial,
    judge_type,
    judge_way,
)
from standby.app.checks.storage_facts import (
    StorageFacts,
    Trial,
    probe_storage,
    refusal_of,
    try_storage,
    workshop,
)
from standby.app.checks.virtualisation import judge_virtualisation, probe_virtualisation
from standby.app.domain import dormant_domain
from standby.app.wiring import SPACE_RESERVE, directory_of
from standby.errors import CommandFailed
from standby.host.libvirt import libvirt_calls
from standby.model.manifest import Manifest
from standby.model.observation import SourceObservation
from standby.planning.space import Allocation, DiskWrite, bytes_for_disk
from standby.profile import Allocation as AskedAllocation
from standby.profile import Profile
from standby.target.layout import StandbyDirectory
from standby.target.listing import manifest_of
from standby.target.looking import look
from standby.transports.speed import Direction


def check_kvm(end: End, profile: Profile, seen: SourceObservation | None) -> Iterator[Finding]:
    """Check what a cycle and a start of the standby need of the KVM host.

    `seen` is the machine; None where the source did not tell.
    """
    yield from attempt(end.about(Topic.STORAGE), lambda: _storage(end, profile, seen))
    yield from attempt(end.about(Topic.NAME), lambda: _name(end, profile, seen))
    if seen:
        yield from attempt(end.about(Topic.DOMAIN), lambda: check_domain(end, profile, seen))
    yield from attempt(end.about(Topic.VIRTUALISATION), lambda: _virtualisation(end))
    allocated = sum(disk.allocated for disk in seen.disks) if seen else 0
    yield from try_link(end, profile, Direction.WRITE, allocated)


def _storage(end: End, profile: Profile, seen: SourceObservation | None) -> Iterator[Finding]:
    directory = directory_of(end.host, profile)
    storage = directory.path.rpartition("/")[0] or "/"
    facts = probe_storage(end.host, storage, directory.path)
    yield from judge_type(facts, end.facts)
    if facts.obstacle:
        return
    if not facts.read_only:
        yield from judge_trial(facts, _try(end, facts), end.facts)
    yield from judge_way(facts, end.facts, end.libvirt.qemu_user)
    security, context = end.libvirt.security, facts.context
    paths = (directory.path,)
    yield from judge_confinement(end.name, security, paths, context, "the storage")
    manifest = _manifest(end, directory)
    wanted = _wanted(end, profile, seen)
    yield from judge_directory(end.name, directory.path, facts.standby, manifest, wanted)
    if seen:
        yield from judge_space(end.name, facts, room_of(profile, seen, manifest))


def _try(end: End, facts: StorageFacts) -> Trial:
    try:
        with workshop(end.host, facts) as directory:
            return try_storage(end.host, directory)
    except CommandFailed as error:
        return Trial(refused=refusal_of(error))


def _manifest(end: End, directory: StandbyDirectory) -> Manifest | None:
    listing = look(end.host, directory)
    return manifest_of(listing, f"{directory.manifest} on {end.name}") if listing else None


def room_of(profile: Profile, seen: SourceObservation, manifest: Manifest | None) -> Room:
    """Return what the next cycle needs: the seed, or as much as an increment took so far."""
    whole = sum(disk.size for disk in seen.disks)
    points = manifest.points if manifest else ()
    if points:
        # The oldest holds the seed, and what was merged into it.
        most = max((sum(d.stored for d in point.deltas) for point in points[1:]), default=0)
        return Room(most, SPACE_RESERVE, "another boot point like those before", whole)
    full = profile.target.allocation is AskedAllocation.FULL
    allocation = Allocation.FULL if full else Allocation.THIN
    writes = [DiskWrite(d.name, d.size, d.allocated, allocation) for d in seen.disks]
    return Room(sum(map(bytes_for_disk, writes)), SPACE_RESERVE, "the first copy", whole)


def _name(end: End, profile: Profile, seen: SourceObservation | None) -> Iterator[Finding]:
    found = dormant_domain(end.host, profile, directory_of(end.host, profile)).found()
    with libvirt_calls(f"{end.name}: domains"):
        domains = end.host.libvirt().listAllDomains()
        uuids = {domain.name(): domain.UUIDString() for domain in domains}
    yield from judge_name(end.name, found, uuids, _wanted(end, profile, seen))


def _wanted(end: End, profile: Profile, seen: SourceObservation | None) -> Wanted:
    identity = seen.identity if seen else None
    return Wanted(profile.standby_name, end.facts.login, profile.standby.uuid, identity)


def _virtualisation(end: End) -> Iterator[Finding]:
    guest = end.libvirt.guest
    if guest:
        facts = probe_virtualisation(end.host, guest.emulator)
        yield judge_virtualisation(end.name, facts, accelerated=end.libvirt.accelerated)
