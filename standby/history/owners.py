"""Who records a run, and whether they still do.

A process that records holds a lock on a file of its own as long as it lives; the kernel lets go of
it however the process ends. Nothing else tells a process from a later one of the same number.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path
from typing import Self

from standby.errors import RepairHistory
from standby.history.private import make_private, open_private


class Owner:
    """The process that we are, as long as the context is not left. Raises RepairHistory."""

    def __init__(self, directory: Path) -> None:
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._file = directory / self.name
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        self.hold()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def hold(self) -> None:
        """Hold the lock, anew when somebody removed its file."""
        if self._descriptor is not None and _is_at(self._file, self._descriptor):
            return
        self.release()
        try:
            make_private(self._file.parent)
            while self._descriptor is None:
                self._take()
        except OSError as error:
            raise RepairHistory(str(self._file), str(error), "a file to hold a lock on") from error

    def _take(self) -> None:
        self._descriptor = open_private(self._file, os.O_RDWR)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        if not _is_at(self._file, self._descriptor):  # taken for dead just before it was locked
            self.release()

    def release(self) -> None:
        """Let go of the lock."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            if _is_at(self._file, descriptor):
                self._file.unlink(missing_ok=True)
            os.close(descriptor)


def is_alive(directory: Path, name: str) -> bool:
    """Tell whether the process of a name still records; what a dead one left is removed.

    Who cannot be asked, being another user's, counts as alive.
    """
    file = directory / name
    if name in {"", ".", ".."} or file.name != name:
        return False
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.unlink(missing_ok=True)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _is_at(file: Path, descriptor: int) -> bool:
    """Tell whether a path still leads to the file that is open."""
    try:
        return os.path.samestat(file.stat(), os.fstat(descriptor))
    except OSError:
        return False
