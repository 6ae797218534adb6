"""Hearing what happens to protected machines: shutdowns, reboots, crashes.

What happens while a host cannot be heard is not lost where it lasts: whether machines run is told
as well, as long as their host is heard. Who remembers it finds out what happened meanwhile.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from standby.app.session import Session
from standby.errors import StandbyError
from standby.host.domain_events import heard_events, how_it_ended, running_domains
from standby.model.schedule import SourceEvent
from standby.model.sighting import Power, Sighting
from standby.profile import Profile

log = logging.getLogger("standby.daemon")

_LOOK_EVERY_S: Final = 5.0
_AGAIN_S: Final = 15.0

Happened = Callable[[str, SourceEvent], None]  # a profile, and what happened to its machine
Sighted = Callable[[str, Sighting], None]  # a profile, and what its machine was found doing


@dataclass(frozen=True, slots=True)
class Listener:
    """A profile that wants to know of its machine."""

    profile: Profile
    events: frozenset[SourceEvent]


@dataclass(frozen=True, slots=True)
class _Looks:
    """Looks at the domains of one host; one that is off is asked only once how that came."""

    ask: Callable[[str], Sighting | None]
    _ended: dict[str, Sighting | None] = field(default_factory=dict)

    def at(self, domain: str, running: frozenset[str]) -> Sighting | None:
        """Return what a domain does, None for what is neither running nor off for good."""
        if domain in running:
            self._ended.pop(domain, None)
            return Sighting(Power.ON)
        if domain not in self._ended:
            self._ended[domain] = self.ask(domain)
        return self._ended[domain]


class SourceEvents:
    """Listens to the hosts of those who want to know, each in a thread of its own."""

    def __init__(self, session: Session, happened: Happened, sighted: Sighted) -> None:
        self._session = session
        self._happened = happened
        self._sighted = sighted
        self._lock = threading.Lock()
        self._wanted: Mapping[str, Sequence[Listener]] = {}  # by host
        self._heard: set[str] = set()  # hosts that have a thread

    def listen_for(self, listeners: Collection[Listener]) -> None:
        """Listen for these from now on, and for no others."""
        wanted: dict[str, list[Listener]] = defaultdict(list)
        for it in listeners:
            wanted[it.profile.source_host.name].append(it)
        with self._lock:
            self._wanted = wanted
            new = set(wanted) - self._heard
            self._heard |= new
        for host in new:
            threading.Thread(
                target=self._follow, args=(host,), name=f"events {host}", daemon=True
            ).start()

    def _follow(self, host: str) -> None:
        """Hear a host for as long as anybody wants to."""
        pause = threading.Event()
        while True:
            with self._lock:
                listeners = self._wanted.get(host, ())
                if not listeners:
                    self._heard.discard(host)
                    return
            try:
                self._hear(host, listeners[0].profile)
            except StandbyError as error:
                log.warning("%s: what happens to machines there is not heard: %s", host, error)
                pause.wait(_AGAIN_S)

    def _hear(self, host: str, profile: Profile) -> None:
        """Hear a host until its connection dies or nobody wants to."""
        connection = self._session.source_host(profile).libvirt()
        subject = f"{host}: libvirt"

        def heard(name: str, uuid: str, event: SourceEvent) -> None:
            self._tell(host, {name, uuid}, event)

        looks = _Looks(lambda domain: how_it_ended(connection, domain, subject))
        pause = threading.Event()
        with heard_events(connection, heard, subject) as alive:
            while alive() and host in self._wanted:
                self._see(host, running_domains(connection, subject), looks)
                pause.wait(_LOOK_EVERY_S)

    def _see(self, host: str, running: frozenset[str], looks: _Looks) -> None:
        """Tell which machines of a host run, and how those that are off went off."""
        for listener in self._wanted.get(host, ()):
            found = looks.at(listener.profile.source.domain, running)
            if found is not None:
                self._sighted(listener.profile.name, found)

    def _tell(self, host: str, names: set[str], event: SourceEvent) -> None:
        for listener in self._wanted.get(host, ()):  # several profiles may protect one machine
            if listener.profile.source.domain in names and event in listener.events:
                log.info("profile=%s: %s", listener.profile.name, event.value)
                self._happened(listener.profile.name, event)
