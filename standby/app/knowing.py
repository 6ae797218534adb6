"""Asking for what the manager knows: its daemon, its history."""

from __future__ import annotations

from standby.app.known import NOTHING_KNOWN, Known
from standby.app.session import Session


def known_to(session: Session) -> Known:
    """Return what the manager of this configuration knows; nothing is no error."""
    del session
    return NOTHING_KNOWN
