"""Waiting for many connections at once, never for ever."""

from __future__ import annotations

import errno
import math
import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from standby.errors import Cancelled, TransferFailed
from standby.transfer.connection import Connection
from standby.transfer.job import AliveCheck, CancelToken

# How long a wait may last before cancel and the stall limit are looked at, in seconds.
_LOOK_UP = 0.1
_ALIVE_EVERY = 1.0
_HANDSHAKE = 0.002
# Seconds; above the timeouts after which TCP and SSH mend what can be mended.
STALL_LIMIT = 60.0


@dataclass(frozen=True, slots=True)
class Patience:
    """When to stop waiting. `stall` is seconds without any byte moved while one is awaited."""

    cancel: CancelToken | None = None
    alive: AliveCheck | None = None
    stall: float = STALL_LIMIT


class Poller:
    """Moves bytes on connections until somebody loses patience."""

    def __init__(self, connections: Sequence[Connection], patience: Patience) -> None:
        self._connections = connections
        self._patience = patience
        self._poll = select.poll()
        self._by_socket = {connection.fileno(): connection for connection in connections}
        self._polled = dict.fromkeys(self._by_socket, 0)
        self._stirred = set(connections)  # of which it may be out of date what to poll for
        for connection in connections:
            connection.stirred = self._stirred
        self._next_look = 0.0
        self._next_alive = time.monotonic() + _ALIVE_EVERY

    def until_ready(self) -> None:
        """Wait until every handshake is done. Raises as `until` does."""
        # A step of a handshake finishes no request, which is what ends a wait: look often.
        self.until(lambda: all(line.ready() for line in self._connections), lambda: _HANDSHAKE)

    def until(self, reached: Callable[[], bool], pump: Callable[[], float | None]) -> None:
        """Wait until `reached`; `pump` starts requests and says how long to wait at most.

        Raises TransferFailed when a request fails, a server is gone or nothing moves any
        more; Cancelled; whatever the alive check raises.
        """
        while True:
            pause = pump()
            if reached():
                return
            for connection in self._wait(_LOOK_UP if pause is None else min(pause, _LOOK_UP)):
                connection.deliver()
            self._lose_patience()

    def _wait(self, seconds: float) -> list[Connection]:
        """Move bytes until a request has finished; most of what moves is a part of one.

        Returns the connections whose requests have finished.
        """
        for connection in self._stirred:
            events = connection.events()  # of one whose server is gone this raises, and says so
            self._watch(connection.fileno(), events)
        finished = [connection for connection in self._stirred if connection.finished]
        self._stirred.clear()
        deadline = time.monotonic() + seconds
        while not finished and seconds > 0:
            # Rounded up: a wait of zero milliseconds would spin until the moment comes.
            happened = self._poll.poll(math.ceil(seconds * 1000))
            now = time.monotonic()
            for socket, events in happened:
                connection = self._by_socket[socket]
                self._watch(socket, connection.notify(events, now))
                if connection.finished:
                    finished.append(connection)
            seconds = deadline - now
        return finished

    def _watch(self, socket: int, events: int) -> None:
        if self._polled[socket] != events:
            self._poll.register(socket, events)
            self._polled[socket] = events

    def _lose_patience(self) -> None:
        if self._patience.cancel is not None and self._patience.cancel.is_set():
            raise Cancelled("transfer", "stopped because somebody asked for it")
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_UP
        for connection in self._connections:
            if connection.silence() > self._patience.stall:
                raise TransferFailed(
                    connection.where,
                    f"no byte moved for {self._patience.stall:.0f} seconds",
                    remedy="see whether the host and the link to it are up",
                    errno=errno.ETIMEDOUT,
                )
        if self._patience.alive is not None and now >= self._next_alive:
            self._patience.alive()
            self._next_alive = now + _ALIVE_EVERY
