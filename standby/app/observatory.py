"""The last look at each standby, for those who must not wait for hosts: figures, news, pages.

A standby is looked at soon after each of its runs, and now and then without one. In between, its
runs tell how old its newest state is, and what is asked is judged anew by the clock.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from standby.app.inspect import NotSeen, StandbyLook, judge, look_at, not_seen, unreadable
from standby.app.known import Known
from standby.app.live import Live
from standby.app.places import Place, place_of
from standby.app.session import Session
from standby.errors import FixProfile, ReachHost, StandbyError
from standby.model.observation import TargetObservation
from standby.model.run import Run
from standby.profile import Profile

log = logging.getLogger(__name__)

REST_S: Final = 60.0  # between two looks at one standby, however often it runs
STALE_S: Final = 900.0  # after which it is looked at without a run
_TICK_S: Final = 1.0
_RUNS_KEPT: Final = 20

Sight = StandbyLook | NotSeen


class Profiles(Protocol):
    """The profiles in effect."""

    def names(self) -> frozenset[str]:
        """Return all names."""

    def profile(self, name: str) -> Profile:
        """Return one. Raises KeyError when it is gone."""


@dataclass(frozen=True, slots=True)
class _Seen:
    place: Place
    target: TargetObservation
    at: datetime


@dataclass(frozen=True, slots=True)
class _NotSeen:
    error: StandbyError


@dataclass
class Rota:
    """Whose turn it is to be looked at; seconds of a clock that only goes on."""

    looked: dict[str, float] = field(default_factory=dict)
    wanted: set[str] = field(default_factory=set)

    def due(self, names: Iterable[str], now: float) -> list[str]:
        """Return who is due, the longest unseen first."""
        return sorted(
            (name for name in names if self._is_due(name, now)),
            key=lambda name: (self.looked.get(name, float("-inf")), name),
        )

    def _is_due(self, name: str, now: float) -> bool:
        if name not in self.looked:
            return True
        rested = now - self.looked[name]
        return rested >= (REST_S if name in self.wanted else STALE_S)

    def look_begins(self, name: str, now: float) -> None:
        """Take it that somebody looks now: what is wanted later is wanted again."""
        self.looked[name] = now
        self.wanted.discard(name)


class Observatory:
    """Looks at standbys, one at a time on each KVM host, and keeps what it saw."""

    def __init__(
        self,
        session: Session,
        profiles: Profiles,
        earlier_runs: Callable[[str], Sequence[Run] | None],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`earlier_runs` returns what the history has, newest first; asked once for each."""
        self._session = session
        self._profiles = profiles
        self._earlier_runs = earlier_runs
        self._steady = steady
        self._rota = Rota()
        self._kept: dict[str, _Seen | _NotSeen] = {}
        self._runs: dict[str, deque[Run]] = {}  # that ended since we began, newest first
        self._earlier: dict[str, tuple[Run, ...]] = {}  # as the history had them
        self._busy: set[str] = set()  # KVM hosts
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._watcher: threading.Thread | None = None
        self.seen: list[Callable[[Sight], None]] = []
        """Called after each look, in a thread of the observatory."""

    def start(self) -> None:
        """Begin to look, in threads that do not keep the process alive; again: nothing."""
        with self._lock:
            if self._watcher is not None:
                return
            self._watcher = threading.Thread(target=self._watch, name="observatory", daemon=True)
        self._watcher.start()

    def ended(self, run: Run) -> None:
        """Take a run that ended, and look soon at what it made. Asks no history: takes no time."""
        with self._lock:
            self._runs.setdefault(run.profile, deque(maxlen=_RUNS_KEPT)).appendleft(run)
            self._rota.wanted.add(run.profile)
        self._wake.set()

    def look_soon(self, name: str) -> None:
        """Look soon: somebody changed something."""
        with self._lock:
            self._rota.wanted.add(name)
        self._wake.set()

    def sights(self, live: Live | None = None) -> tuple[Sight, ...]:
        """Return what is known of each standby that was looked at, judged now.

        Those too whose profiles cannot be read and of which no earlier version is in effect.
        """
        names = self._profiles.names()
        looked = (it for name in sorted(names) if (it := self.sight(name, live)) is not None)
        return (*looked, *(self._unread(live, names) if live else ()))

    def sight(self, name: str, live: Live | None = None) -> Sight | None:
        """Return what is known of one standby, judged now; None before the first look."""
        with self._lock:
            kept = self._kept.get(name)
        if kept is None:
            return None
        try:
            profile = self._profiles.profile(name)
        except KeyError:
            return None  # it was removed meanwhile
        return self._judged(profile, kept, live)

    def look(self, name: str) -> Sight:
        """Look now. Raises KeyError when the profile is gone."""
        profile = self._profiles.profile(name)
        with self._lock:
            self._rota.look_begins(name, self._steady())
        try:
            place = place_of(self._session, profile)
            seen = look_at(self._session, place)
            kept: _Seen | _NotSeen = _Seen(place, seen.target, seen.at)
        except StandbyError as error:
            kept = _NotSeen(error)
        return self._keep(profile, kept)

    def _unread(self, live: Live, names: Collection[str]) -> Iterator[NotSeen]:
        known, now = Known(live, self._last_runs), self._session.clock.now()
        for broken in live.broken:
            if broken.profile not in names:
                error = FixProfile(f"profile {broken.profile}", broken.found)
                yield unreadable(broken.profile, error, now, known)

    # ---- how ---------------------------------------------------------------------------

    def _judged(self, profile: Profile, kept: _Seen | _NotSeen, live: Live | None) -> Sight:
        now = self._session.clock.now()
        known = Known(live, self._last_runs) if live else Known(runs=self._last_runs)
        if isinstance(kept, _NotSeen):
            return not_seen(profile, kept.error, now, known)
        place = Place(kept.place.called, profile, kept.place.host, kept.place.directory)
        return judge(place, kept.target, now, known, looked=kept.at)

    def _keep(self, profile: Profile, kept: _Seen | _NotSeen) -> Sight:
        with self._lock:
            self._kept[profile.name] = kept
        sight = self._judged(profile, kept, None)
        for listener in self.seen:
            listener(sight)
        return sight

    def _last_runs(self, name: str) -> tuple[Run, ...]:
        with self._lock:
            earlier = self._earlier.get(name)
        if earlier is None:  # a history may take seconds: nobody waits for that but who asks
            earlier = tuple(self._earlier_runs(name) or ())
        with self._lock:
            earlier = self._earlier.setdefault(name, earlier)
            runs = tuple(self._runs.get(name, ()))
        known = {it.id for it in runs}  # the history may have some of them already
        return (*runs, *(it for it in earlier if it.id not in known))[:_RUNS_KEPT]

    def _watch(self) -> None:
        while True:
            for host, names in self._due().items():
                threading.Thread(
                    target=self._look_at, args=(host, names), name="observatory", daemon=True
                ).start()
            self._wake.wait(_TICK_S)
            self._wake.clear()

    def _due(self) -> Mapping[str, list[str]]:
        """Return who is due on each KVM host that nobody looks at now; they are busy then."""
        names = self._profiles.names()
        by_host: dict[str, list[str]] = defaultdict(list)
        with self._lock:
            for name in self._rota.due(names, self._steady()):
                host = self._host_of(name)
                if host is not None and host not in self._busy:
                    by_host[host].append(name)
            self._busy |= set(by_host)
            self._forget(names)
        return by_host

    def _host_of(self, name: str) -> str | None:
        try:
            return self._profiles.profile(name).target_host.name
        except KeyError:
            return None

    def _forget(self, names: frozenset[str]) -> None:
        for gone in set(self._kept) - names:
            del self._kept[gone]
            self._runs.pop(gone, None)
            self._earlier.pop(gone, None)
            self._rota.looked.pop(gone, None)

    def _look_at(self, host: str, names: Sequence[str]) -> None:
        """Look at the standbys of one host; when it does not answer, at none of the others."""
        unreachable: ReachHost | None = None
        try:
            for name in names:
                try:
                    unreachable = self._look_or_not(name, unreachable)
                except KeyError:
                    continue  # its profile was removed meanwhile
        finally:
            with self._lock:
                self._busy.discard(host)

    def _look_or_not(self, name: str, unreachable: ReachHost | None) -> ReachHost | None:
        if unreachable is None:
            sight = self.look(name)
            failed = isinstance(sight, NotSeen) and isinstance(sight.error, ReachHost)
            return sight.error if failed else None  # type: ignore[union-attr, return-value]
        profile = self._profiles.profile(name)
        with self._lock:
            self._rota.look_begins(name, self._steady())
        self._keep(profile, _NotSeen(unreachable))
        return unreachable
