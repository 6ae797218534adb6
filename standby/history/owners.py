"""Who records a run, and whether they still do.

A process that records holds a lock on a file of its own as long as it lives; the kernel lets go of
it however the process ends. Nothing else tells a process from a later one of the same number.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import threading
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Self

from standby.errors import RepairHistory
from standby.history.private import make_private, open_private
from standby.host.processes import ProcessIdentity, this_process


class Records(Enum):
    """What the process does that records runs."""

    ONE_RUN = "one run"  # and nothing else: whoever ends the process ends the run
    MANY = "many runs"


@dataclass(frozen=True, slots=True)
class Recorder:
    """A process that records runs, and the file that it holds meanwhile."""

    process: ProcessIdentity
    records: Records
    file: Path


class Owner:
    """The process that we are, as long as the context is not left. Raises RepairHistory."""

    def __init__(self, directory: Path, records: Records = Records.MANY) -> None:
        self._records = records
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._file = directory / self.name
        self._descriptor: int | None = None
        # Two threads that took it at once would wait for each other's lock, for ever.
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        self.hold()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def hold(self) -> None:
        """Hold the lock, anew when somebody removed its file. For any thread."""
        with self._turn:
            self._hold()

    def _hold(self) -> None:
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
            return
        says = {"process": asdict(this_process()), "records": self._records.value}
        os.pwrite(self._descriptor, json.dumps(says).encode(), 0)

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


def recorder_of(directory: Path, name: str) -> Recorder | None:
    """Return the process of a name that still records; None when it has ended, or says nothing."""
    if not is_alive(directory, name):
        return None
    try:
        plain = json.loads((directory / name).read_bytes())
        process = ProcessIdentity(**plain["process"])
        return Recorder(process, Records(plain["records"]), directory / name)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_at(file: Path, descriptor: int) -> bool:
    """Tell whether a path still leads to the file that is open."""
    try:
        return os.path.samestat(file.stat(), os.fstat(descriptor))
    except OSError:
        return False
