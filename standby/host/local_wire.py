"""The streams of a command on this machine."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from standby.host.wire import CHUNK, Wire

_END_S: Final = 7.0  # a leash kills 5 s after it asked


class LocalWire(Wire):
    """A child process in a session of its own."""

    def __init__(self, argv: Sequence[str], environment: dict[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            tuple(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
            env=environment,
        )
        assert self._process.stdin is not None  # noqa: S101 - for mypy; PIPE makes them
        assert self._process.stdout is not None  # noqa: S101
        assert self._process.stderr is not None  # noqa: S101
        self._input = self._process.stdin
        self._output = self._process.stdout
        self._errors = self._process.stderr

    def send(self, data: bytes) -> None:
        """Write everything to its input."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._input.fileno(), rest[:CHUNK]) :]

    def beat(self, line: bytes = b"\n") -> None:
        """Write a short line to its input unless it is full."""
        if self._input.closed:
            raise BrokenPipeError
        if _is_ready(self._input.fileno(), select.POLLOUT, 0):
            os.write(self._input.fileno(), line)

    def finish_input(self) -> None:
        """End its input."""
        self._input.close()

    def receive(self, timeout: float) -> bytes:
        """Return what it printed."""
        return _read(self._output.fileno(), timeout)

    def complaints(self, timeout: float) -> bytes:
        """Return what it wrote to standard error."""
        return _read(self._errors.fileno(), timeout)

    def status(self, timeout: float) -> int | None:
        """Return its exit status; None when it still runs. 128 + n when signal n ended it."""
        try:
            status = self._process.wait(timeout) if timeout else self._process.poll()
        except subprocess.TimeoutExpired:
            return None
        return 128 - status if status is not None and status < 0 else status

    def close(self) -> None:
        """End its input, wait for its end, kill it if it does not come."""
        with suppress(OSError):
            self._input.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        finally:
            self._output.close()
            self._errors.close()


def _read(descriptor: int, timeout: float) -> bytes:
    if not _is_ready(descriptor, select.POLLIN, timeout):
        raise TimeoutError
    return os.read(descriptor, CHUNK)


def _is_ready(descriptor: int, what: int, timeout: float) -> bool:
    # poll, not select: a daemon may hold more than 1,024 descriptors.
    poll = select.poll()
    poll.register(descriptor, what)
    return bool(poll.poll(max(0.0, timeout) * 1000))
