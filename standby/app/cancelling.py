"""Stopping a run that a command does in a process of its own, from another one."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from standby.app.history import LookBack
from standby.app.pausing import this_user
from standby.app.recording import recorded
from standby.app.session import Session
from standby.errors import FixRequest, StandbyError, TryLater
from standby.history.owners import Recorder, Records
from standby.host.processes import ask_to_end
from standby.model.run import Run, RunKind

log = logging.getLogger(__name__)

_SHORTEST_ID: Final = 4
_ENDS_WITHIN_S: Final = 60.0
_LOOK_EVERY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A run under way on this host, and what is known of the process that does it."""

    run: Run
    recorder: Recorder | None  # None: it has ended just now, or an older version of us began it

    @property
    def text(self) -> str:
        """What it is, for people."""
        process = f", process {self.recorder.process.pid}" if self.recorder else ""
        return f"{self.run.kind.value} {self.run.id} of {self.run.profile}{process}"


def run_under_way(session: Session, wanted: str) -> UnderWay | None:
    """Return the run of a profile or of an id that is under way here; None without one.

    Raises FixRequest when there are several, RepairHistory.
    """
    with LookBack(session) as back:
        running = back.under_way()
    found = [it for it in running if it[0].profile == wanted] or _by_id(running, wanted)
    if len(found) > 1:
        several = ", ".join(f"{run.id} ({run.kind.value})" for run, _ in found)
        raise FixRequest(wanted, f"there are several runs: {several}", "the id of one")
    return UnderWay(*found[0]) if found else None


def cancel(session: Session, found: UnderWay) -> str:
    """Have a run stopped that a command does; return what was done, for people.

    Nothing but the process that records it is ever asked to end. Raises TryLater, GrantAccess.
    """
    run, subject = found.run, f"run {found.run.id} of {found.run.profile}"
    if found.recorder is None:
        raise TryLater(
            subject, "nobody knows which process does it", remedy="look: standby history"
        )
    if found.recorder.records is not Records.ONE_RUN:
        raise TryLater(
            subject,
            f"a daemon does it (process {found.recorder.process.pid}) that is not to be asked here",
            "a command's run",
            "use the configuration and the user of that daemon",
        )
    ask_to_end(found.recorder.process, found.recorder.file, subject)
    _note(session, run)
    return f"{found.text}, is asked to stop"


def stop_before(session: Session, profile: str) -> None:
    """Stop the run of a profile that a command does, if there is one, and wait until it is over.

    Raises TryLater when it takes longer than a minute, GrantAccess, Cancelled.
    """
    found = run_under_way(session, profile)
    if found is None:
        return
    log.info("%s", cancel(session, found))
    end = time.monotonic() + _ENDS_WITHIN_S
    while run_under_way(session, found.run.id) is not None:
        if time.monotonic() > end:
            raise TryLater(f"run {found.run.id}", "takes long to stop", remedy="ask again")
        if session.cancel.wait(_LOOK_EVERY_S):
            session.require_wanted(f"pause {profile}")


def _by_id(
    running: Sequence[tuple[Run, Recorder | None]], wanted: str
) -> list[tuple[Run, Recorder | None]]:
    if len(wanted) < _SHORTEST_ID:
        return []
    return [it for it in running if it[0].id.startswith(wanted.lower())]


def _note(session: Session, run: Run) -> None:
    """Record that somebody had it stopped; the run itself says so, too."""
    try:
        profile = session.profile(run.profile)
    except StandbyError as error:
        log.debug("nobody records that %s was asked to stop: %s", run.id, error)
        return
    with recorded(session, profile, RunKind.CANCEL, reason=f"by {this_user()}") as recorder:
        recorder.done()
