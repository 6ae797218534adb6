"""Runs to keep in a history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from standby.errors import Retry
from standby.model.names import PointName
from standby.model.point import Way
from standby.model.run import Amounts, Cause, Failure, Run, RunKind, RunPhase, RunResult

BEGIN = datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=UTC)


def begun(number: int = 0, profile: str = "web1", kind: RunKind = RunKind.CYCLE) -> Run:
    return Run(
        id=f"{number:08d}",
        profile=profile,
        kind=kind,
        cause=Cause.SCHEDULE,
        begun=BEGIN + timedelta(minutes=number),
        source_host="hv1",
        kvm_host="kvm1",
    )


def ended(
    number: int = 0,
    result: RunResult = RunResult.PUBLISHED,
    *,
    profile: str = "web1",
    kind: RunKind = RunKind.CYCLE,
    seconds: float = 4,
    sent: int = 100,
) -> Run:
    run = begun(number, profile, kind)
    failed = result is RunResult.FAILED
    return Run(
        id=run.id,
        profile=run.profile,
        kind=run.kind,
        cause=run.cause,
        begun=run.begun,
        source_host=run.source_host,
        kvm_host=run.kvm_host,
        ended=run.begun + timedelta(seconds=seconds),
        result=result,
        way=Way.INCREMENTAL,
        reason="what changed since V20261101_115500",
        point=None if failed else PointName.at(run.begun),
        merged=(PointName.at(BEGIN), PointName.at(BEGIN + timedelta(days=1))),
        amounts=Amounts(1 << 40, sent, 3, 4),
        phases=(RunPhase("observe", run.begun, 0.25), RunPhase("capture", run.begun, 1.5)),
        failure=Failure("ReachHost", "kvm1", "no answer", "one", "ask", Retry.LATER)
        if failed
        else None,
    )
