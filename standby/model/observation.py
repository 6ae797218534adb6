"""What a cycle sees before it plans: the source and the KVM host, as they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from standby.model.disk import DiskLeftOut, SourceDisk
from standby.model.machine import MachineDefinition, MachineIdentity, PowerState
from standby.model.manifest import Manifest
from standby.model.names import PointName
from standby.model.point import BootPoint
from standby.model.seed import UnfinishedSeed


@dataclass(frozen=True, slots=True)
class TrackedDisk:
    """What a checkpoint knows of one disk.

    `lost` says why its history cannot be used, None when it can; `changed` counts the bytes
    marked as changed, as the bitmap's granularity sees them, None when that cannot be told.
    """

    disk: str
    lost: str | None = None
    changed: int | None = None


@dataclass(frozen=True, slots=True)
class TrackedCheckpoint:
    """A checkpoint of ours on the source."""

    name: str
    disks: tuple[TrackedDisk, ...]

    def why_lost(self, disk: str) -> str | None:
        """Return why the history of `disk` cannot be used, or None when it can."""
        for tracked in self.disks:
            if tracked.disk == disk:
                return tracked.lost
        return f"no bitmap of checkpoint {self.name}"


@dataclass(frozen=True, slots=True)
class ScratchSpace:
    """Where the scratch files of some disks would go. Sizes in bytes.

    A capture is given up before less than `reserve` bytes remain.
    """

    directory: str
    disks: tuple[str, ...]
    available: int
    reserve: int


@dataclass(frozen=True, slots=True)
class SourceObservation:
    """The source machine before a cycle."""

    identity: MachineIdentity
    power: PowerState
    definition: MachineDefinition
    disks: tuple[SourceDisk, ...]
    left_out: tuple[DiskLeftOut, ...]
    checkpoints: tuple[TrackedCheckpoint, ...]  # ours only, oldest first
    scratch: tuple[ScratchSpace, ...] = ()
    warnings: tuple[str, ...] = ()
    moving: tuple[str, ...] = ()  # disks whose storage somebody is changing for another

    def allocated_of(self, disk: str) -> int | None:
        """Return the bytes that a disk takes on the source, None for an unknown one."""
        return next((d.allocated for d in self.disks if d.name == disk), None)


class HeadUse(Enum):
    """What became of the head since it was made."""

    ABSENT = "absent"
    DORMANT = "dormant"
    RUNNING = "running"
    RAN = "ran and was stopped"
    REPLACED = "not what the domain boots"  # but images of somebody's own


class DomainFound(Enum):
    """Whose domain has the standby's name on the KVM host."""

    ABSENT = "absent"
    OURS = "ours"
    FOREIGN = "not ours"


@dataclass(frozen=True, slots=True)
class HeadObservation:
    """The head as found: its use, and the point it stands on."""

    use: HeadUse
    stands_on: PointName | None = None


@dataclass(frozen=True, slots=True)
class User:
    """An image or a running process of the KVM host that stands on files of this store."""

    what: str  # for people: "domain web-standby (running)", "kept/V…/vda.qcow2"
    stands_on: PointName | None  # the youngest point below it; None: cannot be told


@dataclass(frozen=True, slots=True)
class TargetObservation:
    """The standby's directory and domain before a cycle. Sizes in bytes."""

    manifest: Manifest
    head: HeadObservation
    domain: DomainFound
    available: int  # free space of the storage
    debris: tuple[str, ...] = ()  # left by interrupted runs; relative paths
    unfinished: tuple[UnfinishedSeed, ...] = ()  # first copies that can go on, newest last
    clock: datetime | None = None  # what the KVM host's clock showed, UTC
    users: tuple[User, ...] = ()  # unexpected or long-lived ones; the dormant head is not one
    missing: tuple[str, ...] = ()  # files of boot points that are gone; relative paths

    @property
    def lost_its_points(self) -> bool:
        """Whether there were boot points once: a domain is defined only when there is one."""
        return self.domain is DomainFound.OURS and not self.manifest.points

    def missing_below(self, point: BootPoint) -> tuple[str, ...]:
        """Return the images that are gone and without which a point cannot be read."""
        needed = self.manifest.images_below(point)
        return tuple(file for file in self.missing if file in needed)
