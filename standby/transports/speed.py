"""How fast the way to an NBD export is: a short, bounded measurement."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

import nbd

from standby.errors import TransferFailed
from standby.model.extent import NbdEndpoint

_REQUEST: Final = 256 * 1024
_IN_FLIGHT: Final = 16
# A request begun just before the end may take a while on a slow line.
_PATIENCE_S: Final = 10.0
_POLL_MS: Final = 100


class Direction(Enum):
    """Which way the bytes go."""

    READ = "read"  # to us
    WRITE = "write"  # from us; random bytes, so that compression cannot flatter


@dataclass(frozen=True, slots=True)
class Speed:
    """What was moved, in bytes, and the seconds it took."""

    moved: int
    seconds: float

    @property
    def rate(self) -> float:
        """Bytes per second."""
        return self.moved / self.seconds if self.seconds > 0 else 0.0


def measure(
    endpoint: NbdEndpoint,
    direction: Direction,
    limit: float,
    clock: Callable[[], float] = time.monotonic,
) -> Speed:
    """Move bytes for `limit` seconds to or from an export whose content does not matter.

    Bytes count when the server has answered for them. Raises TransferFailed.
    """
    handle = nbd.NBD()
    try:
        handle.set_export_name(endpoint.export)
        handle.connect_unix(endpoint.socket)
        speed = _Measurement(handle, direction, clock).run(limit)
        handle.shutdown()
    except nbd.Error as error:
        raise TransferFailed(
            f"export {endpoint.export}", error.string, "an answer", errno=error.errnum or 0
        ) from error
    return speed


class _Measurement:
    """Keeps ever more requests in flight until the time is up, then waits for the last ones.

    It begins with one, and each answer brings two more: on a slow line few are on their way
    when the time is up, and on a fast one the line is soon full.
    """

    def __init__(self, handle: nbd.NBD, direction: Direction, clock: Callable[[], float]) -> None:
        self._handle = handle
        self._clock = clock
        self._begin = handle.aio_pread if direction is Direction.READ else handle.aio_pwrite
        self._idle = [
            nbd.Buffer.from_bytearray(bytearray(os.urandom(_REQUEST))) for _ in range(_IN_FLIGHT)
        ]
        self._waiting: list[tuple[int, nbd.Buffer]] = []
        self._moved = 0

    def run(self, limit: float) -> Speed:
        """Measure."""
        began = self._clock()
        self._start(1)
        while self._waiting:
            if self._clock() - began > limit + _PATIENCE_S:
                raise TransferFailed("link", f"no answer within {_PATIENCE_S:g} s", "an answer")
            self._handle.poll(_POLL_MS)
            answered = self._collect()
            if self._clock() - began < limit:
                self._start(2 * answered)
        return Speed(self._moved, self._clock() - began)

    def _start(self, count: int) -> None:
        for _ in range(min(count, len(self._idle))):
            buffer = self._idle.pop()
            self._waiting.append((self._begin(buffer, 0), buffer))

    def _collect(self) -> int:
        waiting, self._waiting = self._waiting, []
        for cookie, buffer in waiting:
            if self._handle.aio_command_completed(cookie):
                self._moved += _REQUEST
                self._idle.append(buffer)
            else:
                self._waiting.append((cookie, buffer))
        return len(waiting) - len(self._waiting)
