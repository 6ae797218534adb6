"""With whose rights commands run on a host.

Under SUDO every command is prefixed with `sudo -n --`, so that it runs as root or fails; it
never asks. As commands run below a shell and timeout(1), the sudo rule has to allow every
command: whoever may write disk images and define domains is root in effect anyway. What such
commands create belongs to root. Files are read and written by commands, hence as root as well.
Sockets are forwarded by sshd as the login user: those that commands made have to be admitted
first (`Host.admit`) and lie in directories he may enter, and for libvirt's he has to be in the
group `libvirt`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum


class Privilege(Enum):
    """With whose rights commands run."""

    LOGIN = "login"  # the user of the connection
    SUDO = "sudo"  # root, by sudo


def raised(argv: Sequence[str], privilege: Privilege) -> tuple[str, ...]:
    """Return the command that runs `argv` with these rights."""
    return ("sudo", "-n", "--", *argv) if privilege is Privilege.SUDO else tuple(argv)
