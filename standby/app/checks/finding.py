"""What a check found, how bad that is, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from standby.errors import StandbyError

MANAGER = "manager"
"""Where a command runs that is meant for the machine on which `standby` itself runs."""


class Severity(Enum):
    """How bad a finding is; the order is that of gravity."""

    OK = "ok"
    NOTE = "note"  # worth knowing, nothing to do
    WARNING = "warning"  # cycles run, but something will not be as expected
    PROBLEM = "problem"  # a cycle, or a start of the standby, fails

    @property
    def gravity(self) -> int:
        """Return 0 for the least grave."""
        return list(Severity).index(self)


class Topic(Enum):
    """What a finding is about; stable words for scripts."""

    REACH = "reach"
    HOST_KEY = "host key"
    LOGIN = "login"
    PROGRAMS = "programs"
    LIBVIRT = "libvirt"
    CLOCK = "clock"
    LINK = "link"
    MACHINE = "machine"
    DISKS = "disks"
    SCRATCH = "scratch"
    SOCKET = "socket"
    AGENT = "guest agent"
    CONFINEMENT = "confinement"
    STORAGE = "storage"
    SPACE = "space"
    VIRTUALISATION = "virtualisation"
    NAME = "name"
    DOMAIN = "domain"
    NETWORK = "network"
    RECEIVERS = "receivers"


@dataclass(frozen=True, slots=True)
class Fix:
    """What to do: a `command` to run on a host `on`, or `words` where no command can."""

    words: str = ""
    command: str = ""
    on: str = MANAGER

    def __str__(self) -> str:
        if not self.command:
            return self.words
        run = f"on {self.on}: {self.command}"
        return f"{self.words}: {run}" if self.words else run


NO_FIX = Fix()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `where` is a host's name, or the manager."""

    severity: Severity
    where: str
    topic: Topic
    found: str
    fix: Fix = NO_FIX


@dataclass(frozen=True, slots=True)
class About:
    """Makes findings about one topic of one place."""

    where: str
    topic: Topic

    def ok(self, found: str) -> Finding:
        """Say that all is well."""
        return Finding(Severity.OK, self.where, self.topic, found)

    def note(self, found: str, fix: Fix = NO_FIX) -> Finding:
        """Say what is worth knowing."""
        return Finding(Severity.NOTE, self.where, self.topic, found, fix)

    def warning(self, found: str, fix: Fix = NO_FIX) -> Finding:
        """Say what will not be as expected."""
        return Finding(Severity.WARNING, self.where, self.topic, found, fix)

    def problem(self, found: str, fix: Fix = NO_FIX) -> Finding:
        """Say what makes a cycle or a start fail."""
        return Finding(Severity.PROBLEM, self.where, self.topic, found, fix)

    def error(self, error: StandbyError) -> Finding:
        """Say what an error means: it would end a cycle too."""
        found = f"{error.subject}: {error.found}"
        if error.expected:
            found += f" (expected: {error.expected})"
        return self.problem(found, Fix(error.remedy))

    def run_here(self, command: str, words: str = "") -> Fix:
        """Return a fix that is a command on this place."""
        return Fix(words, command, self.where)


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All that a check found, in the order in which it looked."""

    profile: str
    findings: tuple[Finding, ...] = field(default=())

    @property
    def worst(self) -> Severity:
        """Return the gravest severity."""
        return worst_of(self.findings)

    def count(self, severity: Severity) -> int:
        """Return how many findings have this severity."""
        return sum(finding.severity is severity for finding in self.findings)


def worst_of(findings: Iterable[Finding]) -> Severity:
    """Return the gravest severity, OK for no finding at all."""
    severities = (finding.severity for finding in findings)
    return max(severities, key=lambda severity: severity.gravity, default=Severity.OK)
