"""The life of one cycle, from the first look to the last merge.

Observe, plan, act; after any failure the next cycle observes again. Nothing is visible on the
KVM host before `publish`, everything is after it, and what an interruption leaves behind is
removed by the cycle that follows, but for first copies and resyncs: those go on where they ended.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo

from standby.cycle.images import copy_images, to_be_copied
from standby.cycle.interfaces import (
    Capture,
    Clock,
    Hooks,
    Incoming,
    MergeGate,
    MergeTurn,
    Moved,
    Pending,
    ProgressReport,
    Source,
    Store,
    Transfer,
)
from standby.cycle.report import CycleReport, Journal, Outcome, Phase
from standby.errors import AskForResync, StandbyError, TransferFailed, TryLater
from standby.model.keep import Keep
from standby.model.observation import SourceObservation, TargetObservation
from standby.model.plan import Copying, CyclePlan, CycleRequest, DiskPlan, HeadMove
from standby.model.point import Base, BootPoint, Consistency, Delta, Way
from standby.model.seed import NO_IMAGES, SeedImages, UnfinishedSeed
from standby.model.spoilt import total
from standby.model.window import DailyWindow
from standby.planning.consistency import consistency_now
from standby.planning.replicate import checkpoint_owner, plan_cycle
from standby.planning.resync import require_resync_allowed
from standby.planning.retention import (
    DeferredMerge,
    Merge,
    MergePlan,
    merges_due,
    plan_merges,
    point_allowed,
)
from standby.planning.space import DiskWrite, cycle_space

log = logging.getLogger(__name__)

_OUTDATED = timedelta(seconds=1)  # a look at who uses the standby
_CAUSE_SHOWS_S = 3.0  # after a connection was lost
_LOOK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Policy:
    """What the profile asks of a cycle. Bytes."""

    profile: str
    consistency: Consistency
    keep: Keep
    storage: str  # for people: where the standby lies
    space_reserve: int
    resync_window: DailyWindow | None = None
    zone: tzinfo = UTC  # whose clock the window goes by
    images: SeedImages = NO_IMAGES  # that first copies begin from
    application_every: timedelta | None = None  # between application-consistent points


@dataclass(frozen=True, slots=True)
class Cycle:
    """One cycle's parts: where from, where to, by what, how."""

    source: Source
    store: Store
    transfer: Transfer
    hooks: Hooks
    clock: Clock
    policy: Policy
    request: CycleRequest
    journal: Journal
    progress: ProgressReport
    gate: MergeGate

    def run(self) -> CycleReport:
        """Run the cycle. Raises StandbyError; then nothing of the new point is visible."""
        started = self.clock.now()
        plan = self.begin_from_images(self.clean_up(self.look_and_plan()))
        try:
            point, moved = self.replicate(plan)
        except AskForResync as lost:
            plan = self.look_again(lost)
            point, moved = self.replicate(plan)
        self.forget_old_checkpoints(plan)
        head = self.move_head(plan.head)
        try:
            self.tell_published(plan, point)
        finally:
            merges = self.merge()  # a script that fails for ever lets no chain grow for ever
        return CycleReport(
            outcome=Outcome.PUBLISHED if point.name == plan.point else Outcome.STILL_TRUE,
            point=point.name,
            way=plan.way,
            reason=plan.reason,
            data=moved.data,
            zero=moved.zero,
            unchanged=moved.unchanged,
            merged=tuple(merge.older for merge in merges.merges),
            deferred=tuple(f"{m.older}: {m.obstacle}" for m in merges.deferred),
            head=head,
            warnings=plan.warnings,
            started=started,
            seconds=self.journal.seconds,
            phases=tuple(self.journal.phases),
            read=moved.read,
            stored=sum(d.stored for d in point.deltas) if point.name == plan.point else 0,
            changed=moved.changed,
        )

    def look_and_plan(self, request: CycleRequest | None = None) -> CyclePlan:
        """Observe both sides and decide."""
        with self.journal.phase(Phase.OBSERVE):
            target = self.store.observe()
            source = observe_source(self.source, target, self.policy)
            planned = plan(source, target, self.policy, request or self.request, self.clock.now())
            self.journal.point = planned.point
            return planned

    def look_again(self, lost: AskForResync) -> CyclePlan:
        """Plan anew: what the look took for a history was none when the capture asked for it."""
        log.warning("profile=%s sends what differs: %s", self.policy.profile, lost)
        request = CycleRequest(Copying.HISTORY_LOST, f"since {lost.subject}: {lost.found}")
        return self.look_and_plan(request)

    def clean_up(self, plan: CyclePlan) -> CyclePlan:
        """Remove what interrupted cycles left, finish their merges, make room at the hard cap.

        Returns the plan to go by: merges rename files, those of the newest point among them.
        """
        if plan.debris:
            with self.journal.phase(Phase.CLEAN, f"removed={len(plan.debris)}"):
                self.store.discard(plan.debris)
        points = self.store.manifest.points
        if plan.unfinished_merges or not point_allowed(points, self.policy.keep):
            self.merge(Phase.FINISH_MERGES)
            plan = self.look_and_plan()
        return self._without_spoilt_seeds(plan)

    def _without_spoilt_seeds(self, plan: CyclePlan) -> CyclePlan:
        seeds = [disk.continues for disk in plan.capture.disks if disk.continues]
        spoilt = self.store.spoilt(seeds) if seeds else ()
        if not spoilt:
            return plan
        log.warning(
            "begun anew, being damaged: the interrupted copy of %s", ", ".join(_names(spoilt))
        )
        self.store.discard([file for seed in spoilt for file in seed.files])
        return self.look_and_plan()

    def begin_from_images(self, plan: CyclePlan) -> CyclePlan:
        """Copy images on the KVM host that first copies begin from; return the plan to go by."""
        disks = to_be_copied(plan.capture.disks)
        if not disks:
            return plan
        storage, reserve = self.policy.storage, self.policy.space_reserve
        with self.journal.phase(Phase.COPY_IMAGES, f"disks={len(disks)}"):
            copy_images(self.store, self.transfer, disks, storage, reserve)
        return self.clean_up(self.look_and_plan())

    def replicate(self, plan: CyclePlan) -> tuple[BootPoint, Moved]:
        """Capture, transfer, publish: return the newest point and what was moved."""
        self.journal.listener.planned(plan)
        try:
            with ExitStack() as stack:
                with (
                    self.hooks.around_capture(plan),
                    self.journal.phase(Phase.CAPTURE, f"since={plan.capture.since}"),
                ):
                    moment = self.clock.now()
                    capture = stack.enter_context(self.source.capture(plan.capture))
                return self._move(plan, capture, moment)
        except StandbyError:
            self._forget_unpublished(plan.capture.checkpoint)
            raise

    def _forget_unpublished(self, checkpoint: str) -> None:
        """Forget a checkpoint that no point will need.

        Once publication has begun nobody knows whether a point needs it but the KVM host: then
        the next cycle looks there.
        """
        if Phase.PUBLISH in self.journal.begun_phases:
            return
        try:
            self.source.forget([checkpoint])
        except StandbyError as error:
            log.warning("checkpoint %s stays until the next cycle: %s", checkpoint, error)

    def _move(self, plan: CyclePlan, capture: Capture, moment: datetime) -> tuple[BootPoint, Moved]:
        with self.journal.phase(Phase.SURVEY, f"consistency={capture.consistency.value}"):
            pending = [self.transfer.survey(disk) for disk in capture.disks]
            self.journal.bytes = sum(found.data for found in pending)
        newest = self.store.manifest.newest
        if newest is not None and nothing_changed(plan, pending, capture, newest):
            return self._stamp(plan, newest, capture, moment), Moved(0, 0)
        self._require_space(plan.capture.disks, pending)
        with self.store.incoming(plan) as incoming:
            moved = self._transfer(capture, incoming, pending)
            point = new_point(plan, capture, incoming, moved)
            with self.journal.phase(Phase.PUBLISH):
                self.journal.bytes = moved.data
                self.store.publish(plan, point, capture.definition)
                self.journal.listener.replicated(plan, point, moved)
        return point, moved

    def _transfer(self, capture: Capture, incoming: Incoming, pending: Sequence[Pending]) -> Moved:
        pairs = tuple(zip(capture.disks, incoming.disks, strict=True))
        with self.journal.phase(Phase.TRANSFER):

            def alive() -> None:
                capture.require_alive()
                incoming.require_alive()
                self.store.require_lock()

            try:
                moved = self.transfer.copy(pairs, pending, alive, self.journal.listener.moving)
            except TransferFailed:
                look_for_the_cause(alive)
                raise
            self.journal.bytes = moved.data
            incoming.close()
            capture.require_alive()
        return moved

    def _stamp(
        self, plan: CyclePlan, newest: BootPoint, capture: Capture, moment: datetime
    ) -> BootPoint:
        capture.require_alive()
        self.journal.point = newest.name
        with self.journal.phase(Phase.STAMP):
            self.store.stamp(moment)  # what followed the capture was not looked at
        self.journal.listener.replicated(plan, newest, Moved(0, 0))
        return newest

    def _require_space(self, disks: Sequence[DiskPlan], pending: Sequence[Pending]) -> None:
        writes = [
            DiskWrite(plan.disk.name, plan.disk.size, expected_bytes(plan, bytes_.data))
            for plan, bytes_ in zip(disks, pending, strict=True)
        ]
        storage, available = self.policy.storage, self.store.available()
        problem = cycle_space(storage, writes, available, self.policy.space_reserve)
        if problem is not None:
            raise problem

    def forget_old_checkpoints(self, plan: CyclePlan) -> None:
        """Prune our checkpoints to the one the newest point needs; failing that is no failure.

        The point is published already, and the next cycle finds what is left.
        """
        newest = self.store.manifest.newest
        needed = newest.checkpoint if newest else None
        candidates = (*plan.known_checkpoints, plan.capture.checkpoint)
        try:
            with self.journal.phase(Phase.FORGET):
                self.source.forget([name for name in candidates if name != needed])
        except StandbyError as error:
            log.warning("old checkpoints stay until the next cycle: %s", error)

    def move_head(self, move: HeadMove) -> HeadMove:
        """Let the dormant domain boot the newest point, or the one reverted to."""
        with self.journal.phase(Phase.HEAD, f"head: {move.value}"):
            self.store.move_head(move)
        return move

    def tell_published(self, plan: CyclePlan, point: BootPoint) -> None:
        """Run the scripts that follow a publication; a point that is still true had its own."""
        if point.name == plan.point:
            self.hooks.after_publish(point)

    def merge(self, phase: Phase = Phase.MERGE) -> MergePlan:
        """Merge what is due. What is in use is deferred, and the report says so."""
        planned = self._plan_merges()
        if not planned.merges:
            return planned
        turn = MergeTurn.LAST if phase is Phase.MERGE else MergeTurn.BEFORE
        looked = self.clock.now()
        with ExitStack() as stack:
            try:
                stack.enter_context(self.gate(turn))
            except TryLater as error:
                if turn is MergeTurn.BEFORE:
                    raise  # there is no room, or a merge was interrupted: first things first
                log.warning("merges wait for the next cycle: %s", error)
                return replace(deferring(planned, planned.merges[0], error), merges=())
            # While others merged somebody may have come to stand on what was free.
            waited = self.clock.now() - looked > _OUTDATED
            return self._merge_all(self._plan_merges() if waited else planned, phase)

    def _merge_all(self, planned: MergePlan, phase: Phase) -> MergePlan:
        """Merge what is planned, and look again before each merge but the first.

        A merge of large deltas takes as long as somebody needs to start a machine on one of them.
        """
        done: list[Merge] = []
        while planned.merges:
            merge = planned.merges[0]
            about = f"older={merge.older} younger={merge.younger} ({merge.cause.value})"
            try:
                with self.journal.phase(phase, about):
                    self.store.merge(merge.older, self.progress)
            except TryLater as error:
                log.warning("merge of %s waits for the next cycle: %s", merge.older, error)
                planned = deferring(self._plan_merges(), merge, error)
                break
            self.journal.listener.merged(merge.older)
            done.append(merge)
            planned = self._plan_merges()
        return replace(planned, merges=tuple(done))

    def _plan_merges(self) -> MergePlan:
        manifest = self.store.manifest
        keep, now = self.policy.keep, self.clock.now()
        due = plan_merges(manifest.points, keep, now)
        if not due.merges:
            return due  # no need to look at every image of the store
        return merges_due(with_users(self.store), keep, now)


def look_for_the_cause(alive: Callable[[], None]) -> None:
    """Let whoever ended a connection say why: it ends a moment before he is known to be gone.

    A guard that gives a capture up, for one, still waits for libvirt to end the job.
    """
    end = time.monotonic() + _CAUSE_SHOWS_S
    while time.monotonic() < end:
        alive()
        time.sleep(_LOOK_EVERY_S)


def deferring(planned: MergePlan, merge: Merge, why: TryLater) -> MergePlan:
    """Return a plan in which a merge that was tried waits."""
    others = (other for other in planned.deferred if other.older != merge.older)
    waits = DeferredMerge(merge.older, merge.younger, merge.cause, why.found)
    return replace(planned, deferred=(waits, *others))


def observe_source(source: Source, target: TargetObservation, policy: Policy) -> SourceObservation:
    """Look at the source, knowing which checkpoints are ours."""
    return source.observe(checkpoint_owner(policy.profile, target.manifest))


def plan(
    source: SourceObservation,
    target: TargetObservation,
    policy: Policy,
    request: CycleRequest,
    now: datetime,
) -> CyclePlan:
    """Decide one cycle. Also what a dry run prints."""
    consistency = consistency_now(
        policy.consistency, policy.application_every, target.manifest.newest, now, policy.profile
    )
    planned = plan_cycle(
        source,
        target,
        replace(request, images=policy.images),
        consistency=consistency,
        keep=policy.keep,
        checkpoint_prefix=checkpoint_owner(policy.profile, target.manifest),
        now=now,
    )
    require_resync_allowed(planned, request, policy.resync_window, now.astimezone(policy.zone))
    return planned


def expected_bytes(plan: DiskPlan, surveyed: int) -> int:
    """Return the bytes to reserve room for. How much a resync sends only reading will tell."""
    if plan.way is Way.RESYNC:
        return total(plan.again)
    stored = plan.continues.stored if plan.continues else 0
    return total(plan.again) + max(surveyed - stored, 0)


def _names(seeds: Sequence[UnfinishedSeed]) -> list[str]:
    return [seed.disk for seed in seeds]


def with_users(store: Store) -> TargetObservation:
    """Observe the target together with everybody who stands on its files."""
    return replace(store.observe(), users=tuple(store.users()))


def nothing_changed(
    plan: CyclePlan, pending: Sequence[Pending], capture: Capture, newest: BootPoint
) -> bool:
    """Tell whether the newest point still says all there is to say about the machine."""
    same_disks = {(d.disk.name, d.disk.size) for d in plan.capture.disks} == {
        (delta.disk, delta.size) for delta in newest.deltas
    }
    return (
        not newest.spoilt
        and all(disk.way is Way.INCREMENTAL for disk in plan.capture.disks)
        and all(bytes_ == Pending(0, 0) for bytes_ in pending)
        and same_disks
        and plan.blanks == newest.blanks
        and capture.definition.digest == newest.definition
    )


def new_point(plan: CyclePlan, capture: Capture, incoming: Incoming, moved: Moved) -> BootPoint:
    """Describe the point that is about to be published."""
    stored = incoming.stored()
    return BootPoint(
        name=plan.point,
        made=plan.way,
        reason=plan.reason,
        consistency=capture.consistency,
        deltas=tuple(
            Delta(
                disk=disk.plan.disk.name,
                file=disk.file,
                size=disk.plan.disk.size,
                stored=stored[disk.plan.disk.name],
                base=Base.NOTHING if disk.plan.below is None else Base.BELOW,
                image=disk.plan.disk.image,
            )
            for disk in incoming.disks
        ),
        sent=moved.data,
        true_at=plan.point.moment,
        checkpoint=capture.seal(),
        blanks=plan.blanks,
        definition=capture.definition.digest,
    )
