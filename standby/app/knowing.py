"""Asking for what the manager knows: its daemon, its history. That there is none is no error."""

from __future__ import annotations

import logging

from standby.app.client import find_daemon
from standby.app.known import NOTHING_KNOWN, Known
from standby.app.live import Live
from standby.app.session import Session
from standby.errors import StandbyError
from standby.profile import ManagerSettings

log = logging.getLogger(__name__)


def known_to(session: Session) -> Known:
    """Return what the manager of this configuration knows, as far as it can be asked."""
    try:
        settings = session.configuration.manager()
    except StandbyError as error:
        log.warning("what a daemon and a history know is left out: %s", error)
        return NOTHING_KNOWN
    return Known(live=_live(session, settings))


def _live(session: Session, settings: ManagerSettings) -> Live | None:
    try:
        daemon = find_daemon(settings.state_directory, session.root)
        return daemon.live(everything=True) if daemon else None
    except StandbyError as error:
        log.warning("what the daemon knows is left out: %s", error)
        return None
