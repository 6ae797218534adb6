"""Recording runs: into the history, and each with a log of its own.

Nothing here ever stops a run. What cannot be written is said, kept in memory, and written when
that is possible again; what is lost for good becomes a gap that the history shows.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from standby.app.session import Session
from standby.cycle.report import CycleListener
from standby.model.names import PointName
from standby.model.run import Cause, Run, RunKind
from standby.profile import Profile


class RunRecorder(CycleListener, Protocol):
    """One run under way. A cycle tells it everything itself; other work says what it did."""

    @property
    def run(self) -> Run:
        """What is known of the run; whole once the context that gave the recorder is left."""

    @property
    def phase(self) -> tuple[str, datetime] | None:
        """The phase under way and when it began, UTC; for those who watch from elsewhere."""

    def done(self, point: PointName | None = None, sent: int = 0) -> None:
        """Say what work that is no cycle did; bytes."""


class Recording(Protocol):
    """Records the runs of one process; a context that is left when the process ends."""

    def run(
        self, profile: Profile, kind: RunKind, cause: Cause, reason: str = ""
    ) -> Generator[RunRecorder]:
        """Record one run (a context). Its errors go on to the caller once they are recorded."""

    @property
    def trouble(self) -> str:
        """Why runs are not being recorded right now; "" when they are."""


@contextmanager
def recorded(
    session: Session,
    state: Path,
    profile: Profile,
    kind: RunKind,
    cause: Cause = Cause.HAND,
) -> Generator[RunRecorder]:
    """Record one run of a process that does nothing else: what commands use."""
    raise NotImplementedError
