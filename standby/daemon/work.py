"""What the daemon has done by others: runs, looks, pauses, news. Benchmarks put another here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol

from standby.app.announcing import Announcer
from standby.app.glance import Glance, glance
from standby.app.idle_connections import IdleConnections
from standby.app.knowing import last_runs
from standby.app.live import Live
from standby.app.merge_places import MergePlaces
from standby.app.observatory import Observatory, Profiles
from standby.app.orders import ProfileRunner, Runner
from standby.app.pausing import pause, resume
from standby.app.places import place_of
from standby.app.recording import Recording
from standby.app.session import Session
from standby.app.source_events import Happened, Listener, Sighted, SourceEvents
from standby.daemon.figures import FiguresOffered
from standby.model.pause import Pause
from standby.model.run import Cause, Run, RunKind
from standby.profile import Profile
from standby.profile.manager import ManagerSettings

log = logging.getLogger("standby.daemon")

_NEWS_WITHIN: Final = timedelta(seconds=10)


class Events(Protocol):
    """Hears what happens to machines."""

    def listen_for(self, listeners: Collection[Listener]) -> None:
        """Listen for these from now on, and for no others."""


class Work(Protocol):
    """What a daemon cannot do itself. Methods are called in any thread."""

    def runner(self, profile: Callable[[str], Profile], merges: MergePlaces) -> Runner:
        """Return what does runs."""

    def events(self, happened: Happened, sighted: Sighted) -> Events:
        """Return what hears of machines."""

    def look(self, profile: Profile) -> Glance:
        """Look at a standby's manifest."""

    def pause(self, profile: Profile, until: datetime | None, reason: str, who: str) -> Pause:
        """Pause a standby."""

    def resume(self, profile: Profile, who: str) -> Pause | None:
        """Resume it."""

    def cancelled(self, profile: Profile, who: str) -> None:
        """Record that somebody had a run cancelled."""

    def use(self, settings: ManagerSettings) -> None:
        """Go by other settings from now on."""

    def attach(self, profiles: Profiles, live: Callable[[], Live]) -> None:
        """Learn of the daemon that this is done for: its profiles, and what it does now."""

    def start(self) -> None:
        """Begin what goes on all the time."""

    def hear(self, run: Run) -> None:
        """Hear of a run that has ended. Takes no time."""

    def problems(self) -> tuple[str, ...]:
        """Return what is wrong with all that."""

    def close(self) -> None:
        """End it."""


class RealWork:
    """Work on real hosts, recorded, told to whoever wants to know, and shown in figures."""

    def __init__(self, session: Session, recording: Recording, settings: ManagerSettings) -> None:
        self._session = session
        self._recording = recording
        self._settings = settings
        session.overall.follow(settings.bandwidth)

    def attach(self, profiles: Profiles, live: Callable[[], Live]) -> None:
        """Learn of the daemon that this is done for."""
        session = self._session
        self._observatory = Observatory(session, profiles, partial(last_runs, session))
        self._news = Announcer(session, self._settings, profiles, self._observatory)
        self._figures = FiguresOffered(self._observatory, live)
        self._idle = IdleConnections(session, profiles)

    def start(self) -> None:
        """Begin to tell and to show."""
        self._news.start()
        self._idle.start()
        self._figures.use(self._settings.metrics)
        for run in self._recording.take_untold():
            log.warning("profile=%s run=%s was lost with its manager", run.profile, run.id)
            self.hear(run)

    def hear(self, run: Run) -> None:
        """Hear of a run that has ended."""
        self._news.hear(run)
        self._observatory.ended(run)

    def runner(self, profile: Callable[[str], Profile], merges: MergePlaces) -> Runner:
        """Return what does runs of profiles."""
        return ProfileRunner(self._session, profile, merges, self._recording)

    def events(self, happened: Happened, sighted: Sighted) -> SourceEvents:
        """Return what hears of machines by their libvirt."""
        return SourceEvents(self._session, happened, sighted)

    def look(self, profile: Profile) -> Glance:
        """Look at a standby's manifest on its KVM host."""
        return glance(self._session, profile)

    def pause(self, profile: Profile, until: datetime | None, reason: str, who: str) -> Pause:
        """Pause a standby, on its KVM host."""
        with self._recording.run(profile, RunKind.PAUSE, Cause.HAND, reason) as recorder:
            begun = pause(self._session, place_of(self._session, profile), until, reason, who)
            recorder.done()
            return begun

    def resume(self, profile: Profile, who: str) -> Pause | None:
        """Resume it."""
        with self._recording.run(profile, RunKind.RESUME, Cause.HAND, f"by {who}") as recorder:
            ended = resume(self._session, place_of(self._session, profile))
            recorder.done()
            return ended

    def cancelled(self, profile: Profile, who: str) -> None:
        """Record that somebody had a run cancelled."""
        with self._recording.run(profile, RunKind.CANCEL, Cause.HAND, f"by {who}") as recorder:
            recorder.done()

    def use(self, settings: ManagerSettings) -> None:
        """Go by other settings from now on."""
        self._settings = settings
        self._session.overall.follow(settings.bandwidth)
        self._recording.keep = settings.history.keep
        self._news.use(settings)
        self._figures.use(settings.metrics)

    def problems(self) -> tuple[str, ...]:
        """Return why runs are not recorded, and figures not shown."""
        trouble = self._recording.trouble
        recorded = (f"runs are not recorded: {trouble}",) if trouble else ()
        return (*recorded, *self._figures.problems)

    def close(self) -> None:
        """Send what can be sent."""
        self._idle.close()
        self._figures.close()
        self._news.close(_NEWS_WITHIN)
