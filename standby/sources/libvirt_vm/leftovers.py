"""Names of what a capture makes on the source host, and removal of what a dead one left.

Scratch files may be as large as the disk, and nobody but us knows that they are ours: after a
crash of the source host they would stay for ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from standby.host.interface import Host
from standby.sources.libvirt_vm import programs

_CLEAR_S: Final = 60.0


def mark(owner: str) -> str:
    """Return how the names of one standby's files begin: short, as a socket's path has to be."""
    return f"standby-{hashlib.sha256(owner.encode()).hexdigest()[:8]}-"


def clear(host: Host, owner: str, directories: Iterable[str]) -> None:
    """Remove sockets, and scratch files in these directories; no capture of `owner` may run."""
    argv = ("sh", "-c", programs.CLEAR_LEFTOVERS, "standby-clear", mark(owner), *directories)
    host.run(argv, timeout=_CLEAR_S)
