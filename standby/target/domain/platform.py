"""Choosing what the standby runs on: virtualisation and machine type. Pure."""

from __future__ import annotations

import re
from typing import Final

from standby.errors import InstallPrograms
from standby.target.domain.capabilities import GuestSupport, HostCapabilities, MachineType
from standby.target.domain.ground import Judged
from standby.target.domain.machine import Machine, Virtualisation
from standby.target.domain.settings import DomainSettings, Replacement
from standby.target.domain.spec import Platform

# By what a machine type's name contains. The order matters: RHEL has pc-q35-rhel9.2.0.
_FAMILIES: Final = (
    ("microvm", "microvm"),
    ("q35", "q35"),
    ("i440fx", "pc"),
    ("isapc", "isapc"),
    ("ccw", "s390-ccw-virtio"),
    ("pseries", "pseries"),
    ("virt", "virt"),
    ("pc", "pc"),
)
_VERSION: Final = re.compile(r"(?P<vendor>[a-z]*)(?P<version>\d+(?:\.\d+)*)$")
_UPSTREAM: Final = ""


def family_of(machine_type: str) -> str:
    """Return the family of a machine type: types of one family show the guest the same buses."""
    return next((family for part, family in _FAMILIES if part in machine_type), machine_type)


def choose_platform(
    machine: Machine, settings: DomainSettings, host: HostCapabilities
) -> Judged[Platform]:
    """Choose what the standby runs on; raise InstallPrograms when the host has nothing."""
    guest = host.of(machine.arch)
    virtualisation = _choose_virtualisation(machine, settings, guest)
    machine_type = _choose_machine_type(settings.machine_type or machine.machine_type, guest)
    platform = Platform(virtualisation.value, machine.arch, machine_type.value)
    return Judged(platform, virtualisation.replaced + machine_type.replaced)


def _choose_virtualisation(
    machine: Machine, settings: DomainSettings, guest: GuestSupport
) -> Judged[Virtualisation]:
    is_emulated = machine.domain_type == Virtualisation.EMULATED.value
    as_before = Virtualisation.EMULATED if is_emulated else Virtualisation.KVM
    wanted = settings.virtualisation or as_before
    if wanted in guest.virtualisations:
        return Judged(wanted)
    if not guest.virtualisations:
        raise InstallPrograms("KVM host", f"it runs no {guest.arch} guests", "KVM or QEMU's TCG")
    other = next(iter(guest.virtualisations))
    by = {
        Virtualisation.EMULATED: "emulation by QEMU, which is slow",
        Virtualisation.KVM: "hardware virtualisation",
    }
    why = f"the KVM host does not offer {wanted.value} to {guest.arch}"
    return Judged(other, (Replacement(f"virtualisation {wanted.value}", by[other], why),))


def _choose_machine_type(wanted: str, guest: GuestSupport) -> Judged[str]:
    exact = next((m for m in guest.machines if m.name == wanted), None)
    if exact is not None:
        return Judged(exact.canonical)
    family = family_of(wanted)
    candidates = [m for m in guest.machines if family_of(m.canonical) == family]
    if not candidates:
        raise InstallPrograms(
            "KVM host", f"QEMU there knows no machine type like {wanted}", f"the family {family}"
        )
    chosen = _nearest(wanted, candidates)
    why = "QEMU on the KVM host does not know it"
    return Judged(chosen, (Replacement(f"machine type {wanted}", chosen, why),))


def _nearest(wanted: str, candidates: list[MachineType]) -> str:
    """Prefer the newest that is not newer than wanted, else the oldest above, else any."""
    current = [m.canonical for m in candidates if not m.deprecated and m.canonical != wanted]
    upstream = [name for name in current if _vendor(name) == _UPSTREAM and _version(name)]
    version = _version(wanted) if _vendor(wanted) == _UPSTREAM else ()
    if not upstream:
        return max(current or [m.canonical for m in candidates], key=_version)
    if not version:
        return max(upstream, key=_version)
    older = [name for name in upstream if _version(name) <= version]
    return max(older, key=_version) if older else min(upstream, key=_version)


def _version(machine_type: str) -> tuple[int, ...]:
    found = _VERSION.search(machine_type)
    return tuple(int(part) for part in found["version"].split(".")) if found else ()


def _vendor(machine_type: str) -> str:
    found = _VERSION.search(machine_type)
    return found["vendor"] if found else machine_type
