"""A machine's definition is read as libvirt means it, or refused with what is wrong."""

from __future__ import annotations

import pytest

from standby.errors import RepairSource
from standby.target.domain.machine import FirmwareKind, Memory, SecureBoot, Vcpus
from standby.target.domain.reading import read_machine

UUID = "3b2f7c1e-6a2d-4a77-9a3e-0d4f5a6b7c81"


def domain(
    *,
    memory: str = "<memory>1</memory>",
    vcpu: str = "<vcpu>1</vcpu>",
    os: str = "",
    devices: str = "",
) -> str:
    return (
        f"<domain type='kvm'><name>web</name><uuid>{UUID}</uuid>{memory}{vcpu}"
        f"<os><type arch='x86_64' machine='q35'>hvm</type>{os}</os>"
        f"<devices>{devices}</devices></domain>"
    )


@pytest.mark.parametrize(
    ("unit", "size"),
    [
        ("", 2 * 1024),
        ("unit='b'", 2),
        ("unit='bytes'", 2),
        ("unit='KB'", 2000),
        ("unit='k'", 2048),
        ("unit='KiB'", 2048),
        ("unit='MB'", 2_000_000),
        ("unit='MiB'", 2 << 20),
        ("unit='GiB'", 2 << 30),
        ("unit='TiB'", 2 << 40),
    ],
)
def test_memory_is_read_in_libvirts_units(unit: str, size: int) -> None:
    read = read_machine(domain(memory=f"<memory {unit}>2</memory>"))
    assert read.memory == Memory(size, size)


def test_memory_at_start_is_what_the_balloon_leaves() -> None:
    both = "<memory unit='MiB'>8</memory><currentMemory unit='MiB'>{}</currentMemory>"
    assert read_machine(domain(memory=both.format(4))).memory == Memory(8 << 20, 4 << 20)
    assert read_machine(domain(memory=both.format(9))).memory == Memory(8 << 20, 8 << 20)


def test_processors_may_be_fewer_at_start() -> None:
    assert read_machine(domain(vcpu="<vcpu current='2'>4</vcpu>")).vcpus == Vcpus(4, 2)
    assert read_machine(domain(vcpu="")).vcpus == Vcpus(1, 1)


@pytest.mark.parametrize(
    "text",
    [
        "<network/>",
        domain(memory=""),
        domain(memory="<memory unit='pages'>1</memory>"),
        domain(memory="<memory>much</memory>"),
        domain(vcpu="<vcpu>-1</vcpu>"),
        domain(vcpu="<vcpu>²</vcpu>"),
        domain().replace(UUID, ""),
        domain().replace("arch='x86_64'", ""),
        domain(devices="<disk><target bus='virtio'/></disk>"),
        domain(devices="<disk><target dev='../../etc/x' bus='virtio'/></disk>"),
        domain(devices="<disk device='tape'><target dev='vda'/></disk>"),
        domain(devices="<disk><target dev='vda'/><boot order='first'/></disk>"),
    ],
)
def test_what_cannot_be_understood_is_an_error(text: str) -> None:
    with pytest.raises(RepairSource):
        read_machine(text)


@pytest.mark.parametrize(
    ("name", "bus"),
    [("vda", "virtio"), ("sdb", "scsi"), ("hda", "ide"), ("fda", "fdc"), ("vdaa", "virtio")],
)
def test_a_disk_without_a_bus_has_that_of_its_name(name: str, bus: str) -> None:
    read = read_machine(domain(devices=f"<disk><target dev='{name}'/></disk>"))
    assert read.disks[0].bus == bus


@pytest.mark.parametrize(
    ("os", "kind", "secure"),
    [
        ("", FirmwareKind.BIOS, SecureBoot.OFF),
        (
            "<loader type='rom'>/usr/share/seabios/bios.bin</loader>",
            FirmwareKind.BIOS,
            SecureBoot.OFF,
        ),
        ("<loader type='pflash'>/x.fd</loader>", FirmwareKind.UEFI, SecureBoot.OFF),
        ("<loader type='pflash' secure='yes'>/x.fd</loader>", FirmwareKind.UEFI, SecureBoot.ON),
        ("<loader type='rom'>/usr/share/ovmf/OVMF.fd</loader>", FirmwareKind.UEFI, SecureBoot.OFF),
    ],
)
def test_firmware_is_told_by_how_it_is_loaded(
    os: str, kind: FirmwareKind, secure: SecureBoot
) -> None:
    read = read_machine(domain(os=os)).firmware
    assert (read.kind, read.secure) == (kind, secure)


def test_firmware_of_libvirts_choice_is_told_by_its_features() -> None:
    chosen = "<firmware><feature enabled='yes' name='secure-boot'/></firmware>"
    text = domain(os=chosen).replace("<os>", "<os firmware='efi'>")
    read = read_machine(text).firmware
    assert (read.kind, read.secure, read.loader) == (FirmwareKind.UEFI, SecureBoot.ON, "")
    bios = read_machine(domain().replace("<os>", "<os firmware='bios'>")).firmware
    assert bios.kind is FirmwareKind.BIOS
