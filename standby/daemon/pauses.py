"""Pausing and resuming machines that this daemon runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from standby.daemon.calling import call
from standby.daemon.conductor import Conductor
from standby.daemon.work import Work
from standby.errors import TryLater
from standby.planning.pauses import described
from standby.profile import Profile

_PATIENCE_S: Final = 20.0  # below that of whoever asks
_LOOK_EVERY_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Pauses:
    """Changes what the KVM host says, between two runs, and lets the conductor know."""

    conductor: Conductor
    profile: Callable[[str], Profile]
    work: Work

    def pause(self, name: str, until: datetime | None, reason: str, who: str) -> str:
        """Pause a machine; return what is so now, for people. Raises TryLater during a run."""
        with self._between_runs(name):
            begun = self.work.pause(self.profile(name), until, reason, who)
            self._learn(name)
        return f"{name}: {described(begun)}"

    def resume(self, name: str, who: str) -> str:
        """End a machine's pause; return what is so now, for people."""
        with self._between_runs(name):
            ended = self.work.resume(self.profile(name), who)
            self._learn(name)
        return f"{name}: resumed" if ended is not None else f"{name}: was not paused"

    def _learn(self, name: str) -> None:
        seen = self.work.look(self.profile(name))
        self.conductor.post(partial(self.conductor.learn, name, seen.newest, seen.paused))

    @contextmanager
    def _between_runs(self, name: str) -> Generator[None]:
        """Wait for the run that is under way, with none to follow it."""
        call(self.conductor, lambda: self.conductor.hold(name))
        try:
            end = time.monotonic() + _PATIENCE_S
            while call(self.conductor, lambda: self.conductor.is_at_work(name)):
                if time.monotonic() > end:
                    raise TryLater(
                        name,
                        "a run is under way",
                        "none for a moment",
                        f"wait for it, or stop it: standby cancel {name}",
                    )
                time.sleep(_LOOK_EVERY_S)
            yield
        finally:
            self.conductor.post(lambda: self.conductor.let_go(name))
