"""The plan of the dormant domain: pure, from the machine to everything a definition says."""

from __future__ import annotations

from uuid import UUID

from standby.target.domain.devices import plan_devices, plan_tpm
from standby.target.domain.disks import plan_disks
from standby.target.domain.firmware import plan_firmware, takes_nvram
from standby.target.domain.ground import Ground, KvmHost
from standby.target.domain.machine import Machine
from standby.target.domain.nics import plan_nics
from standby.target.domain.platform import choose_platform, family_of
from standby.target.domain.processor import plan_cpu, plan_memory, plan_vcpus
from standby.target.domain.settings import DomainNames, DomainSettings, Identifier
from standby.target.domain.spec import DomainPlan, DomainSpec, Mark
from standby.target.domain.system import plan_os, plan_system


def plan_domain(
    machine: Machine, settings: DomainSettings, host: KvmHost, names: DomainNames
) -> DomainPlan:
    """Plan the dormant domain of `machine` on `host`.

    The same arguments give the same plan. Raises InstallPrograms when the host lacks an
    emulator, machine type or firmware without which the machine cannot boot at all.
    """
    platform = choose_platform(machine, settings, host.capabilities)
    same_family = family_of(platform.value.machine_type) == family_of(machine.machine_type)
    ground = Ground(machine, settings, host, names, platform.value, same_family)
    vcpus, firmware = plan_vcpus(ground), plan_firmware(ground)
    cpu, os, system = plan_cpu(ground, vcpus.value), plan_os(ground), plan_system(ground)
    disks, nics, tpm = plan_disks(ground), plan_nics(ground), plan_tpm(ground)
    devices = plan_devices(ground, disks.value)
    spec = DomainSpec(
        mark=mark_of(machine, names),
        name=names.standby,
        uuid=_uuid(machine, settings, names),
        title=settings.title or f"Standby of {machine.name}",
        description=_description(machine, names),
        platform=platform.value,
        memory=plan_memory(ground),
        vcpus=vcpus.value,
        cpu=cpu.value,
        firmware=firmware.value,
        boot_devices=machine.boot_devices,
        os=os.value,
        system=system.value,
        disks=disks.value,
        nics=nics.value,
        tpm=tpm.value,
        devices=devices.value,
    )
    parts = (platform, vcpus, cpu, firmware, os, system, disks, nics, tpm, devices)
    replaced = tuple(entry for part in parts for entry in part.replaced)
    return DomainPlan(spec, replaced, takes_nvram(ground, firmware.value))


def mark_of(machine: Machine, names: DomainNames) -> Mark:
    """Return what our element in the domain's metadata says."""
    return Mark(names.standby, names.directory.path, names.profile, machine.name, machine.uuid)


def _uuid(machine: Machine, settings: DomainSettings, names: DomainNames) -> str:
    return str(UUID(machine.uuid if settings.uuid is Identifier.KEEP else names.uuid))


def _description(machine: Machine, names: DomainNames) -> str:
    # Nothing here changes from cycle to cycle, so that the definition need not either.
    return (
        f"Dormant standby of {machine.name} ({machine.uuid}), kept in {names.directory.path}. "
        "It boots the newest boot point there, or the one it was reverted to."
    )
