"""One daemon alone works with a state directory."""

from __future__ import annotations

import fcntl
import grp
import json
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from standby.errors import FixProfile, GrantAccess, TryLater


@dataclass(frozen=True, slots=True)
class Instance:
    """A daemon that runs."""

    pid: int
    root: Path
    since: datetime


def make_state_directory(directory: Path, group: str | None) -> None:
    """Make the state directory, for its owner and the group that may use the socket."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _not_ours(directory, f"cannot be made: {error.strerror}") from error
    if group is not None:
        _open_to(group, directory)


def _open_to(group: str, directory: Path) -> None:
    try:
        os.chown(directory, -1, group_number(group))
        directory.chmod(0o750)
    except OSError as error:
        raise GrantAccess(
            "daemon.socket_group",
            f"{directory} cannot be opened to the group {group}: {error.strerror}",
            "a directory of ours, and a group that our user is in",
            f"usermod --append --groups {group} USER, for the user that the daemon runs as",
        ) from error


def group_number(group: str) -> int:
    """Return a group's number. Raises FixProfile."""
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise FixProfile("daemon.socket_group", f"there is no group {group}") from error


@contextmanager
def only_one(directory: Path, mine: Instance) -> Generator[None]:
    """Be the one daemon that works with a state directory.

    Raises TryLater naming the other one, GrantAccess.
    """
    file = directory / "daemon.lock"
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _not_ours(directory, f"daemon.lock cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        content = {
            "pid": mine.pid,
            "root": str(mine.root),
            "since": mine.since.isoformat(timespec="seconds"),
        }
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(content).encode(), 0)
        yield
    except BlockingIOError as error:
        raise _taken(directory, file) from error
    finally:
        os.close(descriptor)


def _not_ours(directory: Path, found: str) -> GrantAccess:
    return GrantAccess(
        str(directory),
        found,
        "a directory of ours",
        "name another: state_directory in manager.yaml, or $STANDBY_STATE",
    )


def _taken(directory: Path, file: Path) -> TryLater:
    other = "another daemon"
    with suppress(OSError, ValueError, KeyError, TypeError):
        said = json.loads(file.read_bytes())
        other = f"process {said['pid']} (profiles of {said['root']}, since {said['since']})"
    return TryLater(
        str(directory),
        f"{other} works with it",
        "one daemon for each state directory",
        "stop that one first, or set another $STANDBY_STATE",
    )
