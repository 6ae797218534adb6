"""`standby serve`: all parts of the daemon joined, from its first look to its last run."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from queue import Empty

from standby.app.announcing import Announcer
from standby.app.control import socket_path
from standby.app.glance import Glance, glance
from standby.app.orders import MergePlaces, ProfileRunner, Recording
from standby.app.session import Session
from standby.app.source_events import Listener, SourceEvents
from standby.daemon.active import StopPatience
from standby.daemon.calling import call
from standby.daemon.clock import Clock, SystemClock
from standby.daemon.conductor import Conductor
from standby.daemon.control import ControlServer
from standby.daemon.desk import DaemonDesk
from standby.daemon.figures import FiguresOffered
from standby.daemon.instance import Instance, make_state_directory, only_one
from standby.daemon.looker import Looker
from standby.daemon.memory import Memory
from standby.daemon.notify import from_environment
from standby.daemon.pauses import Pauses
from standby.daemon.reloading import Reloading
from standby.daemon.roster import Roster
from standby.errors import StandbyError
from standby.model.schedule import SourceEvent
from standby.profile.manager import ManagerSettings

log = logging.getLogger("standby.daemon")

MEMORY_FILE = "schedule.json"


def serve(session: Session, recording: Recording) -> None:
    """Run all profiles of the session's root until a signal ends it. Raises TryLater, FixProfile.

    SIGTERM and SIGINT end it, the second one without waiting for runs; SIGHUP reads what changed.
    """
    settings = session.configuration.manager()
    clock = SystemClock()
    me = Instance(os.getpid(), session.root.resolve(), clock.now())
    make_state_directory(settings.state_directory, settings.socket_group)
    with only_one(settings.state_directory, me):
        _Daemon(session, settings, clock, me, recording).run()


class _Daemon:
    def __init__(
        self,
        session: Session,
        settings: ManagerSettings,
        clock: Clock,
        me: Instance,
        recording: Recording,
    ) -> None:
        self._session = session
        self._recording = recording
        self._session.overall.follow(settings.bandwidth)
        self._settings = settings
        self._clock = clock
        self._notifier = from_environment()
        self._memory = Memory.read(settings.state_directory / MEMORY_FILE)
        self._roster = Roster(session.root)
        self._merges = MergePlaces(settings.at_once.merges)
        runner = ProfileRunner(session, self._roster.profile, self._merges, recording)
        self._conductor = Conductor(clock, runner, settings.at_once, self._memory)
        self._reloading = Reloading(self._roster, self._conductor, clock, self._configured)
        self._looker = Looker(self._conductor, self._look, self._kvm_host)
        self._events = SourceEvents(session, self._happened)
        self._news = Announcer(session, settings, self._roster.names, self._roster.profile)
        self._conductor.ended.append(self._news.hear)
        self._settings_problem = ""
        pauses = Pauses(session, self._conductor, self._roster.profile, self._look)
        self._desk = DaemonDesk(
            me, clock, self._conductor, self._roster, self._reloading, pauses,
            self._problems, _log_cancelled,
        )  # fmt: skip
        self._figures = FiguresOffered(
            session,
            self._roster,
            lambda: call(self._conductor, lambda: self._desk.live(everything=True)),
        )
        self._conductor.ended.append(self._figures.hear)
        self._stop: StopPatience | None = None

    def run(self) -> None:
        """Turn until a stop is over."""
        self._reloading.first()
        self._conductor.remember_only_these()
        socket = socket_path(self._settings.state_directory)
        with (
            ControlServer(socket, self._settings.socket_group, self._desk),
            _signals(self._asked_to_stop, self._asked_to_reload),
        ):
            self._reloading.start()
            self._looker.start()
            self._news.start()
            self._figures.use(self._settings.metrics)
            self._notifier.ready(self._status())
            log.info("%s, in %s", self._status(), self._session.root)
            while not self._is_over():
                self._turn()
        self._memory.save()
        self._figures.close()
        self._news.close(_LAST_WORDS)
        log.info("stopped")

    def _turn(self) -> None:
        wait = self._conductor.turn()
        self._notifier.alive(self._clock.steady())
        try:
            self._conductor.inbox.get(timeout=min(wait, _LONGEST_WAIT_S))()
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
            self._settings = self._session.configuration.manager()
        except StandbyError as error:
            self._settings_problem = f"manager.yaml stays as it was: {error}"
            log.warning("%s", self._settings_problem)
            return
        self._settings_problem = ""
        self._session.overall.follow(self._settings.bandwidth)
        self._conductor.at_once = self._settings.at_once
        self._merges.limit = self._settings.at_once.merges
        self._news.use(self._settings)
        self._figures.use(self._settings.metrics)
        self._notifier.ready(self._status())

    def _listeners(self) -> Iterator[Listener]:
        for name in self._roster.names():
            profile = self._roster.profile(name)
            if profile.schedule.on_event:
                yield Listener(profile, frozenset(profile.schedule.on_event))

    def _happened(self, name: str, event: SourceEvent) -> None:
        """Take what happened to a machine, in the thread that heard it."""
        self._conductor.post(
            partial(self._conductor.happened, name, f"{event.value} of the machine")
        )

    def _look(self, name: str) -> Glance:
        return glance(self._session, self._roster.profile(name))

    def _kvm_host(self, name: str) -> str:
        return self._roster.profile(name).target_host.name

    def _problems(self) -> tuple[str, ...]:
        found = (
            self._roster.problem,
            self._settings_problem,
            self._memory.problem,
            self._recording.trouble,
            *self._figures.problems,
        )
        return tuple(problem for problem in found if problem)

    def _status(self) -> str:
        return f"{len(self._roster.names())} profiles"


_LONGEST_WAIT_S = 1.0
_LAST_WORDS = timedelta(seconds=10)  # for messages that wait when all runs have ended
_WIND_DOWN = timedelta(seconds=30)  # for runs that were cancelled to leave nothing behind


def _log_cancelled(profile: str, who: str) -> None:
    log.info("profile=%s was cancelled by %s", profile, who)


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
