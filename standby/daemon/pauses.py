"""Pausing and resuming machines that this daemon runs.

What is asked for during a run is promised, and written on the KVM host when the run is over: a
first copy may take days.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final

from standby.daemon.calling import call
from standby.daemon.conductor import Conductor
from standby.daemon.work import Work
from standby.errors import StandbyError, TryLater
from standby.model.pause import Then, Wish
from standby.planning.pauses import described, refuse_past_pause
from standby.profile import Profile

log = logging.getLogger("standby.daemon")

_PATIENCE_S: Final = 20.0  # below that of whoever asks


@dataclass(frozen=True, slots=True)
class Said:
    """What is so now, for people; `run` is the run after which it will be so, "" if it is."""

    text: str
    run: str = ""


@dataclass(frozen=True, slots=True)
class Pauses:
    """Changes what the KVM host says, between two runs, and lets the conductor know."""

    conductor: Conductor
    profile: Callable[[str], Profile]  # raises KeyError when it was removed
    work: Work
    now: Callable[[], datetime]
    _turns: dict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))
    _asked: dict[str, Profile] = field(default_factory=dict)  # profiles, when it was asked for

    def __post_init__(self) -> None:
        self.conductor.wishes.settle = self._settle

    def pause(self, name: str, until: datetime | None, reason: str, who: str) -> Said:
        """Pause a machine, or promise to. Raises FixRequest for a time that has passed."""
        refuse_past_pause(name, until, self.now())
        return self._ask(name, Wish(Then.PAUSED, who, until, reason))

    def resume(self, name: str, who: str) -> Said:
        """End a machine's pause, or promise to; also one that is promised."""
        return self._ask(name, Wish(Then.RESUMED, who))

    def _ask(self, name: str, wish: Wish) -> Said:
        self._asked[name] = self.profile(name)
        with self._turn(name):
            run = call(self.conductor, lambda: self.conductor.hold_or_wish(name, wish))
            if run:
                return self._promised(name, wish, run)
            try:
                text = self._write(name, wish)
                self.conductor.post(partial(self.conductor.supersede, name))
            finally:
                self.conductor.post(partial(self.conductor.let_go, name))
        return Said(text)

    def _promised(self, name: str, wish: Wish, run: str) -> Said:
        if call(self.conductor, lambda: self.conductor.wish_of(name)) != wish:
            return Said(f"{name}: will not be paused after run {run}")
        doing = "pausing" if wish.then is Then.PAUSED else "resuming"
        return Said(f"{name}: {doing} after run {run}, which is under way", run)

    def _write(self, name: str, wish: Wish) -> str:
        profile = self._profile(name)
        if wish.then is Then.PAUSED:
            text = described(self.work.pause(profile, wish.until, wish.reason, wish.by))
        else:
            ended = self.work.resume(profile, wish.by)
            text = "resumed" if ended is not None else "was not paused"
        seen = self.work.look(profile)
        self.conductor.post(partial(self.conductor.learn, name, seen.newest, seen.paused))
        return f"{name}: {text}"

    def _profile(self, name: str) -> Profile:
        try:
            return self.profile(name)
        except KeyError:  # removed meanwhile: what was promised is done all the same
            return self._asked[name]

    @contextmanager
    def _turn(self, name: str) -> Generator[None]:
        """Be the only one who changes what a machine's KVM host says. Raises TryLater."""
        turn = self._turns[name]
        if not turn.acquire(timeout=_PATIENCE_S):
            raise TryLater(
                name,
                "somebody else pauses or resumes it, and its KVM host does not answer",
                "an answer",
                "ask again in a moment: standby watch",
            )
        try:
            yield
        finally:
            turn.release()

    # ---- what was promised -------------------------------------------------------------

    def _settle(self, name: str, wish: Wish) -> None:
        """Write a wish, in a thread of its own."""
        worker = partial(self._keep_promise, name, wish)
        threading.Thread(target=worker, name=f"pause {name}", daemon=True).start()

    def _keep_promise(self, name: str, wish: Wish) -> None:
        ended: list[StandbyError | None] = []
        try:
            with self._turn(name):
                if call(self.conductor, lambda: self.conductor.wish_of(name)) == wish:
                    log.info("profile=%s %s", name, self._write(name, wish))
            ended.append(None)
        except StandbyError as error:
            ended.append(error)
        except KeyError:  # its profile was gone when we began
            ended.append(StandbyError(name, "its profile is gone"))
        finally:
            why = ended[0] if ended else StandbyError(name, "ended by a mistake of this program")
            self.conductor.post(partial(self.conductor.settled, name, wish, why))
