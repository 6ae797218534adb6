"""One authenticated connection to a host for commands: by TCP or through what ssh_config says."""

from __future__ import annotations

import logging
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import paramiko

from standby.errors import ReachHost, StandbyError
from standby.host import host_keys, ssh_config, ssh_login
from standby.host.address import HostAddress
from standby.host.gentle import gentle
from standby.host.interface import Host
from standby.host.ssh_config import Effective
from standby.host.ssh_proxy import Proxy, proxy_command, translate

_log = logging.getLogger(__name__)

KEEPALIVE_S: Final = 5
"""Seconds between two questions to the host whether it is still there."""
SILENCE_S: Final = 15
"""Seconds it may take to answer. So a cut link is noticed within 20 s."""

_SESSIONS: Final = 8
"""Commands on one connection: sshd allows 10 (MaxSessions), and hears of an end a little later."""

_FAMILIES: Final = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}


class SshLink:
    """A logged-in connection; gone for good once it has ended."""

    def __init__(self, address: HostAddress, manager: Host) -> None:
        self.settings = ssh_config.effective(address, manager)
        self._proxy: Proxy | None = None
        self._over = threading.Event()
        self._places = threading.Lock()
        self._taken = 0
        known = host_keys.known_keys(self.settings, manager)
        self.transport = paramiko.Transport(self._connect(address))
        try:
            self._greet(address, known)
            ssh_login.log_in(self.transport, address, self.settings)
        except BaseException:
            self.close()
            raise
        watch = threading.Thread(target=self._watch, daemon=True, name=f"keepalive {address.name}")
        watch.start()
        _log.debug("%s: connected as %s", address.name, self.settings.login)

    @property
    def alive(self) -> bool:
        """Whether it still answers, as far as is known."""
        return self.transport.is_active() and not self._over.is_set()

    def place(self) -> Place | None:
        """Return room for one command; None when there is none."""
        with self._places:
            if self._taken == _SESSIONS:
                return None
            self._taken += 1
        return Place(self)

    def give_back(self) -> None:
        """Let another command have a place."""
        with self._places:
            self._taken -= 1

    @property
    def is_used(self) -> bool:
        """Whether commands go through it, as far as is known."""
        return self.alive and self._taken > 0

    def close(self) -> None:
        """End it."""
        self._over.set()
        self.transport.close()
        if self._proxy is not None:
            self._proxy.close()

    def _connect(self, address: HostAddress) -> socket.socket:
        command = proxy_command(address, self.settings)
        if not command:
            return _dial(self.settings, address.connect_timeout)
        self._proxy = Proxy(gentle(command, address.priority))
        return self._proxy.ours

    def _greet(self, address: HostAddress, known: tuple[host_keys.KnownKey, ...]) -> None:
        security = self.transport.get_security_options()
        security.key_types = host_keys.preferred_types(known, tuple(security.key_types))
        self.transport.banner_timeout = address.connect_timeout
        self.transport.auth_timeout = address.connect_timeout
        self.transport.channel_timeout = SILENCE_S
        try:
            self.transport.start_client(timeout=address.connect_timeout)
            key = self.transport.get_remote_server_key()
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise self._not_greeted(error) from error
        host_keys.verify(key, known, self.settings)

    def _not_greeted(self, error: Exception) -> StandbyError:
        if self._proxy is not None:
            return translate(self._proxy.last_words(), self.settings.login)
        return ReachHost(self.settings.login, f"no SSH answer: {error or 'hung up'}", "an sshd")

    def _watch(self) -> None:
        """Ask the host again and again whether it is there; hang up when it does not answer."""
        while not self._over.wait(KEEPALIVE_S) and self.transport.is_active():
            hang_up = threading.Timer(SILENCE_S, self.transport.close)
            hang_up.daemon = True
            hang_up.start()
            # OpenSSH answers a request it does not know with a failure: an answer.
            with suppress(paramiko.SSHException, EOFError, OSError):
                self.transport.global_request("keepalive@openssh.com")
            hang_up.cancel()


@dataclass(frozen=True, slots=True)
class Place:
    """Room for one command on a connection, taken until it is given back."""

    link: SshLink
    _given_back: threading.Lock = field(default_factory=threading.Lock)

    def give_back(self) -> None:
        """Let another command have it; again: nothing."""
        if self._given_back.acquire(blocking=False):
            self.link.give_back()


def _dial(settings: Effective, timeout: float) -> socket.socket:
    where = f"{settings.hostname} port {settings.port}"
    try:
        connection = _first_that_answers(settings, timeout)
    except socket.gaierror as error:
        raise ReachHost(
            settings.login, f"name not found: {settings.hostname} ({error.strerror})"
        ) from error
    except TimeoutError as error:
        raise ReachHost(
            settings.login, f"no answer within {timeout:g} s", f"an sshd at {where}"
        ) from error
    except OSError as error:
        raise ReachHost(settings.login, f"{error.strerror}", f"an sshd at {where}") from error
    # Commands are many small messages; none should wait for the one before to be confirmed.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _first_that_answers(settings: Effective, timeout: float) -> socket.socket:
    family = _FAMILIES.get(settings.address_family, socket.AF_UNSPEC)
    problem = OSError(0, "no address")
    for kind, *_, target in socket.getaddrinfo(
        settings.hostname, settings.port, family, socket.SOCK_STREAM
    ):
        connection = socket.socket(kind, socket.SOCK_STREAM)
        connection.settimeout(timeout)
        try:
            connection.connect(target)
        except OSError as error:
            connection.close()
            problem = error
        else:
            return connection
    raise problem
