"""What a look at the KVM host shows to be wrong with a standby, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator

from standby.model.health import Concern, Problem, Severity
from standby.model.names import PointName
from standby.model.observation import DomainFound, HeadUse, TargetObservation
from standby.model.point import REMADE, BootPoint, Standing
from standby.planning.damage import damage
from standby.planning.retention import ChainLevel, MergePlan


def store_problems(target: TargetObservation, plan: MergePlan, called: str) -> Iterator[Problem]:
    """Yield what is wrong with a standby, in no order.

    `plan` is what plan_merges decides for the chain as observed; `called` is what commands take
    for this standby.
    """
    yield from _of_the_domain(target, called)
    yield from _of_the_tpm(target, called)
    yield from _of_the_head(target, called)
    yield from _of_the_damage(target, called)
    yield from _of_the_files(target, called)
    yield from _of_the_manifest(target, called)
    yield from _of_the_seed(target, called)
    yield from _of_the_chain(target, plan, called)
    yield from _of_the_users(target)


def _of_the_manifest(target: TargetObservation, called: str) -> Iterator[Problem]:
    manifest = target.manifest
    remade = sum(point.reason == REMADE and point.pinned for point in manifest.points)
    if remade:
        forgotten = "" if manifest.paused else "; a pause that it knew may be forgotten"
        yield Problem(
            Concern.DAMAGE,
            Severity.WARNING,
            f"the manifest was lost and made anew from the files: {remade} boot points stay pinned "
            f"until somebody has looked at them{forgotten}",
            f"standby verify {called} --all; then unpin each: standby unpin {called} POINT",
        )


def _of_the_seed(target: TargetObservation, called: str) -> Iterator[Problem]:
    awaited = target.manifest.awaits
    if awaited is not None:
        yield Problem(
            Concern.SEED,
            Severity.WARNING,
            f"waiting for seed: {awaited.medium}",
            f"take it in on the KVM host: standby import-seed {called} DIRECTORY; or let the next "
            f"cycle send it: standby import-seed {called} --give-up",
        )


def _of_the_domain(target: TargetObservation, called: str) -> Iterator[Problem]:
    name = target.manifest.standby
    if target.domain is DomainFound.FOREIGN:
        yield Problem(
            Concern.DOMAIN,
            Severity.CRITICAL,
            f"domain {name} on the KVM host is not ours; it is left alone",
            f"give the standby another name in its profile, or rename it: virsh domrename {name}",
        )
    if target.lost_its_points:
        yield Problem(
            Concern.DAMAGE,
            Severity.CRITICAL,
            f"domain {name} is there, but none of its boot points: no cycle sends everything again",
            "mount their storage on the KVM host; or, if they are lost: "
            f"standby run {called} --full",
        )
    elif not target.manifest.whole_points:
        yield Problem(
            Concern.SEED,
            Severity.WARNING,
            "waiting for its first seed",
            f"standby run {called}",
        )
    elif target.domain is DomainFound.ABSENT:
        yield Problem(
            Concern.DOMAIN,
            Severity.WARNING,
            f"domain {name} is not defined on the KVM host",
            f"the next cycle defines it: standby run {called}",
        )


def _of_the_tpm(target: TargetObservation, called: str) -> Iterator[Problem]:
    domain = target.manifest.domain
    if domain is not None and domain.lacks_tpm:
        yield Problem(
            Concern.DOMAIN,
            Severity.WARNING,
            "the standby's TPM does not hold what the machine's did; what is sealed to it stays "
            f"locked: {domain.lacks_tpm}",
            f"the next cycle tries again: standby run {called}",
        )


def _of_the_head(target: TargetObservation, called: str) -> Iterator[Problem]:
    name, head = target.manifest.standby, target.head
    if head.use is HeadUse.RUNNING:
        where = head.stands_on or "an unknown boot point"
        yield Problem(
            Concern.HEAD,
            Severity.WARNING,
            f"the standby runs, on {where}; no cycle touches it",
            f"when it is not needed any more: virsh shutdown {name}",
        )
    if head.use is HeadUse.REPLACED:
        where = head.stands_on or "an unknown boot point"
        yield Problem(
            Concern.HEAD,
            Severity.WARNING,
            f"the standby boots images of somebody's own (its head is on {where}), such as those "
            f"of a snapshot, or disks that were moved: virsh domblklist {name}; no cycle touches "
            "it, and it follows no new points",
            "when they are not needed any more let the next cycle define it anew: "
            f"virsh undefine {name} --snapshots-metadata --keep-nvram",
        )
    if head.use is HeadUse.RAN:
        yield Problem(
            Concern.HEAD,
            Severity.WARNING,
            "somebody ran the standby and stopped it; the next cycle sets that head aside",
            "look under kept/ afterwards, and delete it there when nothing in it is needed",
        )
    if target.manifest.reverted_to is not None:
        yield Problem(
            Concern.HEAD,
            Severity.NOTE,
            f"reverted to {target.manifest.reverted_to}: the standby does not follow new points",
            f"standby revert {called} latest",
        )


def _of_the_chain(target: TargetObservation, plan: MergePlan, called: str) -> Iterator[Problem]:
    limit = plan.keep.limit
    held_up = plan.deferred[0].obstacle if plan.deferred else None
    merging = f"the next cycle merges them: standby run {called}"
    remedy = f"held up: {held_up}" if held_up else merging
    if plan.level_before is ChainLevel.AT_HARD_CAP:
        yield Problem(
            Concern.CHAIN,
            Severity.CRITICAL if plan.level_after is ChainLevel.AT_HARD_CAP else Severity.WARNING,
            f"{plan.before} boot points, at the hard cap of {plan.keep.hard_cap}: "
            "no cycle adds one until some are merged",
            remedy,
        )
    elif plan.level_before is ChainLevel.ABOVE_LIMIT:
        yield Problem(
            Concern.CHAIN,
            Severity.WARNING,
            f"{plan.before} boot points, above the limit of {limit}",
            remedy,
        )
    given_up = [str(p.name) for p in target.manifest.points if p.standing is Standing.GIVEN_UP]
    if given_up:
        yield Problem(
            Concern.CHAIN,
            Severity.WARNING,
            f"an interrupted merge has given up {', '.join(given_up)}",
            remedy,
        )


def _of_the_damage(target: TargetObservation, called: str) -> Iterator[Problem]:
    manifest = target.manifest
    newest = manifest.newest
    if newest is not None and newest.spoilt:
        good = manifest.newest_good
        boot = f"standby revert {called} {good.name}" if good else "none is good"
        yield Problem(
            Concern.DAMAGE,
            Severity.CRITICAL,
            f"the newest boot point, {newest.name}, is spoilt: {damage(newest)}",
            f"a new one carries it anew: standby run {called}; if the machine is lost, {boot}",
        )
    boots = _spoilt_under_the_head(target)
    if boots is not None and boots is not newest:
        yield Problem(
            Concern.DAMAGE,
            Severity.CRITICAL,
            f"the standby would boot {boots.name}, which is spoilt: {damage(boots)}",
            f"choose another boot point: standby points {called}",
        )
    others = [p for p in manifest.whole_points if p.spoilt and p not in {newest, boots}]
    if others:
        yield Problem(
            Concern.DAMAGE,
            Severity.WARNING,
            f"spoilt boot points: {', '.join(f'{p.name} ({damage(p)})' for p in others)}",
            f"mend what another image still has: standby verify {called} --all --repair",
        )


def _of_the_files(target: TargetObservation, called: str) -> Iterator[Problem]:
    whole = target.manifest.whole_points
    lost = [point for point in whole if target.missing_below(point)]
    if lost:
        sound = [point for point in whole if point not in lost]
        boot = f"standby revert {called} {sound[-1].name}" if sound else "none can be started"
        yield Problem(
            Concern.DAMAGE,
            Severity.CRITICAL if lost[-1] is whole[-1] else Severity.WARNING,
            f"{', '.join(target.missing_below(lost[-1]))} gone: "
            f"{', '.join(str(point.name) for point in lost)} cannot be started",
            f"put it back from a copy; until then: {boot}",
        )
    elif target.missing:
        yield Problem(
            Concern.DAMAGE,
            Severity.WARNING,
            f"gone: {', '.join(target.missing)}; needed to tell what has changed or is spoilt",
            f"make it anew from what the images hold: standby verify {called} --all --repair",
        )


def _spoilt_under_the_head(target: TargetObservation) -> BootPoint | None:
    name: PointName | None = target.manifest.reverted_to or target.head.stands_on
    return next((p for p in target.manifest.whole_points if p.name == name and p.spoilt), None)


def _of_the_users(target: TargetObservation) -> Iterator[Problem]:
    for user in target.users:
        if user.stands_on is None:
            yield Problem(
                Concern.USERS,
                Severity.WARNING,
                f"{user.what} uses files of this standby; all merges wait",
                "find out what it is, and stop or delete it",
            )
        else:
            yield Problem(
                Concern.USERS,
                Severity.NOTE,
                f"{user.what} stands on {user.stands_on}; merges at or below it wait",
                "end or delete it when it is not needed any more",
            )
