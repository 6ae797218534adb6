"""Keys of a profile that say what the dormant domain on the KVM host looks like."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Annotated

from pydantic import Discriminator, Field, StrictInt, Tag, model_validator

from standby.profile.kinds import (
    ALL_NICS,
    BridgeName,
    LocalPath,
    MachineType,
    NicKey,
    SafeName,
    Size,
    Title,
    bounded,
)
from standby.profile.section import READ_ONLY, ReadOnly, Section, impossible
from standby.profile.units import parse_size


class Identifier(Enum):
    """Whether the standby has the source's own UUID or MAC addresses."""

    KEEP = "keep"
    NEW = "new"


class Link(Enum):
    """State of the standby's network links when it starts."""

    UP = "up"
    DOWN = "down"


class Virtualisation(Enum):
    """What the standby's processor is."""

    KVM = "kvm"
    EMULATED = "emulated"


class DiskBus(Enum):
    """How the standby's disks are attached."""

    VIRTIO = "virtio"
    SATA = "sata"
    SCSI = "scsi"
    IDE = "ide"


class NicModel(Enum):
    """What network card the guest sees."""

    VIRTIO = "virtio"
    E1000E = "e1000e"
    E1000 = "e1000"
    RTL8139 = "rtl8139"


class ToNetwork(Section):
    """A NIC on a libvirt network."""

    network: SafeName = Field(
        description="Name of a libvirt network on the KVM host.", examples=["default"]
    )


class ToBridge(Section):
    """A NIC on a bridge."""

    bridge: BridgeName = Field(description="Name of a bridge on the KVM host.", examples=["br0"])

    @model_validator(mode="before")
    @classmethod
    def _one_way(cls, value: object) -> object:
        if isinstance(value, Mapping) and "network" in value:
            raise impossible("network and bridge are both set", "one of them", "bridge", "network")
        return value


class Disconnected(Enum):
    """A NIC that is there, but not plugged in."""

    DISCONNECTED = "disconnected"


def _connection_tag(value: object) -> str:
    if isinstance(value, ToNetwork | ToBridge):
        return "<bridge>" if isinstance(value, ToBridge) else "<network>"
    if isinstance(value, Mapping):
        return "<bridge>" if "bridge" in value else "<network>"
    return "<disconnected>"


Connection = ToNetwork | ToBridge | Disconnected
_ConnectionValue = Annotated[
    Annotated[ToNetwork, Tag("<network>")]
    | Annotated[ToBridge, Tag("<bridge>")]
    | Annotated[Disconnected, Tag("<disconnected>")],
    Discriminator(_connection_tag),
]


class Standby(Section):
    """The dormant domain on the KVM host."""

    name: SafeName | None = Field(
        default=None,
        description="Name of the standby: of its domain and of its directory on the KVM host. "
        "Null: the profile's name and `-standby`, so that it meets no other VM of the machine's "
        "name, even on the machine's own host.",
        examples=["web1-dr"],
    )
    title: Title | None = Field(
        default=None,
        description="Title of the domain. Null: one that says whose standby it is.",
        examples=["Standby of web1, shop team"],
    )
    template: LocalPath | None = Field(
        default=None,
        description="A Jinja template of your own for the domain's XML. Null: the built-in one.",
        examples=["/etc/standby/templates/web.xml.j2"],
    )
    uuid: Identifier = Field(
        default=Identifier.NEW,
        description="UUID of the domain: a `new` one, or `keep` the machine's own, for guests "
        "whose licence hangs on it. One host cannot hold the same UUID twice.",
        examples=["keep"],
    )
    memory: Annotated[Size, bounded(parse_size, "1MiB")] | None = Field(
        default=None,
        description="Memory of the standby. Null: as much as the machine has.",
        examples=["4GiB"],
    )
    vcpus: Annotated[StrictInt, Field(ge=1, le=1024)] | None = Field(
        default=None,
        description="Number of virtual processors. Null: as many as the machine has.",
        examples=[2],
    )
    machine_type: MachineType | None = Field(
        default=None,
        description="Machine type of QEMU. Null: the machine's own, or the nearest that the KVM "
        "host knows.",
        examples=["pc-q35-7.2"],
    )
    virtualisation: Virtualisation | None = Field(
        default=None,
        description="What runs the standby: the processor (`kvm`), or QEMU in software "
        "(`emulated`), which is many times slower but boots where hardware virtualisation only "
        "seems to work: `standby check` tries that. Null: as in the machine, if the KVM host "
        "offers it.",
        examples=["emulated"],
    )
    disk_bus: DiskBus | None = Field(
        default=None,
        description="How all disks are attached. Null: each as in the machine. A guest without "
        "a driver for the bus does not boot.",
        examples=["sata"],
    )
    networks: Annotated[Mapping[NicKey, _ConnectionValue], *READ_ONLY] = Field(
        default=ReadOnly({}),
        description="What each NIC is connected to on the KVM host. Keys: a MAC address of the "
        "machine, a NIC's number counted from 0, or `all` for those not named. Values: "
        "`{network: NAME}`, `{bridge: NAME}` or `disconnected`. A NIC without an entry keeps the "
        "name of its network or bridge if the KVM host has it, and is else disconnected, which "
        "is reported.",
        examples=[{"all": {"network": "default"}, "52:54:00:12:34:56": {"bridge": "br0"}}],
    )
    mac: Identifier = Field(
        default=Identifier.KEEP,
        description="MAC addresses: `keep` the machine's own, so that address leases and guests "
        "that name their cards by MAC go on working, or `new` ones.",
        examples=["new"],
    )
    link: Link = Field(
        default=Link.UP,
        description="State of the network links when the standby starts. `down` keeps a started "
        "standby off the network until `virsh domif-setlink` lets it in.",
        examples=["down"],
    )
    nic_model: NicModel | None = Field(
        default=None,
        description="Model of all NICs. Null: each as in the machine.",
        examples=["e1000e"],
    )

    def connection_of(self, index: int, mac: str) -> Connection | None:
        """Return what the profile says of one NIC (by MAC, then number, then all), or None."""
        for key in (mac.lower(), str(index), ALL_NICS):
            if key in self.networks:
                return self.networks[key]
        return None
