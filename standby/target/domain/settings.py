"""What is asked of the standby, and what a plan answers with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from standby.target.domain.machine import Virtualisation
from standby.target.layout import StandbyDirectory


class Identifier(Enum):
    """Whether the standby has the machine's own UUID or MAC addresses."""

    KEEP = "keep"
    NEW = "new"


class Link(Enum):
    """State of the network links when the standby starts."""

    UP = "up"
    DOWN = "down"


class DiskBus(Enum):
    """How disks are attached; the values are libvirt's."""

    VIRTIO = "virtio"
    SATA = "sata"
    SCSI = "scsi"
    IDE = "ide"


class ConnectionKind(Enum):
    """What a NIC of the standby is plugged into; the values are libvirt's interface types."""

    NETWORK = "network"
    BRIDGE = "bridge"
    USER = "user"
    # A TAP device that belongs to no bridge: starts on any host, and can be plugged in later.
    NOTHING = "ethernet"


@dataclass(frozen=True, slots=True)
class Connection:
    """What a NIC is plugged into: the name of a network or bridge, where there is one."""

    kind: ConnectionKind
    name: str = ""


DISCONNECTED = Connection(ConnectionKind.NOTHING)


@dataclass(frozen=True, slots=True)
class DomainSettings:
    """What the profile says of the dormant domain; None means as in the machine.

    `captured` names the disks that boot points hold; `empty` those that were excluded and get
    an empty image; every other disk is absent. `connections` has an entry for each NIC in the
    machine's order. Memory in bytes.
    """

    captured: frozenset[str]
    empty: frozenset[str] = frozenset()
    title: str | None = None
    memory: int | None = None
    vcpus: int | None = None
    machine_type: str | None = None
    virtualisation: Virtualisation | None = None
    disk_bus: DiskBus | None = None
    nic_model: str | None = None
    connections: tuple[Connection | None, ...] = ()
    uuid: Identifier = Identifier.NEW
    mac: Identifier = Identifier.KEEP
    link: Link = Link.UP


@dataclass(frozen=True, slots=True)
class DomainNames:
    """Whose domain it is and where its files are. `uuid` is the one it has when it is new."""

    standby: str
    directory: StandbyDirectory
    profile: str
    uuid: str
    nvram_bytes: int | None = None  # size of the machine's firmware variables, if it has any
    holds_tpm: bool = False  # whether the state of the machine's TPM is there to be carried over


@dataclass(frozen=True, slots=True)
class Replacement:
    """Something of the machine that the standby has otherwise, or not at all."""

    what: str
    by: str
    why: str

    def __str__(self) -> str:
        return f"{self.what}: {self.by} ({self.why})"
