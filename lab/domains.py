"""Domain definitions of the lab's guests, as libvirt's XML, built as a tree."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

from lab.layout import HOST_BRIDGE


@dataclass(frozen=True, slots=True)
class DiskSpec:
    """One disk of a guest: `kind` is the format, qcow2 or raw; block devices are raw."""

    path: Path
    kind: str = "qcow2"
    bus: str = "virtio"

    @property
    def is_block_device(self) -> bool:
        """Whether libvirt must be told that this is a device."""
        return self.path.is_relative_to("/dev")


@dataclass(frozen=True, slots=True)
class DomainSpec:
    """A guest as the lab defines it.

    `accelerator` is libvirt's domain type, `qemu` (software emulation) or `kvm`;
    `serial_log` a file on the host that gets the first serial port's output.
    """

    name: str
    disks: Sequence[DiskSpec]
    memory_mib: int = 64
    vcpus: int = 1
    machine: str = "pc"
    accelerator: str = "qemu"
    network: bool = False
    agent: bool = False
    serial_log: Path | None = None
    identity: uuid.UUID = field(default_factory=uuid.uuid4)


def target_name(index: int, bus: str = "virtio") -> str:
    """Return the guest's name of its disk number `index`, from 0."""
    prefix = {"virtio": "vd", "sata": "sd", "scsi": "sd", "ide": "hd"}[bus]
    return prefix + chr(ord("a") + index)


def render(spec: DomainSpec) -> str:
    """Return the definition for `virsh define`."""
    domain = ET.Element("domain", type=spec.accelerator)
    _leaf(domain, "name", spec.name)
    _leaf(domain, "uuid", str(spec.identity))
    _leaf(domain, "memory", str(spec.memory_mib), unit="MiB")
    _leaf(domain, "vcpu", str(spec.vcpus))
    system = ET.SubElement(domain, "os")
    _leaf(system, "type", "hvm", arch="x86_64", machine=spec.machine)
    features = ET.SubElement(domain, "features")
    ET.SubElement(features, "acpi")
    devices = ET.SubElement(domain, "devices")
    for index, disk in enumerate(spec.disks):
        _add_disk(devices, disk, index)
    _add_ports(devices, spec)
    ET.SubElement(devices, "memballoon", model="none")
    ET.indent(domain)
    return ET.tostring(domain, encoding="unicode")


def _add_disk(devices: ET.Element, disk: DiskSpec, index: int) -> None:
    kind, source = ("block", "dev") if disk.is_block_device else ("file", "file")
    element = ET.SubElement(devices, "disk", type=kind, device="disk")
    ET.SubElement(element, "driver", name="qemu", type=disk.kind, discard="unmap")
    ET.SubElement(element, "source", {source: str(disk.path)})
    ET.SubElement(element, "target", dev=target_name(index, disk.bus), bus=disk.bus)


def _add_ports(devices: ET.Element, spec: DomainSpec) -> None:
    if spec.network:
        interface = ET.SubElement(devices, "interface", type="bridge")
        ET.SubElement(interface, "source", bridge=HOST_BRIDGE)
        ET.SubElement(interface, "model", type="virtio")
    if spec.agent:
        channel = ET.SubElement(devices, "channel", type="unix")
        ET.SubElement(channel, "target", type="virtio", name="org.qemu.guest_agent.0")
    if spec.serial_log is not None:
        serial = ET.SubElement(devices, "serial", type="file")
        ET.SubElement(serial, "source", path=str(spec.serial_log))


def _leaf(parent: ET.Element, tag: str, text: str, **attributes: str) -> None:
    ET.SubElement(parent, tag, attributes).text = text
