"""A profile as it holds: every value resolved, and where each came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from standby.model.priority import Priority
from standby.profile.document import Branch
from standby.profile.dormant import Standby
from standby.profile.hosts import HostSettings
from standby.profile.layers import node_at
from standby.profile.limits import Limits
from standby.profile.mistakes import Mark, PathInFile, Plain, dotted
from standby.profile.notify import Notify
from standby.profile.points import BootPoints
from standby.profile.profile_file import History, Merge, ProfileFile, Resync, Transfer
from standby.profile.schedule import Rpo, Schedule
from standby.profile.scripts import Scripts
from standby.profile.section import ReadOnly
from standby.profile.source import Source
from standby.profile.target import Target

SECTIONS = tuple(key for key in ProfileFile.model_fields if key != "policy")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value stands; None: nowhere, it is built in."""

    mark: Mark | None = None

    def __str__(self) -> str:
        return "built in" if self.mark is None else str(self.mark)


@dataclass(frozen=True, slots=True)
class Profile:
    """How one machine is protected: everything resolved, nothing secret."""

    name: str
    file: Path
    policy: str | None
    source: Source
    target: Target
    standby: Standby
    boot_points: BootPoints
    transfer: Transfer
    merge: Merge
    resync: Resync
    schedule: Schedule
    rpo: Rpo
    scripts: Scripts
    notify: Notify
    history: History
    limits: Limits
    source_host: HostSettings
    target_host: HostSettings
    standby_name: str  # of the domain and of the directory on the KVM host
    provenance: Mapping[str, Origin]  # dotted path of each value of effective() to its origin

    @classmethod
    def of(
        cls, name: str, file: Path, read: ProfileFile, hosts: tuple[HostSettings, HostSettings]
    ) -> Profile:
        """Put a profile together; `hosts` are the source's and the target's.

        The standby has the name that the file gives it, which must be there.
        """
        sections = {key: getattr(read, key) for key in SECTIONS}
        source, target = hosts
        return cls(
            name=name,
            file=file,
            policy=read.policy,
            source_host=source,
            target_host=target,
            standby_name=read.standby.name or name,
            provenance=ReadOnly({}),
            **sections,
        )

    @property
    def priority(self) -> Priority:
        """How readily what we start for it gives way."""
        return self.limits.priority

    def effective(self) -> dict[str, Plain]:
        """Return all values as JSON has them; secrets are references only."""
        values: dict[str, Plain] = {"name": self.name, "policy": self.policy}
        for key in SECTIONS:
            values[key] = getattr(self, key).model_dump(mode="json", by_alias=True)
        hosts = {self.source_host.name: self.source_host, self.target_host.name: self.target_host}
        values["hosts"] = {name: host.effective() for name, host in hosts.items()}
        return values


def values_of(value: Plain, path: PathInFile = ()) -> Iterator[tuple[PathInFile, Plain]]:
    """Yield every single value below `value` with its path; lists count as one value."""
    if not isinstance(value, dict) or not value:
        yield path, value
        return
    for key, below in value.items():
        yield from values_of(below, (*path, key))


def origins(values: Plain, layers: Branch, hosts: Mapping[str, Branch]) -> dict[str, Origin]:
    """Map the dotted path of every value to the place it was read from."""
    found: dict[str, Origin] = {}
    for path, _ in values_of(values):
        if path == ("name",):
            continue  # it is that of the file
        if path[0] == "hosts":
            tree = hosts.get(path[1])
            found[dotted(path)] = Origin() if tree is None else _origin(tree, path[2:])
        else:
            found[dotted(path)] = _origin(layers, path)
    return found


def _origin(tree: Branch, path: PathInFile) -> Origin:
    node = node_at(tree, path)
    return Origin() if node is None else Origin(node.mark)
