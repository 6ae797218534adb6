"""Limits on bytes per second: fixed ones, ones that follow the clock, several at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo
from functools import partial
from threading import Lock
from typing import Protocol

from standby.errors import FixRequest
from standby.model.window import RateByDay

# Seconds of lost time that may be made up for. With a piece of at most _PIECE seconds this
# lets no window of 10 seconds carry more than 10.15 seconds' worth: within 5 % (here 1.5 %).
_CATCH_UP = 0.1
_PIECE = 0.05
_SMALLEST_PIECE = 4096  # bytes; a smaller write would make the KVM host read around it
_LARGEST_PIECE = 1 << 40  # bytes; while there is no limit
_LOOK_S = 1.0  # how long a rate holds before the clock is looked at again


def _local_time(zone: tzinfo | None = None) -> datetime:
    return datetime.now(UTC).astimezone(zone)


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
        self._clock = clock
        self._local_time = local_time
        self._lock = Lock()
        self._next = clock()
        self._by_day = _checked(rate)
        self._rate = self._now_allowed()
        self._looked = self._next

    @property
    def piece(self) -> int:
        """How many bytes to send at a time at most, so that the pace stays even."""
        rate = self._rate
        return _LARGEST_PIECE if rate is None else max(int(rate * _PIECE), _SMALLEST_PIECE)

    def wait_before(self, length: int) -> float:
        """Return 0 and count `length` bytes as sent, or the seconds to wait, counting none."""
        with self._lock:
            wait = self._wait()
            if not wait:
                self._count(length)
            return wait

    def wait(self) -> float:
        """Return the seconds to wait before anything may be sent; 0: none."""
        with self._lock:
            return self._wait()

    def count(self, length: int) -> None:
        """Count `length` bytes as sent."""
        with self._lock:
            self._count(length)

    def change(self, rate: int | RateByDay) -> None:
        """Hold another rate from now on. Raises FixRequest unless every one is > 0."""
        with self._lock:
            self._by_day = _checked(rate)
            self._follow(self._clock())

    def _wait(self) -> float:
        now = self._clock()
        if self._by_day.windows and now - self._looked >= _LOOK_S:
            self._follow(now)
        wait = max(self._next - now, 0.0)
        return min(wait, _LOOK_S) if self._by_day.windows else wait

    def _count(self, length: int) -> None:
        if self._rate is not None:
            self._next = max(self._next, self._clock() - _CATCH_UP) + length / self._rate

    def _follow(self, now: float) -> None:
        self._looked = now
        rate = self._now_allowed()
        if rate != self._rate:
            # What was sent at a slow rate is not waited for at a faster one.
            self._next = min(self._next, now + _PIECE)
            self._rate = rate

    def _now_allowed(self) -> int | None:
        return self._by_day.at(self._local_time().time())


class _All:
    """Several limits at once: each holds, and the slowest is felt."""

    def __init__(self, limits: Sequence[RateLimit]) -> None:
        self._limits = tuple(limits)

    @property
    def piece(self) -> int:
        return min(limit.piece for limit in self._limits)

    def wait_before(self, length: int) -> float:
        # Between the look and the count others may send: their bytes are waited for later.
        wait = max(limit.wait() for limit in self._limits)
        if not wait:
            for limit in self._limits:
                limit.count(length)
        return wait


def all_of(*limits: RateLimit | None) -> Limit | None:
    """Return what holds all of these limits, None being none."""
    known = [limit for limit in limits if limit is not None]
    if len(known) > 1:
        return _All(known)
    return known[0] if known else None


def limit_of(rate: int | RateByDay | None, zone: tzinfo | None = None) -> RateLimit | None:
    """Return what holds a rate by the clocks of a zone, or None when there is none to hold.

    Without a zone the clock of this machine is meant.
    """
    return RateLimit(rate, local_time=partial(_local_time, zone)) if rate else None


def _checked(rate: int | RateByDay) -> RateByDay:
    by_day = rate if isinstance(rate, RateByDay) else RateByDay(rate)
    lowest = min((it for it in by_day.rates if it is not None), default=1)
    if lowest <= 0:
        raise FixRequest("rate limit", f"{lowest} bytes/s", "more than 0")
    return by_day
