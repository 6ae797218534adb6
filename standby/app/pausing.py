"""Leaving a machine alone for a while. Kept on the KVM host, with the standby.

Who loses the manager does not lose the pause: what a new one finds there is still paused.
"""

from __future__ import annotations

import logging
import os
import platform
import pwd
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime

from standby.app.places import Place
from standby.app.points import locked
from standby.app.replicate import locked_store
from standby.app.session import Session
from standby.app.wiring import source_of
from standby.errors import TryLater
from standby.model.pause import Pause
from standby.planning.pauses import begin_pause, described
from standby.target.listing import manifest_of
from standby.target.looking import look
from standby.target.store import KvmStore

log = logging.getLogger(__name__)


def pause(
    session: Session, place: Place, until: datetime | None = None, reason: str = "", by: str = ""
) -> Pause:
    """Let no run begin by itself until `until` (UTC), or until somebody resumes.

    `by` is who asks, this process's user unless given. A machine that has no standby yet gets an
    empty one, so that its first copy waits too. Raises FixRequest for a time that has passed,
    TryLater while a run is at work on the standby.
    """
    asked = Pause(session.clock.now(), until, " ".join(reason.split()), by or this_user())
    with _between_runs(place), _store(session, place) as store:
        store.change(begin_pause(store.manifest, asked))
        begun = store.manifest.paused or asked
    log.info("profile=%s %s", place.called, described(begun))
    return begun


def resume(session: Session, place: Place) -> Pause | None:
    """End the pause and return it; None when there is none, and nothing is changed.

    Raises FixRequest when there is no standby, TryLater while a run is at work on it.
    """
    with _between_runs(place), locked(session, place) as store:
        ended = store.manifest.paused
        if ended is None:
            return None
        store.change(store.manifest.with_pause(None))
    log.info("profile=%s resumed, was %s", place.called, described(ended))
    return ended


@contextmanager
def _between_runs(place: Place) -> Generator[None]:
    """Say what to do about a run that is at work on the standby."""
    try:
        yield
    except TryLater as error:
        remedy = f"wait for that run, or stop it: standby cancel {place.called}"
        raise TryLater(error.subject, error.found, error.expected, remedy) from error


def this_user() -> str:
    """Return who runs this process, and where: the user behind sudo when there is one."""
    user = os.environ.get("SUDO_USER") or _login()
    return f"{user}@{platform.node()}"


def _login() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


@contextmanager
def _store(session: Session, place: Place) -> Generator[KvmStore]:
    listing = look(place.host, place.directory)
    # One that was lost is healed with what the source says, as by a cycle.
    if listing and listing.manifest.strip() and manifest_of(listing, place.where):
        with locked(session, place) as store:
            yield store
        return
    identity = source_of(session, place.profile).identity()
    with locked_store(session, place.profile, identity) as store:
        yield store
