"""What libvirt of a host says of itself: versions, security drivers, what its QEMU can do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from standby.errors import InstallPrograms, StandbyError
from standby.host.interface import Host
from standby.host.libvirt import libvirt_calls
from standby.target.domain.capabilities import (
    GuestSupport,
    HostCapabilities,
    PlatformCapabilities,
    read_capabilities,
    read_platform,
)
from standby.target.domain.element import Element, parse_xml
from standby.target.domain.machine import Virtualisation

_LOOK_S: Final = 30.0
_OWNER: Final = re.compile(r"\+?(\d+):\+?(\d+)")


@dataclass(frozen=True, slots=True)
class Owner:
    """A user and a group by number."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class LibvirtFacts:
    """One host's libvirt. `qemu_user` is whom VMs run as, None where libvirt does not say."""

    version: tuple[int, int, int]
    qemu: tuple[int, int, int]
    security: tuple[str, ...]
    qemu_user: Owner | None
    arch: str
    cpu: str
    capabilities: HostCapabilities
    platform: PlatformCapabilities  # of the host's own architecture, as libvirt would run it
    backup: bool  # pull-mode backups with checkpoints

    @property
    def guest(self) -> GuestSupport | None:
        """What runs guests of the host's own architecture."""
        return next((it for it in self.capabilities.guests if it.arch == self.arch), None)

    @property
    def accelerated(self) -> bool:
        """Whether libvirt believes that guests can use KVM: an opinion, not a trial."""
        return self.guest is not None and Virtualisation.KVM in self.guest.virtualisations


def probe_libvirt(host: Host) -> LibvirtFacts:
    """Ask libvirt. Raises ReachHost, GrantAccess."""
    connection = host.libvirt()
    subject = f"{host.name}: libvirt"
    with libvirt_calls(subject):
        capabilities = connection.getCapabilities()
        domain = connection.getDomainCapabilities(None, None, None, None)
        versions = connection.getLibVersion(), connection.getVersion()
        networks = frozenset(network.name() for network in connection.listAllNetworks())
    return parse_libvirt(
        capabilities, domain, version_of(versions[0]), version_of(versions[1]), networks
    )


class Locally(Enum):
    """Whether libvirt answers on its own host, where it does not answer us."""

    ANSWERS = "answers"
    SILENT = "silent"
    UNKNOWN = "unknown"  # there is no virsh to ask it


def probe_locally(host: Host) -> Locally:
    """Ask libvirt on its own host."""
    argv = ("virsh", "-q", "-c", "qemu:///system", "version")
    try:
        host.run(argv, timeout=_LOOK_S)
    except InstallPrograms:
        return Locally.UNKNOWN
    except StandbyError:
        return Locally.SILENT
    return Locally.ANSWERS


def parse_libvirt(
    capabilities_xml: str,
    domain_xml: str,
    version: tuple[int, int, int],
    qemu: tuple[int, int, int],
    networks: frozenset[str] = frozenset(),
) -> LibvirtFacts:
    """Read the capabilities of a host and of its domains."""
    host = parse_xml(capabilities_xml, "capabilities")
    domain = parse_xml(domain_xml, "domain capabilities")
    models = host.all("host/secmodel")
    return LibvirtFacts(
        version=version,
        qemu=qemu,
        security=tuple(model.text_of("model") for model in models),
        qemu_user=_qemu_user(models),
        arch=host.text_of("host/cpu/arch"),
        cpu=host.text_of("host/cpu/model"),
        capabilities=read_capabilities(capabilities_xml, networks, None),
        platform=read_platform(domain_xml),
        backup=domain.attribute_of("features/backup", "supported") == "yes",
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
