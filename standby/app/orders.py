"""One run as somebody asks for it, done by a session, and what came of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from standby.app.merge_places import MergePlaces
from standby.app.replicate import run
from standby.app.session import Session
from standby.cycle.interfaces import MergeGate, MergeTurn, Moved
from standby.cycle.report import CycleListener, CycleReport, Phase
from standby.errors import Cancelled, ExitStatus, Overtaken, StandbyError
from standby.history import ids
from standby.host.giving_up import given_up_once
from standby.model.names import PointName
from standby.model.plan import Copying, CyclePlan, CycleRequest
from standby.model.point import BootPoint, Way
from standby.model.run import Cause, Failure, Run, RunKind, RunResult
from standby.profile import Profile


@dataclass(frozen=True, slots=True)
class Order:
    """A run that begins now."""

    id: str
    profile: str
    kind: RunKind
    cause: Cause
    due: datetime  # UTC
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that is over: what the history keeps of it, and what a person is told."""

    run: Run
    report: CycleReport | None = None
    error: StandbyError | None = None


@dataclass(frozen=True, slots=True)
class RunWatch:
    """Who is told how far a run is, in its threads, and what asks it to stop."""

    cancel: threading.Event
    progress: Callable[[str, int, int], None]
    phase: Callable[[str, float | None], None]  # one begins, or is over after so many seconds
    merges_last: Callable[[], None]  # all that is left to do are merges
    planned: Callable[[Way], None] = lambda _: None  # how it will bring the machine over


class Runner(Protocol):
    """Does runs, several of them at once."""

    def run(self, order: Order, watch: RunWatch) -> Ended:
        """Do one run to its end, in the calling thread; its errors are in the result."""


def new_id() -> str:
    """Return a short name for a run, of the kind that the history gives."""
    return ids.new_id()


class Recorder(CycleListener, Protocol):
    """Records one run while it happens."""

    @property
    def run(self) -> Run:
        """What is known of the run; whole once the context that gave the recorder is left."""


class Recording(Protocol):
    """Records runs, each with its errors; never in the way of a run."""

    @property
    def trouble(self) -> str:
        """Why runs are not being recorded right now; "" when they are."""

    def run(
        self, profile: Profile, kind: RunKind, cause: Cause, reason: str = "", run_id: str = ""
    ) -> AbstractContextManager[Recorder]:
        """Record one run. Its errors go on to the caller once they are recorded."""


class ProfileRunner:
    """Runs cycles of profiles by one session whose connections they share."""

    def __init__(
        self,
        session: Session,
        profile: Callable[[str], Profile],
        merges: MergePlaces,
        recording: Recording,
    ) -> None:
        self._session = session
        self._profile = profile
        self._merges = merges
        self._recording = recording

    def run(self, order: Order, watch: RunWatch) -> Ended:
        """Do one run to its end."""
        session = self._session.beside(progress=watch.progress, cancel=watch.cancel)
        session.gate = self._gate(session, watch)
        profile = self._profile(order.profile)
        recorder: Recorder | None = None
        try:
            with (
                given_up_once(watch.cancel),
                self._recording.run(
                    profile, order.kind, order.cause, order.reason, order.id
                ) as recorder,
            ):
                listener = _Both(recorder, watch)
                request, run_id = request_for(order.kind), recorder.run.id
                report = run(session, profile, request, order.cause, listener, run_id)
        except StandbyError as error:
            if recorder is None:
                raise
            return Ended(recorder.run, error=error)
        return Ended(recorder.run, report)

    def _gate(self, session: Session, watch: RunWatch) -> MergeGate:
        @contextmanager
        def gate(turn: MergeTurn) -> Generator[None]:
            if turn is MergeTurn.LAST:
                watch.merges_last()
            with self._merges.one(turn, lambda: session.require_wanted("merge")):
                yield

        return gate


@dataclass(frozen=True, slots=True)
class _Both:
    """Tells what a cycle does to its recorder, and its phases to whoever watches."""

    recorder: CycleListener
    watch: RunWatch

    def planned(self, plan: CyclePlan) -> None:
        self.recorder.planned(plan)
        self.watch.planned(plan.way)

    def moving(self, moved: Moved) -> None:
        self.recorder.moving(moved)

    def replicated(self, plan: CyclePlan, point: BootPoint, moved: Moved) -> None:
        self.recorder.replicated(plan, point, moved)

    def merged(self, older: PointName) -> None:
        self.recorder.merged(older)

    def begins(self, phase: Phase) -> None:
        self.recorder.begins(phase)
        self.watch.phase(phase.value, None)

    def ends(self, phase: Phase, seconds: float) -> None:
        self.recorder.ends(phase, seconds)
        self.watch.phase(phase.value, seconds)


def request_for(kind: RunKind) -> CycleRequest:
    """Return what a run of a kind asks of the cycle."""
    copying = {RunKind.RESYNC: Copying.WHAT_DIFFERS, RunKind.FULL_COPY: Copying.EVERYTHING}
    return CycleRequest(copying.get(kind, Copying.AS_NEEDED))


def failed(run_: Run, error: StandbyError, now: datetime) -> Run:
    """Return a run as it is after an error ended it."""
    failure = Failure(
        type(error).__name__, error.subject, error.found, error.expected, error.remedy, error.retry
    )
    return replace(run_, ended=now, result=_bad_result(error), failure=failure)


def _bad_result(error: StandbyError) -> RunResult:
    if isinstance(error, Cancelled):
        return RunResult.CANCELLED
    if isinstance(error, Overtaken):
        return RunResult.FAILED  # much was tried, and all of it is lost
    return RunResult.BUSY if error.exit_status is ExitStatus.TRY_LATER else RunResult.FAILED
