"""The manager itself as a host: the same runner without SSH."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager

import libvirt

from standby.host import commands, files, leash
from standby.host.gentle import gentle
from standby.host.interface import DEFAULT_HEARTBEAT_S, SUCCESS, Completed, Held, Host
from standby.host.last_use import LastUse
from standby.host.libvirt import LibvirtConnection, system_uri
from standby.host.local_wire import LocalWire
from standby.host.outcome import settle
from standby.host.privilege import Privilege, raised
from standby.model.priority import NO_PRIORITY, Priority


class LocalHost(Host):
    """Runs commands as the manager's own user, or under sudo."""

    def __init__(
        self,
        name: str = "local",
        privilege: Privilege = Privilege.LOGIN,
        priority: Priority = NO_PRIORITY,
    ) -> None:
        self._name = name
        self._privilege = privilege
        self._priority = priority
        self._libvirt = LibvirtConnection(name)
        self._use = LastUse()

    @property
    def name(self) -> str:
        """Name of the host in profiles, errors and logs."""
        return self._name

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        stdin: bytes = b"",
        accept: frozenset[int] = SUCCESS,
    ) -> Completed:
        """Run one command to its end."""
        limited = leash.fed(argv, timeout) if stdin else leash.bound(argv, timeout)
        wire = self._wire(limited)
        command = commands.Command(self._name, tuple(argv), timeout)
        return settle(commands.converse(wire, command, stdin), accept)

    def hold(
        self,
        argv: Sequence[str],
        *,
        ready: bytes,
        timeout: float,
        heartbeat: float = DEFAULT_HEARTBEAT_S,
    ) -> Held:
        """Start a command that lives until it is closed or the manager dies."""
        wire = self._wire(leash.plain(argv))
        command = commands.Command(self._name, tuple(argv), timeout)
        return commands.hold(wire, command, ready, heartbeat)

    def read_file(self, path: str) -> bytes | None:
        """Return a small file's content, or None when there is no such file."""
        return files.read_file(self, path)

    def write_file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Put a small file in place atomically and durably."""
        files.write_file(self, path, data, mode)

    def admit(self, socket: str) -> None:
        """Let the manager's user use a socket that a command under sudo made."""
        files.admit(self, socket, self._privilege)

    def forward(self, remote_socket: str) -> AbstractContextManager[str]:
        """Yield the socket's own path: there is nothing to cross."""
        return _itself(remote_socket)

    def libvirt(self) -> libvirt.virConnect:
        """Return the connection to this machine's libvirt."""
        self._use.touch()
        return self._libvirt.get(lambda: system_uri(None))

    @property
    def idle_for(self) -> float | None:
        """Seconds since its libvirt was asked for: nothing else is kept of it."""
        return self._use.idle_for

    def close(self) -> None:
        """Close the connection to libvirt."""
        self._libvirt.close()

    def _wire(self, argv: Sequence[str]) -> LocalWire:
        return LocalWire(raised(gentle(argv, self._priority), self._privilege))


@contextmanager
def _itself(path: str) -> Generator[str]:
    yield path
