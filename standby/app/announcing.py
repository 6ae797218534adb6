"""What a daemon has told to people: runs as they end, health as it changes, digests in time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from standby.app.history import LookBack
from standby.app.inspect import StandbyLook, looks_of
from standby.app.knowing import knowing
from standby.app.news import Newsroom
from standby.app.session import Session
from standby.errors import StandbyError
from standby.model.notice import News, Receivers
from standby.model.records import RunFilter
from standby.model.run import Run
from standby.profile import Profile
from standby.profile.manager import ManagerSettings

log = logging.getLogger("standby.news")

LOOK_EVERY_S: Final = 300.0
"""Seconds between two looks at the health of the machines whose health somebody is told."""

_TURN_S: Final = 30.0
_ABOUT_HEALTH: Final = frozenset({News.WARNING, News.RECOVERY, News.DAILY, News.WEEKLY})

ProfileOf = Callable[[str], Profile]
"""Returns a profile as it is in effect. Raises KeyError when there is none of that name."""


class Announcer:
    """Tells people what the daemon does. Nothing here keeps a run waiting."""

    def __init__(
        self,
        session: Session,
        settings: ManagerSettings,
        names: Callable[[], Collection[str]],
        profile: ProfileOf,
    ) -> None:
        self._session = session
        self._names = names
        self._profile = profile
        self._room = Newsroom(session, settings.state_directory, settings, self._runs_since)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="news")

    def start(self) -> None:
        """Begin to look at health, and to send digests."""
        self._thread.start()

    def use(self, settings: ManagerSettings) -> None:
        """Go by other settings from now on."""
        self._room.use(settings)

    def hear(self, run: Run) -> None:
        """Hear of a run that has ended; returns at once."""
        with suppress(KeyError):  # its profile was removed meanwhile: nobody is named any more
            self._room.tell(run, receivers=self._profile(run.profile).notify.receivers)

    def close(self, limit: timedelta) -> None:
        """Send what waits, for at most so long."""
        self._over.set()
        self._room.close(limit)

    def _watch(self) -> None:
        turns_between = round(LOOK_EVERY_S / _TURN_S)
        turn = 0
        while not self._over.wait(_TURN_S):
            turn += 1
            if turn % turns_between == 0:
                self._look()
            self._room.digest(self._session.clock.now(), self._receivers())

    def _look(self) -> None:
        """Look at the machines whose health somebody is told."""
        receivers = {
            name: to for name, to in self._receivers().items() if _wanted(to) & _ABOUT_HEALTH
        }
        if not receivers:
            return
        try:
            with knowing(self._session) as known:
                looks = looks_of(self._session, self._profiles(receivers), known)
        except (StandbyError, RuntimeError) as error:
            log.error("nobody can be told of health: %s", error)  # noqa: TRY400 - no trace
            return
        for look in looks:
            profile = look.place.profile if isinstance(look, StandbyLook) else look.profile
            if profile is not None:
                self._room.notice(profile.name, look.condition, receivers[profile.name])

    def _receivers(self) -> Mapping[str, Receivers]:
        return {it.name: it.notify.receivers for it in self._profiles(self._names())}

    def _profiles(self, names: Collection[str]) -> Iterator[Profile]:
        for name in sorted(names):
            with suppress(KeyError):  # removed meanwhile
                yield self._profile(name)

    def _runs_since(self, profile: str, since: datetime) -> Sequence[Run]:
        with LookBack(self._session) as back:
            return tuple(back.each(RunFilter(profile, since=since)))


def _wanted(receivers: Receivers) -> frozenset[News]:
    of_mail = frozenset(it for mail in receivers.mail for it in mail.news)
    return of_mail | frozenset(it for webhook in receivers.webhooks for it in webhook.news)
