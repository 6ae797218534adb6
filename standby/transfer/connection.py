"""One NBD connection that never blocks."""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

import nbd

from standby.errors import TransferFailed
from standby.model.extent import NbdEndpoint

ALLOCATION = nbd.CONTEXT_BASE_ALLOCATION
DEPTH = "qemu:allocation-depth"
# What a server that names no maximum must accept, by the NBD protocol.
_DEFAULT_MAXIMUM = 32 * 1024 * 1024
# Bytes; the kernel doubles it, and may allow less. Much more would look like a stall on a slow
# link: nothing can be sent before three quarters of it are gone.
_SEND_BUFFER = 512 * 1024
_EVENTS = {
    nbd.AIO_DIRECTION_READ: select.POLLIN,
    nbd.AIO_DIRECTION_WRITE: select.POLLOUT,
    nbd.AIO_DIRECTION_BOTH: select.POLLIN | select.POLLOUT,
}
# Gigabytes may wait in a cache; at 60 seconds for a stall a flush may take ten minutes.
_FLUSH_PATIENCE = 10

Done = Callable[[], None]
Statuses = list[int]  # length, flags, length, flags, …


class Role(Enum):
    """Which end of the copy a connection leads to."""

    SOURCE = "source"
    TARGET = "target"
    TABLE = "digests"


class _Operation(NamedTuple):
    name: str
    offset: int
    length: int
    done: Done


class Connection:
    """One connection to one export.

    libnbd calls back while it holds the handle's lock, so its callbacks only take notes;
    `deliver` then runs what waits for them, free to start new requests.
    """

    def __init__(
        self, disk: str, role: Role, endpoint: NbdEndpoint, context: str | None = None
    ) -> None:
        """Start to connect; `context` is the one that `statuses` will ask. Never waits."""
        self._where = f"disk {disk}"
        self._disk = disk
        self._role = role
        self._endpoint = endpoint
        self._socket = endpoint.socket
        self._context = context
        # What `deliver` has to do. This and `stirred` are what a loop asks most often.
        self.finished: deque[tuple[_Operation, int]] = deque()
        # Where it is noted when a request was begun since the socket's events were asked for.
        self.stirred: set[Connection] = set()
        self._in_flight = 0
        self._flushing = False
        self._awaited = 0  # what the socket is polled for
        self.touched = time.monotonic()
        self._handle: nbd.NBD | None = nbd.NBD()
        # Every byte of a buffer is written by a read that succeeded before it is used.
        self._nbd.set_pread_initialize(False)
        self._nbd.set_export_name(endpoint.export)
        if context is not None:
            self._nbd.add_meta_context(context)
        self._guarded(lambda: self._nbd.aio_connect_unix(endpoint.socket))
        if role is not Role.SOURCE:
            self._guarded(self._widen)

    def _widen(self) -> None:
        """Let the kernel hold more of what is sent: so the server has work while we are busy."""
        with socket.socket(fileno=os.dup(self.fileno())) as sending:
            sending.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)

    def another(self) -> Connection:
        """Start to connect once more, for data only. Never waits."""
        return Connection(self._disk, self._role, self._endpoint)

    @property
    def _nbd(self) -> nbd.NBD:
        if self._handle is None:
            raise self._lost("used after it was closed", errno.EBADF)
        return self._handle

    @property
    def where(self) -> str:
        """Name this connection in messages."""
        return f"{self._where}, {self._role.value}"

    # Facts, once ready.

    def ready(self) -> bool:
        """Tell whether the handshake is done."""
        return not self._nbd.aio_is_connecting() and not self._nbd.aio_is_negotiating()

    def size(self) -> int:
        """Return the export's size in bytes."""
        return int(self._nbd.get_size())

    def alignment(self) -> int:
        """Return the unit, in bytes, of every request's offset and length."""
        return max(int(self._nbd.get_block_size(nbd.SIZE_MINIMUM)), 1)

    def longest(self) -> int:
        """Return how many bytes one read or write may carry."""
        return int(self._nbd.get_block_size(nbd.SIZE_MAXIMUM)) or _DEFAULT_MAXIMUM

    def takes_many(self) -> bool:
        """Tell whether the server takes several clients and keeps them coherent."""
        return bool(self._nbd.can_multi_conn())

    def has_context(self) -> bool:
        """Tell whether the server granted the context that was asked for."""
        return self._context is not None and bool(self._nbd.can_meta_context(self._context))

    def lacks(self) -> list[str]:
        """Name what a target must offer and this server does not."""
        offers = {
            "writing": not self._nbd.is_read_only(),
            "write-zeroes": self._nbd.can_zero(),
            "flush": self._nbd.can_flush(),
        }
        return [name for name, offered in offers.items() if not offered]

    # Requests. `done` runs from `deliver`; a failed request raises there instead.

    def read(self, buffer: memoryview, offset: int, done: Done) -> None:
        """Fill `buffer` from `offset`."""
        shared = nbd.Buffer.from_buffer(buffer)
        operation = _Operation("read", offset, len(buffer), done)
        self._begin(operation, self._nbd.aio_pread, shared, offset)

    def write(self, buffer: memoryview, offset: int, done: Done) -> None:
        """Write `buffer` at `offset`; it must not change before `done`."""
        shared = nbd.Buffer.from_buffer(buffer)
        operation = _Operation("write", offset, len(buffer), done)
        self._begin(operation, self._nbd.aio_pwrite, shared, offset)

    def zero(self, offset: int, length: int, done: Done) -> None:
        """Make a range read as zeroes, whatever lies below; the server may keep it thin."""
        operation = _Operation("write-zeroes", offset, length, done)
        self._begin(operation, self._nbd.aio_zero, length, offset)

    def flush(self, done: Done) -> None:
        """Make what was written durable."""
        self._flushing = True

        def flushed() -> None:
            self._flushing = False
            done()

        self._begin(_Operation("flush", 0, 0, flushed), self._nbd.aio_flush)

    def statuses(self, offset: int, length: int, done: Callable[[Statuses], None]) -> None:
        """Ask the context about a range; the answer may be shorter or longer than it."""
        answer: Statuses = []

        def note(context: str, _offset: int, entries: Statuses, _error: object) -> int:
            if context == self._context:
                answer.extend(entries)
            return 0

        operation = _Operation("block status", offset, length, lambda: done(answer))
        self._begin(operation, self._nbd.aio_block_status, length, offset, note)

    def _begin(self, operation: _Operation, call: Callable[..., int], *arguments: object) -> None:
        finished = self.finished  # the callback must not keep the handle alive

        def note(error: object) -> int:
            finished.append((operation, getattr(error, "value", 0)))
            return 1  # retire the command

        if not self._in_flight:
            self.touched = time.monotonic()
        try:
            call(*arguments, note)
        except nbd.Error as error:
            raise self._failed(operation, self._code(error)) from error
        self._in_flight += 1
        self.stirred.add(self)

    # The loop's side.

    def fileno(self) -> int:
        """Return the socket."""
        return int(self._nbd.aio_get_fd())

    def events(self) -> int:
        """Return what to poll the socket for. Raises TransferFailed when it is closed."""
        direction = self._nbd.aio_get_direction()
        if not direction:
            self._raise_lost("the server closed the connection", errno.ENOTCONN)
        self._awaited = _EVENTS[direction]
        return self._awaited

    def notify(self, happened: int, moment: float) -> int:
        """Let libnbd use the socket after what happened on it; return what to poll it for now.

        No request was begun since `events`. `moment`: the time, by the monotonic clock.
        """
        # A third of a copy's calls come here: it is kept short on purpose.
        self.touched = moment
        handle = self._nbd
        try:
            if happened & ~select.POLLOUT and self._awaited & select.POLLIN:
                handle.aio_notify_read()
                if self._awaited == happened:
                    return happened  # nothing waits to be sent, and the server is there
            elif self._awaited & select.POLLOUT:
                handle.aio_notify_write()
        except nbd.Error as error:
            self._raise_lost(error.string, error.errnum or errno.ENOTCONN, error)
        return self.events()

    def silence(self) -> float:
        """Return for how long, in seconds, an awaited answer has been out without a byte.

        A flush counts a tenth: it moves no bytes while the server writes what it has cached.
        """
        if not self._in_flight and self.ready():
            return 0.0
        waited = time.monotonic() - self.touched
        return waited / _FLUSH_PATIENCE if self._flushing else waited

    def deliver(self) -> None:
        """Run what waits for finished requests; raise TransferFailed for a failed one."""
        while self.finished:
            operation, code = self.finished.popleft()
            self._in_flight -= 1
            if code:
                raise self._failed(operation, code)
            operation.done()

    def close(self) -> None:
        """Close the socket at once; what is in flight is abandoned."""
        # Dropping the only reference closes the handle: libnbd's Python has no close().
        self._handle = None
        self.finished.clear()

    def leave(self) -> None:
        """Tell the server that we go, then close. Waits for nothing."""
        if self._handle is not None and self.ready() and not self._in_flight:
            self._guarded(self._nbd.aio_disconnect)
        self.close()

    def _guarded(self, call: Callable[[], object]) -> None:
        try:
            call()
        except nbd.Error as error:
            self._raise_lost(error.string, error.errnum or errno.ENOTCONN, error)

    def _raise_lost(self, found: str, code: int, cause: Exception | None = None) -> None:
        # A request that the loss cut short names the place better than the loss does.
        for operation, failure in self.finished:
            if failure:
                raise self._failed(operation, failure) from cause
        raise self._lost(found, code) from cause

    def _code(self, error: nbd.Error) -> int:
        # libnbd refuses a request to a server that is gone as an invalid argument.
        if self._nbd.aio_is_closed() or self._nbd.aio_is_dead():
            return errno.ENOTCONN
        return error.errnum or errno.EIO

    def _failed(self, operation: _Operation, code: int) -> TransferFailed:
        return TransferFailed(
            self.where,
            f"{operation.name} of {operation.length} bytes at {operation.offset}:"
            f" {os.strerror(code)}",
            remedy=_REMEDIES.get(code, ""),
            disk=self._disk,
            offset=operation.offset,
            length=operation.length,
            errno=code,
        )

    def _lost(self, found: str, code: int) -> TransferFailed:
        return TransferFailed(self.where, f"{self._socket}: {found}", disk=self._disk, errno=code)


_REMEDIES = {
    errno.ENOSPC: "free space on the KVM host's storage",
    errno.ENOTCONN: "see whether the server behind it still runs",
}
