"""What a daemon is doing, as the surfaces show it. Times UTC; bytes, and bytes in a second."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from standby.model.pause import Then
from standby.model.point import Way
from standby.model.run import Cause, RunKind


@dataclass(frozen=True, slots=True)
class LiveStep:
    """How far one disk's transfer or one merge is; `rate` is of the last few seconds."""

    what: str
    done: int
    total: int
    rate: float = 0.0

    @property
    def left(self) -> timedelta | None:
        """How long it will still take at this rate; None when nobody can tell."""
        missing = max(self.total - self.done, 0)
        return timedelta(seconds=missing / self.rate) if self.rate > 0 else None


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A run that is under way."""

    id: str
    profile: str
    kind: RunKind
    cause: Cause
    begun: datetime
    phase: str = ""
    steps: tuple[LiveStep, ...] = ()
    stopping: bool = False  # somebody asked it to stop
    way: Way | None = None  # how it brings the machine over; None before it is planned
    then: Then | None = None  # what becomes of the machine after it, since somebody asked


@dataclass(frozen=True, slots=True)
class LiveWait:
    """A run that is due and waits for its turn. `behind` is the newest point's age in RPOs."""

    profile: str
    kind: RunKind
    cause: Cause
    due: datetime
    behind: float | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """What comes next for one machine, and what troubles it."""

    profile: str
    next_run: datetime | None = None  # by its schedule
    retry: datetime | None = None  # when it is tried again before that
    failures: int = 0  # in a row
    trouble: str = ""
    waits_for_change: bool = False  # trying again cannot help before somebody changes something
    then: Then | None = None  # asked for, and not written on the KVM host yet


@dataclass(frozen=True, slots=True)
class BrokenProfile:
    """A profile that cannot be read as it is now; an older version of it may still hold."""

    profile: str
    found: str
    keeps_older: bool


@dataclass(frozen=True, slots=True)
class Live:
    """All that a daemon does and knows at one moment."""

    at: datetime
    pid: int
    root: Path
    since: datetime
    running: tuple[LiveRun, ...] = ()
    waiting: tuple[LiveWait, ...] = ()
    outlooks: tuple[Outlook, ...] = ()
    broken: tuple[BrokenProfile, ...] = ()
    problems: tuple[str, ...] = ()  # of the daemon itself: what it cannot read or write
    stopping: bool = False
