"""What a manager knows of its machines besides the word of their KVM hosts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from standby.app.live import Live, LiveRun, Outlook
from standby.model.pause import Then
from standby.model.run import Run
from standby.model.state import State
from standby.planning.states import state_at_work
from standby.planning.statistics import Statistics


@dataclass(frozen=True, slots=True)
class Doing:
    """What is being done to a standby now. `share` is from 0 to 1, None when nobody can tell.

    `then` is what it will be after that, since somebody asked for it.
    """

    state: State
    share: float | None = None
    then: Then | None = None

    @property
    def text(self) -> str:
        """The state with how far it is, and what follows: seeding (73 %), then paused."""
        share = "" if self.share is None else f" ({int(self.share * 100)} %)"
        then = f", then {self.then.value}" if self.then else ""
        return self.state.value + share + then


def no_runs(profile: str) -> tuple[Run, ...] | None:
    """Say that there is no history."""
    del profile
    return None


def no_statistics(profile: str) -> Statistics | None:
    """Say that there is no history."""
    del profile
    return None


@dataclass(frozen=True)
class Known:
    """The manager's own knowledge: of its daemon, when one runs, and of its history.

    `runs` returns the last runs of a profile, newest first, `statistics` what is counted of it;
    None without a history. Every answer may be that nobody knows.
    """

    live: Live | None = None
    runs: Callable[[str], tuple[Run, ...] | None] = no_runs
    statistics: Callable[[str], Statistics | None] = no_statistics
    _running: dict[str, LiveRun] = field(init=False, default_factory=dict)
    _outlooks: dict[str, Outlook] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        if self.live is not None:
            self._running.update((it.profile, it) for it in self.live.running)
            self._outlooks.update((it.profile, it) for it in self.live.outlooks)

    def next_run(self, profile: str) -> datetime | None:
        """Return when a profile runs next, UTC; None when it does not, or nobody knows."""
        outlook = self._outlooks.get(profile)
        moments = (outlook.next_run, outlook.retry) if outlook else ()
        return min((it for it in moments if it is not None), default=None)

    def doing(self, profile: str, lasting: State | None) -> Doing | None:
        """Return what is done to a profile's standby now; `lasting` is its state without that."""
        run = self._running.get(profile)
        state = state_at_work(run.kind, run.phase, lasting, run.way) if run else None
        return Doing(state, _share(run), run.then) if run and state else None

    def outdated(self, profile: str) -> str:
        """Say what is wrong with a profile of which an earlier version is in effect; else ""."""
        broken = self.live.broken if self.live else ()
        return next((it.found for it in broken if it.profile == profile and it.keeps_older), "")


NOTHING_KNOWN = Known()


def _share(run: LiveRun) -> float | None:
    total = sum(step.total for step in run.steps)
    return min(sum(step.done for step in run.steps) / total, 1.0) if total else None
