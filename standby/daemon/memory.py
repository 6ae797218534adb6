"""What a daemon has to know of the one before it: until when each schedule was followed.

A file of its own in the state directory, so that it is there without a history. Losing it costs
the runs that were missed while no daemon ran, be it for what happened to a machine, repeats
`once: now`, and forgets pauses that were to follow a run.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from standby.app.encoding import decode, encode
from standby.errors import FixRequest
from standby.model.pause import Wish
from standby.model.sighting import Power

log = logging.getLogger("standby.daemon")

_SAVE_EVERY_S: Final = 5.0


_SIGHTINGS_EVERY: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class LastSeen:
    """When a machine (its host and domain) was last seen, UTC, and whether it ran."""

    machine: str
    power: Power
    at: datetime


@dataclass
class Memory:
    """Until when schedules were followed (UTC), whose `once: now` is done, what is wished.

    And what machines did when they were last seen, and what is owed to them since.
    """

    file: Path
    _seen: dict[str, datetime] = field(default_factory=dict)
    _once: set[str] = field(default_factory=set)
    _wishes: dict[str, Wish] = field(default_factory=dict)
    _sightings: dict[str, LastSeen] = field(default_factory=dict)
    _sightings_kept: dict[str, LastSeen] = field(default_factory=dict)  # as they are in the file
    _owed: dict[str, str] = field(default_factory=dict)
    _changed: bool = False
    _saved_at: float = 0.0
    problem: str = ""

    @classmethod
    def read(cls, file: Path) -> Memory:
        """Read it; what is missing or damaged is not remembered."""
        memory = cls(file)
        try:
            memory._take(json.loads(file.read_bytes()))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError, FixRequest) as error:
            log.warning("%s cannot be read (%s): runs that were missed are not known", file, error)
        return memory

    def _take(self, plain: dict[str, Any]) -> None:
        self._seen = {
            name: datetime.fromisoformat(moment) for name, moment in plain["seen"].items()
        }
        self._once = set(plain["once"])
        # Files of those before us lack these.
        wishes, sightings = plain.get("wishes", {}), plain.get("sightings", {})
        self._wishes = {name: decode(Wish, wish) for name, wish in wishes.items()}
        self._sightings = {name: decode(LastSeen, it) for name, it in sightings.items()}
        self._sightings_kept = dict(self._sightings)
        self._owed = dict(plain.get("owed", {}))

    def seen(self, name: str) -> datetime | None:
        """Return until when a machine's schedule was followed."""
        return self._seen.get(name)

    def see(self, name: str, moment: datetime) -> None:
        """Take it that a machine's schedule was followed until a moment."""
        self._seen[name] = moment
        self._changed = True

    def was_once(self, name: str) -> bool:
        """Tell whether a machine's `once: now` is done."""
        return name in self._once

    def do_once(self, name: str) -> None:
        """Take it that a machine's `once: now` is done."""
        if name not in self._once:
            self._once.add(name)
            self._changed = True

    def forget_once(self, name: str) -> None:
        """Let the next `once: now` of a machine be a new one."""
        if name in self._once:
            self._once.remove(name)
            self._changed = True

    def wish(self, name: str) -> Wish | None:
        """Return what is to be written of a machine as soon as no run of it goes on."""
        return self._wishes.get(name)

    def take_wish(self, name: str, wish: Wish | None) -> None:
        """Take what is to be written of a machine, or that nothing is any more; kept at once.

        Somebody was told that it would be: it must not be lost with us.
        """
        if wish is None:
            self._wishes.pop(name, None)
        else:
            self._wishes[name] = wish
        self.save()

    def last_seen(self, name: str) -> LastSeen | None:
        """Return what a machine did when it was last seen."""
        return self._sightings.get(name)

    def see_machine(self, name: str, seen: LastSeen) -> None:
        """Take what a machine does now. That it does so still is written down now and then."""
        self._sightings[name] = seen
        kept = self._sightings_kept.get(name)
        same = kept is not None and (kept.machine, kept.power) == (seen.machine, seen.power)
        if not same or kept is None or abs(seen.at - kept.at) >= _SIGHTINGS_EVERY:
            self._changed = True

    def forget_sighting(self, name: str) -> None:
        """Forget what a machine did."""
        self._sightings.pop(name, None)

    def owed(self, name: str) -> str:
        """Return what happened to a machine that no good run has followed; "" for nothing."""
        return self._owed.get(name, "")

    def owe(self, name: str, what: str) -> None:
        """Take what happened to a machine, "" when a good run followed; kept at once."""
        if what == self.owed(name):
            return
        if what:
            self._owed[name] = what
        else:
            del self._owed[name]
        self.save()

    def keep_only(self, names: Collection[str]) -> None:
        """Forget machines that are protected no more."""
        for known in (self._seen, self._wishes, self._sightings, self._owed):
            for gone in known.keys() - set(names):
                del known[gone]
                self._changed = True
        if not self._once <= set(names):
            self._once &= set(names)
            self._changed = True

    def save_now_and_then(self, steady: float) -> None:
        """Write it down if that is due. Failing is logged once, and tried again."""
        if self._changed and steady - self._saved_at >= _SAVE_EVERY_S:
            self._saved_at = steady
            self.save()

    def save(self) -> None:
        """Write it down: whole, or not at all."""
        text = json.dumps(self._plain())
        temporary = self.file.with_suffix(".new")
        try:
            with temporary.open("w") as stream:
                stream.write(text)
                stream.flush()
                os.fdatasync(stream.fileno())
            temporary.replace(self.file)
        except OSError as error:
            self._fail(f"{self.file} cannot be written: {error.strerror}")
        else:
            self._changed, self.problem = False, ""
            self._sightings_kept = dict(self._sightings)

    def _plain(self) -> dict[str, Any]:
        return {
            "version": 1,
            "seen": {name: moment.isoformat() for name, moment in self._seen.items()},
            "once": sorted(self._once),
            "wishes": {name: encode(wish) for name, wish in self._wishes.items()},
            "sightings": {name: encode(seen) for name, seen in self._sightings.items()},
            "owed": self._owed,
        }

    def _fail(self, problem: str) -> None:
        if problem != self.problem:
            log.warning("%s; runs missed after a restart may not be known", problem)
        self.problem = problem
