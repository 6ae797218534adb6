"""The lock of one standby, held on the KVM host by the connection itself.

flock() on a file of the store, by a process that lives as long as our connection: it is freed
when the manager dies, when the link is cut, or when we let go, and nothing has to be cleaned
up. Its holder raises the manifest's generation, so that a manager that lost the lock without
noticing cannot publish.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Generator
from contextlib import contextmanager
from enum import Enum
from typing import Final

from standby.errors import CommandFailed, Overtaken, RepairStore, TryLater
from standby.host.interface import Held, Host
from standby.target import programs
from standby.target.layout import StandbyDirectory

_LOCK_S: Final = 30.0
_STATUS_NO_DIRECTORY: Final = 73


class StoreLock:
    """The lock while we hold it."""

    def __init__(self, held: Held, subject: str) -> None:
        self._held = held
        self._subject = subject

    def require(self) -> None:
        """Raise Overtaken when the lock is no longer ours."""
        if not self._held.alive:
            raise Overtaken(
                self._subject,
                "the lock on the KVM host was lost",
                "the lock held from the first look to the last write",
                "nothing was published; run again",
            )


class Absent(Enum):
    """What becomes of a directory that is not there: the program that takes its lock."""

    MADE = programs.MAKE_AND_HOLD_LOCK
    REFUSED = programs.HOLD_LOCK


@contextmanager
def hold_lock(host: Host, directory: StandbyDirectory, absent: Absent) -> Generator[StoreLock]:
    """Hold the lock. Raises TryLater, naming the holder, when somebody else has it."""
    subject = f"standby directory {directory.path} on {host.name}"
    holder = f"{platform.node()} pid {os.getpid()}"
    argv = ("bash", "-c", absent.value, "standby-lock", directory.path, holder)
    try:
        held = host.hold(argv, ready=b"locked", timeout=_LOCK_S)
    except CommandFailed as error:
        raise _why_refused(error, subject) from error
    try:
        yield StoreLock(held, subject)
    finally:
        held.close()


def _why_refused(error: CommandFailed, subject: str) -> CommandFailed | TryLater | RepairStore:
    if error.status == programs.STATUS_BUSY:
        return TryLater(
            subject,
            f"another manager works on it: {error.stderr.strip() or 'unknown'}",
            "one manager at a time",
            "try again when it is done",
        )
    if error.status == _STATUS_NO_DIRECTORY:
        why = error.stderr.strip().rpartition(": ")[2] or "no message"
        return RepairStore(
            subject,
            f"cannot be opened for locking: {why}",
            "a directory we may write",
            "standby check says what is missing",
        )
    return error
