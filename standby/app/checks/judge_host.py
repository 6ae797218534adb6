"""What a host's facts mean: who we are there, its clock. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from standby.app.checks.finding import About, Finding, Fix, Severity, Topic
from standby.app.checks.host_facts import HostFacts
from standby.errors import AcceptHostKey, GrantAccess, InstallPrograms, StandbyError

# Boot points are named by the manager's clock alone, so a skew breaks nothing; but times in the
# logs of two machines that differ by more than this can no longer be compared by eye.
CLOCK_NOTED_S: Final = 2.0
CLOCK_WARNED_S: Final = 60.0
_DOCUMENT: Final = "docs/ordinary-users.md"


def judge_reach(host: str, error: StandbyError) -> Finding:
    """Say why a host cannot be used at all."""
    match error:
        case AcceptHostKey():
            return About(host, Topic.HOST_KEY).error(error)
        case GrantAccess():
            return About(host, Topic.LOGIN).error(error)
        case InstallPrograms():
            return About(host, Topic.PROGRAMS).error(error)
        case _:
            about = About(host, Topic.REACH)
            found = f"{error.subject}: {error.found}"
            login = error.subject if "@" in error.subject else f"[USER@]{host}"
            return about.problem(found, Fix("see where it ends", f"ssh -v {login} true"))


def judge_login(facts: HostFacts) -> Iterator[Finding]:
    """Say with whose rights we work there."""
    about = About(facts.name, Topic.LOGIN)
    here = f"{facts.system}, {facts.arch}"
    if facts.login == "root":
        yield about.ok(f"root on {here}")
        return
    if facts.is_root:
        yield about.ok(f"{facts.login} with sudo on {here}")
    else:
        limits = Fix(f"read {_DOCUMENT}, or set sudo: true for this host")
        yield about.note(f"{facts.login} without sudo on {here}: not all is allowed", limits)


def judge_clock(facts: HostFacts) -> Finding:
    """Compare a host's clock with the manager's; what may be the line's fault counts not."""
    about = About(facts.name, Topic.CLOCK)
    off = max(0.0, abs(facts.ahead) - facts.uncertain)
    if off < CLOCK_NOTED_S:
        return about.ok(f"within {max(off, facts.uncertain, 0.1):.1f} s of the manager's")
    way = "ahead of" if facts.ahead > 0 else "behind"
    found = f"{off:.1f} s {way} the manager's"
    severity = Severity.WARNING if off >= CLOCK_WARNED_S else Severity.NOTE
    fix = about.run_here(f"{facts.sudo}timedatectl set-ntp true", "let both keep time")
    return Finding(severity, about.where, about.topic, found, fix)
