"""Files and directories for nobody but the owner of the state directory.

Root, who runs a command by hand beside a service that has a user of its own, must not leave there
what that user can then neither read nor write: he gets what root makes, as SQLite does it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

_ROOT: Final = 0


def make_private(directory: Path) -> None:
    """Make a directory of mode 0700, and those above it. Raises OSError."""
    if directory.is_dir():
        return
    directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(directory, flags)
    try:
        _hand_over(descriptor, directory)
    finally:
        os.close(descriptor)


def open_private(path: Path, flags: int) -> int:
    """Open a file, made with mode 0600 if need be, and return its descriptor. Raises OSError."""
    descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _hand_over(descriptor, path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _hand_over(descriptor: int, path: Path) -> None:
    """Give to whom the directory above belongs what is root's and in no other directory.

    A name that he put there himself may lead to a file of root's elsewhere: that has two names.
    """
    if os.geteuid() != _ROOT:
        return
    found, above = os.fstat(descriptor), path.parent.stat()
    alone = stat.S_ISDIR(found.st_mode) or found.st_nlink == 1
    if found.st_uid == _ROOT != above.st_uid and alone:
        os.fchown(descriptor, above.st_uid, above.st_gid)
