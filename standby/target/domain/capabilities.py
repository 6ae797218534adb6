"""What a KVM host can run: libvirt's capability documents, parsed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from standby.errors import InstallPrograms
from standby.target.domain.element import Element, parse_xml
from standby.target.domain.machine import Virtualisation

_PACKAGES: Final = {"x86_64": "qemu-system-x86", "i686": "qemu-system-x86"}


@dataclass(frozen=True, slots=True)
class MachineType:
    """A machine type that QEMU knows. `canonical` is the same for an alias such as q35."""

    name: str
    canonical: str
    deprecated: bool = False


@dataclass(frozen=True, slots=True)
class GuestSupport:
    """What the host can run of one architecture."""

    arch: str
    emulator: str
    machines: tuple[MachineType, ...]
    virtualisations: frozenset[Virtualisation]


@dataclass(frozen=True, slots=True)
class HostCapabilities:
    """What a KVM host offers to any guest. `bridges` is None where nobody could tell."""

    guests: tuple[GuestSupport, ...]
    networks: frozenset[str] = frozenset()
    bridges: frozenset[str] | None = None

    def of(self, arch: str) -> GuestSupport:
        """Return what it offers to one architecture; raise InstallPrograms if nothing."""
        for guest in self.guests:
            if guest.arch == arch:
                return guest
        package = _PACKAGES.get(arch, "qemu-system-misc")
        raise InstallPrograms(
            "KVM host",
            f"QEMU for {arch} is missing",
            "an emulator of the machine's architecture",
            f"apt-get install {package}",
        )


@dataclass(frozen=True, slots=True)
class CpuModel:
    """A processor model that the host knows, and whether it can run all of it."""

    name: str
    usable: bool


@dataclass(frozen=True, slots=True)
class PlatformCapabilities:
    """What the host offers to a guest of one architecture, machine type and virtualisation."""

    max_vcpus: int
    cpu_modes: frozenset[str] = frozenset()
    cpu_models: tuple[CpuModel, ...] = ()
    chooses_uefi: bool = False  # libvirt finds a UEFI by itself
    loaders: tuple[str, ...] = ()
    secure_boot: bool = False
    disk_buses: frozenset[str] = frozenset()
    graphics: frozenset[str] = frozenset()
    videos: frozenset[str] = frozenset()
    tpm_models: frozenset[str] = frozenset()
    tpm_versions: frozenset[str] = frozenset()
    emulates_tpm: bool = False
    hyperv: frozenset[str] | None = None  # None: an older libvirt does not tell


def read_capabilities(
    capabilities_xml: str, networks: frozenset[str], bridges: frozenset[str] | None
) -> HostCapabilities:
    """Read virConnectGetCapabilities' document."""
    root = parse_xml(capabilities_xml, "capabilities of the KVM host")
    guests = (_guest(g) for g in root.all("guest") if g.text_of("os_type") == "hvm")
    return HostCapabilities(tuple(guests), networks, bridges)


def _guest(guest: Element) -> GuestSupport:
    arch = guest.first("arch") or Element("arch")
    types = {domain.get("type") for domain in arch.all("domain")}
    return GuestSupport(
        arch=arch.get("name"),
        emulator=arch.text_of("emulator"),
        machines=tuple(_machine_type(machine) for machine in arch.all("machine")),
        virtualisations=frozenset(v for v in Virtualisation if v.value in types),
    )


def _machine_type(machine: Element) -> MachineType:
    canonical = machine.get("canonical") or machine.text
    return MachineType(machine.text, canonical, machine.get("deprecated") == "yes")


def read_platform(domain_capabilities_xml: str) -> PlatformCapabilities:
    """Read virConnectGetDomainCapabilities' document."""
    root = parse_xml(domain_capabilities_xml, "domain capabilities of the KVM host")
    return PlatformCapabilities(
        max_vcpus=int(root.attribute_of("vcpu", "max", "1")),
        cpu_modes=frozenset(
            mode.get("name") for mode in root.all("cpu/mode") if mode.get("supported") == "yes"
        ),
        cpu_models=_cpu_models(root),
        chooses_uefi="efi" in _choices(root, "os", "firmware"),
        loaders=tuple(value.text for value in root.all("os/loader/value")),
        secure_boot="yes" in _choices(root, "os/loader", "secure"),
        disk_buses=_choices(root, "devices/disk", "bus"),
        graphics=_choices(root, "devices/graphics", "type"),
        videos=_choices(root, "devices/video", "modelType"),
        tpm_models=_choices(root, "devices/tpm", "model"),
        tpm_versions=_choices(root, "devices/tpm", "backendVersion"),
        emulates_tpm="emulator" in _choices(root, "devices/tpm", "backendModel"),
        hyperv=_hyperv(root),
    )


def _choices(root: Element, path: str, name: str) -> frozenset[str]:
    """Return the values that an <enum> of the document offers."""
    where = root.first(path)
    enums = where.all("enum") if where and where.get("supported") != "no" else ()
    return frozenset(v.text for enum in enums if enum.get("name") == name for v in enum.children)


def _cpu_models(root: Element) -> tuple[CpuModel, ...]:
    modes = (mode for mode in root.all("cpu/mode") if mode.get("name") == "custom")
    return tuple(
        CpuModel(model.text, model.get("usable") != "no")
        for mode in modes
        for model in mode.all("model")
    )


def _hyperv(root: Element) -> frozenset[str] | None:
    hyperv = root.first("features/hyperv")
    return None if hyperv is None else _choices(root, "features/hyperv", "features")
