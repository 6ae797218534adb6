"""What every host offers, whether it is reached by SSH or is this machine itself."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import libvirt

SUCCESS = frozenset({0})

DEFAULT_HEARTBEAT_S = 5.0
"""Seconds between two heartbeats to a held command. A cut link is noticed here within 20 s, so
a held command should allow 30 s of silence: then the manager knows before the lock is free."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that ended with an accepted status."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """What it printed, as text; bytes that are not UTF-8 survive as surrogates."""
        return self.stdout.decode("utf-8", "surrogateescape")


class Held(Protocol):
    """A command that lives until it is closed, its connection dies, or the manager does."""

    @property
    def alive(self) -> bool:
        """Whether the command still runs and the connection to it still answers."""

    @property
    def last_words(self) -> str:
        """What it wrote to standard error so far, at most the last 64 KiB."""

    def read_line(self, timeout: float) -> bytes | None:
        """Return the next line it printed, without its newline; None when it has ended.

        Raise CommandTimedOut when no line came within `timeout` seconds.
        """

    def say(self, line: str) -> None:
        """Write a short line to its input; one that does not listen may miss it."""

    def close(self) -> None:
        """Close the command's input and wait until it has ended, 10 s at most."""


class Host(Protocol):
    """A machine on which commands run.

    Every method that talks to it may raise ReachHost (no answer, connection lost),
    GrantAccess (refused) and AcceptHostKey (its key is unknown or has changed).
    """

    @property
    def name(self) -> str:
        """Name of the host in profiles, errors and logs."""

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        stdin: bytes = b"",
        accept: frozenset[int] = SUCCESS,
    ) -> Completed:
        """Run one command to its end, in the locale C.UTF-8 and without a terminal.

        The command is ended (TERM, 5 s later KILL) when `timeout` seconds have passed, and,
        unless it is given `stdin`, when the connection or the manager dies. Raise CommandFailed
        on a status that is not in `accept`, CommandTimedOut, and InstallPrograms when there is
        no such program.
        """

    def hold(
        self,
        argv: Sequence[str],
        *,
        ready: bytes,
        timeout: float,
        heartbeat: float = DEFAULT_HEARTBEAT_S,
    ) -> Held:
        r"""Start a command whose life is bound to this connection.

        Its standard input gets an empty line every `heartbeat` seconds and ends when the
        connection or the manager does: the command ends itself when that input ends or falls
        silent. `leash.leashed` makes such a command of any other.

        Return when it has printed the line `ready` (at once if `ready` is empty). Raise
        CommandFailed with its status and last words when it ends before it is ready,
        CommandTimedOut when it is not ready after `timeout` seconds.
        """

    def read_file(self, path: str) -> bytes | None:
        """Return a small file's content, or None when there is no such file."""

    def write_file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Put a small file in place atomically and durably.

        Temporary name, fsync, rename, fsync of the directory. Raise FreeSpace when the
        storage is full.
        """

    def admit(self, socket: str) -> None:
        """Let the user of this connection use a socket that a command under sudo made.

        Without sudo there is nothing to do. With it, `forward` works only on sockets that
        the login user may open, and this makes him the owner of `socket`.
        """

    def forward(self, remote_socket: str) -> AbstractContextManager[str]:
        """Make a UNIX socket of the host reachable; yield its path on this machine."""

    def libvirt(self) -> libvirt.virConnect:
        """Return the connection to the host's libvirt; made once, made anew when dead."""

    @property
    def idle_for(self) -> float | None:
        """Seconds for which nobody has used it; None while somebody does or holds a command."""

    def close(self) -> None:
        """Give up every connection and everything held through it."""
