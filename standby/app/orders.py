"""One run as somebody asks for it, done by a session, and what came of it."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from standby.app.replicate import run
from standby.app.session import Session
from standby.cycle.interfaces import MergeTurn
from standby.cycle.report import CycleReport, Outcome
from standby.errors import Cancelled, ExitStatus, StandbyError
from standby.model.plan import Copying, CycleRequest
from standby.model.run import Amounts, Cause, Failure, Run, RunKind, RunPhase, RunResult
from standby.profile import Profile

_ID_BYTES = 4


@dataclass(frozen=True, slots=True)
class Order:
    """A run that begins now."""

    id: str
    profile: str
    kind: RunKind
    cause: Cause
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that is over: what the history keeps of it, and what a person is told."""

    run: Run
    report: CycleReport | None = None
    error: StandbyError | None = None


@dataclass(frozen=True, slots=True)
class RunWatch:
    """Who is told how far a run is, and what asks it to stop."""

    cancel: threading.Event
    progress: Callable[[str, int, int], None]
    merges_last: Callable[[], None]  # all that is left to do are merges


class Runner(Protocol):
    """Does runs, several of them at once."""

    def run(self, order: Order, watch: RunWatch) -> Ended:
        """Do one run to its end, in the calling thread; its errors are in the result."""


def new_id() -> str:
    """Return a short name for a run."""
    return secrets.token_hex(_ID_BYTES)


@dataclass
class MergePlaces:
    """How many standbys may merge at once. `limit` may change at any time."""

    limit: int

    def __post_init__(self) -> None:
        self._taken = 0
        self._free = threading.Condition()

    @contextmanager
    def one(self, wanted: Callable[[], None]) -> Generator[None]:
        """Wait for a place; `wanted` is called now and then, and raises to give up."""
        with self._free:
            while self._taken >= self.limit:
                wanted()
                self._free.wait(0.5)
            self._taken += 1
        try:
            yield
        finally:
            with self._free:
                self._taken -= 1
                self._free.notify()


class ProfileRunner:
    """Runs cycles of profiles by one session whose connections they share."""

    def __init__(
        self, session: Session, profile: Callable[[str], Profile], merges: MergePlaces
    ) -> None:
        self._session = session
        self._profile = profile
        self._merges = merges

    def run(self, order: Order, watch: RunWatch) -> Ended:
        """Do one run to its end."""
        session = self._session.beside(progress=watch.progress, cancel=watch.cancel)

        @contextmanager
        def gate(turn: MergeTurn) -> Generator[None]:
            if turn is MergeTurn.LAST:
                watch.merges_last()
            with self._merges.one(lambda: session.require_wanted("merge")):
                yield

        session.gate = gate
        return run_profile(session, self._profile(order.profile), order)


def run_profile(session: Session, profile: Profile, order: Order) -> Ended:
    """Run one cycle of a profile; what went wrong is in the result."""
    begun = Run(
        order.id,
        order.profile,
        order.kind,
        order.cause,
        session.clock.now(),
        profile.source_host.name,
        profile.target_host.name,
        reason=order.reason,
    )
    try:
        report = run(session, profile, request_for(order.kind))
    except StandbyError as error:
        return Ended(failed(begun, error, session.clock.now()), error=error)
    return Ended(_succeeded(begun, report, session.clock.now()), report)


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
    return RunResult.BUSY if error.exit_status is ExitStatus.TRY_LATER else RunResult.FAILED


def _succeeded(run_: Run, report: CycleReport, now: datetime) -> Run:
    published = report.outcome is Outcome.PUBLISHED
    return replace(
        run_,
        ended=now,
        result=RunResult.PUBLISHED if published else RunResult.STILL_TRUE,
        way=report.way,
        reason=report.reason,
        point=report.point,
        merged=report.merged,
        amounts=Amounts(sent=report.data),
        phases=tuple(RunPhase(it.phase.value, report.started, it.seconds) for it in report.phases),
    )
