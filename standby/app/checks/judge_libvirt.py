"""What libvirt's facts mean for each end. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from standby.app.checks.finding import About, Finding, Fix, Topic
from standby.app.checks.host_facts import HostFacts
from standby.app.checks.libvirt_facts import LibvirtFacts, Locally
from standby.app.checks.needs import Role, dotted
from standby.errors import GrantAccess, ReachHost, StandbyError

# Since 7.6 libvirt offers incremental backups without being asked to in its configuration.
OLDEST: Final = (7, 6)
GROUP: Final = "libvirt"
"""Whose members may use libvirt's socket, on Debian, Ubuntu, Fedora and their kin."""


def judge_libvirt(host: str, facts: LibvirtFacts, roles: frozenset[Role]) -> Iterator[Finding]:
    """Say whether libvirt of a host can do its part."""
    about = About(host, Topic.LIBVIRT)
    told = f"libvirt {dotted(facts.version)}, QEMU {dotted(facts.qemu)}"
    if facts.version < OLDEST:
        needed = f"libvirt {dotted(OLDEST)} is needed"
        yield about.problem(f"{told}: {needed}", Fix("upgrade the host's distribution"))
    elif Role.SOURCE in roles and not facts.backup:
        yield about.problem(
            f"{told}: it offers no pull-mode backups with checkpoints",
            Fix("upgrade QEMU to 6.1 or newer"),
        )
    else:
        yield about.ok(told)


def judge_no_libvirt(facts: HostFacts, error: StandbyError, locally: Locally) -> Finding:
    """Say why libvirt was not reached: it does not run, or sshd does not forward its socket."""
    about = About(facts.name, Topic.LIBVIRT)
    if isinstance(error, GrantAccess) or (facts.by_sudo and GROUP not in facts.groups):
        join = f"{facts.sudo}usermod --append --groups {GROUP} {facts.login}"
        found = f"{facts.login} may not use libvirt's socket: {error.found}"
        return about.problem(found, about.run_here(join))
    if not isinstance(error, ReachHost):
        return about.error(error)
    if locally is Locally.ANSWERS:
        words = "set AllowStreamLocalForwarding yes in /etc/ssh/sshd_config there, then"
        return about.problem(
            "libvirt answers on its own host, but its socket is not forwarded by sshd:"
            f" {error.found}",
            about.run_here(f"{facts.sudo}systemctl reload ssh", words),
        )
    words = "start it (where libvirt has a daemon for each driver: virtqemud.socket)"
    return about.problem(
        f"libvirt does not answer: {error.found}",
        about.run_here(f"{facts.sudo}systemctl start libvirtd", words),
    )
