"""A conductor with a clock that tests turn, and runs that end when tests say so."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import apscheduler.schedulers.base
import pytest

from standby.app.orders import Ended, Order, RunWatch, failed
from standby.daemon.assignment import Assignment
from standby.daemon.conductor import Conductor
from standby.daemon.memory import Memory
from standby.errors import StandbyError
from standby.model.queue import AtOnce
from standby.model.run import Run, RunResult
from standby.model.schedule import Entry, Every, MissedRuns, Schedule

START = datetime(2026, 11, 26, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
PATIENCE_S = 20.0
ROOMY = AtOnce(100, 100, 100, 100)


@dataclass
class TurnedClock:
    """A clock that goes on only when it is told to."""

    wall: datetime = START
    passed: float = 0.0

    def now(self) -> datetime:
        return self.wall

    def steady(self) -> float:
        return self.passed

    def advance(self, by: timedelta) -> None:
        self.wall += by
        self.passed += by.total_seconds()

    def set_by(self, by: timedelta) -> None:
        """Set the clock; no time passes."""
        self.wall += by


class _Datetime(datetime):
    clock = TurnedClock()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        return cls.clock.now().astimezone(tz)


@dataclass
class HeldRuns:
    """A runner whose runs end when they are told to."""

    clock: TurnedClock
    begun: SimpleQueue[tuple[Order, RunWatch]] = field(default_factory=SimpleQueue)
    _ends: dict[str, SimpleQueue[StandbyError | RunResult | BaseException]] = field(
        default_factory=dict
    )
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, order: Order, watch: RunWatch) -> Ended:
        began = Run(order.id, order.profile, order.kind, order.cause, self.clock.now())
        self.begun.put((order, watch))
        end = self.end_of(order.id).get(timeout=PATIENCE_S)
        if isinstance(end, StandbyError):
            return Ended(failed(began, end, self.clock.now()), error=end)
        if isinstance(end, BaseException):
            raise end
        return Ended(replace(began, ended=self.clock.now(), result=end))

    def end_of(self, run: str) -> SimpleQueue[StandbyError | RunResult | BaseException]:
        with self._lock:
            return self._ends.setdefault(run, SimpleQueue())


class World:
    """What the tests of the daemon see and do."""

    def __init__(self, state: Path, at_once: AtOnce = ROOMY) -> None:
        self.clock = TurnedClock()
        _Datetime.clock = self.clock
        self.state = state
        self.runner = HeldRuns(self.clock)
        self.at_once = at_once
        self.orders: dict[str, tuple[Order, RunWatch]] = {}
        self.restart()

    def restart(self) -> None:
        """Begin anew with what the last daemon wrote down; its runs are never heard of again."""
        for order, _ in self.orders.values():
            self.runner.end_of(order.id).put(RunResult.CANCELLED)
        self.orders.clear()
        memory = Memory.read(self.state / "followed.json")
        self.conductor = Conductor(self.clock, self.runner, self.at_once, memory)
        self.over: list[Run] = []
        self.conductor.ended.append(self.over.append)

    def assign(self, name: str, *entries: Entry, **more: Any) -> None:
        self.conductor.assign(assignment(name, *entries, **more))

    def turn(self) -> list[Order]:
        """Let the conductor look once; return the runs that began, by the name of their profile."""
        before = {it.id for it in self.conductor.running()}
        self.conductor.turn()
        new = {it.id for it in self.conductor.running()} - before
        began = [self.runner.begun.get(timeout=PATIENCE_S) for _ in new]
        for order, watch in began:
            self.orders[order.profile] = (order, watch)
        return sorted((order for order, _ in began), key=lambda it: it.profile)

    def turn_after(self, by: timedelta) -> list[Order]:
        self.clock.advance(by)
        return self.turn()

    def end(
        self, name: str, how: StandbyError | RunResult | BaseException = RunResult.PUBLISHED
    ) -> None:
        """End the run of a profile and let the conductor hear of it."""
        order, _ = self.orders.pop(name)
        self.runner.end_of(order.id).put(how)
        while any(it.id == order.id for it in self.conductor.running()):
            self.hear()

    def hear(self) -> None:
        """Do one thing that was told to the conductor."""
        try:
            self.conductor.inbox.get(timeout=PATIENCE_S)()
        except Empty:
            pytest.fail("nothing was told to the conductor")

    def run_for(self, span: timedelta, step: timedelta = SECOND) -> list[tuple[datetime, str]]:
        """Let time pass, every run ending at once; return when which profile's runs began."""
        began = []
        end = self.clock.wall + span
        while self.clock.wall < end:
            for order in self.turn_after(step):
                began.append((self.clock.wall, order.profile))
                self.end(order.profile)
        return began


def assignment(
    name: str,
    *entries: Entry,
    rpo: timedelta | None = HOUR,
    source: str = "s",
    kvm: str = "k",
    missed: MissedRuns = MissedRuns.ONCE,
) -> Assignment:
    return Assignment(name, Schedule(UTC, entries, missed=missed), rpo, source, kvm)


def every(period: timedelta) -> Every:
    return Every(period)


def profiles(orders: Iterable[Order]) -> list[str]:
    return [order.profile for order in orders]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(apscheduler.schedulers.base, "datetime", _Datetime)
    made = World(tmp_path)
    yield made
    for order, _ in made.orders.values():
        made.runner.end_of(order.id).put(RunResult.CANCELLED)
