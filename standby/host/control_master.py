"""OpenSSH's control master: the connection that carries data, through forwarded sockets."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from standby.errors import CommandFailed, CommandTimedOut, StandbyError
from standby.host import ssh_config
from standby.host.address import HostAddress
from standby.host.askpass import answering
from standby.host.giving_up import Attempt, alone
from standby.host.interface import Held, Host
from standby.host.leash import leashed
from standby.host.runtime import RuntimeDirectory
from standby.host.ssh_config import Effective
from standby.host.ssh_link import KEEPALIVE_S, SILENCE_S
from standby.host.ssh_proxy import translate

_log = logging.getLogger(__name__)

_ASK_S: Final = 10.0
_READY: Final = b"ready"
_SETTINGS: Final = (
    "ControlMaster=yes",
    "ControlPersist=no",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "RemoteCommand=none",
    "PermitLocalCommand=yes",
    "LocalCommand=echo ready",  # ssh runs it once it is logged in and listens
    f"ServerAliveInterval={KEEPALIVE_S}",
    f"ServerAliveCountMax={SILENCE_S // KEEPALIVE_S}",
    "StreamLocalBindUnlink=yes",
    "StreamLocalBindMask=0177",
    "LogLevel=ERROR",
)
_FAST_CIPHER: Final = "Ciphers=^aes128-gcm@openssh.com"
"""Asked for first unless ssh_config names ciphers: measured at 1.4 times the speed of
chacha20-poly1305, the first choice of OpenSSH before 10."""


class ControlMaster:
    """One ssh process per host, started with the first forward; it dies with the manager."""

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
        self._runtime = runtime
        self._lock = threading.Lock()
        self._process: Held | None = None
        self._control = Path()

    @contextmanager
    def forward(self, remote_socket: str) -> Generator[str]:
        """Forward a UNIX socket of the host; yield its path here."""
        control = self._running()
        local = self._runtime.new_path("s")
        forwarding = f"{_field(str(local))}:{_field(remote_socket)}"
        try:
            self._ask(control, "forward", "-L", forwarding)
        except CommandFailed as error:
            raise translate(error.stderr, self._address.name) from error
        try:
            yield str(local)
        finally:
            # A master that died has forgotten it.
            with suppress(StandbyError):
                self._ask(control, "cancel", "-L", forwarding)
            local.unlink(missing_ok=True)

    def close(self) -> None:
        """End the connection and everything that goes through it."""
        with self._lock:
            self._stop()

    def _running(self) -> Path:
        with alone(self._lock, self._cancel, self._address.name):
            lost = self._process
            if lost is None or not lost.alive:
                if lost is not None:
                    lost.close()
                    self._control.unlink(missing_ok=True)
                self._control = self._runtime.new_path("c")
                attempt = self._attempt(self._control)
                connect = attempt.again if lost else attempt.result
                self._process = connect(self._cancel)
            return self._control

    def _attempt(self, control: Path) -> Attempt[Held]:
        return Attempt(self._address.name, lambda: self._start(control), lambda held: held.close())

    def _start(self, control: Path) -> Held:
        settings = ssh_config.effective(self._address, self._manager)
        limit = 3 * self._address.connect_timeout
        try:
            with answering(self._address, settings, self._runtime) as ssh:
                command = leashed((*ssh, *self._options(settings, control)), 0)
                held = self._manager.hold(command, ready=_READY, timeout=limit)
        except CommandFailed as error:
            raise translate(error.stderr, self._address.name) from error
        except CommandTimedOut as error:
            raise translate(f"no connection within {limit:g} s", self._address.name) from error
        _log.debug("%s: control master is up", self._address.name)
        return held

    def _options(self, settings: Effective, control: Path) -> tuple[str, ...]:
        chosen = list(_SETTINGS)
        if settings.ciphers == ssh_config.default_ciphers(self._manager):
            chosen.append(_FAST_CIPHER)
        return (
            "-N",
            "-T",
            *(word for setting in chosen for word in ("-o", setting)),
            *ssh_config.options(self._address),
            *("-S", str(control), "--", self._address.destination or ""),
        )

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.close()
            self._control.unlink(missing_ok=True)

    def _ask(self, control: Path, verb: str, *arguments: str) -> None:
        # Without a configuration file: the master has its own, and the forwards that stand in
        # it would be asked for as well.
        command = ("ssh", "-F", "none", "-S", str(control), "-O", verb, *arguments, "--", "master")
        self._manager.run(command, timeout=_ASK_S)


def _field(path: str) -> str:
    """Escape a path for -L, where a colon separates and %-tokens are replaced."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace("%", "%%")
