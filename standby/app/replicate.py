"""Run one cycle of a profile, or say what it would do."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from standby.app.domain import dormant_domain
from standby.app.hooks import hooks_of
from standby.app.session import Session
from standby.app.wiring import (
    SPACE_RESERVE,
    directory_of,
    merge_speed_of,
    policy_of,
    source_of,
    transfer_of,
)
from standby.cycle.replicate import Cycle, expected_bytes, observe_source, plan
from standby.cycle.report import CycleListener, CycleReport, Journal, NobodyListens
from standby.model.machine import MachineIdentity
from standby.model.manifest import Manifest
from standby.model.observation import HeadObservation, HeadUse, SourceObservation, TargetObservation
from standby.model.plan import CyclePlan, CycleRequest, DiskPlan
from standby.model.point import Way
from standby.model.run import Cause
from standby.planning.forecast import Forecast, forecast
from standby.planning.pauses import (
    pause_warning,
    refuse_while_failed_over,
    refuse_while_paused,
)
from standby.planning.retention import MergePlan, merges_due
from standby.planning.seeds import refuse_while_waiting
from standby.planning.space import DiskWrite, bytes_for_disk
from standby.profile import Profile
from standby.target.looking import observe_unlocked
from standby.target.opening import open_store
from standby.target.qcow2 import Allocation
from standby.target.space import available_below
from standby.target.store import KvmStore


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a dry run says. Bytes; `changed` is None where only reading would tell.

    `needed` is for the next boot point, `forecast` for as many as the profile asks for.
    """

    plan: CyclePlan
    source: SourceObservation
    merges: MergePlan
    disks: tuple[tuple[DiskPlan, int | None], ...]
    needed: int
    available: int
    storage: str
    forecast: Forecast


def run(
    session: Session,
    profile: Profile,
    request: CycleRequest,
    cause: Cause = Cause.HAND,
    listener: CycleListener | None = None,
    run_id: str = "",
) -> CycleReport:
    """Run one cycle now. Raises StandbyError; then nothing of a new point is visible.

    Raises Paused for a cycle that nobody asked for by hand while the standby is paused. Scripts
    of the profile are told `run_id`.
    """
    journal = Journal(profile.name, session.require_wanted, listener or NobodyListens())
    hooks = hooks_of(session, profile, journal.phase, run_id)
    with hooks.around_run():
        source = source_of(session, profile)
        with locked_store(session, profile, source.identity()) as store:
            refuse_while_waiting(store.manifest, profile.name)
            now = session.clock.now()
            refuse_while_paused(store.manifest, profile.name, cause, now)
            refuse_while_failed_over(store.manifest)
            warnings = pause_warning(store.manifest, now)
            cycle = Cycle(
                source=source,
                store=store,
                transfer=transfer_of(session, profile, store.manifest.digests),
                hooks=hooks,
                clock=session.clock,
                policy=policy_of(profile, store.directory),
                request=request,
                journal=journal,
                progress=session.report,
                gate=session.gate,
            )
            report = cycle.run()
            return replace(report, warnings=(*warnings, *report.warnings))


@contextmanager
def locked_store(
    session: Session, profile: Profile, identity: MachineIdentity | None
) -> Generator[KvmStore]:
    """Open a profile's store under its lock, made if need be when `identity` is given."""
    host = session.kvm_host(profile)
    directory = directory_of(host, profile)
    domain = dormant_domain(host, profile, directory)
    first = Manifest(profile.standby_name, identity, "") if identity else None
    allocation = Allocation(profile.target.allocation.value)
    speed, kept = merge_speed_of(profile), profile.effective()
    with open_store(host, directory, domain, first, allocation, speed, kept) as store:
        yield store


def dry_run(session: Session, profile: Profile, request: CycleRequest) -> Estimate:
    """Say what a cycle would do and why; changes nothing, and takes no lock."""
    source = source_of(session, profile)
    host = session.kvm_host(profile)
    directory = directory_of(host, profile)
    identity = source.identity()
    domain = dormant_domain(host, profile, directory)
    target = observe_unlocked(host, directory, domain) or TargetObservation(
        Manifest(profile.standby_name, identity, ""),
        HeadObservation(HeadUse.ABSENT),
        domain.found(),
        available_below(host, directory),
    )
    refuse_while_waiting(target.manifest, profile.name)
    refuse_while_failed_over(target.manifest)
    policy, now = policy_of(profile, directory), session.clock.now()
    observed = observe_source(source, target, policy)
    planned = plan(observed, target, policy, request, now)
    planned = replace(planned, warnings=(*pause_warning(target.manifest, now), *planned.warnings))
    disks = tuple((disk, _changed(disk, observed)) for disk in planned.capture.disks)
    new = sum(_needed(disk, changed) for disk, changed in disks)
    return Estimate(
        plan=planned,
        source=observed,
        merges=merges_due(target, policy.keep, now),
        disks=disks,
        needed=new + SPACE_RESERVE,
        available=target.available,
        storage=policy.storage,
        forecast=forecast(target.manifest.points, policy.keep, planned.way, new),
    )


def _changed(disk: DiskPlan, source: SourceObservation) -> int | None:
    if disk.way is Way.SEED:
        return source.allocated_of(disk.disk.name)
    if disk.way is Way.RESYNC:
        return None  # only reading tells
    for checkpoint in reversed(source.checkpoints):
        for tracked in checkpoint.disks:
            if tracked.disk == disk.disk.name and tracked.changed is not None:
                return tracked.changed
    return None


def _needed(disk: DiskPlan, changed: int | None) -> int:
    data = expected_bytes(disk, disk.disk.size if changed is None else changed)
    return bytes_for_disk(DiskWrite(disk.disk.name, disk.disk.size, data))
