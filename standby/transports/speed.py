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
    """Keeps requests in flight until the time is up, then waits for the last ones."""

    def __init__(self, handle: nbd.NBD, direction: Direction, clock: Callable[[], float]) -> None:
        self._handle = handle
        self._clock = clock
        self._begin = handle.aio_pread if direction is Direction.READ else handle.aio_pwrite
        self._buffers = [
            nbd.Buffer.from_bytearray(bytearray(os.urandom(_REQUEST))) for _ in range(_IN_FLIGHT)
        ]
        self._cookies: list[tuple[int, nbd.Buffer]] = []
        self._moved = 0

    def run(self, limit: float) -> Speed:
        """Measure."""
        began = self._clock()
        for buffer in self._buffers:
            self._start(buffer)
        while self._cookies and self._clock() - began < limit + _PATIENCE_S:
            self._handle.poll(100)
            self._collect(more=self._clock() - began < limit)
        if self._cookies:
            raise TransferFailed("link", f"no answer within {_PATIENCE_S:g} s", "an answer")
        return Speed(self._moved, self._clock() - began)

    def _start(self, buffer: nbd.Buffer) -> None:
        self._cookies.append((self._begin(buffer, 0), buffer))

    def _collect(self, *, more: bool) -> None:
        waiting, self._cookies = self._cookies, []
        for cookie, buffer in waiting:
            if not self._handle.aio_command_completed(cookie):
                self._cookies.append((cookie, buffer))
                continue
            self._moved += _REQUEST
            if more:
                self._start(buffer)
