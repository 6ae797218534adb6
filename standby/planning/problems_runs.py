"""What a machine's runs tell: that they fail, are too slow, move too much. Runs newest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Final

from standby.errors import Retry
from standby.model.amount import readable
from standby.model.digest import BLOCK
from standby.model.health import Concern, Problem, Severity
from standby.model.run import Run, RunResult
from standby.model.schedule import Schedule
from standby.planning.durations import readable_duration
from standby.planning.lag import good_cycles, time_between

GRAVE_STREAK: Final = 6  # by then it was tried for half an hour
_ENOUGH: Final = 3  # cycles, to call something usual
_MERGES: Final = frozenset({"merge", "finish merges"})
_NONE: Final = timedelta(0)


def failed_runs(runs: Sequence[Run], newest: datetime | None) -> Iterator[Problem]:
    """Say that cycles fail, unless one was good since.

    `newest` is the state that the standby has: a point made after the failed run, by whomever, is
    as good as a run that this history knows. One that the failed run itself made is not: what
    follows a publication, such as merges, fails for a reason too.
    """
    failed = _streak(runs)
    if not failed or (newest is not None and newest > (failed[0].ended or failed[0].begun)):
        return
    last = failed[0]
    many = "the last run" if len(failed) == 1 else f"the last {len(failed)} runs"
    since = f" since {failed[-1].begun.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    remedy = last.failure.remedy if last.failure and last.failure.remedy else "see its log"
    yield Problem(
        Concern.FAILED_RUNS,
        Severity.CRITICAL if _is_grave(failed) else Severity.WARNING,
        f"{many} failed{since if len(failed) > 1 else ''}: {_why(last)}",
        f"{remedy}; its log: standby log {last.id}",
    )


def slow_cycles(runs: Sequence[Run], schedule: Schedule, called: str) -> Iterator[Problem]:
    """Say that cycles take longer than the schedule leaves between them, and if merges do."""
    lately = [it for it in good_cycles(runs) if it.duration is not None]
    if len(lately) < _ENOUGH:
        return
    took = sum((it.duration or _NONE for it in lately), _NONE) / len(lately)
    apart = time_between(schedule, lately[0].begun, called)
    if apart is None or took <= apart:
        return
    merging = timedelta(seconds=sum(map(_merge_seconds, lately)) / len(lately))
    what = f"merges take {readable_duration(merging)} of it"
    mostly = merging * 2 >= took
    yield Problem(
        Concern.SLOW,
        Severity.WARNING,
        f"a cycle takes {readable_duration(took)}, and the schedule asks for one every "
        f"{readable_duration(apart)}{f'; {what}' if mostly else ''}",
        "raise merge.bandwidth, or keep more boot points so that fewer are merged"
        if mostly
        else "raise transfer.bandwidth, or let the schedule leave more time between runs",
    )


def many_changes(runs: Sequence[Run], size: int, called: str) -> Iterator[Problem]:
    """Say that more than half of a machine changed between the last two points.

    `size` is what its disks hold, in bytes; 0 when nobody knows.
    """
    last = next(iter(good_cycles(runs, 1)), None)
    if last is None or not size:
        return
    changed = last.amounts.changed * BLOCK
    if 2 * changed > size:
        yield Problem(
            Concern.CHANGES,
            Severity.WARNING,
            f"{readable(changed)} of {readable(size)} changed before the last boot point",
            f"find out what writes so much in the machine; its runs: standby history {called}",
        )


def _streak(runs: Sequence[Run]) -> list[Run]:
    """Return the cycles that failed since the last good one, newest first."""
    decided = (it for it in runs if it.kind.is_cycle and (it.result.is_bad or it.result.is_good))
    return list(takewhile(lambda it: it.result.is_bad, decided))


def _is_grave(failed: Sequence[Run]) -> bool:
    failure = failed[0].failure
    return len(failed) >= GRAVE_STREAK or (failure is not None and failure.retry is Retry.NEVER)


def _why(run: Run) -> str:
    if run.failure is not None:
        expected = f" (expected: {run.failure.expected})" if run.failure.expected else ""
        return f"{run.failure.subject}: {run.failure.found}{expected}"
    return "the manager ended in the midst of it" if run.result is RunResult.LOST else "unknown"


def _merge_seconds(run: Run) -> float:
    return sum(it.seconds for it in run.phases if it.name in _MERGES)
