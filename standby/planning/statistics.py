"""How well a machine was protected over a period, counted from its runs.

Only cycles count, and those that ended. One that was cancelled, or that found somebody else at
work, neither succeeded nor failed: it is counted apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from standby.model.names import PointName
from standby.model.point import Way
from standby.model.run import Run, RunResult

CAPTURE: Final = "capture"
_SHOWN: Final = frozenset({"publish", "stamp"})  # phases at whose end the KVM host has the state
_ERRORS_KEPT: Final = 100


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A run that failed: when it began, and why."""

    id: str
    begun: datetime
    kind: str  # the error's type; "" for one whose manager died
    text: str


@dataclass(frozen=True, slots=True)
class Measure:
    """Average and largest of something that every good cycle has. Its unit is the field's."""

    average: float
    largest: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the cycles of a period did. Times are UTC; a cycle belongs to where it began.

    `sizes` are bytes sent, `durations` seconds of whole cycles, `latencies` seconds from a
    capture's beginning until its state was bootable on the KVM host; each None without a cycle
    that has one. First copies count as cycles and in `sent`, and in none of the measures.
    `errors` are the last ones, oldest first; `failed` counts all.
    """

    since: datetime
    until: datetime
    good: int = 0
    failed: int = 0
    apart: int = 0  # cancelled, or somebody else was at work
    points: int = 0  # boot points made
    merged: int = 0
    sent: int = 0  # bytes, in all
    stored: int = 0  # bytes, in all
    sizes: Measure | None = None
    durations: Measure | None = None
    latencies: Measure | None = None
    errors: tuple[FailedRun, ...] = ()
    last_sync: datetime | None = None  # end of the last good cycle; None: not applicable
    last_point: PointName | None = None  # that it made, or found still true

    @property
    def cycles(self) -> int:
        """How many cycles ended well or badly."""
        return self.good + self.failed

    @property
    def share_good(self) -> float | None:
        """Which part of the cycles ended well, from 0 to 1; None when there was none."""
        return self.good / self.cycles if self.cycles else None


def measure(runs: Iterable[Run], since: datetime, until: datetime) -> Statistics:
    """Count the runs of one machine that began from `since` until before `until`, in any order."""
    count = _Count()
    for run in runs:
        if run.kind.is_cycle and since <= run.begun < until:
            count.add(run)
    return count.statistics(since, until)


def latency(run: Run) -> timedelta | None:
    """Return how old the state was when it became bootable; None when no phase tells."""
    captured = next((it.begun for it in reversed(run.phases) if it.name == CAPTURE), None)
    shown = next((it for it in reversed(run.phases) if it.name in _SHOWN), None)
    if captured is None or shown is None or shown.begun < captured:
        return None
    return shown.begun + timedelta(seconds=shown.seconds) - captured


@dataclass
class _Sum:
    """Numbers as they come."""

    count: int = 0
    total: float = 0.0
    largest: float = 0.0

    def add(self, number: float) -> None:
        self.count += 1
        self.total += number
        self.largest = max(self.largest, number)

    def measure(self) -> Measure | None:
        return Measure(self.total / self.count, self.largest) if self.count else None


@dataclass
class _Count:
    """What was counted so far."""

    good: int = 0
    apart: int = 0
    points: int = 0
    merged: int = 0
    sent: int = 0
    stored: int = 0
    sizes: _Sum = field(default_factory=_Sum)
    durations: _Sum = field(default_factory=_Sum)
    latencies: _Sum = field(default_factory=_Sum)
    bad: list[Run] = field(default_factory=list)
    last: Run | None = None

    def add(self, run: Run) -> None:
        if run.result is RunResult.RUNNING:
            return
        self.merged += len(run.merged)
        self.sent += run.amounts.sent
        self.stored += run.amounts.stored
        if run.result.is_good:
            self._add_good(run)
        elif run.result.is_bad:
            self.bad.append(run)
        else:
            self.apart += 1

    def _add_good(self, run: Run) -> None:
        self.good += 1
        self.points += run.result is RunResult.PUBLISHED
        if self.last is None or _end(self.last) < _end(run):
            self.last = run
        if run.way is Way.SEED:
            return
        self.sizes.add(run.amounts.sent)
        if run.duration is not None:
            self.durations.add(run.duration.total_seconds())
        late = latency(run)
        if late is not None:
            self.latencies.add(late.total_seconds())

    def statistics(self, since: datetime, until: datetime) -> Statistics:
        return Statistics(
            since=since,
            until=until,
            good=self.good,
            failed=len(self.bad),
            apart=self.apart,
            points=self.points,
            merged=self.merged,
            sent=self.sent,
            stored=self.stored,
            sizes=self.sizes.measure(),
            durations=self.durations.measure(),
            latencies=self.latencies.measure(),
            errors=_errors(self.bad),
            last_sync=self.last.ended if self.last else None,
            last_point=self.last.point if self.last else None,
        )


def _errors(bad: Sequence[Run]) -> tuple[FailedRun, ...]:
    last = sorted(bad, key=lambda run: run.begun)[-_ERRORS_KEPT:]
    return tuple(
        FailedRun(run.id, run.begun, run.failure.kind, run.failure.text)
        if run.failure
        else FailedRun(run.id, run.begun, "", "the manager ended in the midst of it")
        for run in last
    )


def _end(run: Run) -> datetime:
    return run.ended or run.begun
