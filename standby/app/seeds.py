"""Seeds that travel on external media: written beside the source, taken in on the KVM host."""

from __future__ import annotations

import platform
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from standby.app.hooks import hooks_of
from standby.app.places import place_of
from standby.app.replicate import locked_store
from standby.app.session import Session, open_gate
from standby.app.transfer import ProfileTransfer
from standby.app.wiring import policy_of, source_of
from standby.cycle.interfaces import Moved, Source
from standby.cycle.replicate import Cycle
from standby.cycle.report import CycleListener, Journal, NobodyListens
from standby.errors import FixRequest, RepairSource
from standby.model.machine import MachineDefinition, MachineIdentity
from standby.model.manifest import AwaitedSeed, DefinedDomain, Manifest
from standby.model.observation import DomainFound
from standby.model.plan import CycleRequest, HeadMove
from standby.model.point import BootPoint
from standby.model.seed import NO_IMAGES
from standby.planning.space import DiskWrite, cycle_space
from standby.profile import Profile
from standby.target.layout import StandbyDirectory
from standby.target.media import Medium, is_finished, open_medium, take_in, write_checksums
from standby.target.opening import make_directory, open_store
from standby.target.store import KvmStore
from standby.transfer.rate import limit_of


@dataclass(frozen=True, slots=True)
class Exported:
    """A seed on a medium."""

    directory: str
    point: BootPoint
    moved: Moved


class NoDomain:
    """The domain of a standby that nobody boots where it lies."""

    def found(self) -> DomainFound:
        """Say that there is none."""
        return DomainFound.ABSENT

    def is_active(self) -> bool:
        """Say no: it cannot run."""
        return False

    def boots_other(self, images: Collection[str]) -> bool:
        """Say no: it boots nothing."""
        del images
        return False

    def define(
        self, definition: MachineDefinition, point: BootPoint, known: DefinedDomain | None
    ) -> DefinedDomain:
        """Refuse: a medium is no place to run from."""
        del definition, known
        raise FixRequest(f"boot point {point.name}", "on a medium", "a standby on a KVM host")

    def undefine(self) -> None:
        """Do nothing: there is none."""

    def takes_variables(self, definition: MachineDefinition, point: BootPoint) -> bool:
        """Say no: it has no firmware."""
        del definition, point
        return False

    def keep_tpm(self, file: str) -> None:
        """Do nothing: it has no TPM."""

    def place_tpm(self, definition: MachineDefinition, state: str) -> None:
        """Do nothing: it has no TPM."""

    def files_in_use(self) -> Sequence[str]:
        """Return nothing: nobody uses any."""
        return ()


def export_seed(
    session: Session, profile: Profile, directory: Path, listener: CycleListener | None = None
) -> Exported:
    """Write the first copy of a machine to `directory` of this host, below its standby's name.

    The KVM host has to answer: from now on the standby there waits for this seed. Interrupted, it
    goes on when it is begun again. Raises FixRequest when the standby has boot points.
    """
    if not directory.is_dir():
        raise FixRequest(
            f"directory {directory}", "is not there", "the mounted medium", "mount it first"
        )
    source = source_of(session, profile)
    identity = source.identity()
    medium = StandbyDirectory(f"{directory.resolve()}/{profile.standby_name}")
    host = session.host(session.configuration.host("local"), priority=profile.priority)
    if is_finished(host, medium):  # opening a store changes its manifest
        raise _in_the_way(medium)
    with locked_store(session, profile, identity) as store:
        _refuse_points(store.manifest)
        token = store.manifest.token
    awaited = AwaitedSeed(f"{medium.path} on {platform.node()}", session.clock.now())
    make_directory(host, medium)
    first = Manifest(profile.standby_name, identity, token)
    with open_store(host, medium, NoDomain(), first, profile=profile.effective()) as store:
        _refuse_another(store.manifest, identity, medium)
        if store.manifest.token != token:
            raise _in_the_way(medium)
        _wait(session, profile, awaited)
        journal = Journal(profile.name, session.require_wanted, listener or NobodyListens())
        point, moved = _copy(_cycle(session, profile, source, store, journal))
        write_checksums(host, medium, store.manifest)
    _note_checkpoint(session, profile, replace(awaited, checkpoint=point.checkpoint))
    return Exported(medium.path, point, moved)


def _cycle(
    session: Session, profile: Profile, source: Source, store: KvmStore, journal: Journal
) -> Cycle:
    place = store.directory.path
    return Cycle(
        source=source,
        store=store,
        # Without limits of what is sent: those are of the link which this avoids.
        transfer=ProfileTransfer(
            None,
            session.progress,
            session.cancel,
            store.manifest.digests,
            reading=limit_of(profile.source.read_rate, profile.schedule.zone),
        ),
        hooks=hooks_of(session, profile, journal.phase),
        clock=session.clock,
        policy=replace(policy_of(profile, store.directory), storage=place, images=NO_IMAGES),
        request=CycleRequest(),
        journal=journal,
        progress=session.report,
        gate=open_gate,
    )


def _copy(cycle: Cycle) -> tuple[BootPoint, Moved]:
    newest = cycle.store.manifest.newest
    if newest is not None:
        return newest, Moved(0, 0)  # only its checksums are missing
    plan = cycle.clean_up(cycle.look_and_plan())
    point, moved = cycle.replicate(plan)
    cycle.forget_old_checkpoints(plan)
    return point, moved


def import_seed(session: Session, profile: Profile, directory: str) -> BootPoint:
    """Take in a seed from a directory of the KVM host; it is the first boot point then.

    The source is not asked. Raises ReplaceMedium when the seed is damaged, FixRequest when it is
    of another machine or the standby has boot points.
    """
    place = place_of(session, profile)
    medium = open_medium(place.host, StandbyDirectory(f"{directory}/{profile.standby_name}"))
    _refuse_machine_of_another_profile(profile, medium)
    make_directory(place.host, place.directory)
    first = replace(medium.manifest, generation=0, domain=None, points=(), awaits=None)
    with open_store(
        place.host, place.directory, place.domain, first, profile=profile.effective()
    ) as store:
        _refuse_points(store.manifest)
        _refuse_another(store.manifest, medium.manifest.machine, medium.directory)
        target = store.observe()
        store.discard((*target.debris, *(f for seed in target.unfinished for f in seed.files)))
        _require_space(profile, store, medium)
        point = take_in(store, medium)
        store.move_head(HeadMove.MOVE)
    return point


def give_up_waiting(session: Session, profile: Profile) -> None:
    """Wait for no seed any more: the next cycle sends it."""
    with locked_store(session, profile, None) as store:
        store.change(store.manifest.waiting(None))


def _wait(session: Session, profile: Profile, awaited: AwaitedSeed) -> None:
    with locked_store(session, profile, None) as store:
        _refuse_points(store.manifest)
        store.change(store.manifest.waiting(awaited))


def _note_checkpoint(session: Session, profile: Profile, awaited: AwaitedSeed) -> None:
    with locked_store(session, profile, None) as store:
        if store.manifest.awaits is None:
            raise FixRequest(
                f"standby {store.manifest.standby}",
                "somebody gave up waiting while the seed was exported",
                "a standby that waits for this seed",
                "the medium is whole; it can be taken in while there is no boot point",
            )
        store.change(store.manifest.waiting(awaited))


def _refuse_points(manifest: Manifest) -> None:
    if manifest.points:
        raise FixRequest(
            f"standby {manifest.standby}",
            f"it has {len(manifest.points)} boot points already",
            "a standby without any",
            "its cycles send what changed",
        )


def _refuse_another(manifest: Manifest, machine: MachineIdentity, medium: StandbyDirectory) -> None:
    if manifest.machine.uuid != machine.uuid:
        raise RepairSource(
            medium.path,
            f"of machine {manifest.machine.name}, {manifest.machine.uuid}",
            f"{machine.name}, {machine.uuid}",
            "name another directory",
        )


def _refuse_machine_of_another_profile(profile: Profile, medium: Medium) -> None:
    machine = medium.manifest.machine
    if profile.source.domain not in {machine.name, machine.uuid}:
        raise RepairSource(
            medium.where,
            f"of machine {machine.name}, {machine.uuid}",
            f"{profile.source.domain}, as in profile {profile.name}",
            "name another directory",
        )


def _in_the_way(medium: StandbyDirectory) -> FixRequest:
    return FixRequest(
        medium.path,
        "there is a seed already, finished or of another standby",
        "nothing there, or an interrupted export of this standby",
        "remove it, or name another directory",
    )


def _require_space(profile: Profile, store: KvmStore, medium: Medium) -> None:
    policy = policy_of(profile, store.directory)
    writes = [DiskWrite(d.disk, d.size, d.stored) for d in medium.point.deltas]
    problem = cycle_space(policy.storage, writes, store.observe().available, policy.space_reserve)
    if problem is not None:
        raise problem
