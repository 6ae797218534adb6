"""What a daemon has told to people: runs as they end, health as it is seen, digests in time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from standby.app.history import LookBack
from standby.app.inspect import StandbyLook
from standby.app.news import Newsroom
from standby.app.observatory import Observatory, Profiles, Sight
from standby.app.session import Session
from standby.model.notice import News, Receivers
from standby.model.records import RunFilter
from standby.model.run import Run
from standby.profile.manager import ManagerSettings

_TURN_S: Final = 30.0
_ABOUT_HEALTH: Final = frozenset({News.WARNING, News.RECOVERY, News.DAILY, News.WEEKLY})


class Announcer:
    """Tells people what the daemon does. Nothing here keeps a run waiting.

    As long as nobody is told of health, nobody looks at standbys for that.
    """

    def __init__(
        self,
        session: Session,
        settings: ManagerSettings,
        profiles: Profiles,
        observatory: Observatory,
    ) -> None:
        self._session = session
        self._profiles = profiles
        self._observatory = observatory
        self._room = Newsroom(session, settings.state_directory, settings, self._runs_since)
        self._over = threading.Event()
        observatory.seen.append(self._saw)

    def start(self) -> None:
        """Begin to send digests, and to hear of health if anybody is told of it."""
        threading.Thread(target=self._send_digests, daemon=True, name="digests").start()
        self._look_if_wanted()

    def use(self, settings: ManagerSettings) -> None:
        """Go by other settings, and by profiles that may be others, from now on."""
        self._room.use(settings)
        self._look_if_wanted()

    def hear(self, run: Run) -> None:
        """Hear of a run that has ended; returns at once."""
        with suppress(KeyError):  # its profile was removed meanwhile: nobody is named any more
            self._room.tell(run, receivers=self._receivers_of(run.profile))

    def close(self, limit: timedelta) -> None:
        """Send what waits, for at most so long."""
        self._over.set()
        self._room.close(limit)

    def _saw(self, sight: Sight) -> None:
        """Hear of a machine's health, in the thread that looked."""
        profile = sight.place.profile if isinstance(sight, StandbyLook) else sight.profile
        if profile is not None and not self._over.is_set():
            self._room.notice(profile.name, sight.condition, profile.notify.receivers)

    def _look_if_wanted(self) -> None:
        if any(_wanted(it) & _ABOUT_HEALTH for it in self._receivers().values()):
            self._observatory.start()

    def _send_digests(self) -> None:
        while not self._over.wait(_TURN_S):
            self._room.digest(self._session.clock.now(), self._receivers())

    def _receivers(self) -> Mapping[str, Receivers]:
        return dict(self._each_receivers())

    def _each_receivers(self) -> Iterator[tuple[str, Receivers]]:
        for name in sorted(self._profiles.names()):
            with suppress(KeyError):  # removed meanwhile
                yield name, self._receivers_of(name)

    def _receivers_of(self, name: str) -> Receivers:
        return self._profiles.profile(name).notify.receivers

    def _runs_since(self, profile: str, since: datetime) -> Iterator[Run]:
        """Yield them a page at a time: those of a week may be too many to hold."""
        with LookBack(self._session) as back:
            yield from back.each(RunFilter(profile, since=since))


def _wanted(receivers: Receivers) -> frozenset[News]:
    of_mail = frozenset(it for mail in receivers.mail for it in mail.news)
    return of_mail | frozenset(it for webhook in receivers.webhooks for it in webhook.news)
