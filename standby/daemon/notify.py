"""What a service manager is told: sd_notify(3) by its own protocol, which is one datagram."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

log = logging.getLogger("standby.daemon")

_MICRO = 1_000_000
_CLOSING_S = 45.0  # for news and connections, once runs have ended


@dataclass
class Notifier:
    """Tells a service manager how we are; nobody when none asked. Never fails."""

    address: str | None = None
    watchdog_s: float | None = None  # it ends us when it hears nothing for so long
    _alive_at: float = 0.0

    @classmethod
    def of(cls, environment: Mapping[str, str], pid: int) -> Notifier:
        """Return the one that the service manager's variables describe."""
        interval = environment.get("WATCHDOG_USEC", "")
        ours = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
        watched = int(interval) / _MICRO if interval.isdigit() and ours else None
        return cls(environment.get("NOTIFY_SOCKET"), watched)

    def ready(self, status: str) -> None:
        """We are up, or up again after a reload."""
        self._tell("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Files are read anew."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self, seconds: float) -> None:
        """We end, and may take so long."""
        microseconds = int((seconds + _CLOSING_S) * _MICRO)
        self._tell("STOPPING=1", f"EXTEND_TIMEOUT_USEC={microseconds}")

    def alive(self, steady: float) -> None:
        """We still turn; told twice within the watchdog's interval."""
        if self.watchdog_s is not None and steady - self._alive_at >= self.watchdog_s / 3:
            self._alive_at = steady
            self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        if self.address is None:
            return
        name = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
                to.sendto("\n".join(lines).encode(), name)
        except OSError as error:
            log.warning("the service manager at %s does not listen: %s", self.address, error)


def from_environment() -> Notifier:
    """Return the one that this process was given."""
    return Notifier.of(os.environ, os.getpid())
