"""Opening a session as a surface of the product wants it."""

from __future__ import annotations

import threading
from enum import Enum
from pathlib import Path

from standby.app.session import Session
from standby.host.logs import Chatter


class Detail(Enum):
    """How much a session logs about how it does things."""

    PHASES = "phases"  # what was done, and what went wrong
    EVERYTHING = "everything"  # every command and every QMP message as well


def open_session(
    root: Path, detail: Detail = Detail.PHASES, cancel: threading.Event | None = None
) -> Session:
    """Return a session on a configuration root; it is a context. Setting `cancel` stops it."""
    chatter = Chatter.ALL if detail is Detail.EVERYTHING else Chatter.NONE
    return Session(root, chatter=chatter, cancel=cancel or threading.Event())
