"""Which programs each end needs, and since when they can what we ask of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from standby.app.checks.finding import About, Finding, Fix, Topic
from standby.app.checks.host_facts import HostFacts, Program


class Role(Enum):
    """What a host is for a profile."""

    SOURCE = "source"
    KVM = "KVM host"
    MANAGER = "manager"  # which reaches the others by SSH


@dataclass(frozen=True, slots=True)
class Need:
    """A program that a role cannot do without.

    `packages` are Debian's, all that may hold it: it moved between releases. `since` is the
    oldest version that can do what we ask; `gnu` marks programs of which others exist that lack
    options we use.
    """

    program: str
    packages: str
    roles: frozenset[Role]
    purpose: str
    since: tuple[int, ...] = ()
    gnu: str = ""


DAEMON: Final = "qemu-storage-daemon"
_BOTH: Final = frozenset({Role.SOURCE, Role.KVM})
_SOURCE: Final = frozenset({Role.SOURCE})
_KVM: Final = frozenset({Role.KVM})
_MANAGER: Final = frozenset({Role.MANAGER})

# 6.0: `--pidfile` of qemu-storage-daemon. 8.24: `sync FILE` of coreutils. 4.0: fractions of a
# second for bash's `read -t`. 8.1: `Ciphers=^…` of OpenSSH.
NEEDS: Final = (
    Need("bash", "bash", _BOTH, "commands that end with their connection", (4, 0)),
    Need("timeout", "coreutils", _BOTH, "time limits", (8, 24), "GNU coreutils"),
    Need("df", "coreutils", _BOTH, "watching space", (8, 24), "GNU coreutils"),
    Need("sync", "coreutils", _BOTH, "publication", (8, 24), "GNU coreutils"),
    Need("find", "findutils", _KVM, "looking at stores", (), "GNU findutils"),
    Need("sed", "sed", _KVM, "reading manifests"),
    Need("grep", "grep", _BOTH, "knowing our own processes"),
    Need("flock", "util-linux", _KVM, "the lock of a standby"),
    Need("setsid", "util-linux", _SOURCE, "the guard that thaws the guest"),
    Need("virsh", "libvirt-clients", _SOURCE, "the guards of a capture"),
    Need("qemu-img", "qemu-utils", _BOTH, "images", (6, 0)),
    Need("qemu-io", "qemu-utils", _KVM, "the locks under which a head is moved", (6, 0)),
    Need(
        DAEMON,
        "qemu-utils qemu-system-common",
        _BOTH,
        "serving images (on the source: while the VM is off)",
        (6, 0),
    ),
    Need("ssh", "openssh-client", _MANAGER, "reaching hosts", (8, 1)),
    Need("ssh-keygen", "openssh-client", _MANAGER, "looking at host keys"),
)
TESTED_QEMU: Final = (7, 2)
_TOLD: Final = {Role.MANAGER: "ssh", Role.KVM: "qemu-img"}
WANTED: Final = tuple(need.program for need in NEEDS)


def judge_programs(facts: HostFacts, roles: frozenset[Role]) -> Iterator[Finding]:
    """Say which programs are missing or too old for these roles."""
    about = About(facts.name, Topic.PROGRAMS)
    needs = [need for need in NEEDS if need.roles & roles]
    wrong = [it for need in needs for it in _judge(need, facts, about)]
    yield from wrong
    if wrong:
        return
    marked = Role.MANAGER if roles == _MANAGER else Role.KVM
    program = _TOLD[marked]
    version = facts.programs[program].version
    yield about.ok(f"all {len(needs)} there; {program} {dotted(version)}")
    if marked is Role.KVM and version and version < TESTED_QEMU:
        yield about.note(f"QEMU {dotted(version)}: tests are run with {dotted(TESTED_QEMU)}")


def _judge(need: Need, facts: HostFacts, about: About) -> Iterator[Finding]:
    found = facts.programs.get(need.program, Program(need.program))
    if not found.path:
        fix = install(need, facts)
        yield about.problem(f"{need.program} is missing; needed for {need.purpose}", fix)
    elif need.gnu and need.gnu not in found.banner:
        yield about.problem(
            f"{need.program} is {found.banner or 'of an unknown make'}, not of {need.gnu}",
            install(need, facts),
        )
    elif need.since and not found.version:
        yield about.warning(f"{need.program} does not tell its version: {found.banner}")
    elif found.version < need.since:
        yield about.problem(
            f"{need.program} is {dotted(found.version)}, {dotted(need.since)} is needed"
            f" for {need.purpose}",
            Fix("upgrade the host's distribution"),
        )


def install(need: Need, facts: HostFacts) -> Fix:
    """Return the command that installs a program on this kind of system."""
    for family, command in _INSTALLERS.items():
        if family in facts.families:
            wanted = need.packages if family == "debian" else f"/usr/bin/{need.program}"
            return Fix(command=f"{facts.sudo}{command} {wanted}", on=facts.name)
    return Fix(f"install {need.program} on {facts.name}")


# dnf takes the path of a file for the package that holds it.
_INSTALLERS: Final[Mapping[str, str]] = {
    "debian": "apt-get install",
    "fedora": "dnf install",
    "rhel": "dnf install",
}


def dotted(version: tuple[int, ...]) -> str:
    """Write a version: 7.2.22."""
    return ".".join(map(str, version)) or "of an unknown version"
