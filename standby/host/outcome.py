"""What a command's end means: a result, or the error that names the remedy."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from standby.errors import CommandFailed, CommandTimedOut, FreeSpace, GrantAccess, InstallPrograms
from standby.host.interface import Completed

_log = logging.getLogger(__name__)

_SHOWN_WORD: Final = 200  # characters; whole programs travel as arguments
_SHOWN_WORDS_OF_STDERR: Final = 400  # characters

_ENDED_BY_LIMIT: Final = frozenset({124, 137})  # timeout(1): after TERM; after KILL
_CLOCK_SLACK_S: Final = 0.1  # the host's limit starts to run a little before our clock does
_NOT_FOUND: Final = 127  # the shell's, and timeout(1)'s


@dataclass(frozen=True, slots=True)
class Ending:
    """How one command on one host ended. `seconds` it took, `limit` it was given."""

    host: str
    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes
    seconds: float
    limit: float

    @property
    def complaint(self) -> str:
        """Standard error as text."""
        return self.stderr.decode("utf-8", "replace").strip()


def shown(argv: Sequence[str]) -> str:
    """Return a command for people's eyes: quoted, long words cut."""
    return shlex.join(
        word if len(word) <= _SHOWN_WORD else word[:_SHOWN_WORD] + "…" for word in argv
    )


def settle(ending: Ending, accept: frozenset[int]) -> Completed:
    """Return the result, or raise what the status and the last words mean."""
    _log.debug(
        "%s: status %d in %.3f s: %s",
        ending.host,
        ending.status,
        ending.seconds,
        shown(ending.argv),
    )
    if ending.status in _ENDED_BY_LIMIT and ending.seconds >= ending.limit - _CLOCK_SLACK_S:
        raise timed_out(ending.host, ending.argv, ending.limit)
    if ending.status not in accept:
        raise failure(ending)
    return Completed(ending.argv, ending.status, ending.stdout, ending.complaint)


def timed_out(host: str, argv: Sequence[str], limit: float) -> CommandTimedOut:
    """Return the error of a command that did not end within `limit` seconds."""
    return CommandTimedOut(host, f"no end after {limit:g} s of: {shown(argv)}", "an end")


def failure(ending: Ending) -> CommandFailed | InstallPrograms | GrantAccess:
    """Return the error that a status which is not accepted means."""
    program = ending.argv[0]
    if ending.status == _NOT_FOUND and ending.complaint.startswith("timeout: failed to run"):
        return InstallPrograms(ending.host, f"no program {program}", remedy=f"install {program}")
    if ending.complaint.startswith("sudo: "):
        return GrantAccess(
            ending.host,
            f"{ending.complaint.splitlines()[0]} ({program})",
            "sudo without a password",
            "allow the user every command with NOPASSWD in /etc/sudoers.d, or log in as root",
        )
    words = ending.complaint[-_SHOWN_WORDS_OF_STDERR:] or "no message"
    return CommandFailed(
        ending.host,
        f"{program} ended with status {ending.status}: {words}",
        argv=ending.argv,
        status=ending.status,
        stderr=ending.complaint,
    )


def file_failure(error: CommandFailed, path: str) -> CommandFailed | GrantAccess | FreeSpace:
    """Return what a failed read or write of a small file means."""
    subject = f"{error.subject}: {path}"
    if error.stderr.endswith("Permission denied"):
        return GrantAccess(subject, "permission denied", "a user who may read and write it")
    if error.stderr.endswith("No space left on device"):
        return FreeSpace(subject, "no space left on device")
    return error
