"""The streams of one running command, however it is reached."""

from __future__ import annotations

from typing import Final, Protocol

CHUNK: Final = 65536
"""Bytes per read: what a pipe of Linux holds."""


class Wire(Protocol):
    """Standard input, output and error of one command. Reads return b"" at their end."""

    def send(self, data: bytes) -> None:
        """Write everything to its input; OSError when it reads no more."""

    def beat(self, line: bytes = b"\n") -> None:
        """Write a short line to its input without ever waiting; OSError when it is gone."""

    def finish_input(self) -> None:
        """End its input."""

    def receive(self, timeout: float) -> bytes:
        """Return what it printed; TimeoutError when nothing came within `timeout` seconds."""

    def complaints(self, timeout: float) -> bytes:
        """Return what it wrote to standard error; TimeoutError as in `receive`."""

    def status(self, timeout: float) -> int | None:
        """Return its exit status, or None when it still runs after `timeout` seconds.

        Raise ReachHost when the connection ended before the command did.
        """

    def close(self) -> None:
        """End its input and give up the streams; a command on a leash ends."""
