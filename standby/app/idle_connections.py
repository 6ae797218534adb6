"""Connections of a daemon's long life: those to hosts that no profile names any more are closed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from standby.app.observatory import Profiles
from standby.app.session import Session
from standby.profile import Profile

log = logging.getLogger(__name__)

IDLE_S: Final = 600.0  # a run that goes on by an older version of its profile uses them more often
_LOOK_EVERY_S: Final = 60.0


class IdleConnections:
    """Looks now and then which connections nobody needs, in a thread of its own."""

    def __init__(self, session: Session, profiles: Profiles) -> None:
        self._session = session
        self._profiles = profiles
        self._over = threading.Event()

    def start(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._watch, daemon=True, name="idle connections").start()

    def close(self) -> None:
        """Look no more."""
        self._over.set()

    def look(self, idle_for: float = IDLE_S) -> None:
        """Close what nobody needs and has used for so many seconds."""
        for host in self._session.close_unwanted(self._in_effect(), idle_for):
            log.info("%s: no profile needs these connections any more: closed", host)

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_EVERY_S):
            self.look()

    def _in_effect(self) -> Iterator[Profile]:
        for name in self._profiles.names():
            with suppress(KeyError):  # removed meanwhile
                yield self._profiles.profile(name)
