"""Processes of this machine, told from later ones of the same number."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from standby.errors import GrantAccess, TryLater

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_START: Final = 19  # its place behind the name in /proc/PID/stat: proc(5)


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process: its number, and all that says whose number that is.

    `started` counts the kernel's ticks; numbers mean something in their namespace only.
    """

    pid: int
    started: int
    boot: str
    namespace: int


def this_process() -> ProcessIdentity:
    """Return who we are."""
    pid = os.getpid()
    return ProcessIdentity(pid, _started(pid), _BOOT.read_text().strip(), _namespace())


def ask_to_end(process: ProcessIdentity, holds: Path, subject: str) -> None:
    """Send SIGTERM to a process, and never to another that has its number now.

    `holds` is a file that it has open: who wrote down its number may have been mistaken, or lied.
    Raises TryLater when it is gone, or where nobody can tell from here; GrantAccess.
    """
    if (process.boot, process.namespace) != (_BOOT.read_text().strip(), _namespace()):
        raise TryLater(
            subject,
            f"process {process.pid} is one of another container or machine",
            "one that we can see",
            "stop it where it runs, by Ctrl-C",
        )
    try:
        # What this refers to stays the same process, whatever becomes of its number.
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError as error:
        raise _gone(process, subject) from error
    try:
        if _started(process.pid) != process.started or not _has_open(process.pid, holds):
            raise _gone(process, subject)
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
    except (ProcessLookupError, FileNotFoundError) as error:
        raise _gone(process, subject) from error
    except PermissionError as error:
        raise GrantAccess(
            subject,
            f"process {process.pid} belongs to another user",
            "one of ours",
            "ask as that user, or as root",
        ) from error
    finally:
        os.close(descriptor)


def _gone(process: ProcessIdentity, subject: str) -> TryLater:
    return TryLater(
        subject, f"process {process.pid} has ended", remedy="see what came of it: standby history"
    )


def _started(pid: int) -> int:
    # The name may hold spaces and brackets.
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[_START])


def _has_open(pid: int, file: Path) -> bool:
    wanted = file.stat()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            if os.path.samestat(link.stat(), wanted):
                return True
    return False


def _namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino
