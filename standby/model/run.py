"""Runs: what the manager did for a machine, when, why, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from standby.errors import Retry
from standby.model.names import PointName
from standby.model.point import Way


class RunKind(Enum):
    """What was done."""

    CYCLE = "cycle"
    RESYNC = "resync"  # a cycle that was asked to read everything
    FULL_COPY = "full copy"  # a cycle that was asked to send everything
    VERIFY = "verify"
    EXPORT_SEED = "export seed"
    IMPORT_SEED = "import seed"
    REVERT = "revert"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"  # somebody asked a run to stop; the run says so itself, too

    @property
    def is_cycle(self) -> bool:
        """Whether it was a cycle, and counts among those that ought to succeed."""
        return self in {RunKind.CYCLE, RunKind.RESYNC, RunKind.FULL_COPY}


class Cause(Enum):
    """Why a run began."""

    SCHEDULE = "schedule"
    MISSED = "missed"  # made up for runs that nobody could begin
    EVENT = "event"  # something happened to the machine
    HAND = "hand"
    RETRY = "retry"


class RunResult(Enum):
    """How a run ended; RUNNING while it has not."""

    RUNNING = "running"
    PUBLISHED = "published"
    STILL_TRUE = "still true"
    DONE = "done"  # a run that is no cycle
    FAILED = "failed"
    BUSY = "busy"  # somebody else was at work: nothing was tried
    CANCELLED = "cancelled"
    LOST = "lost"  # the manager died in the midst of it

    @property
    def is_good(self) -> bool:
        """Whether what was asked for was done."""
        return self in {RunResult.PUBLISHED, RunResult.STILL_TRUE, RunResult.DONE}

    @property
    def is_bad(self) -> bool:
        """Whether it counts as a failure; who cancels or comes too early did not fail."""
        return self in {RunResult.FAILED, RunResult.LOST}


@dataclass(frozen=True, slots=True)
class RunPhase:
    """One phase of a run. `begun` is UTC."""

    name: str
    begun: datetime
    seconds: float


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run failed: the error's type, its fields, and whether time alone may mend it."""

    kind: str
    subject: str
    found: str
    expected: str
    remedy: str
    retry: Retry

    @property
    def text(self) -> str:
        """The error in one line."""
        expected = f" (expected: {self.expected})" if self.expected else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.subject}: {self.found}{expected}{remedy}"


@dataclass(frozen=True, slots=True)
class Amounts:
    """What a run moved. Bytes, but for `changed`, which counts blocks of 64 KiB."""

    read: int = 0  # from the source
    sent: int = 0  # to the KVM host, as data
    stored: int = 0  # by the new boot point's deltas
    changed: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """One run. Times are UTC; `ended` is None while it runs."""

    id: str
    profile: str
    kind: RunKind
    cause: Cause
    begun: datetime
    source_host: str = ""
    kvm_host: str = ""
    ended: datetime | None = None
    result: RunResult = RunResult.RUNNING
    way: Way | None = None
    reason: str = ""  # why it went this way, or why it was asked for
    point: PointName | None = None  # made, or found still true
    merged: tuple[PointName, ...] = ()
    amounts: Amounts = Amounts()
    phases: tuple[RunPhase, ...] = ()
    failure: Failure | None = None

    @property
    def duration(self) -> timedelta | None:
        """How long it took; None while it runs."""
        return None if self.ended is None else self.ended - self.begun
