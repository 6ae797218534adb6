"""Warm connections: one per host, or as many as its commands need, kept for the manager's life."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Self

from standby.host.address import HostAddress
from standby.host.interface import Host
from standby.host.local import LocalHost
from standby.host.logs import Chatter, set_chatter
from standby.host.runtime import RuntimeDirectory


class Connections:
    """Gives hosts to whoever asks; may be shared by threads."""

    def __init__(
        self,
        chatter: Chatter = Chatter.NONE,
        cancel: threading.Event | None = None,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """Once `cancel` is set nobody waits any longer for a host that does not answer."""
        set_chatter(chatter)
        self._cancel = cancel or threading.Event()
        self._runtime = RuntimeDirectory()
        self._manager = LocalHost("manager")
        self._steady = steady
        self._lock = threading.Lock()
        self._hosts: dict[HostAddress, Host] = {}
        self._asked: dict[HostAddress, float] = {}  # when, by a clock that only goes on

    def host(self, address: HostAddress) -> Host:
        """Return the host at `address`; nothing is connected before it is used."""
        with self._lock:
            if address not in self._hosts:
                self._hosts[address] = self._make(address)
            self._asked[address] = self._steady()
            return self._hosts[address]

    def close_unwanted(self, wanted: Collection[HostAddress], idle_for: float) -> tuple[str, ...]:
        """Close what is not wanted and was not used for so many seconds; return their names.

        Whoever still has such a host and uses it later connects anew.
        """
        latest = self._steady() - idle_for
        with self._lock:
            unwanted = [it for it, at in self._asked.items() if at <= latest and it not in wanted]
            idle = [it for it in unwanted if _is_idle(self._hosts[it], idle_for)]
            closing = [self._hosts.pop(it) for it in idle]
            for it in idle:
                del self._asked[it]
        for host in closing:
            host.close()
        return tuple(host.name for host in closing)

    @property
    def manager(self) -> Host:
        """The machine that we run on, as whoever runs us."""
        return self._manager

    def close(self) -> None:
        """Close every connection and remove the runtime directory."""
        with self._lock:
            for host in self._hosts.values():
                host.close()
            self._hosts.clear()
            self._asked.clear()
        self._runtime.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _make(self, address: HostAddress) -> Host:
        if address.destination is None:
            return LocalHost(address.name, address.privilege, address.priority)
        # It loads paramiko, a third of what a command loads that works on this machine alone or
        # that asks the daemon.
        from standby.host.ssh import SshHost  # noqa: PLC0415

        # Its ssh runs here, and gives way as well.
        manager = LocalHost("manager", priority=address.priority)
        return SshHost(address, manager, self._runtime, self._cancel)


def _is_idle(host: Host, seconds: float) -> bool:
    unused = host.idle_for
    return unused is not None and unused >= seconds
