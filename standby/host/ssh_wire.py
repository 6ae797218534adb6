"""The streams of a command on an SSH connection."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import paramiko

from standby.errors import ReachHost
from standby.host.ssh_link import SILENCE_S, Place, SshLink
from standby.host.wire import CHUNK, Wire


class SshWire(Wire):
    """A session channel."""

    def __init__(self, place: Place, argv: Sequence[str]) -> None:
        self._place, self._link = place, place.link
        try:
            self._open(place.link, argv)
        except BaseException:
            place.give_back()
            raise

    def _open(self, link: SshLink, argv: Sequence[str]) -> None:
        try:
            self._channel = link.transport.open_session(timeout=SILENCE_S)
            self._channel.exec_command(_line(argv))
        except paramiko.ChannelException as error:
            raise ReachHost(
                link.settings.login, f"refuses another session: {error.text}", "MaxSessions 10"
            ) from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise self._lost() from error

    def send(self, data: bytes) -> None:
        """Write everything to its input."""
        rest = memoryview(data)
        while rest:
            # The time limit is the reader's, who shares the channel with us.
            try:
                rest = rest[self._channel.send(rest[:CHUNK].tobytes()) :]
            except TimeoutError:
                continue

    def beat(self, line: bytes = b"\n") -> None:
        """Write a short line to its input unless it is full."""
        if self._channel.closed:
            raise BrokenPipeError
        if self._channel.send_ready():
            self._channel.send(line)

    def finish_input(self) -> None:
        """End its input."""
        self._channel.shutdown_write()

    def receive(self, timeout: float) -> bytes:
        """Return what it printed."""
        self._channel.settimeout(timeout)
        return self._channel.recv(CHUNK)

    def complaints(self, timeout: float) -> bytes:
        """Return what it wrote to standard error."""
        if timeout:
            self._channel.settimeout(timeout)
        elif not self._channel.recv_stderr_ready():
            raise TimeoutError
        return self._channel.recv_stderr(CHUNK)

    def status(self, timeout: float) -> int | None:
        """Return its exit status; None when it still runs, -1 when a signal ended it."""
        if not self._channel.status_event.wait(timeout):
            return None
        if self._channel.exit_status == -1 and not self._link.alive:
            raise self._lost()
        return self._channel.exit_status

    def close(self) -> None:
        """Close the channel: a command on a leash ends."""
        self._channel.close()
        self._place.give_back()

    def _lost(self) -> ReachHost:
        return ReachHost(
            self._link.settings.login, "connection lost during a command", "an answer to the end"
        )


def _line(argv: Sequence[str]) -> bytes:
    """Quote a command for the shell that sshd starts: the one place where this is done."""
    return shlex.join(argv).encode("utf-8", "surrogateescape")
