"""What libvirt of a host says of itself: versions, security drivers, what its QEMU can do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from standby.host.interface import Host
from standby.host.libvirt import libvirt_calls
from standby.target.domain.element import Element, parse_xml

_OWNER: Final = re.compile(r"\+?(\d+):\+?(\d+)")


@dataclass(frozen=True, slots=True)
class Owner:
    """A user and a group by number."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Emulator:
    """QEMU for one architecture. `accelerated` is libvirt's opinion of KVM, not a trial."""

    path: str
    machines: tuple[str, ...]
    accelerated: bool


@dataclass(frozen=True, slots=True)
class LibvirtFacts:
    """One host's libvirt. `qemu_user` is whom VMs run as, None where libvirt does not say."""

    version: tuple[int, int, int]
    qemu: tuple[int, int, int]
    security: tuple[str, ...]
    qemu_user: Owner | None
    arch: str
    cpu: str
    emulators: tuple[tuple[str, Emulator], ...]  # by architecture
    backup: bool  # pull-mode backups with checkpoints
    firmware: tuple[str, ...]  # files of firmware that libvirt chooses from

    @property
    def emulator(self) -> Emulator | None:
        """QEMU for the host's own architecture."""
        return dict(self.emulators).get(self.arch)


def probe_libvirt(host: Host) -> LibvirtFacts:
    """Ask libvirt. Raises ReachHost, GrantAccess."""
    connection = host.libvirt()
    subject = f"{host.name}: libvirt"
    with libvirt_calls(subject):
        capabilities = parse_xml(connection.getCapabilities(), subject)
        domain = parse_xml(connection.getDomainCapabilities(None, None, None, None), subject)
        versions = connection.getLibVersion(), connection.getVersion()
    return parse_libvirt(capabilities, domain, *map(version_of, versions))


def parse_libvirt(
    capabilities: Element,
    domain: Element,
    version: tuple[int, int, int],
    qemu: tuple[int, int, int],
) -> LibvirtFacts:
    """Read the capabilities of a host and of its domains."""
    models = capabilities.all("host/secmodel")
    backup = domain.attribute_of("features/backup", "supported")
    return LibvirtFacts(
        version=version,
        qemu=qemu,
        security=tuple(model.text_of("model") for model in models),
        qemu_user=_qemu_user(models),
        arch=capabilities.text_of("host/cpu/arch"),
        cpu=capabilities.text_of("host/cpu/model"),
        emulators=tuple(_emulator(guest) for guest in capabilities.all("guest")),
        backup=backup == "yes",
        firmware=tuple(value.text for value in domain.all("os/loader/value")),
    )


def version_of(number: int) -> tuple[int, int, int]:
    """Take libvirt's number for a version apart: 7002022 is 7.2.22."""
    return number // 1_000_000, number // 1000 % 1000, number % 1000


def _qemu_user(models: tuple[Element, ...]) -> Owner | None:
    for model in models:
        match = _OWNER.fullmatch(model.text_of("baselabel"))
        if model.text_of("model") == "dac" and match:
            return Owner(int(match[1]), int(match[2]))
    return None


def _emulator(guest: Element) -> tuple[str, Emulator]:
    arch = guest.first("arch") or Element("arch")
    machines = tuple(machine.text for machine in arch.all("machine"))
    kinds = [domain.get("type") for domain in arch.all("domain")]
    emulator = Emulator(arch.text_of("emulator"), machines, "kvm" in kinds)
    return arch.get("name"), emulator
