"""A run that is under way, and how far it is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from standby.app.live import LiveRun, LiveStep
from standby.app.orders import Ended, Order
from standby.model.point import Way
from standby.model.queue import UnderWay

_RATE_OVER_S: Final = 5.0

Follow = Callable[[str, int, int], None]
FollowPhase = Callable[[str, float], None]


@dataclass
class _Step:
    """Where one transfer or merge stood a few seconds ago, and stands now."""

    begun: float
    from_done: int
    done: int
    total: int
    rate: float = 0.0

    def advance(self, done: int, total: int, now: float) -> None:
        self.done, self.total = done, total
        passed = now - self.begun
        if passed >= _RATE_OVER_S or (passed > 0 and not self.rate):
            self.rate = max(done - self.from_done, 0) / passed
        if passed >= _RATE_OVER_S:
            self.begun, self.from_done = now, done


@dataclass
class Meter:
    """Takes the progress of a run, in its threads; read by others at any time."""

    steady: Callable[[], float]
    _steps: dict[str, _Step] = field(default_factory=dict)
    phase: str = ""
    way: Way | None = None
    followers: tuple[Follow, ...] = ()
    phase_followers: tuple[FollowPhase, ...] = ()

    def phases(self, phase: str, seconds: float | None) -> None:
        """Take that a phase begins, or is over after so many seconds."""
        if seconds is None:
            self.phase = phase
            self._steps = {}
            return
        for follow in self.phase_followers:
            follow(phase, seconds)

    def planned(self, way: Way) -> None:
        """Take how the run will bring the machine over."""
        self.way = way

    def __call__(self, what: str, done: int, total: int) -> None:
        """Take the bytes done, of all, of a disk or a merge."""
        now = self.steady()
        step = self._steps.get(what)
        if step is None:
            self._steps[what] = _Step(now, done, done, total)
        else:
            step.advance(done, total, now)
        for follow in self.followers:
            follow(what, done, total)

    def steps(self) -> tuple[LiveStep, ...]:
        """Return how far each step is."""
        steps = list(self._steps.items())
        return tuple(LiveStep(what, it.done, it.total, it.rate) for what, it in steps)


@dataclass
class Active:
    """One run under way. `told` are those who want to know how it ends."""

    order: Order
    place: UnderWay
    begun: datetime
    meter: Meter
    cancel: threading.Event = field(default_factory=threading.Event)
    only_merges: bool = False
    told: list[Callable[[Ended], None]] = field(default_factory=list)

    def live(self) -> LiveRun:
        """Return it as the surfaces show it."""
        order = self.order
        return LiveRun(
            order.id,
            order.profile,
            order.kind,
            order.cause,
            self.begun,
            self.meter.phase,
            self.meter.steps(),
            self.cancel.is_set(),
            self.meter.way,
        )


@dataclass
class StopPatience:
    """How long a stop waits: a part for runs to end by themselves, the rest to cancel them."""

    limit: timedelta
    begun: float

    def wants_cancel(self, steady: float) -> bool:
        """Tell whether runs had their time to end by themselves."""
        return steady - self.begun >= self.limit.total_seconds() / 2

    def is_over(self, steady: float) -> bool:
        """Tell whether the whole time has passed."""
        return steady - self.begun >= self.limit.total_seconds()
