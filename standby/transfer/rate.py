"""Limits on bytes per second: fixed ones, ones that follow the clock, several at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from threading import Lock
from typing import Protocol

from standby.errors import FixRequest
from standby.model.window import RateByDay

# Seconds of lost time that may be made up for. With a piece of at most _PIECE seconds this
# lets no window of 10 seconds carry more than 10.2 seconds' worth: within 5 % (here 2 %).
_CATCH_UP = 0.1
_PIECE = 0.1
_SMALLEST_PIECE = 4096  # bytes; a smaller write would make the KVM host read around it
_LARGEST_PIECE = 1 << 40  # bytes; while there is no limit
_LOOK_S = 1.0  # how long a rate holds before the clock is looked at again


def _local_time() -> datetime:
    return datetime.now().astimezone()


class Limit(Protocol):
    """What holds bytes back."""

    @property
    def piece(self) -> int:
        """How many bytes to send at a time at most, so that the pace stays even."""

    def wait_before(self, length: int) -> float:
        """Return 0 and count `length` bytes as sent, or the seconds to wait, counting none."""


class RateLimit:
    """Paces everything that is sent, over all disks and threads that share it.

    It keeps the moment from which the next piece may be sent. Idle time is not saved up.
    """

    def __init__(
        self,
        rate: int | RateByDay,
        clock: Callable[[], float] = time.monotonic,
        local_time: Callable[[], datetime] = _local_time,
    ) -> None:
        """`rate` is in bytes per second; one that depends on the time of day is followed.

        `clock` returns seconds, never falling. Raises FixRequest unless every rate is > 0.
        """
        self._by_day = rate if isinstance(rate, RateByDay) else RateByDay(rate)
        lowest = min((it for it in self._by_day.rates if it is not None), default=1)
        if lowest <= 0:
            raise FixRequest("rate limit", f"{lowest} bytes/s", "more than 0")
        self._clock = clock
        self._local_time = local_time
        self._next = clock()
        self._rate = self._by_day.at(local_time().time())
        self._looked = self._next
        self._lock = Lock()

    @property
    def piece(self) -> int:
        """How many bytes to send at a time at most, so that the pace stays even."""
        rate = self._rate
        return _LARGEST_PIECE if rate is None else max(int(rate * _PIECE), _SMALLEST_PIECE)

    def wait_before(self, length: int) -> float:
        """Return 0 and count `length` bytes as sent, or the seconds to wait, counting none."""
        with self._lock:
            now = self._clock()
            self._follow(now)
            if now < self._next:
                return self._next - now
            if self._rate is not None:
                self._next = max(self._next, now - _CATCH_UP) + length / self._rate
            return 0.0

    def _follow(self, now: float) -> None:
        if not self._by_day.windows or now - self._looked < _LOOK_S:
            return
        self._looked = now
        rate = self._by_day.at(self._local_time().time())
        if rate != self._rate:
            # A piece that was sent at a slow rate is not waited for at a faster one.
            self._next = min(self._next, now + _PIECE)
            self._rate = rate
