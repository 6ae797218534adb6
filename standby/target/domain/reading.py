"""Reading a machine's definition: the inactive form of libvirt's domain XML. Pure."""

from __future__ import annotations

import re
from typing import Final

from standby.errors import RepairSource
from standby.model.names import is_safe_name
from standby.target.domain.element import Element, parse_xml
from standby.target.domain.machine import (
    Cpu,
    CpuFeature,
    DeviceKind,
    Disk,
    FirmwareKind,
    Machine,
    Memory,
    Nic,
    SecureBoot,
    SourceFirmware,
    Vcpus,
)

# Units of libvirt's scaled integers; a bare number is KiB. https://libvirt.org/formatdomain.html
_UNITS: Final = {
    "b": 1,
    "bytes": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "": 1024,
    "k": 1024,
    "KiB": 1024,
    "M": 1024**2,
    "MiB": 1024**2,
    "G": 1024**3,
    "GiB": 1024**3,
    "T": 1024**4,
    "TiB": 1024**4,
}
_READ_HERE: Final = frozenset(
    {"name", "uuid", "memory", "currentMemory", "vcpu", "os", "cpu", "devices"}
)
_OS_READ_HERE: Final = frozenset({"type", "loader", "nvram", "firmware", "boot"})
_CPU_SHAPE: Final = frozenset({"topology", "cache", "maxphysaddr"})
_UEFI_NAME: Final = re.compile("ovmf|edk2|efi", re.IGNORECASE)
_DISK_LOOK: Final = frozenset({"serial", "wwn", "vendor", "product", "blockio", "geometry"})
_DISK_KNOWN: Final = _DISK_LOOK | {
    "driver",
    "source",
    "target",
    "backingStore",
    "mirror",
    "boot",
    "address",
    "alias",
    "readonly",
    "shareable",
    "auth",
}
_NIC_LOOK: Final = frozenset({"mtu", "acpi", "rom"})
_NIC_KNOWN: Final = _NIC_LOOK | {
    "mac",
    "source",
    "model",
    "link",
    "boot",
    "address",
    "virtualport",
    "target",
    "alias",
    "driver",
}
_BUS_OF_PREFIX: Final = {"vd": "virtio", "sd": "scsi", "hd": "ide", "fd": "fdc", "xvd": "xen"}


def read_machine(domain_xml: str) -> Machine:
    """Read an inactive definition. Raises RepairSource when it is not one of libvirt's."""
    root = parse_xml(domain_xml, "domain definition")
    if root.tag != "domain":
        raise RepairSource("domain definition", f"<{root.tag}>", "<domain>")
    name = root.text_of("name")
    devices = root.first("devices") or Element("devices")
    os = root.first("os") or Element("os")
    return Machine(
        name=name,
        uuid=_required(root.text_of("uuid"), name, "a UUID"),
        domain_type=root.get("type"),
        arch=_required(root.attribute_of("os/type", "arch"), name, "an architecture"),
        machine_type=root.attribute_of("os/type", "machine"),
        memory=_memory(root, name),
        vcpus=_vcpus(root, name),
        cpu=_cpu(root.first("cpu")),
        firmware=_firmware(os),
        disks=tuple(_disk(disk, name) for disk in devices.all("disk")),
        nics=tuple(_nic(nic) for nic in devices.all("interface")),
        boot_devices=tuple(boot.get("dev") for boot in os.all("boot")),
        os=os.without(*_OS_READ_HERE).children,
        devices=devices.without("disk", "interface").children,
        rest=root.without(*_READ_HERE).children,
    )


def _required(value: str, name: str, what: str) -> str:
    if not value:
        raise RepairSource(f"domain {name}", f"its definition lacks {what}", what)
    return value


def _number(text: str, name: str, what: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise RepairSource(f"domain {name}", f"{what} is {text!r}", "a number")
    return int(text)


def _scaled(element: Element, name: str) -> int:
    unit = element.get("unit")
    if unit not in _UNITS:
        raise RepairSource(f"domain {name}", f"unit {unit!r} in <{element.tag}>", "one of libvirt")
    return _number(element.text, name, f"<{element.tag}>") * _UNITS[unit]


def _memory(root: Element, name: str) -> Memory:
    whole = root.first("memory")
    if whole is None:
        raise RepairSource(f"domain {name}", "its definition lacks <memory>", "<memory>")
    maximum = _scaled(whole, name)
    start = root.first("currentMemory")
    return Memory(maximum, min(maximum, _scaled(start, name)) if start else maximum)


def _vcpus(root: Element, name: str) -> Vcpus:
    maximum = _number(root.text_of("vcpu", "1"), name, "<vcpu>")
    current = root.attribute_of("vcpu", "current") or str(maximum)
    return Vcpus(maximum, min(maximum, _number(current, name, "current of <vcpu>")))


def _cpu(cpu: Element | None) -> Cpu | None:
    if cpu is None:
        return None
    return Cpu(
        mode=cpu.get("mode"),
        match=cpu.get("match"),
        check=cpu.get("check"),
        migratable=cpu.get("migratable"),
        model=cpu.text_of("model"),
        fallback=cpu.attribute_of("model", "fallback"),
        vendor=cpu.text_of("vendor"),
        features=tuple(CpuFeature(f.get("name"), f.get("policy")) for f in cpu.all("feature")),
        shape=tuple(child for child in cpu.children if child.tag in _CPU_SHAPE),
        numa=cpu.first("numa"),
    )


def _firmware(os: Element) -> SourceFirmware:
    loader = os.first("loader") or Element("loader")
    chosen = {f.get("name"): f.get("enabled") for f in os.all("firmware/feature")}
    is_uefi = os.get("firmware") == "efi" or loader.get("type") == "pflash" or _is_uefi(loader.text)
    secure = loader.get("secure") == "yes" or chosen.get("secure-boot") == "yes"
    return SourceFirmware(
        kind=FirmwareKind.UEFI if is_uefi else FirmwareKind.BIOS,
        loader=loader.text,
        loader_format=loader.get("format"),
        secure=SecureBoot.ON if secure else SecureBoot.OFF,
        enrolled_keys=chosen.get("enrolled-keys", ""),
        nvram_format=os.attribute_of("nvram", "format"),
        stateless=loader.get("stateless") == "yes",
    )


def _is_uefi(loader: str) -> bool:
    """Tell a UEFI that is loaded like a BIOS, which only its name shows."""
    return _UEFI_NAME.search(loader) is not None


def _disk(disk: Element, name: str) -> Disk:
    target = disk.attribute_of("target", "dev")
    if not is_safe_name(target):  # it names the image of the disk
        raise RepairSource(f"domain {name}", f"a disk called {target!r}", "a name such as vda")
    return Disk(
        name=target,
        kind=_device_kind(disk, name),
        bus=disk.attribute_of("target", "bus") or _bus_by_name(target),
        model=disk.get("model"),
        removable=disk.attribute_of("target", "removable"),
        rotation_rate=disk.attribute_of("target", "rotation_rate"),
        discard=disk.attribute_of("driver", "discard"),
        boot_order=_boot_order(disk, name),
        shared=disk.first("shareable") is not None,
        look=tuple(child for child in disk.children if child.tag in _DISK_LOOK),
        address=disk.first("address"),
        unknown=tuple(c.tag for c in disk.children if c.tag not in _DISK_KNOWN),
    )


def _device_kind(disk: Element, name: str) -> DeviceKind:
    kind = disk.get("device", DeviceKind.DISK.value)
    known = {member.value: member for member in DeviceKind}
    if kind not in known:
        raise RepairSource(f"domain {name}", f"a disk with device={kind!r}", " or ".join(known))
    return known[kind]


def _bus_by_name(target: str) -> str:
    prefix = target.rstrip("0123456789")[:-1]
    return _BUS_OF_PREFIX.get(prefix, "virtio")


def _boot_order(device: Element, name: str) -> int | None:
    order = device.attribute_of("boot", "order")
    return _number(order, name, "a boot order") if order else None


def _nic(nic: Element) -> Nic:
    source = nic.first("source") or Element("source")
    order = nic.attribute_of("boot", "order")
    kind = nic.get("type")
    return Nic(
        mac=nic.attribute_of("mac", "address").lower(),
        kind=kind,
        source=source.get(kind) if kind in {"network", "bridge"} else source.get("dev"),
        model=nic.attribute_of("model", "type"),
        link=nic.attribute_of("link", "state"),
        boot_order=int(order) if order.isdecimal() else None,
        virtual_port=nic.attribute_of("virtualport", "type"),
        look=tuple(_nic_look(child) for child in nic.children if child.tag in _NIC_LOOK),
        address=nic.first("address"),
        unknown=_nic_unknown(nic),
    )


def _nic_unknown(nic: Element) -> tuple[str, ...]:
    tags = [child.tag for child in nic.children if child.tag not in _NIC_KNOWN]
    return (*tags, *(["portgroup"] if nic.attribute_of("source", "portgroup") else []))


def _nic_look(child: Element) -> Element:
    # A ROM file is on the source host; whether there is a ROM at all is the guest's business.
    return child.keeping(frozenset({"size", "index", "bar", "enabled"}))
