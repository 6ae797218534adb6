"""Every error this product raises, named for what the caller can do about it.

One root, few branches. An error carries fields, not prose: what it happened to, what was
found, what was expected, and the next step. The command line and the history render them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import ClassVar


class Retry(Enum):
    """Whether doing the same again, unchanged, can succeed."""

    LATER = "later"  # network, space, somebody else's work: time alone may mend it
    NEVER = "never"  # a person has to change something first


class ExitStatus(Enum):
    """Exit statuses of the command line; 75 is EX_TEMPFAIL of sysexits.h."""

    FAILED = 1
    USAGE = 2
    TRY_LATER = 75
    CANCELLED = 130  # 128 + SIGINT, what a shell expects of an interrupted command


@dataclass(eq=False)
class StandbyError(Exception):
    """Root of all errors.

    `subject` is what it happened to (a host, a disk, a file); `found` what was seen there;
    `expected` what should have been; `remedy` the next step, a command where there is one.
    """

    subject: str
    found: str
    expected: str = ""
    remedy: str = ""

    retry: ClassVar[Retry] = Retry.NEVER
    exit_status: ClassVar[ExitStatus] = ExitStatus.FAILED

    def __str__(self) -> str:
        """Render one line: what happened, to what, what was expected, the next step."""
        text = f"{self.subject}: {self.found}"
        if self.expected:
            text += f" (expected: {self.expected})"
        if self.remedy:
            text += f"; {self.remedy}"
        return text


class FixProfile(StandbyError):
    """The profile or the command line is wrong; found names file and line."""

    exit_status = ExitStatus.USAGE


class FixRequest(StandbyError):
    """What was asked for does not exist or is not allowed: another name, another point."""

    exit_status = ExitStatus.USAGE


class ReachHost(StandbyError):
    """A host does not answer: network, power, sshd, libvirtd."""

    retry = Retry.LATER


class GrantAccess(StandbyError):
    """A host refused us: key, user, permission."""


class AcceptHostKey(StandbyError):
    """A host's key is unknown or has changed; the remedy names fingerprint and command."""


class InstallPrograms(StandbyError):
    """A program or a version that is needed is missing on a host."""


class RepairSource(StandbyError):
    """The source cannot be captured as it is: unknown domain, unusable disk, bad state."""


class AwaitHypervisor(StandbyError):
    """libvirt or QEMU failed at something and does not say for how long: time may mend it."""

    retry = Retry.LATER


class RepairStore(StandbyError):
    """The store on the KVM host is not as its manifest says."""


class UseOtherVersion(RepairStore):
    """The store was written by another version of this program, and is left as it is."""


class UseOtherImage(StandbyError):
    """An image on the KVM host cannot be what a first copy begins from."""


class ReplaceMedium(StandbyError):
    """A seed on a medium is damaged or not finished; found names what of it."""


class UseOtherStorage(StandbyError):
    """The storage cannot keep our promises: locks, renames or flushes do not hold there."""


class RepairHistory(StandbyError):
    """The history on this host cannot be read or written; no run needs it."""


class UpgradeManager(StandbyError):
    """A newer version of this program wrote what is here."""


class ChooseOtherName(StandbyError):
    """Something that is not ours has the name; it is never touched."""


class AskForResync(StandbyError):
    """The tracker lost its history between look and capture: a resync finds what differs."""


class StopStandbyFirst(StandbyError):
    """The standby runs, and what was asked for would touch what it uses."""


class StandbyStarted(StopStandbyFirst):
    """The standby was started while we worked; who looks again leaves alone what it uses."""

    retry = Retry.LATER


@dataclass(eq=False)
class FreeSpace(StandbyError):
    """There is not enough room. Sizes in bytes."""

    needed_bytes: int = 0
    available_bytes: int = 0

    retry = Retry.LATER


class TryLater(StandbyError):
    """Somebody else is at work, the chain is at its hard cap, a window is shut: exit status 75."""

    retry = Retry.LATER
    exit_status = ExitStatus.TRY_LATER


class RepairScript(StandbyError):
    """A script of the profile failed, and the profile says that the run fails with it."""

    retry = Retry.LATER


@dataclass(eq=False)
class Paused(TryLater):
    """Somebody asked that the machine be left alone; `until` is UTC, None: until he resumes."""

    until: datetime | None = None


class CaptureLost(StandbyError):
    """The capture ended before everything was read; nothing was published."""

    retry = Retry.LATER


@dataclass(eq=False)
class TransferFailed(StandbyError):
    """A block could not be read from the source or written to the target.

    `offset` and `length` in bytes, None when the whole connection failed; `errno` as in
    errno.h, 0 when the failure has none.
    """

    disk: str = ""
    offset: int | None = None
    length: int | None = None
    errno: int = 0

    retry = Retry.LATER


class Overtaken(StandbyError):
    """Another manager took over this standby while we worked; nothing was published."""

    retry = Retry.LATER
    exit_status = ExitStatus.TRY_LATER


class Cancelled(StandbyError):
    """Somebody asked us to stop; nothing was published."""

    exit_status = ExitStatus.CANCELLED


@dataclass(eq=False)
class CommandFailed(StandbyError):
    """A command on a host ended with an unexpected status; `found` holds its last words."""

    argv: tuple[str, ...] = ()
    status: int = -1
    stderr: str = ""

    retry = Retry.LATER


class CommandTimedOut(StandbyError):
    """A command on a host did not end within its time limit."""

    retry = Retry.LATER
