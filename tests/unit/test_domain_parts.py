"""Rules for the parts of a standby that golden files show only by example."""

from __future__ import annotations

from dataclasses import replace

import pytest
from domain_cases import GIB, LARGE_VARIABLES, NEW_UUID, SMALL_VARIABLES, host, machine, names
from domain_cases import settings as ask
from hypothesis import given
from hypothesis import strategies as st

from standby.errors import InstallPrograms
from standby.target.domain.capabilities import PlatformCapabilities
from standby.target.domain.element import Element
from standby.target.domain.machine import (
    Cpu,
    DeviceKind,
    Disk,
    FirmwareKind,
    Machine,
    SecureBoot,
    SourceFirmware,
)
from standby.target.domain.nics import new_mac
from standby.target.domain.plan import plan_domain
from standby.target.domain.settings import (
    DISCONNECTED,
    Connection,
    ConnectionKind,
    DiskBus,
    Link,
    Replacement,
)
from standby.target.domain.spec import DomainPlan

PLAIN = machine("plain-q35")
CODE_2M, CODE_4M = "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_CODE_4M.fd"
SECURE_4M = "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd"


def planned(
    of: Machine,
    nvram_bytes: int | None = None,
    *,
    offers: dict[str, object] | None = None,
    runs_cpu: bool | None = None,
    holds_tpm: bool = False,
    **asked: object,
) -> DomainPlan:
    wanted = ask(of, **asked)
    there = host("debian12", of, wanted)
    platform = replace(there.platform, **(offers or {}))  # type: ignore[arg-type]
    there = replace(there, platform=platform, runs_cpu=runs_cpu)
    named = replace(names("web", nvram_bytes), holds_tpm=holds_tpm)
    return plan_domain(of, wanted, there, named)


def whats(plan: DomainPlan) -> list[str]:
    return [entry.what for entry in plan.replaced]


# ---- TPM -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("holds", "version", "lost"), [(True, "2.0", False), (True, "1.2", True), (False, "2.0", True)]
)
def test_that_a_tpm_begins_empty_is_told_unless_its_state_is_carried_over(
    *, holds: bool, version: str, lost: bool
) -> None:
    backend = Element("backend", (("type", "emulator"), ("version", version)))
    tpm = Element("tpm", (("model", "tpm-tis"),), (backend,))
    of = replace(PLAIN, devices=(*PLAIN.devices, tpm))
    offers: dict[str, object] = {"emulates_tpm": True, "tpm_versions": frozenset({"2.0"})}
    plan = planned(of, offers=offers, holds_tpm=holds)
    assert plan.spec.tpm is not None
    assert ("TPM" in whats(plan)) is lost


# ---- firmware ------------------------------------------------------------------------------


def uefi(loader: str = "", **more: object) -> Machine:
    firmware = SourceFirmware(FirmwareKind.UEFI, loader, **more)  # type: ignore[arg-type]
    return replace(PLAIN, firmware=firmware)


@pytest.mark.parametrize(
    ("loader", "variables", "offered", "expected", "takes"),
    [
        (CODE_4M, LARGE_VARIABLES, (CODE_2M, CODE_4M), CODE_4M, True),
        ("/other/OVMF_CODE_4M.fd", LARGE_VARIABLES, (CODE_2M, CODE_4M), CODE_4M, True),
        ("/other/OVMF_CODE.fd", SMALL_VARIABLES, (CODE_4M, CODE_2M), CODE_2M, True),
        ("/other/OVMF_CODE.fd", SMALL_VARIABLES, (CODE_4M,), "", False),
        ("", LARGE_VARIABLES, (SECURE_4M, CODE_4M), CODE_4M, True),
        ("", LARGE_VARIABLES, (), "", False),
        ("", None, (CODE_4M,), "", False),
        (CODE_4M, None, (CODE_4M,), CODE_4M, False),
        (CODE_4M, LARGE_VARIABLES - 1, (CODE_4M,), CODE_4M, False),  # damaged
    ],
)
def test_a_firmware_is_chosen_that_the_machines_variables_fit(
    *, loader: str, variables: int | None, offered: tuple[str, ...], expected: str, takes: bool
) -> None:
    plan = planned(uefi(loader), variables, offers={"loaders": offered})
    assert plan.spec.firmware.kind is FirmwareKind.UEFI
    assert plan.spec.firmware.loader == expected
    assert plan.takes_nvram is takes
    assert ("firmware variables" in whats(plan)) is (variables is not None and not takes)


def test_variables_are_never_taken_by_a_firmware_of_libvirts_choice() -> None:
    """libvirt would choose without looking at their size, and QEMU would refuse to start."""
    plan = planned(uefi("/other.fd"), 12345)
    assert (plan.spec.firmware.loader, plan.takes_nvram) == ("", False)


def test_a_stateless_firmware_has_no_variables() -> None:
    plan = planned(uefi(CODE_4M, stateless=True), offers={"loaders": (CODE_4M,)})
    assert (plan.spec.firmware.nvram, plan.takes_nvram) == ("", False)


def test_secure_boot_needs_a_secure_firmware() -> None:
    secure = uefi(secure=SecureBoot.ON)
    offered = (CODE_4M, SECURE_4M)
    plan = planned(secure, LARGE_VARIABLES, offers={"loaders": offered, "secure_boot": True})
    assert plan.spec.firmware.loader == SECURE_4M
    plan = planned(secure, LARGE_VARIABLES, offers={"loaders": (CODE_4M,), "secure_boot": False})
    assert plan.spec.firmware.loader == CODE_4M
    assert "secure boot" in whats(plan)


def test_a_host_without_uefi_is_told_what_to_install() -> None:
    with pytest.raises(InstallPrograms, match="apt-get install ovmf"):
        planned(uefi(), offers={"loaders": (), "chooses_uefi": False})


def test_a_bios_machine_needs_no_uefi() -> None:
    plan = planned(PLAIN, offers={"loaders": (), "chooses_uefi": False})
    assert plan.spec.firmware.kind is FirmwareKind.BIOS


# ---- processor and memory ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "check", "runs", "kept"),
    [
        ("Haswell-noTSX", "partial", None, True),
        ("Haswell-noTSX", "partial", False, False),
        ("Cooperlake", "partial", None, False),
        ("Cooperlake", "partial", True, True),
        ("Cooperlake", "none", False, True),
        ("of-tomorrow", "none", True, False),
    ],
)
def test_a_named_processor_stays_where_the_host_can_run_it(
    *, model: str, check: str, runs: bool | None, kept: bool
) -> None:
    cpu = Cpu(mode="custom", match="exact", check=check, model=model)
    plan = planned(replace(PLAIN, cpu=cpu), runs_cpu=runs)
    assert plan.spec.cpu == (cpu if kept else Cpu(mode="host-model"))
    assert (f"processor {model}" in whats(plan)) is not kept


def test_a_host_without_any_of_the_modes_gives_its_default_processor() -> None:
    plan = planned(PLAIN, offers={"cpu_modes": frozenset()})
    assert plan.spec.cpu == Cpu()
    assert (
        Replacement(
            "processor host-passthrough",
            "the default processor",
            "the KVM host does not offer it to kvm guests",
        )
        in plan.replaced
    )


def test_memory_and_processors_are_as_asked() -> None:
    plan = planned(PLAIN, memory=GIB, vcpus=3)
    assert (plan.spec.memory.maximum, plan.spec.memory.current) == (GIB, GIB)
    assert (plan.spec.vcpus.maximum, plan.spec.vcpus.current) == (3, 3)


# ---- disks ---------------------------------------------------------------------------------

NAMES = [f"{prefix}{letter}" for prefix in ("vd", "sd", "hd") for letter in "abcdefghij"]
BUS = {"vd": "virtio", "sd": "sata", "hd": "ide"}


def with_disks(chosen: list[str], machine_type: str) -> Machine:
    disks = tuple(Disk(name, DeviceKind.DISK, BUS[name[:2]]) for name in chosen)
    return replace(PLAIN, disks=disks, machine_type=machine_type)


@given(
    st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=20),
    st.sampled_from([*DiskBus, None]),
    st.sampled_from(["pc-q35-7.2", "pc-i440fx-7.2"]),
)
def test_no_two_drives_share_a_place(chosen: list[str], bus: DiskBus | None, pc: str) -> None:
    spec = planned(with_disks(chosen, pc), disk_bus=bus).spec
    assert [disk.name for disk in spec.disks] == chosen
    placed = [(disk.bus, disk.address) for disk in spec.disks if disk.address]
    assert len(placed) == len(set(placed))
    on_ide = [disk for disk in spec.disks if disk.bus == "ide"]
    assert len(on_ide) <= (4 if pc == "pc-i440fx-7.2" else 0)


def test_a_disk_is_absent_empty_or_captured() -> None:
    plan = planned(
        with_disks(["vda", "vdb", "vdc"], "pc-q35-7.2"),
        captured=frozenset({"vda"}),
        empty=frozenset({"vdb"}),
    )
    assert [disk.file for disk in plan.spec.disks] == [
        "/srv/standby/web/head/vda.qcow2",
        "/srv/standby/web/head/vdb.qcow2",
    ]
    assert whats(plan)[-2:] == ["disk vdb", "disk vdc"]


def test_leaving_out_the_disk_that_boots_is_said() -> None:
    of = machine("windows-secure")
    plan = planned(of, LARGE_VARIABLES, captured=frozenset())
    assert "disk sda, which the machine boots from" in whats(plan)


def test_a_drive_is_kept_without_its_medium() -> None:
    drives = [disk for disk in planned(machine("pc-ide")).spec.disks if not disk.file]
    assert [(drive.name, drive.kind) for drive in drives] == [
        ("hdc", DeviceKind.CDROM),
        ("fda", DeviceKind.FLOPPY),
    ]


def test_a_floppy_drive_that_no_host_has_is_left_out() -> None:
    offers = {"disk_buses": frozenset({"sata", "virtio", "ide"})}
    assert "floppy drive fda" in whats(planned(machine("pc-ide"), offers=offers))


def test_a_scsi_bus_that_was_asked_for_has_a_controller_with_drivers() -> None:
    devices = planned(PLAIN, disk_bus=DiskBus.SCSI).spec.devices
    (controller,) = [device for device in devices if device.get("type") == "scsi"]
    assert controller.get("model") == "virtio-scsi"


# ---- network cards -------------------------------------------------------------------------


def test_a_new_mac_is_the_same_for_ever_and_another_for_each_card() -> None:
    macs = [new_mac(NEW_UUID, index) for index in range(20)]
    assert macs == [new_mac(NEW_UUID, index) for index in range(20)]
    assert len(set(macs)) == 20
    assert all(mac.startswith("52:54:00:") and len(mac) == 17 for mac in macs)


def test_a_network_that_is_not_there_leaves_the_card_unplugged() -> None:
    there = Connection(ConnectionKind.NETWORK, "default")
    missing = Connection(ConnectionKind.NETWORK, "missing")
    (nic,) = planned(PLAIN, connections=(there,)).spec.nics
    assert (nic.connection, nic.link) == (there, Link.UP)
    plan = planned(PLAIN, connections=(missing,))
    (nic,) = plan.spec.nics
    assert (nic.connection, nic.link) == (DISCONNECTED, Link.DOWN)
    assert "NIC 0 on network missing" in whats(plan)


def test_a_bridge_is_believed_where_the_host_does_not_tell() -> None:
    wanted = ask(PLAIN, connections=(Connection(ConnectionKind.BRIDGE, "br9"),))
    there = host("debian12", PLAIN, wanted)
    silent = replace(there, capabilities=replace(there.capabilities, bridges=None))
    (nic,) = plan_domain(PLAIN, wanted, silent, names("web")).spec.nics
    assert nic.connection.name == "br9"
    (nic,) = plan_domain(PLAIN, wanted, there, names("web")).spec.nics
    assert nic.connection == DISCONNECTED


def test_being_disconnected_on_purpose_is_not_reported() -> None:
    assert not planned(PLAIN, connections=(DISCONNECTED,)).replaced


def test_a_card_of_the_same_kind_keeps_its_slot_so_that_its_name_stays() -> None:
    before = PLAIN.nics[0].address
    assert planned(PLAIN, nic_model="e1000e").spec.nics[0].address == before
    assert planned(PLAIN, nic_model="rtl8139").spec.nics[0].address is None
    assert planned(PLAIN, machine_type="pc").spec.nics[0].address is None


def test_an_answer_without_any_offers_still_gives_a_standby() -> None:
    """An old or odd host that tells little: what it does not tell is not taken for granted."""
    wanted = ask(PLAIN)
    there = replace(
        host("debian12", PLAIN, wanted),
        platform=PlatformCapabilities(max_vcpus=8, disk_buses=frozenset({"virtio", "sata"})),
    )
    plan = plan_domain(PLAIN, wanted, there, names("web"))
    assert {"graphics vnc", "video virtio", "processor host-passthrough"} <= set(whats(plan))
