"""What is there already under the standby's name, and what the dormant domain will be. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from standby.app.checks.finding import About, Finding, Fix, Topic
from standby.app.checks.storage_facts import Door
from standby.model.machine import MachineIdentity
from standby.model.manifest import Manifest
from standby.model.observation import DomainFound
from standby.profile import Identifier

_OTHER_NAME = Fix("give this standby another name: standby.name in the profile")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the profile asks for on the KVM host."""

    standby: str
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
        command = f"ls -ld {directory}"
        yield about.problem(f"{directory} may not be written by us", about.run_here(command))
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


def _judge_uuid(
    about: About, uuids: Mapping[str, str], standby: str, uuid: str
) -> Iterator[Finding]:
    for name, other in uuids.items():
        if other == uuid and name != standby:
            yield about.problem(
                f"the machine's UUID is kept, and the domain {name} there has it too",
                Fix("set standby.uuid: new"),
            )


def judge_replaced(host: str, replaced: Iterable[str]) -> Iterator[Finding]:
    """Say what the standby has otherwise than the machine, so that it boots there."""
    about = About(host, Topic.DOMAIN)
    said = [about.note(text) for text in replaced]
    yield from said
    if not said:
        yield about.ok("the standby has all that the machine has")
