"""What the daemon has done by others: runs, looks, pauses, news. Benchmarks put another here."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Final, Protocol

from standby.app.glance import Glance, glance
from standby.app.news import Newsroom
from standby.app.orders import Ended, MergePlaces, Order, ProfileRunner, Runner, RunWatch
from standby.app.pausing import pause, resume
from standby.app.places import place_of
from standby.app.recording import Recording
from standby.app.session import Session
from standby.app.source_events import Happened, Listener, SourceEvents
from standby.model.pause import Pause
from standby.model.run import Cause, RunKind
from standby.profile import Profile
from standby.profile.manager import ManagerSettings

_NEWS_WITHIN: Final = timedelta(seconds=10)


class Events(Protocol):
    """Hears what happens to machines."""

    def listen_for(self, listeners: Collection[Listener]) -> None:
        """Listen for these from now on, and for no others."""


class Work(Protocol):
    """What a daemon cannot do itself. Methods are called in any thread."""

    def runner(self, profile: Callable[[str], Profile], merges: MergePlaces) -> Runner:
        """Return what does runs."""

    def events(self, happened: Happened) -> Events:
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

    def turn(self, now: datetime) -> None:
        """Do what is due by the clock. Takes no time."""

    def problem(self) -> str:
        """Return what is wrong with all that; "" if nothing is."""

    def close(self) -> None:
        """End it."""


class RealWork:
    """Work on real hosts, recorded, and told to whoever wants to know."""

    def __init__(self, session: Session, recording: Recording, settings: ManagerSettings) -> None:
        self._session = session
        self._recording = recording
        self._news = Newsroom(session, settings.state_directory, settings)

    def runner(self, profile: Callable[[str], Profile], merges: MergePlaces) -> Runner:
        """Return what does runs of profiles."""
        inner = ProfileRunner(self._session, profile, merges, self._recording)
        return _Told(inner, self._news, profile)

    def events(self, happened: Happened) -> SourceEvents:
        """Return what hears of machines by their libvirt."""
        return SourceEvents(self._session, happened)

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
        self._news.use(settings)

    def turn(self, now: datetime) -> None:
        """Send the digests that are due."""
        self._news.digest(now)

    def problem(self) -> str:
        """Return why runs are not recorded."""
        trouble = self._recording.trouble
        return f"runs are not recorded: {trouble}" if trouble else ""

    def close(self) -> None:
        """Send what can be sent."""
        self._news.close(_NEWS_WITHIN)


class _Told:
    """Tells the newsroom how runs end, in their threads."""

    def __init__(self, inner: Runner, news: Newsroom, profile: Callable[[str], Profile]) -> None:
        self._inner = inner
        self._news = news
        self._profile = profile

    def run(self, order: Order, watch: RunWatch) -> Ended:
        """Do one run and tell of it."""
        receivers = self._profile(order.profile).notify.receivers
        ended = self._inner.run(order, watch)
        self._news.tell(ended.run, receivers=receivers)
        return ended
