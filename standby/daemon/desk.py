"""What the daemon answers to whoever asks it through its socket."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Final

from standby.app.control import (
    Answer,
    Ask,
    AskCancel,
    AskLive,
    AskPause,
    AskReload,
    AskResume,
    AskRun,
    Done,
    PhaseOver,
    Progress,
    Refused,
    RunBegins,
    RunOver,
    UnderWay,
)
from standby.app.live import Live
from standby.app.orders import Ended
from standby.daemon.active import Active
from standby.daemon.calling import call
from standby.daemon.clock import Clock
from standby.daemon.conductor import Conductor
from standby.daemon.instance import Instance
from standby.daemon.pauses import Pauses
from standby.daemon.reloading import Reloading
from standby.daemon.roster import Roster
from standby.errors import FixProfile, FixRequest, TryLater
from standby.model.run import Cause

log = logging.getLogger("standby.daemon")

_PROGRESS_EVERY_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class DaemonDesk:
    """Answers, in the threads of those who ask."""

    me: Instance
    clock: Clock
    conductor: Conductor
    roster: Roster
    reloading: Reloading
    pauses: Pauses
    problems: Callable[[], tuple[str, ...]]
    cancelled: Callable[[str, str], None]  # a profile, and by whom: for the history

    def answer(self, ask: Ask, who: str) -> Iterator[Answer]:
        """Yield what is to be said, until all of it is."""
        match ask:
            case AskLive(everything):
                yield call(self.conductor, lambda: self.live(everything=everything))
            case AskRun():
                yield from self._run(ask, who)
            case AskCancel(run):
                yield self._cancel(run, who)
            case AskPause():
                yield self._pause(ask, who)
            case AskResume(profile):
                said = self.pauses.resume(self._known(profile), who)
                yield Done(said.text, said.run)
            case AskReload():
                self.reloading.now(sure=True)
                yield Done(f"{len(self.roster.names())} profiles")
            case _:
                raise FixRequest("the daemon", f"was asked for {type(ask).__name__}", "a request")

    def live(self, *, everything: bool) -> Live:
        """Return what the daemon does and knows. In the conductor's thread."""
        conductor = self.conductor
        return Live(
            at=self.clock.now(),
            pid=self.me.pid,
            root=self.me.root,
            since=self.me.since,
            running=conductor.running(),
            waiting=conductor.waiting(),
            outlooks=conductor.outlooks() if everything else (),
            broken=self.roster.broken(),
            problems=self.problems(),
            stopping=conductor.stopping,
        )

    def _known(self, name: str) -> str:
        """Return a profile's name after a look at its file as it is now."""
        self.reloading.now()
        broken = next((it for it in self.roster.broken() if it.profile == name), None)
        if broken is not None:
            raise FixProfile(f"profile {name}", broken.found)
        if name not in self.roster.names():
            raise FixProfile(f"profile {name}", f"there is none in {self.me.root}/profiles")
        return name

    def _run(self, ask: AskRun, who: str) -> Iterator[Answer]:
        """Ask for a run and follow it. Who goes away before its end does not stop it."""
        name = self._known(ask.profile)
        following = _Following()
        call(
            self.conductor,
            lambda: self.conductor.ask(
                name, ask.kind, Cause.HAND, f"asked for by {who}", following.begins
            ),
        )
        try:
            while True:
                answer = following.answers.get()
                yield answer
                if isinstance(answer, RunOver | Refused):
                    return
        finally:
            following.is_over = True

    def _pause(self, ask: AskPause, who: str) -> Done:
        name = self._known(ask.profile)
        said = self.pauses.pause(name, ask.until, ask.reason, who)
        if not said.run or ask.run is not UnderWay.IS_CANCELLED:
            return Done(said.text, said.run)
        with suppress(TryLater):  # it has come to its end meanwhile
            self._cancel(said.run, who)
        return Done(f"{said.text} and is asked to stop", said.run)

    def _cancel(self, wanted: str, who: str) -> Done:
        def cancel() -> tuple[str, str]:
            running = self.conductor.running()
            profile = next((it.profile for it in running if it.id == wanted), wanted)
            return profile, self.conductor.cancel(profile, f"asked for by {who}")

        profile, run = call(self.conductor, cancel)
        if profile in self.roster.names():
            self.cancelled(profile, who)
        what = f"run {run} of {profile} is asked to stop" if run else f"{profile} waits no more"
        return Done(what)


@dataclass
class _Following:
    """What whoever asked for a run is told of it."""

    answers: SimpleQueue[Answer] = field(default_factory=SimpleQueue)
    is_over: bool = False  # nobody listens any more: a first copy may go on for days
    _told_at: dict[str, float] = field(default_factory=dict)

    def begins(self, active: Active) -> None:
        """Follow a run that begins."""
        self.answers.put(RunBegins(active.order.id))
        active.meter.followers += (self._progress,)
        active.meter.phase_followers += (self._phase,)
        active.told.append(self._over)

    def _progress(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if self.is_over:
            return
        if done >= total or now - self._told_at.get(what, 0.0) >= _PROGRESS_EVERY_S:
            self._told_at[what] = now
            self.answers.put(Progress(what, done, total))

    def _phase(self, phase: str, seconds: float) -> None:
        if not self.is_over:
            self.answers.put(PhaseOver(phase, seconds))

    def _over(self, ended: Ended) -> None:
        error = ended.error
        over = RunOver(ended.run, ended.report) if error is None else Refused.of(error)
        self.answers.put(over)
