"""Connections and settings of one invocation, or of a daemon's whole life."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from standby.app.overall import Overall
from standby.cycle.interfaces import MergeGate, MergeTurn
from standby.errors import Cancelled, FixProfile
from standby.host.address import HostAddress, Secret
from standby.host.connections import Connections
from standby.host.interface import Host
from standby.host.logs import Chatter
from standby.host.privilege import Privilege
from standby.model.priority import NO_PRIORITY, Priority
from standby.profile import (
    Compression,
    Configuration,
    HostSettings,
    LocalAddress,
    Profile,
    SshAddress,
)
from standby.profile.hosts import SecretRef


class WallClock:
    """The manager's clock."""

    def now(self) -> datetime:
        """Return the time, UTC."""
        return datetime.now(UTC)


def no_progress(what: str, done: int, total: int) -> None:
    """Show nothing."""


def open_gate(_turn: MergeTurn) -> AbstractContextManager[None]:
    """Let every merge begin at once."""
    return nullcontext()


@dataclass
class Session:
    """What every use of the application needs. A context: leaving it closes connections."""

    root: Path
    clock: WallClock = field(default_factory=WallClock)
    progress: Callable[[str, int, int], None] = no_progress
    cancel: threading.Event = field(default_factory=threading.Event)
    chatter: Chatter = Chatter.NONE
    gate: MergeGate = open_gate
    overall: Overall = field(default_factory=Overall)
    _stack: ExitStack = field(default_factory=ExitStack)
    _connections: Connections | None = None

    def __enter__(self) -> Self:
        self._connections = self._stack.enter_context(Connections(self.chatter, self.cancel))
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def beside(
        self,
        *,
        progress: Callable[[str, int, int], None],
        cancel: threading.Event,
        gate: MergeGate = open_gate,
    ) -> Session:
        """Return a session for one of several runs: it shares our connections, and is not left."""
        return replace(self, progress=progress, cancel=cancel, gate=gate, _stack=ExitStack())

    def report(self, what: str, done: int, total: int) -> None:
        """Show how far a step is that may be given up at any moment, such as a merge.

        Raises Cancelled when somebody asked to stop.
        """
        self.require_wanted(what)
        self.progress(what, done, total)

    def require_wanted(self, what: str) -> None:
        """Raise Cancelled when somebody asked to stop."""
        if self.cancel.is_set():
            raise Cancelled(what, "stopped", remedy="the next cycle takes it up again")

    @property
    def configuration(self) -> Configuration:
        """The configuration root, read anew."""
        return Configuration(self.root)

    def profile(self, name_or_file: str) -> Profile:
        """Load a profile. Raises ProfileMistakes."""
        return self.configuration.profile(name_or_file)

    def source_host(self, profile: Profile) -> Host:
        """Return the host that the machine runs on."""
        return self._connected.host(addresses_of(profile)[0])

    def kvm_host(self, profile: Profile) -> Host:
        """Return the host that keeps the standby."""
        return self._connected.host(addresses_of(profile)[1])

    def manager_host(self) -> Host:
        """Return this machine, as the manager's own user."""
        return self._connected.manager

    def host(
        self,
        settings: HostSettings,
        compression: Compression = Compression.NONE,
        priority: Priority = NO_PRIORITY,
    ) -> Host:
        """Return a host, connected when it is first used; all it starts has that priority."""
        return self._connected.host(host_address(settings, compression, priority))

    def close_unwanted(self, profiles: Iterable[Profile], idle_for: float) -> tuple[str, ...]:
        """Close connections that none of these profiles needs and that nobody has used lately.

        `idle_for` in seconds. Return the names of hosts.
        """
        wanted = frozenset(address for profile in profiles for address in addresses_of(profile))
        return self._connected.close_unwanted(wanted, idle_for)

    @property
    def _connected(self) -> Connections:
        if self._connections is None:
            raise FixProfile("session", "not entered", "a session used as a context")
        return self._connections


def addresses_of(profile: Profile) -> tuple[HostAddress, HostAddress]:
    """Return how the source's host and the KVM host of a profile are reached."""
    compression, priority = profile.transfer.compression, profile.priority
    source = host_address(profile.source_host, compression, priority)
    return source, host_address(profile.target_host, compression, priority)


def host_address(
    settings: HostSettings, compression: Compression, priority: Priority = NO_PRIORITY
) -> HostAddress:
    """Say in the words of the host room how a host is reached."""
    privilege = Privilege.SUDO if settings.sudo else Privilege.LOGIN
    if isinstance(settings.address, LocalAddress):
        return HostAddress(settings.name, None, privilege=privilege, priority=priority)
    return HostAddress(
        name=settings.name,
        destination=ssh_destination(settings.address),
        identity_file=str(settings.identity_file or ""),
        known_hosts=str(settings.known_hosts or ""),
        ssh_config=str(settings.ssh_config or ""),
        privilege=privilege,
        connect_timeout=settings.connect_timeout.total_seconds(),
        compression=compression is Compression.SSH,
        passphrase=_secret(settings.passphrase),
        password=_secret(settings.password),
        priority=priority,
    )


def ssh_destination(address: SshAddress) -> str:
    """Write an address as ssh(1) takes it: a port makes it a URI, only there stand brackets."""
    user = f"{address.user}@" if address.user else ""
    if address.port is None:
        return user + address.host
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"ssh://{user}{host}:{address.port}"


def _secret(reference: SecretRef | None) -> Secret | None:
    if reference is None:
        return None
    return lambda: reference.read().get_secret_value()
