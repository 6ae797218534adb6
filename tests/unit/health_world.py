"""What may be known of a machine's protection, for tests of its health. All is well with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from chain_world import EMPTY, START, hourly_points, observed

from standby.errors import Retry
from standby.model.digest import BLOCK
from standby.model.health import Concern, Problem, Severity
from standby.model.keep import Keep
from standby.model.manifest import Manifest
from standby.model.names import PointName
from standby.model.observation import TargetObservation
from standby.model.point import Delta, Way
from standby.model.run import Amounts, Cause, Failure, Run, RunKind, RunPhase, RunResult
from standby.model.schedule import Every, Schedule
from standby.planning.health import Facts, Seen, condition
from standby.planning.obstacles import obstacles
from standby.planning.retention import plan_merges

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SIZE = 100 * BLOCK
HOURLY = Schedule(UTC, (Every(HOUR),))
BY_HAND = Schedule(UTC)
NOW = START + 2 * HOUR + MINUTE
"""One minute after the newest of the three points of PROTECTED."""

PROTECTED = replace(
    EMPTY,
    points=tuple(
        replace(p, deltas=(Delta("vda", f"deltas/vda.{n:04}.qcow2", SIZE, BLOCK),))
        for n, p in enumerate(hourly_points(3), start=1)
    ),
)


def seen(
    manifest: Manifest = PROTECTED,
    target: TargetObservation | None = None,
    *,
    keep: Keep | None = None,
    now: datetime = NOW,
) -> Seen:
    """A look at the KVM host."""
    target = target or observed(manifest)
    plan = plan_merges(target.manifest.points, keep or Keep(), now, obstacles(target))
    return Seen(target, plan, now)


def facts(seen_: Seen | None = None, **more: object) -> Facts:
    """A machine that is protected every hour."""
    known = Facts(
        called="web1",
        name="web1",
        schedule=HOURLY,
        rpo=None,
        reserve=1 << 28,
        storage="/srv/standby on kvm1",
        seen=seen_ or seen(),
        runs=(run(1),),
    )
    return replace(known, **more)  # type: ignore[arg-type]


def run(  # noqa: PLR0913 - a fact each
    minutes_ago: float,
    result: RunResult = RunResult.PUBLISHED,
    *,
    seconds: float = 4,
    merging: float = 0,
    changed: int = 1,
    retry: Retry = Retry.LATER,
    kind: RunKind = RunKind.CYCLE,
    way: Way = Way.INCREMENTAL,
) -> Run:
    """A run so long before NOW. `changed` counts blocks."""
    begun = NOW - minutes_ago * MINUTE
    failure = Failure("ReachHost", "kvm1", "no answer", "an answer", "look at it", retry)
    return Run(
        id=f"r{minutes_ago}",
        profile="web1",
        kind=kind,
        cause=Cause.SCHEDULE,
        begun=begun,
        ended=None if result is RunResult.RUNNING else begun + timedelta(seconds=seconds),
        result=result,
        way=way,
        point=PointName.at(begun),
        amounts=Amounts(changed=changed),
        phases=(RunPhase("transfer", begun, seconds - merging), RunPhase("merge", begun, merging)),
        failure=failure if result is RunResult.FAILED else None,
    )


def problems(known: Facts, now: datetime = NOW) -> tuple[Problem, ...]:
    """All that speaks against it."""
    return condition(known, now).problems


def about(known: Facts, concern: Concern, now: datetime = NOW) -> Problem | None:
    """What it says of one concern; not more than one thing."""
    found = [it for it in problems(known, now) if it.concern is concern]
    assert len(found) <= 1, found
    return found[0] if found else None


def severity(known: Facts, concern: Concern, now: datetime = NOW) -> Severity | None:
    """How grave one concern is, None when there is none."""
    problem = about(known, concern, now)
    return problem.severity if problem else None
