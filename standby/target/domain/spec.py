"""The dormant domain as planned: everything its definition is rendered from."""

from __future__ import annotations

from dataclasses import dataclass

from standby.target.domain.element import Element
from standby.target.domain.machine import (
    Cpu,
    DeviceKind,
    FirmwareKind,
    Memory,
    SecureBoot,
    Vcpus,
    Virtualisation,
)
from standby.target.domain.settings import Connection, Link, Replacement

NAMESPACE = "urn:standby-replica:1"
"""Of our element in a domain's metadata: by it a domain is recognised as ours."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What our element in the metadata says."""

    standby: str
    directory: str
    profile: str
    machine_name: str
    machine_uuid: str


@dataclass(frozen=True, slots=True)
class Platform:
    """What the guest runs on."""

    virtualisation: Virtualisation
    arch: str
    machine_type: str


@dataclass(frozen=True, slots=True)
class Firmware:
    """What starts the guest. An empty `loader` leaves the choice to libvirt.

    An empty `nvram` means that there are no firmware variables to keep.
    """

    kind: FirmwareKind = FirmwareKind.BIOS
    loader: str = ""
    loader_format: str = ""
    secure: SecureBoot = SecureBoot.OFF
    enrolled_keys: str = ""
    nvram: str = ""
    nvram_format: str = ""


@dataclass(frozen=True, slots=True)
class DiskSpec:
    """A disk or drive of the standby; a drive without a medium has no `file`."""

    name: str
    kind: DeviceKind
    bus: str
    file: str = ""
    model: str = ""
    removable: str = ""
    rotation_rate: str = ""
    discard: str = ""
    boot_order: int | None = None
    look: tuple[Element, ...] = ()
    address: Element | None = None


@dataclass(frozen=True, slots=True)
class NicSpec:
    """A network card of the standby."""

    mac: str
    connection: Connection
    link: Link
    model: str = ""
    virtual_port: str = ""
    boot_order: int | None = None
    look: tuple[Element, ...] = ()
    address: Element | None = None


@dataclass(frozen=True, slots=True)
class Tpm:
    """An emulated TPM."""

    model: str
    version: str


@dataclass(frozen=True, slots=True)
class DomainSpec:
    """The whole domain. `system` and `devices` are carried over from the machine.

    `system` holds what stands beside the devices: features, clock, power management, ….
    """

    mark: Mark
    name: str
    uuid: str
    title: str
    description: str
    platform: Platform
    memory: Memory
    vcpus: Vcpus
    cpu: Cpu | None
    firmware: Firmware
    boot_devices: tuple[str, ...]
    os: tuple[Element, ...]
    system: tuple[Element, ...]
    disks: tuple[DiskSpec, ...]
    nics: tuple[NicSpec, ...]
    tpm: Tpm | None
    devices: tuple[Element, ...]


@dataclass(frozen=True, slots=True)
class DomainPlan:
    """A domain and what it has otherwise than the machine.

    `takes_nvram` tells whether the machine's firmware variables fit the standby's firmware:
    only then does the head get a copy of them; else libvirt makes fresh ones at the start.
    """

    spec: DomainSpec
    replaced: tuple[Replacement, ...]
    takes_nvram: bool
