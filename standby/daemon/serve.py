"""`standby serve`: all parts of the daemon joined, from its first look to its last run."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from queue import Empty

from standby.app.control import socket_path
from standby.app.glance import Glance
from standby.app.merge_places import MergePlaces
from standby.app.recording import Recording
from standby.app.session import Session
from standby.app.source_events import Listener
from standby.app.state import StateDirectory
from standby.daemon.active import StopPatience
from standby.daemon.calling import call
from standby.daemon.clock import Clock, SystemClock
from standby.daemon.conductor import Conductor
from standby.daemon.control import ControlServer
from standby.daemon.desk import DaemonDesk
from standby.daemon.instance import Instance, make_state_directory, only_one
from standby.daemon.looker import Looker
from standby.daemon.memory import Memory
from standby.daemon.notify import from_environment
from standby.daemon.pauses import Pauses
from standby.daemon.reloading import Reloading
from standby.daemon.roster import Roster
from standby.daemon.work import RealWork, Work
from standby.errors import StandbyError
from standby.model.schedule import SourceEvent
from standby.model.sighting import Sighting
from standby.profile import Configuration
from standby.profile.manager import ManagerSettings

log = logging.getLogger("standby.daemon")

MEMORY_FILE = "followed.json"


def serve(session: Session) -> None:
    """Run all profiles of the session's root until a signal ends it. Raises TryLater, FixProfile.

    SIGTERM and SIGINT end it, the second one without waiting for runs; SIGHUP reads what changed.
    """
    settings = session.configuration.manager()
    clock = SystemClock()
    me = Instance(os.getpid(), session.root.resolve(), clock.now())
    make_state_directory(settings.state_directory, settings.socket_group)
    state = StateDirectory(settings.state_directory)
    with (
        only_one(settings.state_directory, me),
        Recording(state, session.clock, settings.history.keep) as recording,
    ):
        Daemon(me, settings, RealWork(session, recording, settings), clock).run()


class Daemon:
    """The parts of a daemon, joined around one conductor, in whose thread `run` turns."""

    def __init__(self, me: Instance, settings: ManagerSettings, work: Work, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._work = work
        self._notifier = from_environment()
        self._memory = Memory.read(settings.state_directory / MEMORY_FILE)
        self._roster = Roster(me.root)
        self._merges = MergePlaces(settings.at_once.merges)
        runner = work.runner(self._roster.profile, self._merges)
        self._conductor = Conductor(clock, runner, settings.at_once, self._memory)
        self._reloading = Reloading(self._roster, self._conductor, self._configured)
        self._looker = Looker(self._conductor, self._look, self._kvm_host)
        self._conductor.ended.append(work.hear)
        self._events = work.events(self._happened, self._sighted)
        self._settings_problem = ""
        self._is_up = False
        pauses = Pauses(self._conductor, self._roster.profile, work, clock.now)
        self._desk = DaemonDesk(
            me, clock, self._conductor, self._roster, self._reloading, pauses,
            self._problems, lambda name, who: work.cancelled(self._roster.profile(name), who),
        )  # fmt: skip
        work.attach(
            self._roster, lambda: call(self._conductor, lambda: self._desk.live(everything=True))
        )
        self._stop: StopPatience | None = None

    def run(self) -> None:
        """Turn until a stop is over."""
        self._reloading.first()
        self._forget_removed()
        socket = socket_path(self._settings.state_directory)
        with (
            ControlServer(socket, self._settings.socket_group, self._desk),
            _signals(self._asked_to_stop, self._asked_to_reload),
        ):
            self._reloading.start()
            self._looker.start()
            self._work.start()
            self._is_up = True
            self._notifier.ready(self._status())
            log.info("%s, in %s", self._status(), self._roster.root)
            while not self._is_over():
                self._turn()
        self._reloading.stop()
        self._looker.stop()
        self._memory.save()
        self._work.close()
        log.info("stopped")

    def _forget_removed(self) -> None:
        """Forget machines whose profiles are gone; not those whose profiles cannot be read."""
        if not self._roster.problem:
            broken = {it.profile for it in self._roster.broken()}
            self._memory.keep_only(self._roster.names() | broken)

    def _turn(self) -> None:
        wait = self._conductor.turn()
        self._notifier.alive(self._clock.steady())
        try:
            longest = _LONGEST_WAIT_S if self._stop is None else _WAIT_WHILE_STOPPING_S
            self._conductor.inbox.get(timeout=min(wait, longest))()
            while True:
                self._conductor.inbox.get_nowait()()
        except Empty:
            pass

    # ---- stopping ----------------------------------------------------------------------

    def _asked_to_stop(self) -> None:
        """Let runs end within the limit; asked again, cancel them at once. For signals."""
        again = self._stop is not None
        limit = timedelta() if again else self._settings.stop_limit
        self._stop = StopPatience(limit + _WIND_DOWN if again else limit, self._clock.steady())
        self._conductor.stopping = True
        self._conductor.post(self._stop_now if again else self._say_stopping)

    def _asked_to_reload(self) -> None:
        self._notifier.reloading()
        self._reloading.soon()

    def _say_stopping(self) -> None:
        self._notifier.stopping(self._settings.stop_limit.total_seconds())
        running = ", ".join(it.profile for it in self._conductor.running()) or "nothing"
        log.info("stopping; under way: %s", running)

    def _stop_now(self) -> None:
        self._conductor.cancel_all("the daemon stops at once")

    def _is_over(self) -> bool:
        if self._stop is None:
            return False
        steady = self._clock.steady()
        if self._conductor.is_idle() or self._stop.is_over(steady):
            return True
        if self._stop.wants_cancel(steady):
            self._conductor.cancel_all("the daemon stops")
        return False

    # ---- what the parts need -----------------------------------------------------------

    def _configured(self) -> None:
        """Take in the settings of the manager; wrong ones leave the last good ones in force."""
        self._looker.look_soon()
        self._events.listen_for(list(self._listeners()))
        try:
            found = Configuration(self._roster.root).manager()
        except StandbyError as error:
            self._settings_problem = f"manager.yaml stays as it was: {error}"
            log.warning("%s", self._settings_problem)
        else:
            self._use(found)
        if self._is_up:  # before that nobody answers yet, and a signal would end us
            self._notifier.ready(self._status())  # whoever had us reload waits for that

    def _use(self, found: ManagerSettings) -> None:
        # What lies in the state directory is locked and open: another one needs another daemon.
        self._settings = replace(found, state_directory=self._settings.state_directory)
        self._settings_problem = ""
        self._conductor.at_once = self._settings.at_once
        self._merges.limit = self._settings.at_once.merges
        self._work.use(self._settings)

    def _listeners(self) -> Iterator[Listener]:
        for name in self._roster.names():
            profile = self._roster.profile(name)
            if profile.schedule.on_event:
                yield Listener(profile, frozenset(profile.schedule.on_event))

    def _happened(self, name: str, event: SourceEvent) -> None:
        """Take what happened to a machine, in the thread that heard it."""
        what = f"{event.value} of the machine"
        self._conductor.post(partial(self._conductor.happened, name, what, event))

    def _sighted(self, name: str, sighting: Sighting) -> None:
        """Take what a machine was found doing, in the thread that looked."""
        self._conductor.post(partial(self._conductor.sighted, name, sighting))

    def _look(self, name: str) -> Glance:
        return self._work.look(self._roster.profile(name))

    def _kvm_host(self, name: str) -> str:
        return self._roster.profile(name).target_host.name

    def _problems(self) -> tuple[str, ...]:
        found = (
            self._roster.problem,
            self._settings_problem,
            self._memory.problem,
            *self._conductor.problems(),
            *self._work.problems(),
        )
        return tuple(problem for problem in found if problem)

    def _status(self) -> str:
        return f"{len(self._roster.names())} profiles"


_LONGEST_WAIT_S = 1.0
_WAIT_WHILE_STOPPING_S = 0.1
_WIND_DOWN = timedelta(seconds=30)  # for runs that were cancelled to leave nothing behind


@contextmanager
def _signals(stop: Callable[[], None], reload: Callable[[], None]) -> Generator[None]:
    acts = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload}
    before = {
        number: signal.signal(number, lambda *_, act=act: act()) for number, act in acts.items()
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
