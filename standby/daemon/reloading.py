"""Taking in what changed in the configuration, by itself or when somebody asks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Final

from standby.daemon.assignment import Assignment, assignment_of
from standby.daemon.calling import tell
from standby.daemon.conductor import Conductor
from standby.daemon.roster import Changes, Roster
from standby.errors import TryLater

log = logging.getLogger("standby.daemon")

_LOOK_EVERY_S: Final = 5.0


class Reloading:
    """Looks at the files now and then, in a thread of its own."""

    def __init__(self, roster: Roster, conductor: Conductor, changed: Callable[[], None]) -> None:
        self._roster = roster
        self._conductor = conductor
        self._changed = changed  # profiles, or the settings of the manager
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._ended = threading.Event()
        self._said: set[str] = set()
        self._sure = False

    def first(self) -> None:
        """Take in all profiles, in the conductor's thread, before it turns."""
        changes = self._roster.look(sure=True)
        self._report()
        self._apply(changes, _assignments(changes))

    def start(self) -> None:
        """Begin to look now and then."""
        threading.Thread(target=self._run, name="files", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        self._wanted.set()

    def soon(self) -> None:
        """Look without delay, because somebody asked; what he removed, he meant to. For signals."""
        self._sure = True
        self._wanted.set()

    def now(self, *, sure: bool = False) -> None:
        """Look, and return when what was found holds. Not for the conductor's thread."""
        with self._lock:
            changes = self._roster.look(sure=sure)
            self._report()
            if sure or changes.profiles or changes.removed or changes.settings:
                assignments = _assignments(changes)
                tell(self._conductor, lambda: self._apply(changes, assignments))

    def _run(self) -> None:
        while True:
            self._wanted.wait(_LOOK_EVERY_S)
            self._wanted.clear()
            if self._ended.is_set():
                return
            sure, self._sure = self._sure, False
            try:
                self.now(sure=sure)
            except TryLater as error:
                log.warning("changed files are taken in later: %s", error)

    def _apply(self, changes: Changes, assignments: Iterable[Assignment]) -> None:
        for name in changes.removed:
            log.info("profile=%s was removed", name)
            self._conductor.withdraw(name)
        for assignment in assignments:
            self._conductor.assign(assignment)
        self._changed()

    def _report(self) -> None:
        """Log what is wrong with the files, once."""
        found = {f"profile={it.profile} cannot be read: {it.found}" for it in self._roster.broken()}
        if self._roster.problem:
            found.add(self._roster.problem)
        for problem in sorted(found - self._said):
            log.error("%s", problem)
        self._said = found


def _assignments(changes: Changes) -> list[Assignment]:
    return [assignment_of(profile) for profile in changes.profiles]
