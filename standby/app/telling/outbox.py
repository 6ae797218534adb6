"""What waits to be sent. Sending has a thread of its own: nobody waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from standby.errors import ReachHost, Retry, StandbyError

log = logging.getLogger("standby.news")

MOST_WAITING: Final = 1000
DELAYS_S: Final = (10.0, 60.0, 120.0, 240.0, 480.0, 600.0, 1800.0)
"""Seconds until the next attempt; the last holds for all that follow."""
GIVEN_UP_AFTER_S: Final = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message for one receiver. `about` says which and to whom, and holds no secret.

    `destination` names what has to answer: while it does not, nothing else is sent there.
    """

    destination: str
    about: str
    run_id: str
    send: Callable[[], None]


@dataclass(slots=True)
class _Waiting:
    delivery: Delivery
    born: float
    due: float
    attempts: int = 0


Lost = Callable[[Delivery, str], None]
"""Is told of a message that nobody will get, and why."""


@dataclass
class Outbox:
    """Sends one message after another; those that fail for now are tried again.

    What cannot be sent is told to `lost`: refused for good, too old, or too many waiting.
    """

    name: str
    lost: Lost
    delays: Sequence[float] = DELAYS_S
    given_up_after: float = GIVEN_UP_AFTER_S
    most_waiting: int = MOST_WAITING
    _waiting: list[_Waiting] = field(default_factory=list)
    _silent_until: dict[str, float] = field(default_factory=dict)  # by destination
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _thread: threading.Thread | None = None
    _closed_at: float | None = None

    def put(self, delivery: Delivery) -> None:
        """Let a message be sent; never waits for that."""
        now = time.monotonic()
        with self._changed:
            full = len(self._waiting) >= self.most_waiting
            if not full and self._closed_at is None:
                self._waiting.append(_Waiting(delivery, now, now))
                self._ensure_thread()
                self._changed.notify()
                return
        why = f"{self.most_waiting} messages wait already" if full else "the manager ends"
        self.lost(delivery, why)

    @property
    def waiting(self) -> int:
        """How many messages have not been sent yet."""
        with self._changed:
            return len(self._waiting)

    def close(self, limit: float) -> None:
        """Send what can be sent at once, for at most `limit` seconds; the rest is lost."""
        with self._changed:
            self._closed_at = time.monotonic() + limit
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(limit)
        with self._changed:
            left, self._waiting = self._waiting, []
        for waiting in left:
            self.lost(waiting.delivery, "the manager ended before it could be sent")

    def _ensure_thread(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, daemon=True, name=self.name)
            self._thread.start()

    def _work(self) -> None:
        while (waiting := self._next()) is not None:
            self._attempt(waiting)

    def _next(self) -> _Waiting | None:
        """Wait for the next message whose time has come; None when there is nothing to do."""
        with self._changed:
            while True:
                now = time.monotonic()
                first = min(self._waiting, key=self._ready_at, default=None)
                if first is not None and self._ready_at(first) <= now:
                    return first
                if self._closed_at is not None:
                    return None  # what could be sent was sent
                self._changed.wait(None if first is None else self._ready_at(first) - now)

    def _ready_at(self, waiting: _Waiting) -> float:
        return max(waiting.due, self._silent_until.get(waiting.delivery.destination, 0.0))

    def _attempt(self, waiting: _Waiting) -> None:
        """Try once. It stays among those that wait meanwhile, so that none is ever forgotten."""
        try:
            waiting.delivery.send()
        except StandbyError as error:
            self._failed(waiting, error)
        except (ValueError, LookupError, TypeError) as error:  # an address that cannot be written
            self._give_up(waiting, f"{type(error).__name__}: {error}")
        else:
            self._settle(waiting)
            log.info("sent: %s", waiting.delivery.about)

    def _failed(self, waiting: _Waiting, error: StandbyError) -> None:
        now = time.monotonic()
        delay = self.delays[min(waiting.attempts, len(self.delays) - 1)]
        if error.retry is Retry.NEVER or now + delay - waiting.born > self.given_up_after:
            self._give_up(waiting, str(error))
            return
        log.warning("not sent yet: %s: %s", waiting.delivery.about, error)
        with self._changed:
            waiting.attempts += 1
            waiting.due = now + delay
            if isinstance(error, ReachHost):
                self._silent_until[waiting.delivery.destination] = now + delay

    def _give_up(self, waiting: _Waiting, why: str) -> None:
        self._settle(waiting)
        self.lost(waiting.delivery, why)

    def _settle(self, waiting: _Waiting) -> None:
        with self._changed, suppress(ValueError):  # gone already when the manager ends
            self._waiting.remove(waiting)
            if waiting.attempts:
                self._silent_until.pop(waiting.delivery.destination, None)
