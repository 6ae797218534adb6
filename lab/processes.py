"""Processes outside the caller's own: recorded with their start time, so never mistaken."""

import json
import os
import select
import signal
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.errors import TimedOut

_START_TIME_FIELD = 19
"""Field 22 of proc(5) stat, counted from the state, which follows the closing parenthesis."""
_KILL_LIMIT = 20.0


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """One process of this boot: the start time tells it from a later one of the same pid."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> "ProcessRecord | None":
        """Return the record of a running process, or None if there is none."""
        fields = _stat(pid)
        if fields is None or fields[0] in {"Z", "X"}:
            return None
        return cls(pid, int(fields[_START_TIME_FIELD]))

    @classmethod
    def load(cls, path: Path) -> "ProcessRecord | None":
        """Read a record written by `save`; None when it is missing or was cut short."""
        try:
            data = json.loads(path.read_text())
            return cls(int(data["pid"]), int(data["started"]))
        except (FileNotFoundError, json.JSONDecodeError, KeyError):
            return None

    def save(self, path: Path) -> None:
        """Write this record to `path`, atomically."""
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(asdict(self)))
        temporary.replace(path)

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return ProcessRecord.of(self.pid) == self

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when the process is gone already."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if self.alive:
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)

    def kill(self) -> None:
        """End the process with SIGKILL and wait until it is gone.

        The init of a PID namespace takes all processes of the namespace along, and is gone
        only after they are.
        """
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if self.alive:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                _wait_until_gone(handle, self.pid)
        finally:
            os.close(handle)


def children(pid: int) -> list[int]:
    """Return the pids of the direct children of a process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields is not None and int(fields[1]) == pid:
                found.append(int(entry.name))
    return found


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def _wait_until_gone(handle: int, pid: int) -> None:
    if not select.select([handle], [], [], _KILL_LIMIT)[0]:
        raise TimedOut(f"end of process {pid}", _KILL_LIMIT)
