"""A host that is reached by SSH: paramiko for commands, OpenSSH for data."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Final

import libvirt

from standby.errors import ReachHost
from standby.host import commands, files, leash
from standby.host.address import HostAddress
from standby.host.control_master import ControlMaster
from standby.host.gentle import gentle
from standby.host.giving_up import Attempt, alone
from standby.host.interface import DEFAULT_HEARTBEAT_S, SUCCESS, Completed, Held, Host
from standby.host.last_use import LastUse
from standby.host.libvirt import SOCKETS, LibvirtConnection, no_access, system_uri
from standby.host.outcome import settle
from standby.host.privilege import raised
from standby.host.runtime import RuntimeDirectory
from standby.host.ssh_link import Place, SshLink
from standby.host.ssh_wire import SshWire

_AT_ONCE: Final = 4
"""Commands at the same time, held ones apart."""

# Prints the first of its arguments that is a socket. Statuses: below.
_FIRST_SOCKET: Final = """
for s; do if [ -S "$s" ]; then echo "$s"; [ -w "$s" ] || exit 4; exit 0; fi; done; exit 3
"""
_NO_SOCKET: Final = 3
_CLOSED_SOCKET: Final = 4
_FIND_S: Final = 20.0


class SshHost(Host):
    """Connects when it is first used, and again when the connection has been lost."""

    def __init__(
        self,
        address: HostAddress,
        manager: Host,
        runtime: RuntimeDirectory,
        cancel: threading.Event,
    ) -> None:
        self._address = address
        self._cancel = cancel
        self._manager = manager
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(_AT_ONCE)
        self._links: list[SshLink] = []  # more than one while many commands are held
        self._was_connected = False  # then somebody may have to clean up there
        self._master = ControlMaster(address, manager, runtime, cancel)
        self._libvirt = LibvirtConnection(address.name, cancel)
        self._libvirt_socket = ExitStack()
        self._use = LastUse()

    @property
    def name(self) -> str:
        """Name of the host in profiles, errors and logs."""
        return self._address.name

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
        command = commands.Command(self.name, tuple(argv), timeout)
        with self._use.one(), self._slots:
            ending = commands.converse(self._wire(limited), command, stdin)
        return settle(ending, accept)

    def hold(
        self,
        argv: Sequence[str],
        *,
        ready: bytes,
        timeout: float,
        heartbeat: float = DEFAULT_HEARTBEAT_S,
    ) -> Held:
        """Start a command that lives until it is closed, cut off, or the manager dies."""
        command = commands.Command(self.name, tuple(argv), timeout)
        with self._use.one():
            return commands.hold(self._wire(leash.plain(argv)), command, ready, heartbeat)

    def read_file(self, path: str) -> bytes | None:
        """Return a small file's content, or None when there is no such file."""
        return files.read_file(self, path)

    def write_file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Put a small file in place atomically and durably."""
        files.write_file(self, path, data, mode)

    def admit(self, socket: str) -> None:
        """Let the login user use a socket that a command under sudo made."""
        files.admit(self, socket, self._address.privilege)

    @contextmanager
    def forward(self, remote_socket: str) -> Generator[str]:
        """Forward a UNIX socket of the host over OpenSSH; yield its path here."""
        with self._use.one(), self._master.forward(remote_socket) as local:
            yield local

    def libvirt(self) -> libvirt.virConnect:
        """Return the connection to the host's libvirt, through a forwarded socket."""
        with self._use.one():
            return self._libvirt.get(self._forwarded_libvirt)

    @property
    def idle_for(self) -> float | None:
        """Seconds for which nobody has used it; None while somebody does or holds a command."""
        # Without the lock, which somebody may hold for as long as he connects.
        holds = any(link.is_used for link in tuple(self._links))
        return None if holds else self._use.idle_for

    def close(self) -> None:
        """Close libvirt, forwards and connections; what is held ends."""
        self._libvirt.close()
        self._libvirt_socket.close()
        self._master.close()
        with self._lock:
            for link in self._links:
                link.close()
            self._links.clear()

    def _wire(self, argv: Sequence[str]) -> SshWire:
        gently = gentle(argv, self._address.priority)
        return SshWire(self._place(), raised(gently, self._address.privilege))

    def _place(self) -> Place:
        with alone(self._lock, self._cancel, self.name):
            attempt = self._attempt()
            connect = attempt.again if self._was_connected else attempt.result
            for lost in [link for link in self._links if not link.alive]:
                self._links.remove(lost)
                lost.close()
            places = (link.place() for link in chain(self._links, self._another(connect)))
            return next(filter(None, places))

    def _another(self, connect: Callable[[threading.Event], SshLink]) -> Iterator[SshLink]:
        """Connect when somebody asks for it."""
        made = connect(self._cancel)
        self._links.append(made)
        self._was_connected = True
        yield made

    def _attempt(self) -> Attempt[SshLink]:
        return Attempt(self.name, lambda: SshLink(self._address, self._manager), SshLink.close)

    def _forwarded_libvirt(self) -> str:
        self._libvirt_socket.close()
        find = ("sh", "-c", _FIRST_SOCKET, "find", *SOCKETS)
        accept = frozenset({0, _NO_SOCKET, _CLOSED_SOCKET})
        found = self.run(find, timeout=_FIND_S, accept=accept)
        if found.status == _NO_SOCKET:
            raise ReachHost(
                self.name, "libvirt does not listen", " or ".join(SOCKETS), "start libvirtd there"
            )
        if found.status == _CLOSED_SOCKET:
            raise no_access(self.name, f"may not use {found.text.strip()}")
        return system_uri(
            self._libvirt_socket.enter_context(self._master.forward(found.text.strip()))
        )
