"""What libvirt's facts mean for each end. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from standby.app.checks.finding import About, Finding, Fix, Topic
from standby.app.checks.libvirt_facts import LibvirtFacts
from standby.app.checks.needs import Role, dotted

# Since 7.6 libvirt offers incremental backups without being asked to in its configuration.
OLDEST: Final = (7, 6)


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
