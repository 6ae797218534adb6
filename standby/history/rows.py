"""Runs as rows, and rows as runs."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from sqlalchemy import Row

from standby.model.names import PointName
from standby.model.run import Amounts, Failure, Run, RunPhase

Values = dict[str, Any]


def values_of(run: Run) -> Values:
    """Return the columns that say all of a run."""
    return {
        "id": run.id,
        "profile": run.profile,
        "kind": run.kind,
        "cause": run.cause,
        "result": run.result,
        "begun": run.begun,
        "ended": run.ended,
        "source_host": run.source_host,
        "kvm_host": run.kvm_host,
        "way": run.way,
        "reason": _clean(run.reason),
        "point": str(run.point) if run.point else None,
        "merged": " ".join(map(str, run.merged)),
        "read": run.amounts.read,
        "sent": run.amounts.sent,
        "stored": run.amounts.stored,
        "changed": run.amounts.changed,
        "phases": _phases_as_text(run),
        **_failure_values(run.failure),
    }


def run_of(row: Row[Any]) -> Run:
    """Return the run that a row tells of. Raises ValueError for what no version of us wrote."""
    return Run(
        id=row.id,
        profile=row.profile,
        kind=row.kind,
        cause=row.cause,
        begun=row.begun,
        source_host=row.source_host,
        kvm_host=row.kvm_host,
        ended=row.ended,
        result=row.result,
        way=row.way,
        reason=row.reason,
        point=PointName.parse(row.point) if row.point else None,
        merged=tuple(PointName.parse(name) for name in row.merged.split()),
        amounts=Amounts(row.read, row.sent, row.stored, row.changed),
        phases=_phases(row),
        failure=_failure(row),
    )


def _phases_as_text(run: Run) -> str:
    microsecond = timedelta(microseconds=1)
    told = [
        (it.name, (it.begun - run.begun) // microsecond, round(it.seconds, 6)) for it in run.phases
    ]
    return json.dumps(told, separators=(",", ":"))


def _phases(row: Row[Any]) -> tuple[RunPhase, ...]:
    return tuple(
        RunPhase(name, row.begun + timedelta(microseconds=after), seconds)
        for name, after, seconds in json.loads(row.phases)
    )


def _failure_values(failure: Failure | None) -> Values:
    return {
        "error_kind": failure.kind if failure else None,
        "error_subject": _clean(failure.subject) if failure else None,
        "error_found": _clean(failure.found) if failure else None,
        "error_expected": _clean(failure.expected) if failure else None,
        "error_remedy": _clean(failure.remedy) if failure else None,
        "error_retry": failure.retry if failure else None,
    }


def _clean(text: str) -> str:
    """Replace what no database takes: one such run would keep all that follow it from it."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")


def _failure(row: Row[Any]) -> Failure | None:
    if row.error_kind is None:
        return None
    return Failure(
        row.error_kind,
        row.error_subject,
        row.error_found,
        row.error_expected,
        row.error_remedy,
        row.error_retry,
    )
