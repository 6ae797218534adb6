"""Giving a secret to ssh(1) without a terminal, an environment variable or a file's content.

ssh asks the program that SSH_ASKPASS names. Ours is a constant shell program that reads one
line of a FIFO, where the secret waits in the kernel's memory for as long as ssh logs in.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from standby.host.address import HostAddress
from standby.host.runtime import RuntimeDirectory
from standby.host.ssh_config import Effective

_ANSWERS: Final = 3
"""How often it is answered: ssh may ask for several keys with the same passphrase."""

# Argument: ssh's question. It names whose password it wants: a jump host gets none of ours.
_PROGRAM: Final = """#!/bin/sh
case $1 in
  *assphrase*) from=passphrase ;;
  *"$STANDBY_ASKPASS_LOGIN"*) from=password ;;
  *) exit 1 ;;
esac
IFS= read -r answer < "$STANDBY_ASKPASS/$from" && printf '%s\\n' "$answer"
"""


@contextmanager
def answering(
    address: HostAddress, settings: Effective, runtime: RuntimeDirectory
) -> Generator[tuple[str, ...]]:
    """Yield the words to put before and after "ssh" so that it gets the secrets it asks for."""
    secrets = {"passphrase": address.passphrase, "password": address.password}
    given = {name: ask() for name, ask in secrets.items() if ask is not None}
    if not given:
        yield ("ssh", "-o", "BatchMode=yes")
        return
    with ExitStack() as stack:
        directory = runtime.new_path("a")
        directory.mkdir(mode=0o700)
        stack.callback(directory.rmdir)
        program = _written(directory / "ask", stack)
        for name in secrets:
            stack.enter_context(_waiting(directory / name, given.get(name)))
        host = settings.host_key_alias or settings.hostname
        yield (
            "env",
            f"SSH_ASKPASS={program}",
            "SSH_ASKPASS_REQUIRE=force",
            f"STANDBY_ASKPASS={directory}",
            f"STANDBY_ASKPASS_LOGIN={settings.user}@{host}",
            *("ssh", "-o", "NumberOfPasswordPrompts=1"),
        )


def _written(path: Path, stack: ExitStack) -> Path:
    path.write_text(_PROGRAM)
    stack.callback(path.unlink)
    path.chmod(0o700)
    return path


@contextmanager
def _waiting(path: Path, secret: str | None) -> Generator[None]:
    """Keep a FIFO with the secret in it; without a secret there is none, and no answer."""
    if secret is None:
        yield
        return
    os.mkfifo(path, 0o600)
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        for _ in range(_ANSWERS):
            os.write(descriptor, secret.encode() + b"\n")
        yield
    finally:
        os.close(descriptor)
        path.unlink()
