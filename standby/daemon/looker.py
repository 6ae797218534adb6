"""What only the KVM hosts know of each machine: its newest boot point, and whether it is paused.

Looked at once for each machine, and again while it is paused: somebody may resume it without us.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Final

from standby.app.glance import Glance
from standby.daemon.calling import call
from standby.daemon.conductor import Conductor
from standby.errors import StandbyError, TryLater

log = logging.getLogger("standby.daemon")

_PAUSE_S: Final = 60.0

Look = Callable[[str], Glance]


class Looker:
    """Looks, in threads of its own, one for each KVM host.

    A host that keeps one of them waiting, be it for ever, is left out until that has ended: the
    machines of the others are looked at all the same.
    """

    def __init__(self, conductor: Conductor, look: Look, host_of: Callable[[str], str]) -> None:
        self._conductor = conductor
        self._look = look
        self._host_of = host_of
        self._known: set[str] = set()
        self._busy: set[str] = set()  # KVM hosts
        self._again = threading.Event()
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="looker", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        self._again.set()

    def look_soon(self) -> None:
        """Look at machines that are new."""
        self._again.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._once()
            except TryLater as error:
                log.warning("machines are looked at later: %s", error)
            self._again.wait(_PAUSE_S)
            self._again.clear()

    def _once(self) -> None:
        names, paused = call(
            self._conductor, lambda: (self._conductor.names(), self._conductor.paused())
        )
        self._known &= names
        wanted = (names - self._known) | paused
        by_host: dict[str, list[str]] = defaultdict(list)
        for name in sorted(wanted):
            with suppress(KeyError):  # its profile was removed meanwhile
                by_host[self._host_of(name)].append(name)
        for host in by_host.keys() - self._busy:
            self._busy.add(host)
            group = (host, by_host[host])
            threading.Thread(target=self._look_at, args=group, name="looker", daemon=True).start()

    def _look_at(self, host: str, names: Iterable[str]) -> None:
        try:
            self._look_at_each(names)
        finally:
            self._busy.discard(host)

    def _look_at_each(self, names: Iterable[str]) -> None:
        for name in names:
            try:
                seen = self._look(name)
            except KeyError:
                continue  # its profile was removed meanwhile
            except StandbyError as error:
                log.debug("profile=%s is not known yet: %s", name, error)
                continue
            self._known.add(name)
            self._conductor.post(partial(self._conductor.learn, name, seen.newest, seen.paused))
