"""Asking for what the manager knows: its daemon, its history. That there is none is no error."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from standby.app.client import find_daemon
from standby.app.history import LookBack
from standby.app.known import NOTHING_KNOWN, Known
from standby.app.live import Live
from standby.app.session import Session
from standby.app.state import StateDirectory
from standby.errors import StandbyError
from standby.model.run import Run
from standby.planning.statistics import Statistics
from standby.profile import ManagerSettings

Value = TypeVar("Value")

log = logging.getLogger(__name__)


@contextmanager
def knowing(session: Session) -> Generator[Known]:
    """Give what the manager of this configuration knows, as far as it can be asked."""
    try:
        settings = session.configuration.manager()
    except StandbyError as error:
        log.warning("what a daemon and a history know is left out: %s", error)
        yield NOTHING_KNOWN
        return
    live = _live(session, settings)
    if not _has_history(settings):
        yield Known(live)
        return
    with LookBack(session) as back:
        asked = _Asked(back)
        yield Known(live, asked.runs, asked.statistics)


def last_runs(session: Session, profile: str) -> tuple[Run, ...] | None:
    """Return the last runs of a profile, newest first; None when no history can be read."""
    try:
        with LookBack(session) as back:
            return back.last(profile)
    except StandbyError as error:
        log.debug("the runs of %s are not known: %s", profile, error)
        return None


@dataclass
class _Asked:
    """A history that is asked until it cannot be read."""

    back: LookBack
    failed: bool = False

    def runs(self, profile: str) -> tuple[Run, ...] | None:
        return self._ask(lambda: self.back.last(profile))

    def statistics(self, profile: str) -> Statistics | None:
        return self._ask(lambda: self.back.statistics(profile))

    def _ask(self, question: Callable[[], Value]) -> Value | None:
        if self.failed:
            return None
        try:
            return question()
        except StandbyError as error:
            self.failed = True
            log.warning("what the history knows is left out: %s", error)
            return None


def _has_history(settings: ManagerSettings) -> bool:
    try:
        return StateDirectory(settings.state_directory).database.exists()
    except OSError as error:  # a directory that we may not search
        log.warning("what the history knows is left out: %s", error)
        return False


def _live(session: Session, settings: ManagerSettings) -> Live | None:
    try:
        daemon = find_daemon(settings.state_directory, session.root)
        return daemon.live(everything=True) if daemon else None
    except StandbyError as error:
        log.warning("what the daemon knows is left out: %s", error)
        return None
