"""A limit on bytes per second."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from standby.errors import FixRequest

# Seconds of lost time that may be made up for. With a piece of at most _PIECE seconds this
# lets no window of 10 seconds carry more than 10.2 seconds' worth: within 5 % (here 2 %).
_CATCH_UP = 0.1
_PIECE = 0.1
_SMALLEST_PIECE = 4096  # bytes; a smaller write would make the KVM host read around it


class RateLimit:
    """Paces everything that is sent, over all disks and threads that share it.

    It keeps the moment from which the next piece may be sent. Idle time is not saved up.
    """

    def __init__(self, bytes_per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns seconds, never falling. Raises FixRequest unless the rate is > 0."""
        if bytes_per_second <= 0:
            raise FixRequest("rate limit", f"{bytes_per_second} bytes/s", "more than 0")
        self._rate = bytes_per_second
        self._clock = clock
        self._next = clock()
        self._lock = Lock()

    @property
    def piece(self) -> int:
        """How many bytes to send at a time at most, so that the pace stays even."""
        return max(int(self._rate * _PIECE), _SMALLEST_PIECE)

    def wait_before(self, length: int) -> float:
        """Return 0 and count `length` bytes as sent, or the seconds to wait, counting none."""
        with self._lock:
            now = self._clock()
            if now < self._next:
                return self._next - now
            self._next = max(self._next, now - _CATCH_UP) + length / self._rate
            return 0.0
