"""Programs of OpenSSH that stand between us and a host, and what their last words mean."""

from __future__ import annotations

import shlex
import socket
import subprocess
from contextlib import suppress
from typing import Final

from standby.errors import AcceptHostKey, GrantAccess, ReachHost, StandbyError
from standby.host.address import HostAddress
from standby.host.ssh_config import Effective

_END_S: Final = 2.0


class Proxy:
    """A child process whose input and output are the connection."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self.ours, theirs = socket.socketpair()
        # It ends with us, however we end: its input is our end of the pair.
        self._process = subprocess.Popen(
            command,
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        theirs.close()

    def last_words(self) -> str:
        """End it and return what it wrote to standard error."""
        self.ours.close()
        with suppress(subprocess.TimeoutExpired):
            words: bytes = self._process.communicate(timeout=_END_S)[1]
            return words.decode("utf-8", "replace").strip()
        return "it does not end"

    def close(self) -> None:
        """End it."""
        self.ours.close()
        self._process.kill()
        self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()


def proxy_command(address: HostAddress, settings: Effective) -> tuple[str, ...]:
    """Return the command that connects to the host instead of us; empty when we do it.

    A ProxyCommand is taken as words, not as a program of the shell.
    """
    if settings.proxy_jump:
        *before, last = settings.proxy_jump.split(",")
        jumps = ("-J", ",".join(before)) if before else ()
        target = f"[{settings.hostname}]:{settings.port}"
        # Like OpenSSH's own ProxyJump: of our options only the configuration file counts there.
        config = ("-F", address.ssh_config) if address.ssh_config else ()
        checked = ("-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes")
        return ("ssh", *config, *checked, *jumps, "-W", target, "--", _jump_destination(last))
    return tuple(shlex.split(settings.proxy_command))


def _jump_destination(jump: str) -> str:
    # ProxyJump takes [user@]host[:port]; as a destination the port needs the form of a URI.
    host = jump.rpartition("@")[2]
    return f"ssh://{jump}" if ":" in host and "://" not in jump else jump


def translate(complaint: str, subject: str) -> StandbyError:
    """Return what the last words of ssh(1) mean."""
    if "Host key verification failed" in complaint or "host key is known" in complaint:
        return AcceptHostKey(
            subject, complaint, "a known host key", "log in with ssh once and compare the key"
        )
    if "Permission denied" in complaint:
        return GrantAccess(subject, complaint, "a key that is accepted there")
    return ReachHost(subject, f"ssh: {complaint or 'ended without a word'}", "an sshd that answers")
