"""Machines and KVM hosts of the golden tests, and what is asked of each standby."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from standby.target.domain.capabilities import read_capabilities, read_platform
from standby.target.domain.ground import KvmHost
from standby.target.domain.machine import Machine, Virtualisation
from standby.target.domain.plan import plan_domain
from standby.target.domain.platform import choose_platform, family_of
from standby.target.domain.reading import read_machine
from standby.target.domain.settings import (
    DISCONNECTED,
    Connection,
    ConnectionKind,
    DiskBus,
    DomainNames,
    DomainSettings,
    Identifier,
    Link,
)
from standby.target.domain.spec import DomainPlan
from standby.target.layout import StandbyDirectory

GOLDEN = Path(__file__).parents[1] / "golden"
NETWORKS = frozenset({"default", "servers"})
BRIDGES = frozenset({"br0", "ovsbr0"})
SMALL_VARIABLES = 131072
LARGE_VARIABLES = 540672
GIB = 1 << 30
NEW_UUID = "7f4b5a6c-3c5e-4d1a-9b0c-2d1e0f3a4b5c"


def machine(name: str) -> Machine:
    """Read one of the machines."""
    return read_machine((GOLDEN / "machines" / f"{name}.xml").read_text())


def settings(of: Machine, **asked: object) -> DomainSettings:
    """Ask for something; all disks are captured unless `captured` says otherwise."""
    everything = {"captured": frozenset(disk.name for disk in of.disks)}
    return DomainSettings(**{**everything, **asked})  # type: ignore[arg-type]


def host(name: str, of: Machine, asked: DomainSettings) -> KvmHost:
    """Return a recorded KVM host as it answers about this machine."""
    folder = GOLDEN / "hosts" / name
    text = (folder / "capabilities.xml").read_text()
    capabilities = read_capabilities(text, NETWORKS, BRIDGES)
    platform = choose_platform(of, asked, capabilities).value
    answer = f"{platform.virtualisation.value}-{family_of(platform.machine_type)}.xml"
    return KvmHost(capabilities, read_platform((folder / answer).read_text()))


def names(standby: str, nvram_bytes: int | None = None) -> DomainNames:
    """Name a standby."""
    directory = StandbyDirectory(f"/srv/standby/{standby}")
    return DomainNames(standby, directory, "nightly", NEW_UUID, nvram_bytes)


@dataclass(frozen=True)
class Case:
    """One golden test."""

    name: str
    machine_name: str
    host_name: str
    asked: DomainSettings
    nvram_bytes: int | None = None
    since: tuple[int, ...] = ()  # the libvirt whose schema knows what the recorded host has

    @property
    def machine(self) -> Machine:
        return machine(self.machine_name)

    def plan(self) -> DomainPlan:
        """Plan the standby."""
        return plan_domain(
            self.machine,
            self.asked,
            host(self.host_name, self.machine, self.asked),
            names(f"{self.machine_name}-standby", self.nvram_bytes),
        )


def case(
    name: str,
    machine_name: str = "",
    host_name: str = "debian12",
    nvram_bytes: int | None = None,
    **asked: object,
) -> Case:
    """Make one golden test, of the machine of its name unless another is named."""
    of = machine_name or name
    return Case(name, of, host_name, settings(machine(of), **asked), nvram_bytes)


def newer(since: tuple[int, ...], made: Case) -> Case:
    """Say which libvirt a test of the schema needs."""
    return replace(made, since=since)


CASES = (
    case("plain-q35"),
    case("plain-q35-emulated", "plain-q35", virtualisation=Virtualisation.EMULATED),
    case(
        "plain-q35-as-asked",
        "plain-q35",
        title="Web shop, dormant & <ready>",
        memory=GIB,
        vcpus=2,
        machine_type="pc-q35-6.2",
        disk_bus=DiskBus.SATA,
        nic_model="e1000",
        connections=(Connection(ConnectionKind.BRIDGE, "br0"),),
        uuid=Identifier.KEEP,
        mac=Identifier.NEW,
        link=Link.DOWN,
    ),
    case("plain-q35-lean", "plain-q35", host_name="lean"),
    case("pc-ide"),
    case("pc-ide-to-q35", "pc-ide", machine_type="q35", virtualisation=Virtualisation.KVM),
    case("windows-secure", nvram_bytes=LARGE_VARIABLES),
    case("windows-secure-lean", "windows-secure", host_name="lean", nvram_bytes=LARGE_VARIABLES),
    case(
        "windows-secure-emulated",
        "windows-secure",
        nvram_bytes=LARGE_VARIABLES,
        virtualisation=Virtualisation.EMULATED,
    ),
    case("uefi-chosen"),
    case("uefi-chosen-started", "uefi-chosen", nvram_bytes=LARGE_VARIABLES),
    case("many-nics"),
    case(
        "many-nics-as-asked",
        "many-nics",
        connections=(None, DISCONNECTED, Connection(ConnectionKind.NETWORK, "servers")),
    ),
    case("passthrough"),
    case("scsi", captured=frozenset({"sda", "sdc", "sdd", "vda", "sdf"}), empty=frozenset({"sdb"})),
    case("scsi-to-virtio", "scsi", disk_bus=DiskBus.VIRTIO),
    case("virtio-to-scsi", "plain-q35", disk_bus=DiskBus.SCSI),
    case("rhel9", nvram_bytes=2 * LARGE_VARIABLES),
    newer(  # format of <loader>
        (9, 2), case("rhel9-lean", "rhel9", host_name="lean", nvram_bytes=2 * LARGE_VARIABLES)
    ),
    case("direct-boot"),
    case("hostile"),
    case("arm", host_name="arm", nvram_bytes=64 << 20),
)
