"""Recording runs: into the history, and each with a log of its own.

Nothing here ever stops a run. What cannot be written is said, kept in memory, and written when
that is possible again; what is lost for good becomes a gap that the history shows.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Final, Self, TypeVar

from standby.app.recorder import RunRecorder
from standby.app.run_logs import logged
from standby.app.session import Session, WallClock
from standby.app.state import StateDirectory
from standby.errors import RepairHistory, UpgradeManager
from standby.history import History
from standby.history.ids import new_id
from standby.history.owners import Owner, Records, is_alive
from standby.history.run_log import log_path, remove_log, remove_old_logs
from standby.model.records import Gap
from standby.model.run import Cause, Run, RunKind
from standby.profile import Profile

Value = TypeVar("Value")

log = logging.getLogger("standby.history")

_MOST_PENDING: Final = 1000  # ended runs kept in memory while they cannot be written
_PRUNE_EVERY_S: Final = 3600.0
_BATCHES_AT_ONCE: Final = 10
_ALL: Final = ""  # instead of a profile's name


class Recording:
    """Records the runs of one process, from any thread. A context: leaving it ends that."""

    def __init__(
        self,
        state: StateDirectory,
        clock: WallClock,
        keep: timedelta | None = None,
        does: Records = Records.MANY,
    ) -> None:
        """Keep runs for `keep`, which may change; None: for good."""
        self._does = does
        self.state = state
        self.history = History.open(state.database, clock.now)
        self.trouble = ""  # why runs are not being recorded right now; "" when they are
        self._clock = clock
        self.keep = keep
        self._owner = Owner(state.recorders, does)
        self._backlog = _Backlog()
        self._pruned: dict[str, float] = {}  # by profile, when

    def __enter__(self) -> Self:
        self._write(lambda history: history.lost(self._is_alive))
        return self

    def __exit__(self, *_: object) -> None:
        self._write(self._backlog.write)
        self._owner.release()
        self.history.close()

    def take_untold(self) -> tuple[Run, ...]:
        """Return the runs that died with their manager and that nobody was told of yet."""
        return self._write(lambda history: history.take_untold()) or ()

    @contextmanager
    def run(
        self,
        profile: Profile,
        kind: RunKind,
        cause: Cause = Cause.HAND,
        reason: str = "",
        run_id: str = "",
    ) -> Generator[RunRecorder]:
        """Record one run, in this thread. Its errors go on to the caller.

        `reason` is why it was asked for; without `run_id` one is chosen.
        """
        begun = Run(
            id=run_id or new_id(),
            profile=profile.name,
            kind=kind,
            cause=cause,
            begun=self._clock.now(),
            source_host=profile.source_host.name,
            kvm_host=profile.target_host.name,
            reason=reason,
        )
        recorder = RunRecorder(self._begin(begun), self._clock.now, self._progress)
        try:
            path = log_path(self.state.logs, recorder.run.id)
            with logged(recorder, path, self._does), recorder.ending():
                yield recorder
        finally:
            self._backlog.add(recorder.run)
            self._write(self._backlog.write)
            self._prune_now_and_then(profile)

    def _begin(self, run: Run) -> Run:
        def begin(history: History) -> Run:
            self._owner.hold()
            return history.begin(run, self._owner.name)

        return self._write(begin) or run

    def _progress(self, run: Run) -> None:
        if self.trouble:
            return  # each attempt may take seconds; the end of the run is written all the same
        self._write(lambda history: history.progress(run))

    def _write(self, write: Callable[[History], Value]) -> Value | None:
        """Write, or say once why that is not possible."""
        try:
            written = write(self.history)
        except (RepairHistory, UpgradeManager) as error:
            if str(error) != self.trouble:
                log.warning("runs are not recorded, and go on: %s", error)
            self.trouble = self._backlog.why = str(error)
            return None
        if self.trouble:
            log.warning("runs are recorded again")
            self.trouble = ""
        return written

    def _is_alive(self, owner: str) -> bool:
        return is_alive(self.state.recorders, owner)

    # ---- forgetting --------------------------------------------------------------------

    def _prune_now_and_then(self, profile: Profile) -> None:
        if self.trouble:
            return
        own = profile.history.keep
        if own is not None and self._is_time_for(profile.name):
            self._prune(self._clock.now() - own, profile.name)
        if self.keep is not None and self._is_time_for(_ALL):
            before = self._clock.now() - self.keep
            self._prune(before, _ALL)
            with suppress(OSError, IndexError):  # one directory at a time: they may be a million
                remove_old_logs(secrets.choice([*self.state.logs.iterdir()]), before)

    def _is_time_for(self, profile: str) -> bool:
        now = time.monotonic()
        last = self._pruned.get(profile)
        if last is not None and now - last < _PRUNE_EVERY_S:
            return False
        self._pruned[profile] = now
        return True

    def _prune(self, before: datetime, profile: str) -> None:
        for _ in range(_BATCHES_AT_ONCE):
            forgotten = self._write(lambda history: history.prune(before, profile))
            if not forgotten:
                break
            for run_id in forgotten:
                remove_log(log_path(self.state.logs, run_id))
        else:
            self._pruned.pop(profile, None)  # there is more: the next run's end goes on with it


class _Backlog:
    """Runs that ended and are not written yet."""

    def __init__(self) -> None:
        self.why = ""
        self._lock = threading.Lock()
        self._runs: list[Run] = []
        self._gap: Gap | None = None  # of those for which there was no room

    def add(self, run: Run) -> None:
        """Keep a run; when there are too many, the oldest is given up."""
        with self._lock:
            self._runs.append(run)
            if len(self._runs) > _MOST_PENDING:
                self._give_up(self._runs.pop(0))

    def write(self, history: History) -> None:
        """Write all of them, and what is missing of them."""
        with self._lock:
            if self._runs:
                history.end(*self._runs)
                self._runs.clear()
            if self._gap is not None:
                history.miss(self._gap)
                self._gap = None

    def _give_up(self, run: Run) -> None:
        since = run.begun if self._gap is None else self._gap.since
        missing = 1 if self._gap is None or self._gap.runs is None else self._gap.runs + 1
        self._gap = Gap(since, run.ended or run.begun, missing, f"not recorded: {self.why}")


@contextmanager
def recorded(
    session: Session, profile: Profile, kind: RunKind, *, reason: str = ""
) -> Generator[RunRecorder]:
    """Record one run that somebody has done by a command: the process does nothing else."""
    with (
        recording_of(session) as recording,
        recording.run(profile, kind, Cause.HAND, reason) as recorder,
    ):
        yield recorder


def recording_of(session: Session) -> Recording:
    """Return what records runs as the settings of this host say. Raises ProfileMistakes."""
    settings = session.configuration.manager()
    state = StateDirectory(settings.state_directory)
    return Recording(state, session.clock, settings.history.keep, Records.ONE_RUN)
