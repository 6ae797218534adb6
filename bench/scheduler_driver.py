"""One daemon whose cycles are simulated, at real speed or through a day of a simulated clock.

Arguments: real or day, the configuration root, for how many seconds. The last line of output is
what it found, as JSON.
"""

from __future__ import annotations

import heapq
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import count
from pathlib import Path
from typing import Any

import apscheduler.schedulers.base

from standby.app.glance import Glance
from standby.app.live import Live
from standby.app.merge_places import MergePlaces
from standby.app.observatory import Profiles
from standby.app.orders import Ended, Order, Runner, RunWatch
from standby.app.recording import Recording
from standby.app.session import WallClock
from standby.app.source_events import Happened, Listener, Sighted
from standby.app.state import StateDirectory
from standby.daemon.assignment import assignment_of
from standby.daemon.clock import SystemClock
from standby.daemon.conductor import Conductor
from standby.daemon.instance import Instance
from standby.daemon.memory import Memory
from standby.daemon.roster import Roster
from standby.daemon.serve import Daemon
from standby.model.pause import Pause
from standby.model.run import Run, RunResult
from standby.profile import Configuration, Profile
from standby.profile.manager import ManagerSettings

CYCLE_S = 0.2
DAY_S = 86_400
_SETTLED_S = 5.0  # after which starting up is over


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def found(lateness: list[float], cpu: float) -> str:
    return json.dumps(
        {
            "runs": len(lateness),
            "lateness_p50": round(percentile(lateness, 0.5), 4),
            "lateness_p99": round(percentile(lateness, 0.99), 4),
            "lateness_max": round(max(lateness), 4),
            "cpu": round(cpu, 5),
            "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
    )


# ---- at real speed -----------------------------------------------------------------------


@dataclass
class Simulated:
    """Work whose runs only take their time, but are recorded as others."""

    recording: Recording
    lateness: list[float] = field(default_factory=list)

    def runner(self, profile: Callable[[str], Profile], merges: MergePlaces) -> Runner:
        del merges
        return _Runs(self, profile)

    def events(self, happened: Happened, sighted: Sighted) -> Simulated:
        del happened, sighted
        return self

    def listen_for(self, listeners: Collection[Listener]) -> None:
        """Hear nothing."""
        del listeners

    def look(self, profile: Profile) -> Glance:
        del profile
        return Glance(datetime.now(UTC))

    def pause(self, profile: Profile, until: datetime | None, reason: str, who: str) -> Pause:
        raise NotImplementedError

    def resume(self, profile: Profile, who: str) -> Pause | None:
        raise NotImplementedError

    def cancelled(self, profile: Profile, who: str) -> None:
        raise NotImplementedError

    def use(self, settings: ManagerSettings) -> None:
        """Use none."""

    def attach(self, profiles: Profiles, live: Callable[[], Live]) -> None:
        del profiles, live

    def start(self) -> None:
        """Nothing goes on all the time."""

    def hear(self, run: Run) -> None:
        del run

    def problems(self) -> tuple[str, ...]:
        return ()

    def close(self) -> None:
        """End nothing."""


@dataclass
class _Runs:
    work: Simulated
    profile: Callable[[str], Profile]

    def run(self, order: Order, watch: RunWatch) -> Ended:
        self.work.lateness.append((datetime.now(UTC) - order.due).total_seconds())
        profile = self.profile(order.profile)
        recording = self.work.recording
        with recording.run(profile, order.kind, order.cause, order.reason, order.id) as recorder:
            watch.cancel.wait(CYCLE_S)
            recorder.done()
        return Ended(replace(recorder.run, result=RunResult.PUBLISHED))


def real(root: Path, seconds: float) -> None:
    settings = Configuration(root).manager()
    settings.state_directory.mkdir(parents=True)
    state = StateDirectory(settings.state_directory)
    with Recording(state, WallClock(), settings.history.keep) as recording:
        work = Simulated(recording)
        me = Instance(os.getpid(), root, datetime.now(UTC))
        daemon = Daemon(me, settings, work, SystemClock())
        used: list[float] = []

        def mark() -> None:
            used.append(time.process_time())

        def stop() -> None:
            mark()
            os.kill(os.getpid(), signal.SIGTERM)

        for after, act in ((_SETTLED_S, mark), (_SETTLED_S + seconds, stop)):
            threading.Timer(after, act).start()
        daemon.run()
    print(found(work.lateness, (used[1] - used[0]) / seconds))


# ---- through a simulated day -------------------------------------------------------------


class _Clock:
    def __init__(self) -> None:
        self.begun = datetime(2026, 11, 26, tzinfo=UTC)
        self.passed = 0.0

    def now(self) -> datetime:
        return self.begun + timedelta(seconds=self.passed)

    def steady(self) -> float:
        return self.passed


class _AtOnce:
    """Ends every run at once; when its end is heard of, the driver decides."""

    def __init__(self, clock: _Clock) -> None:
        self.clock = clock
        self.lateness: list[float] = []

    def run(self, order: Order, watch: RunWatch) -> Ended:
        del watch
        now = self.clock.now()
        self.lateness.append((now - order.due).total_seconds())
        run = Run(order.id, order.profile, order.kind, order.cause, now)
        end = now + timedelta(seconds=CYCLE_S)
        return Ended(replace(run, ended=end, result=RunResult.PUBLISHED))


def day(root: Path) -> None:
    clock = _Clock()

    class Simulation(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:  # noqa: ANN401 - as datetime has it
            return clock.now().astimezone(tz)

    apscheduler.schedulers.base.datetime = Simulation
    settings = Configuration(root).manager()
    settings.state_directory.mkdir(parents=True)
    runner = _AtOnce(clock)
    memory = Memory.read(settings.state_directory / "followed.json")
    conductor = Conductor(clock, runner, settings.at_once, memory)
    roster = Roster(root)
    for profile in roster.look().profiles:
        conductor.assign(assignment_of(profile), clock.now())
    begun = time.process_time()
    _through(clock, conductor, lambda: len(runner.lateness))
    print(found(runner.lateness, (time.process_time() - begun) / DAY_S))


def _through(clock: _Clock, conductor: Conductor, begun: Callable[[], int]) -> None:
    number, heard, ends = count(), 0, []
    while clock.passed < DAY_S:
        wait = conductor.turn()
        running = len(conductor.running())
        for _ in range(running - len(ends)):
            heapq.heappush(ends, (clock.passed + CYCLE_S, next(number), conductor.inbox.get()))
            heard += 1
        if begun() != heard:
            raise RuntimeError(f"{begun()} runs began, {heard} ended")
        clock.passed = min(clock.passed + max(wait, 0.001), *(end for end, _, _ in ends[:1]), DAY_S)
        while ends and ends[0][0] <= clock.passed:
            heapq.heappop(ends)[2]()


if __name__ == "__main__":
    mode, place, limit = sys.argv[1:]
    if mode == "real":
        real(Path(place), float(limit))
    else:
        day(Path(place))
