"""The machine as its own definition describes it: what a plan for its standby judges on.

What only has to be carried over stays an Element; what is judged has a type of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from standby.target.domain.element import Element


class Virtualisation(Enum):
    """How the guest's processor is run; the values are libvirt's domain types."""

    KVM = "kvm"
    EMULATED = "qemu"  # by QEMU's TCG: slow, and everywhere


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory in bytes: at most, and at start (less with a balloon)."""

    maximum: int
    current: int


@dataclass(frozen=True, slots=True)
class Vcpus:
    """Virtual processors: at most, and at start."""

    maximum: int
    current: int


@dataclass(frozen=True, slots=True)
class CpuFeature:
    """One feature of the guest's processor and what is asked of it."""

    name: str
    policy: str


@dataclass(frozen=True, slots=True)
class Cpu:
    """The guest's processor. `shape` carries topology, cache and address sizes, `numa` cells."""

    mode: str = ""
    match: str = ""
    check: str = ""
    migratable: str = ""
    model: str = ""
    fallback: str = ""
    vendor: str = ""
    features: tuple[CpuFeature, ...] = ()
    shape: tuple[Element, ...] = ()
    numa: Element | None = None


class FirmwareKind(Enum):
    """What starts the guest."""

    BIOS = "bios"
    UEFI = "uefi"


class SecureBoot(Enum):
    """Whether the firmware checks signatures."""

    OFF = "off"
    ON = "on"


@dataclass(frozen=True, slots=True)
class SourceFirmware:
    """The machine's firmware. `loader` is empty where libvirt chooses it."""

    kind: FirmwareKind = FirmwareKind.BIOS
    loader: str = ""
    loader_format: str = ""
    secure: SecureBoot = SecureBoot.OFF
    enrolled_keys: str = ""  # of libvirt's choice: yes, no or not said
    nvram_format: str = ""
    stateless: bool = False  # has no variables


class DeviceKind(Enum):
    """What a disk looks like to the guest; the values are libvirt's."""

    DISK = "disk"
    CDROM = "cdrom"
    FLOPPY = "floppy"
    LUN = "lun"  # a SCSI unit passed through


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk or drive. `look` carries what else the guest sees: serial, block sizes, …."""

    name: str  # the target name: vda
    kind: DeviceKind
    bus: str
    model: str = ""
    removable: str = ""
    rotation_rate: str = ""
    discard: str = ""
    boot_order: int | None = None
    shared: bool = False  # other guests may write to it
    look: tuple[Element, ...] = ()
    address: Element | None = None
    unknown: tuple[str, ...] = ()  # tags of settings that only make sense on the source


@dataclass(frozen=True, slots=True)
class Nic:
    """A network card and what it is plugged into on the source."""

    mac: str
    kind: str  # libvirt's type: network, bridge, user, direct, …
    source: str = ""  # name of the network or bridge
    model: str = ""
    link: str = ""
    boot_order: int | None = None
    virtual_port: str = ""  # openvswitch, …
    look: tuple[Element, ...] = ()
    address: Element | None = None
    unknown: tuple[str, ...] = ()  # tags of settings that only make sense on the source


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine, by its inactive definition."""

    name: str
    uuid: str
    domain_type: str
    arch: str
    machine_type: str
    memory: Memory
    vcpus: Vcpus
    cpu: Cpu | None
    firmware: SourceFirmware
    disks: tuple[Disk, ...]
    nics: tuple[Nic, ...]
    boot_devices: tuple[str, ...] = ()
    os: tuple[Element, ...] = ()  # what <os> says besides type, firmware and boot devices
    devices: tuple[Element, ...] = ()  # all that are neither disks nor NICs
    rest: tuple[Element, ...] = ()  # everything else below <domain>, not yet judged
