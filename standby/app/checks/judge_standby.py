"""What is there already under the standby's name, and what the dormant domain will be. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from standby.app.checks.finding import About, Finding, Fix, Topic
from standby.app.checks.source_facts import SOCKETS
from standby.app.checks.storage_facts import Door
from standby.model.machine import MachineIdentity
from standby.model.manifest import Manifest
from standby.model.observation import DomainFound
from standby.profile import Identifier, Profile
from standby.target.domain.settings import ConnectionKind, Replacement
from standby.target.domain.spec import NicSpec

NOT_CONNECTED = "not connected"
"""What plans say of a NIC that hangs in the air."""

_OTHER_NAME = Fix("give this standby another name: standby.name in the profile")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the profile asks for on the KVM host."""

    standby: str
    login: str
    uuid: Identifier
    machine: MachineIdentity | None  # None: the source did not tell


def judge_directory(
    host: str, directory: str, door: Door, manifest: Manifest | None, wanted: Wanted
) -> Iterator[Finding]:
    """Say whose the standby's directory is."""
    about = About(host, Topic.NAME)
    if door is Door.ABSENT:
        yield about.ok(f"{directory} is free")
    elif door is Door.CLOSED:
        yield about.problem(
            f"{wanted.login} may not write all of {directory}: who else made it, or libvirt gave"
            " its files to the user of QEMU when the standby was started",
            about.run_here(f"sudo chown -R {wanted.login} {directory}", "while it is off"),
        )
    elif manifest is None:
        yield about.note(f"{directory} is there without a manifest: the first cycle goes on in it")
    elif wanted.machine and manifest.points and manifest.machine.uuid != wanted.machine.uuid:
        yield about.problem(
            f"{directory} holds boot points of another machine, {manifest.machine.name}"
            f" ({manifest.machine.uuid})",
            _OTHER_NAME,
        )
    else:
        count = len(manifest.points)
        yield about.ok(f"{directory} holds {count} boot point{'' if count == 1 else 's'} of it")


def judge_name(
    host: str, found: DomainFound, uuids: Mapping[str, str], wanted: Wanted
) -> Iterator[Finding]:
    """Say whose domain has the standby's name; `uuids` are those of all domains, by name."""
    about = About(host, Topic.NAME)
    if found is DomainFound.FOREIGN:
        yield about.problem(
            f"a domain {wanted.standby} is there that is not ours; it is never touched", _OTHER_NAME
        )
    elif found is DomainFound.OURS:
        yield about.ok(f"the domain {wanted.standby} is ours")
    else:
        yield about.ok(f"no domain is called {wanted.standby}")
    if wanted.uuid is Identifier.KEEP and wanted.machine:
        yield from _judge_uuid(about, uuids, wanted.standby, wanted.machine.uuid)


def judge_claims(host: str, profile: Profile, others: Iterable[Profile]) -> Iterator[Finding]:
    """Say which other profiles want a standby of the same name on the same host."""
    about = About(host, Topic.NAME)
    for other in others:
        same_host = other.target_host.address == profile.target_host.address
        if same_host and other.standby_name == profile.standby_name and other.file != profile.file:
            yield about.problem(
                f"the profile {other.name} ({other.file}) has a standby {profile.standby_name}"
                " there too",
                _OTHER_NAME,
            )


def _judge_uuid(
    about: About, uuids: Mapping[str, str], standby: str, uuid: str
) -> Iterator[Finding]:
    for name, other in uuids.items():
        if other == uuid and name != standby:
            yield about.problem(
                f"the machine's UUID is kept, and the domain {name} there has it too",
                Fix("set standby.uuid: new"),
            )


def judge_plan(host: str, replaced: Iterable[Replacement]) -> Iterator[Finding]:
    """Say what the standby has otherwise than the machine, so that it boots there."""
    about = About(host, Topic.DOMAIN)
    clean = True
    for replacement in replaced:
        clean = False
        if replacement.by == NOT_CONNECTED:
            fix = Fix("name a network or bridge of that host: standby.networks in the profile")
            yield About(host, Topic.NETWORK).warning(str(replacement), fix)
        else:
            yield about.note(str(replacement))
    if clean:
        yield about.ok("the standby will have all that the machine has")


def judge_networks(
    host: str, nics: Iterable[NicSpec], active: Mapping[str, bool]
) -> Iterator[Finding]:
    """Say whether the networks that the standby is plugged into are up."""
    about = About(host, Topic.NETWORK)
    for nic in nics:
        name = nic.connection.name
        if nic.connection.kind is not ConnectionKind.NETWORK:
            continue
        if active.get(name, False):
            yield about.ok(f"network {name} is active")
        else:
            fix = about.run_here(f"virsh net-start {name} && virsh net-autostart {name}")
            yield about.problem(f"network {name} is not active: no start of the standby", fix)


class Way(Enum):
    """Whether a directory lets the login user pass."""

    OPEN = "open"
    CLOSED = "closed"


def judge_owner(host: str, login: str, runs_as: str, sockets: Way) -> Finding:
    """Say whether an ordinary user keeps his boot points when the standby is started.

    libvirt gives a VM's images to the user it runs as and takes them back only in part;
    `runs_as` is whom the definition names. `sockets` is libvirt's directory of running VMs.
    """
    about = About(host, Topic.DOMAIN)
    if runs_as != login:
        return about.warning(
            f"once the standby was started, its files belong to the user of QEMU, and {login}"
            " can make no boot point any more",
            Fix("use a template that runs it as him (docs/ordinary-users.md), or sudo: true"),
        )
    if sockets is Way.CLOSED:
        return about.problem(
            f"the standby runs as {login}, who may not enter {SOCKETS}: it would not start",
            about.run_here(f"sudo setfacl -m u:{login}:x {SOCKETS}"),
        )
    return about.ok(f"the standby runs as {login}: its files stay his")
