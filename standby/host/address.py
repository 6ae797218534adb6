"""How a host is reached, in the words of this room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from standby.errors import FixProfile
from standby.host.privilege import Privilege
from standby.model.priority import NO_PRIORITY, Priority

Secret = Callable[[], str]
"""Gives a secret when it is needed; what it returns is never logged or kept."""


@dataclass(frozen=True, slots=True)
class HostAddress:
    """How one host is reached. Paths are on the manager; empty ones leave it to ssh_config."""

    name: str
    destination: str | None  # as ssh(1) takes it; None: the manager itself
    identity_file: str = ""  # only this key is offered, from the agent or the file
    known_hosts: str = ""  # instead of the user's own known_hosts files
    ssh_config: str = ""  # instead of the user's and the system's ssh_config
    privilege: Privilege = Privilege.LOGIN
    connect_timeout: float = 10.0  # seconds, for each of: connect, exchange keys, log in
    compression: bool = False
    priority: Priority = NO_PRIORITY  # of all that is started there, and of what reaches it
    passphrase: Secret | None = field(default=None, compare=False)  # of an encrypted key
    password: Secret | None = field(default=None, compare=False)  # of the login user

    def __post_init__(self) -> None:
        if self.destination is not None and not _is_destination(self.destination):
            raise FixProfile(
                self.name,
                f"destination {self.destination!r}",
                "[user@]host or ssh://[user@]host:port",
            )
        for path in (self.identity_file, self.known_hosts):
            if '"' in path or not path.isprintable():
                raise FixProfile(self.name, repr(path), "a path that ssh_config can hold")


def _is_destination(text: str) -> bool:
    # A leading hyphen would be read as an option by some ssh on the way.
    return bool(text) and not text.startswith("-") and text.isprintable() and " " not in text
