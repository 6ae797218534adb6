"""Running a command over a wire, to its end or for as long as we hold it."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from standby.errors import CommandFailed, StandbyError
from standby.host.helpers import helper
from standby.host.interface import Held
from standby.host.leash import KILL_AFTER_S
from standby.host.outcome import Ending, failure, shown, timed_out
from standby.host.wire import Wire

_log = logging.getLogger(__name__)

MOST_OUTPUT: Final = 64 << 20  # bytes; what we run prints kilobytes, a mistake prints for ever
_MOST_COMPLAINTS: Final = 64 << 10  # bytes kept of standard error
_POLL_S: Final = 0.05  # how long one of two streams may be left unread
_QUIET_S: Final = 0.5  # a child that keeps our streams open is not waited for longer than this
_GRACE_S: Final = KILL_AFTER_S + 3.0  # for the host's own limit to act and its answer to arrive
_CLOSE_S: Final = 10.0


@dataclass(slots=True)
class _Collected:
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)

    def complain(self, data: bytes) -> None:
        self.stderr += data
        del self.stderr[:-_MOST_COMPLAINTS]


@dataclass(frozen=True, slots=True)
class Command:
    """What is run where: for messages. `limit` in seconds."""

    host: str
    argv: tuple[str, ...]
    limit: float


def converse(wire: Wire, command: Command, stdin: bytes) -> Ending:
    """Feed `stdin` to a started command and read it to its end; the wire is closed then."""
    began = time.monotonic()
    collected = _Collected()
    try:
        if stdin:
            helper(partial(_feed, wire, stdin)).start()
        _read(wire, command, collected, began + command.limit + _GRACE_S)
        status = _await_status(wire, command, began + command.limit + _GRACE_S)
        _read_complaints(wire, collected)
    finally:
        wire.close()
    return Ending(
        command.host,
        command.argv,
        status,
        bytes(collected.stdout),
        bytes(collected.stderr),
        time.monotonic() - began,
        command.limit,
    )


def _feed(wire: Wire, data: bytes) -> None:
    # A command may end without reading its input; its status says whether that was right.
    with suppress(OSError):
        wire.send(data)
        wire.finish_input()


def _read(wire: Wire, command: Command, collected: _Collected, deadline: float) -> None:
    ended = False
    while True:
        try:
            chunk = wire.receive(_QUIET_S if ended else _POLL_S)
        except TimeoutError:
            if ended:
                return
            ended = wire.status(0) is not None
        else:
            if not chunk:
                return
            collected.stdout += chunk
        if len(collected.stdout) > MOST_OUTPUT:
            raise CommandFailed(
                command.host,
                f"{command.argv[0]} printed more than {MOST_OUTPUT} bytes",
                argv=command.argv,
            )
        _drain(wire, collected)
        if time.monotonic() > deadline:
            raise timed_out(command.host, command.argv, command.limit)


def _await_status(wire: Wire, command: Command, deadline: float) -> int:
    status = wire.status(max(0.0, deadline - time.monotonic()))
    if status is None:
        raise timed_out(command.host, command.argv, command.limit)
    return status


def _drain(wire: Wire, collected: _Collected) -> None:
    with suppress(TimeoutError):
        while data := wire.complaints(0):
            collected.complain(data)


def _read_complaints(wire: Wire, collected: _Collected) -> None:
    with suppress(TimeoutError):
        while data := wire.complaints(_QUIET_S):
            collected.complain(data)


class HeldCommand(Held):
    """A command on a wire, fed with heartbeats by a thread."""

    def __init__(self, wire: Wire, command: Command, heartbeat: float) -> None:
        self._wire = wire
        self._command = command
        self._heartbeat = heartbeat
        self._collected = _Collected()
        self._unread = bytearray()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._beats = helper(self._beat, "heartbeat")
        self._beats.start()

    @property
    def alive(self) -> bool:
        """Whether it still runs and its connection still answers."""
        return not self._over.is_set() and not self._ended()

    @property
    def last_words(self) -> str:
        """What it wrote to standard error."""
        self._listen()
        return bytes(self._collected.stderr).decode("utf-8", "replace").strip()

    def read_line(self, timeout: float) -> bytes | None:
        """Return the next line it printed; None when it has ended."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self._unread:
            try:
                chunk = self._wire.receive(max(0.0, deadline - time.monotonic()))
            except TimeoutError as error:
                raise timed_out(self._command.host, self._command.argv, timeout) from error
            if not chunk:
                return self._take_rest()
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return bytes(line)

    def await_ready(self, ready: bytes) -> None:
        """Read until the line `ready`; raise CommandFailed if the command ends instead."""
        deadline = time.monotonic() + self._command.limit
        while ready:
            line = self.read_line(max(0.0, deadline - time.monotonic()))
            if line == ready:
                return
            if line is None:
                raise self._failure()

    def say(self, line: str) -> None:
        """Write a short line to its input."""
        with suppress(OSError):
            self._wire.beat(f"{line}\n".encode())

    def close(self) -> None:
        """End its input, wait for its end, give up the streams."""
        if self._over.is_set():
            return
        self._over.set()
        with suppress(OSError, StandbyError):
            self._wire.finish_input()
            self._wire.status(_CLOSE_S)
        self._wire.close()
        self._beats.join()

    def _take_rest(self) -> bytes | None:
        rest, self._unread = bytes(self._unread), bytearray()
        return rest or None

    def _ended(self) -> bool:
        try:
            return self._wire.status(0) is not None
        except StandbyError:
            return True

    def _failure(self) -> StandbyError:
        status = self._wire.status(_CLOSE_S)
        with self._lock:
            _read_complaints(self._wire, self._collected)
        ending = Ending(
            self._command.host,
            self._command.argv,
            -1 if status is None else status,
            b"",
            bytes(self._collected.stderr),
            0.0,
            self._command.limit,
        )
        return failure(ending)

    def _beat(self) -> None:
        while not self._over.wait(self._heartbeat):
            self._listen()
            try:
                self._wire.beat()
            except OSError:
                return

    def _listen(self) -> None:
        with self._lock, suppress(OSError):
            _drain(self._wire, self._collected)


def hold(wire: Wire, command: Command, ready: bytes, heartbeat: float) -> HeldCommand:
    """Hold a started command once it has printed `ready`."""
    _log.debug("%s: holding: %s", command.host, shown(command.argv))
    held = HeldCommand(wire, command, heartbeat)
    try:
        held.await_ready(ready)
    except BaseException:
        held.close()
        raise
    return held
